//! `-F`: a form in parts, of text and files.

use std::io;
use std::path::Path;

use squall::Bytes;
use squall::client::Multipart;

use super::source::source;

/// What one `-F` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    name: String,
    content: Content,
    content_type: Option<String>,
    filename: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Text(String),
    File(String),
}

/// Reads `name=value` or `name=@file`, with what follows it: `;type=…`, `;filename=…`.
pub(super) fn part(text: &str) -> Result<Part, &'static str> {
    let (name, rest) = (text.split_once('=')).ok_or("expected name=value or name=@file")?;
    let (content, mut after) = until_option(rest);
    let (mut content_type, mut filename) = (None, None);
    while let Some((option, rest)) = after {
        let (value, next) = until_option(rest);
        let place = match option {
            TYPE => &mut content_type,
            _ => &mut filename,
        };
        *place = Some(unquoted(value));
        after = next;
    }
    let content = match content.strip_prefix('@') {
        Some("" | "\"\"") => return Err("@ is followed by a file's name"),
        Some(path) => Content::File(unquoted(path)),
        None => Content::Text(content.to_owned()),
    };
    Ok(Part {
        name: name.to_owned(),
        content,
        content_type,
        filename,
    })
}

const TYPE: &str = "type=";
const FILENAME: &str = "filename=";

/// What stands before the first `;type=` or `;filename=`, and which it is with what
/// stands after it. Any other semicolon is part of the value.
fn until_option(text: &str) -> (&str, Option<(&'static str, &str)>) {
    let mut quoted = false;
    let mut escaped = false;
    for (at, char) in text.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if at == 0 || quoted || text[..at] == *"@" => quoted = !quoted,
            ';' if !quoted => {
                let rest = text[at + 1..].trim_start();
                let found = [TYPE, FILENAME].into_iter().find_map(|option| {
                    let value = rest.strip_prefix(option)?;
                    Some((option, value))
                });
                if found.is_some() {
                    return (&text[..at], found);
                }
            }
            _ => {}
        }
    }
    (text, None)
}

/// Without the quotes around it, and the backslashes that are in them.
fn unquoted(text: &str) -> String {
    let Some(inner) = (text.strip_prefix('"')).and_then(|text| text.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut plain = String::new();
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        plain.push(match char {
            '\\' => chars.next().unwrap_or('\\'),
            char => char,
        });
    }
    plain
}

/// The form that all of them make.
pub(super) async fn form(parts: &[Part]) -> io::Result<Multipart> {
    let mut form = Multipart::new();
    for part in parts {
        let Part { name, content, .. } = part;
        let kind = part.content_type.as_deref();
        form = match (content, part.filename.as_deref()) {
            (Content::Text(text), None) => match kind {
                None => form.text(name, text),
                Some(kind) => form.typed(name, kind, Bytes::from(text.clone())),
            },
            (Content::Text(text), Some(filename)) => {
                let kind = kind.unwrap_or("text/plain");
                form.bytes(name, filename, kind, text.clone())
            }
            (Content::File(path), filename) => {
                let last = Path::new(path).file_name().unwrap_or_default();
                let last = last.to_string_lossy();
                let filename = filename.unwrap_or(&last);
                let kind = kind.unwrap_or_default();
                form.part(name, filename, kind, source(path).await?, None)
            }
        };
    }
    Ok(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, String, Option<String>, Option<String>) {
        let part = part(text).expect(text);
        let content = match part.content {
            Content::Text(text) => text,
            Content::File(path) => format!("file {path}"),
        };
        (part.name, content, part.content_type, part.filename)
    }

    #[test]
    fn fields_and_files_as_curl_writes_them() {
        let some = |text: &str| Some(text.to_owned());
        for (text, content, content_type, filename) in [
            ("a=b", "b", None, None),
            ("a=", "", None, None),
            ("a=b=c;d", "b=c;d", None, None),
            ("a=<b>", "<b>", None, None),
            (
                "a={\"b\":1};type=application/json",
                "{\"b\":1}",
                some("application/json"),
                None,
            ),
            ("a=@x.png", "file x.png", None, None),
            (
                "a=@-;filename=x;type=image/png",
                "file -",
                some("image/png"),
                some("x"),
            ),
            (
                "a=@x; type=text/plain; charset=utf-8",
                "file x",
                some("text/plain; charset=utf-8"),
                None,
            ),
            (
                "a=@\"x;type=y.txt\";filename=\"q\\\"t\"",
                "file x;type=y.txt",
                None,
                some("q\"t"),
            ),
            ("a=@x;y.txt", "file x;y.txt", None, None),
        ] {
            let wanted = ("a".to_owned(), content.to_owned(), content_type, filename);
            assert_eq!(read(text), wanted, "{text}");
        }
        for text in ["", "a", "a=@"] {
            assert!(part(text).is_err(), "{text}");
        }
    }
}
