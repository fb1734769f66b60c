//! Content codings: their names, which one a client would rather have, and their errors.
//!
//! RFC 9110 sections 8.4 and 12.5.3. The codecs themselves are not here: they are
//! libraries, and stream over bodies.

use std::fmt;

use http::StatusCode;

use super::headers::Headers;

/// A content coding (RFC 9110 section 8.4.1, RFC 7932, RFC 8878).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Coding {
    /// `gzip`, also called `x-gzip`.
    Gzip,
    /// `deflate`: the zlib format.
    Deflate,
    /// `br`: Brotli.
    Br,
    /// `zstd`: Zstandard.
    Zstd,
}

impl Coding {
    /// Every coding, in the order a server should prefer them.
    pub const ALL: [Self; 4] = [Self::Zstd, Self::Br, Self::Gzip, Self::Deflate];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Br => "br",
            Self::Zstd => "zstd",
        }
    }

    /// The coding of this name; names compare without case.
    pub fn named(name: &str) -> Option<Self> {
        // RFC 9110 section 8.4.1.3: x-gzip is the same as gzip.
        if name.eq_ignore_ascii_case("x-gzip") {
            return Some(Self::Gzip);
        }
        (Self::ALL.into_iter()).find(|coding| name.eq_ignore_ascii_case(coding.name()))
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The codings in `Content-Encoding`, in the order they were applied.
///
/// `identity` is left out; so no coding at all is an empty list.
///
/// # Errors
/// [`CodingError::Unsupported`] for a coding that is not known, and
/// [`CodingError::TooMany`] for more than `max`.
pub fn content_codings(headers: &Headers, max: usize) -> Result<Vec<Coding>, CodingError> {
    let mut codings = Vec::new();
    for line in headers.get_all("content-encoding") {
        for name in line.split(|byte| *byte == b',') {
            let name = name.trim_ascii();
            if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            if codings.len() == max {
                return Err(CodingError::TooMany { limit: max });
            }
            let coding = std::str::from_utf8(name).ok().and_then(Coding::named);
            codings.push(coding.ok_or_else(|| CodingError::Unsupported {
                coding: name.escape_ascii().to_string(),
            })?);
        }
    }
    Ok(codings)
}

/// What a client's `Accept-Encoding` asks for, measured by what a server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preference {
    /// The best of the offers, if one is acceptable and no worse than no coding.
    pub coding: Option<Coding>,
    /// Whether an answer without a coding is acceptable.
    pub identity: bool,
}

/// Chooses among `offers` by the client's weights (RFC 9110 section 12.5.3).
///
/// Among equal weights the first offer wins. A client that sends no `Accept-Encoding`
/// gets no coding: it may accept any, but most that send none know none.
///
/// ```
/// use squall_http::wire::coding::{Coding, prefer};
/// use squall_http::wire::Headers;
///
/// let mut headers = Headers::new();
/// headers.append("Accept-Encoding", "gzip, br;q=0.8, zstd;q=0")?;
/// assert_eq!(prefer(&headers, &Coding::ALL).coding, Some(Coding::Gzip));
/// # Ok::<(), squall_http::wire::headers::InvalidHeader>(())
/// ```
pub fn prefer(headers: &Headers, offers: &[Coding]) -> Preference {
    let weights = Weights::of(headers);
    let mut best: Option<(Coding, u16)> = None;
    for offer in offers {
        let weight = weights.of_coding(*offer);
        if weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((*offer, weight));
        }
    }
    // Unnamed, no coding is acceptable and the last choice.
    let identity = weights.identity.or(weights.any.filter(|any| *any == 0));
    let best = best.filter(|(_, weight)| identity.is_none_or(|identity| *weight >= identity));
    Preference {
        coding: best.map(|(coding, _)| coding),
        identity: identity != Some(0),
    }
}

/// The weights of one `Accept-Encoding`, in thousandths.
#[derive(Default)]
struct Weights {
    named: [Option<u16>; Coding::ALL.len()],
    identity: Option<u16>,
    any: Option<u16>,
}

impl Weights {
    fn of(headers: &Headers) -> Self {
        let mut weights = Self::default();
        for element in headers.tokens("accept-encoding") {
            let (name, parameter) = element.split_once(';').unwrap_or((element, ""));
            // A weight that is none makes its element none.
            let Some(weight) = weight(parameter) else {
                continue;
            };
            let name = name.trim_ascii();
            if name == "*" {
                weights.any = Some(weight);
            } else if name.eq_ignore_ascii_case("identity") {
                weights.identity = Some(weight);
            } else if let Some(coding) = Coding::named(name) {
                for (slot, known) in weights.named.iter_mut().zip(Coding::ALL) {
                    if known == coding {
                        *slot = Some(weight);
                    }
                }
            }
        }
        weights
    }

    fn of_coding(&self, coding: Coding) -> u16 {
        (self.named.iter().zip(Coding::ALL))
            .find(|(_, known)| *known == coding)
            .and_then(|(weight, _)| *weight)
            .or(self.any)
            .unwrap_or(0)
    }
}

