//! `Address`: what a request asks for, cut into the parts that every request needs.
//!
//! Most addresses in programs are in the URL standard's normal form as they stand: such a
//! text is kept and cut, which takes a twentieth of a parser's time. What is not plainly
//! so is parsed, and so is any once somebody wants it as a [`Url`].

use std::sync::OnceLock;

use url::{Position, Url};

/// An `http` or `https` address in its normal form.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// As it goes over the wire: without a fragment.
    text: String,
    cuts: Cuts,
    url: OnceLock<Box<Url>>,
}

/// Where the parts of an address are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cuts {
    is_https: bool,
    /// Where the host begins.
    host: usize,
    /// Where the path begins; the port has ended.
    path: usize,
    /// Where the path has ended.
    query: usize,
}

impl Address {
    /// Reads an address of the web.
    ///
    /// # Errors
    /// In words, for what is none, and for any scheme but `http` and `https`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let of_plain = |text: String, cuts| Self {
            text,
            cuts,
            url: OnceLock::new(),
        };
        if let Some(cuts) = plain(text.as_bytes()) {
            return Ok(of_plain(text.to_owned(), cuts));
        }
        if !text.bytes().skip("https://".len()).any(|byte| byte == b'/') {
            let text = format!("{text}/");
            if let Some(cuts) = plain(text.as_bytes()) {
                return Ok(of_plain(text, cuts));
            }
        }
        let url = Url::parse(text)
            .map_err(|error| format!("{:?} is no address: {error}", presentable(text)))?;
        Self::of(url)
    }

    /// An address that was parsed already.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), for the scheme.
    pub(super) fn of(url: Url) -> Result<Self, String> {
        check(&url)?;
        // The standard allows it in a query, but a request does not.
        let text = url[..Position::AfterQuery].replace('\\', "%5C");
        let cuts = Cuts {
            is_https: url.scheme() == "https",
            host: url[..Position::BeforeHost].len(),
            path: url[..Position::BeforePath].len(),
            query: url[..Position::AfterPath].len(),
        };
        Ok(Self {
            text,
            cuts,
            url: OnceLock::from(Box::new(url)),
        })
    }

    /// The whole of it, with everything that can be asked of an address.
    pub(super) fn url(&self) -> &Url {
        let parse = || match Url::parse(&self.text) {
            Ok(url) => Box::new(url),
            Err(_) => unreachable!("a plain address is an address"),
        };
        self.url.get_or_init(parse)
    }

    pub(super) fn into_url(mut self) -> Url {
        self.url();
        match self.url.take() {
            Some(url) => *url,
            None => unreachable!("it was put there just now"),
        }
    }

    /// Whether it names a user or a password.
    pub(super) fn has_credentials(&self) -> bool {
        self.cuts.host > "https://".len() - usize::from(!self.cuts.is_https)
    }

    pub(super) fn is_https(&self) -> bool {
        self.cuts.is_https
    }

    /// Scheme, host and port, as the pool and the origin rules know them.
    pub(super) fn origin(&self) -> &str {
        self.text.get(..self.cuts.path).unwrap_or_default()
    }

    /// Host and port, as `Host` says them.
    pub(super) fn authority(&self) -> &str {
        (self.text.get(self.cuts.host..self.cuts.path)).unwrap_or_default()
    }

    /// Path and query.
    pub(super) fn target(&self) -> &str {
        self.text.get(self.cuts.path..).unwrap_or_default()
    }

    /// All of it but a fragment: what a proxy is asked for.
    pub(super) fn absolute(&self) -> &str {
        &self.text
    }

    /// As errors show it: its query may hold secrets.
    pub(super) fn shown(&self) -> &str {
        self.text.get(..self.cuts.query).unwrap_or_default()
    }
}

/// Only `http` and `https` are spoken here.
fn check(url: &Url) -> Result<(), String> {
    match url.scheme() {
        "http" | "https" => Ok(()),
        other => Err(format!("the scheme {other:?} is neither http nor https")),
    }
}

/// What is no address as errors show it: without what may be a query, and not at all where it
/// may hold credentials, which can be written in too many ways.
pub(super) fn presentable(text: &str) -> &str {
    match text.contains('@') {
        true => "\u{2026}",
        false => text.split(['?', '#']).next().unwrap_or_default(),
    }
}

pub(super) fn strip_credentials(url: &mut Url) {
    // These fail only for addresses without a host, which `check` refuses.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}

/// The cuts of a text that parsing would give back as it is; `None` where that is not
/// plain to see.
fn plain(text: &[u8]) -> Option<Cuts> {
    let (host, default_port) = match text.starts_with(b"http://") {
        true => ("http://".len(), 80),
        false if text.starts_with(b"https://") => ("https://".len(), 443),
        false => return None,
    };
    let name = end_of(text, host, OF_NAME);
    let path = match text.get(name)? {
        b':' => {
            let end = end_of(text, name + 1, DIGIT);
            let port = number(text.get(name + 1..end)?)?;
            (port != default_port && port <= 65_535).then_some(end)?
        }
        _ => name,
    };
    let query = end_of(text, path, OF_PATH);
    let end = match text.get(query) {
        Some(b'?') => end_of(text, query + 1, OF_QUERY),
        _ => query,
    };
    let is_plain = end == text.len()
        && is_plain_host(text.get(host..name)?)
        && is_plain_path(text.get(path..query)?);
    is_plain.then_some(Cuts {
        is_https: default_port == 443,
        host,
        path,
        query,
    })
}

/// Where the bytes of a class that begin at `from` have ended.
fn end_of(text: &[u8], from: usize, class: u8) -> usize {
    let mut at = from;
    while text
        .get(at)
        .is_some_and(|byte| CLASS[*byte as usize] & class != 0)
    {
        at += 1;
    }
    at
}

/// Names in small letters, and IPv4 addresses as they are mostly written.
fn is_plain_host(host: &[u8]) -> bool {
    let mut labels = host.split(|byte| *byte == b'.');
    let last = host.rsplit(|byte| *byte == b'.').next();
    if last.and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit) {
        // Numbers can be written in many ways.
        let is_octet = |label: &[u8]| label == b"0" || number(label).is_some_and(|n| n <= 255);
        return (0..4).all(|_| labels.next().is_some_and(is_octet)) && labels.next().is_none();
    }
    labels.all(|label| {
        label.first().is_some_and(u8::is_ascii_alphanumeric) && !label.starts_with(b"xn--")
    })
}

