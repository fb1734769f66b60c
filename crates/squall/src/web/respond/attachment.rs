//! `Attachment`: an answer that browsers save instead of showing.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use squall_http::server::Response;

use super::IntoResponse;
use crate::Result;
use crate::web::upload::safe_file_name;

/// An answer that browsers save under a name, whatever it holds.
///
/// For what strangers have uploaded: a page or a picture with scripts in it is not run in
/// this site's name. The name may be any text; of one that looks like a path only the
/// last part is sent ([`safe_file_name`]). `Content-Disposition` has it for old clients in
/// ASCII, and in UTF-8 (RFC 6266 section 4.3); `X-Content-Type-Options: nosniff` keeps
/// browsers from guessing another type.
///
/// ```
/// use squall::{Attachment, File, IntoResponse, Result};
///
/// async fn report() -> Result<impl IntoResponse> {
///     Ok(Attachment::new("Übersicht 2026.pdf", File::open("/srv/report.pdf").await?))
/// }
/// # let _ = squall::get(report);
/// ```
#[derive(Debug, Clone)]
pub struct Attachment<T> {
    disposition: String,
    answer: T,
}

impl<T> Attachment<T> {
    /// Lets an answer be saved as `filename`.
    pub fn new(filename: &str, answer: T) -> Self {
        Self {
            disposition: disposition("attachment", filename),
            answer,
        }
    }

    /// Suggests the name, and leaves it to the browser whether it shows or saves.
    pub fn inline(filename: &str, answer: T) -> Self {
        Self {
            disposition: disposition("inline", filename),
            answer,
        }
    }
}

impl<T: IntoResponse> IntoResponse for Attachment<T> {
    fn into_response(self) -> Result<Response> {
        let mut response = self.answer.into_response()?;
        let headers = response.headers_mut();
        headers.set("Content-Disposition", self.disposition)?;
        headers.set("X-Content-Type-Options", "nosniff")?;
        Ok(response)
    }
}

/// `attr-char` of RFC 8187 section 3.2.1 stands for itself.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

fn disposition(kind: &str, filename: &str) -> String {
    let name = safe_file_name(filename);
    // A percent sign is decoded by some clients, although it should not be.
    let plain = |char: char| matches!(char, ' '..='~') && !matches!(char, '"' | '\\' | '%');
    let ascii: String = (name.chars())
        .map(|char| if plain(char) { char } else { '_' })
        .collect();
    match ascii == name {
        true => format!("{kind}; filename=\"{ascii}\""),
        false => {
            let encoded = utf8_percent_encode(&name, ESCAPED);
            format!("{kind}; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::disposition;

    #[test]
    fn names_are_given_twice_where_ascii_is_not_enough() {
        for (name, value) in [
            ("a b.txt", "attachment; filename=\"a b.txt\""),
            (
                "é%.txt",
                "attachment; filename=\"__.txt\"; filename*=UTF-8''%C3%A9%25.txt",
            ),
            ("a'(b)*.txt", "attachment; filename=\"a'(b)_.txt\""),
            ("../x\"; y=\"z", "attachment; filename=\"x_; y=_z\""),
            (
                "a\r\nSet-Cookie: b=c",
                "attachment; filename=\"a__Set-Cookie_ b=c\"",
            ),
            ("", "attachment; filename=\"file\""),
        ] {
            assert_eq!(disposition("attachment", name), value, "{name:?}");
        }
    }
}