/// Reads `q=0.8` as 800 (RFC 9110 section 12.4.2); nothing at all is 1000.
fn weight(parameter: &str) -> Option<u16> {
    let parameter = parameter.trim_ascii();
    if parameter.is_empty() {
        return Some(1000);
    }
    let value = (parameter.strip_prefix("q="))
        .or_else(|| parameter.strip_prefix("Q="))?
        .trim_ascii();
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = (0..3).fold(0, |sum, at| {
        let digit = fraction.as_bytes().get(at).map_or(0, |byte| byte - b'0');
        sum * 10 + u16::from(digit)
    });
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

/// Why a body with content codings cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodingError {
    /// `Content-Encoding` names a coding that is not known here. 415.
    Unsupported {
        /// Its name.
        coding: String,
    },
    /// `Content-Encoding` names more codings than `max_codings`. 415.
    TooMany {
        /// The limit that was passed.
        limit: usize,
    },
    /// The decoded body is larger than `max_decoded_size`. 413.
    TooLarge {
        /// The limit that was passed, in bytes.
        limit: u64,
    },
    /// The decoded body is more than `max_ratio` times as large as the coded one. 413.
    Ratio {
        /// The limit that was passed.
        limit: u64,
    },
    /// The data is not what its coding says. 400.
    Malformed {
        /// The coding.
        coding: Coding,
        /// What its decoder said.
        why: String,
    },
    /// The data ends before its coding's end. 400.
    Truncated {
        /// The coding.
        coding: Coding,
    },
}

impl CodingError {
    /// The status a server answers with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unsupported { .. } | Self::TooMany { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. } | Self::Ratio { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed { .. } | Self::Truncated { .. } => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for CodingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported { coding } => write!(f, "the content coding {coding:?} is not known"),
            Self::TooMany { limit } => write!(
                f,
                "the body has more than {limit} content codings (setting: max_codings)"
            ),
            Self::TooLarge { limit } => write!(
                f,
                "the decoded body is larger than {limit} bytes (setting: max_decoded_size)"
            ),
            Self::Ratio { limit } => write!(
                f,
                "the decoded body is more than {limit} times as large as the coded one \
                 (setting: max_ratio)"
            ),
            Self::Malformed { coding, why } => write!(f, "the body is not {coding}: {why}"),
            Self::Truncated { coding } => write!(f, "the body's {coding} data has no end"),
        }
    }
}

impl std::error::Error for CodingError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &str, values: &[&str]) -> Headers {
        let mut headers = Headers::new();
        for value in values {
            headers.append(name, value).unwrap();
        }
        headers
    }

    #[test]
    fn the_clients_weights_decide_then_the_servers_order() {
        use Coding::*;
        for (accept, coding, identity) in [
            ("gzip", Some(Gzip), true),
            ("gzip, br, zstd", Some(Zstd), true),
            ("GZIP;q=1.0, br;q=0.9", Some(Gzip), true),
            ("gzip;q=0.5, br; q=0.501", Some(Br), true),
            ("x-gzip", Some(Gzip), true),
            ("gzip;q=0", None, true),
            ("gzip;q=0.000", None, true),
            ("*", Some(Zstd), true),
            ("*;q=0.1, zstd;q=0", Some(Br), true),
            ("", None, true),
            ("identity", None, true),
            ("identity;q=1, gzip;q=0.5", None, true),
            ("identity;q=0.5, gzip;q=0.5", Some(Gzip), true),
            ("identity;q=0, gzip;q=0.001", Some(Gzip), false),
            ("identity;q=0", None, false),
            ("*;q=0", None, false),
            ("*;q=0, gzip", Some(Gzip), false),
            ("*;q=0, identity;q=0.1", None, true),
            ("compress, sdch", None, true),
            ("gzip;q=2", None, true),
            ("gzip;q=1.001", None, true),
            ("gzip;q=0.1234", None, true),
            ("gzip;q=-1", None, true),
            ("gzip;q=", None, true),
            ("gzip;level=9", None, true),
            ("gzip;q=0.", None, true),
            ("gzip;q=1.", Some(Gzip), true),
            (",, ;, gzip ;q=1", Some(Gzip), true),
        ] {
            let found = prefer(&headers("Accept-Encoding", &[accept]), &Coding::ALL);
            assert_eq!(found, Preference { coding, identity }, "{accept:?}");
        }
        assert_eq!(
            prefer(&Headers::new(), &Coding::ALL),
            Preference {
                coding: None,
                identity: true
            }
        );
    }

    #[test]
    fn codings_are_listed_in_order_and_counted() {
        use Coding::*;
        let of = |values: &[&str]| content_codings(&headers("Content-Encoding", values), 2);
        assert_eq!(of(&[]), Ok(vec![]));
        assert_eq!(of(&["identity"]), Ok(vec![]));
        assert_eq!(of(&["gzip, identity", "br"]), Ok(vec![Gzip, Br]));
        assert_eq!(
            of(&["gzip, gzip, br"]),
            Err(CodingError::TooMany { limit: 2 })
        );
        let unknown = of(&["gzip, com\u{e9}"]).unwrap_err();
        assert_eq!(unknown.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert!(unknown.to_string().contains("com"), "{unknown}");
    }
}