/// A number of at most five digits that does not begin with a zero.
fn number(digits: &[u8]) -> Option<u32> {
    if digits.len() > 5 || !matches!(digits, [b'1'..=b'9', ..]) {
        return None;
    }
    digits.iter().try_fold(0, |number, byte| {
        let is_digit = byte.is_ascii_digit();
        is_digit.then(|| number * 10 + u32::from(byte - b'0'))
    })
}

/// A path without dot segments, however they are written.
fn is_plain_path(path: &[u8]) -> bool {
    path.first() == Some(&b'/') && (path.windows(2)).all(|pair| pair != b"/." && pair != b"%2")
}

const OF_NAME: u8 = 1;
const DIGIT: u8 = 2;
const OF_PATH: u8 = 4;
const OF_QUERY: u8 = 8;

/// Where a byte may stand as it is.
const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let letter = byte as u8;
        if letter.is_ascii_digit() {
            table[byte] = OF_NAME | DIGIT | OF_PATH | OF_QUERY;
        } else if letter.is_ascii_lowercase() || matches!(letter, b'-' | b'_' | b'.') {
            table[byte] = OF_NAME | OF_PATH | OF_QUERY;
        } else if letter.is_ascii_uppercase() {
            table[byte] = OF_PATH | OF_QUERY;
        }
        byte += 1;
    }
    // RFC 3986 section 3.3, but for the apostrophe, which a query has encoded.
    let others = b"/~!$&()*+,;=:@%";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = OF_PATH | OF_QUERY;
        at += 1;
    }
    table[b'?' as usize] = OF_QUERY;
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether the text is plain; if it is, the parser has to agree with every cut.
    fn is_plain(text: &str) -> bool {
        let Some(cuts) = plain(text.as_bytes()) else {
            return false;
        };
        let url = Url::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let parsed = Address::of(url).unwrap();
        assert_eq!((&*parsed.text, parsed.cuts), (text, cuts));
        true
    }

    #[test]
    fn plain_addresses_are_seen_as_such() {
        for text in [
            "http://a/",
            "https://a.test/b/c.d?e=f&g=%20?/",
            "http://127.0.0.1:8080/1k",
            "http://my_host-1.a.test:1/~x/@y;z=(1)/%e4//",
            "https://a.test:80/",
        ] {
            assert!(is_plain(text), "{text}");
        }
    }

    #[test]
    fn what_may_be_written_otherwise_is_parsed() {
        for text in [
            "http:/a/",
            "HTTP://a/",
            "ftp://a/",
            "http:///a",
            "http://A/",
            "http://a:80/",
            "https://a:443/",
            "http://a:/",
            "http://a:01/",
            "http://a:65536/",
            "http://a:+1/",
            "http://u@a/",
            "http://u:p@a/",
            "http://a../",
            "http://.a/",
            "http://a./",
            "http://xn--a/",
            "http://a.xn--a/",
            "http://1/",
            "http://1.2.3.256/",
            "http://1.2.3.4.5/",
            "http://a.4/",
            "http://1.2.3/",
            "http://01.2.3.4/",
            "http://1.2.3.4./",
            "http://a.0x1/",
            "http://[::1]/",
            "http://a/./",
            "http://a/../b",
            "http://a/.b",
            "http://a/%2e%2E/",
            "http://a/b#c",
            "http://a/?b#c",
            "http://a/ b",
            "http://a/b\\c",
            "http://a/?'",
            "http://a/\u{e9}",
            "http://a/{b}",
            "http://a/\tb",
            " http://a/",
            "http://a/ ",
        ] {
            assert!(!is_plain(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_parser_agrees(
            text in "https?://[a-z0-9._:@%-]{0,12}(:[0-9]{0,6})?/?[ -~]{0,16}(\\?[ -~]{0,8})?"
        ) {
            is_plain(&text);
        }

        #[test]
        fn the_parser_agrees_about_hosts(text in "http://[a-z0-9x.-]{1,10}(:[0-9]{1,5})?/") {
            is_plain(&text);
        }
    }

    #[test]
    fn the_parts() {
        for (text, origin, authority, target, shown) in [
            (
                "http://a.test:81/b?c",
                "http://a.test:81",
                "a.test:81",
                "/b?c",
                "http://a.test:81/b",
            ),
            (
                "HTTPS://A.test",
                "https://a.test",
                "a.test",
                "/",
                "https://a.test/",
            ),
            ("http://a/?b#c", "http://a", "a", "/?b", "http://a/"),
            ("http://a/?b\\c", "http://a", "a", "/?b%5Cc", "http://a/"),
        ] {
            let address = Address::parse(text).unwrap();
            let parts = (address.origin(), address.authority(), address.target());
            assert_eq!(parts, (origin, authority, target));
            assert_eq!(address.shown(), shown);
            assert_eq!(address.url(), &Url::parse(text).unwrap());
            assert_eq!(
                address.is_https(),
                address.clone().into_url().scheme() == "https"
            );
        }
    }
}
