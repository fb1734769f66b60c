//! Redirects: where an answer sends a request, and what may go along.
//!
//! RFC 9110 section 15.4, and the Fetch standard where it is stricter: credentials are
//! for the origin they were given for. Once left behind they stay behind, also when a
//! later redirect leads back.

use http::{Method, StatusCode};
use squall_http::wire::head::ResponseHead;
use url::Position;

use super::address::{Address, presentable, strip_credentials};
use super::error::Cause;
use super::request::HttpRequest;

/// Fields that are for one origin only.
const CREDENTIALS: [&str; 5] = [
    "authorization",
    "cookie",
    "cookie2",
    "proxy-authorization",
    "www-authenticate",
];

/// Where the answer to `request` at `url` leads; `None`: it is the answer.
pub(super) fn target(
    head: &ResponseHead,
    from: &Address,
    request: &HttpRequest,
) -> Result<Option<Address>, Cause> {
    if !matches!(head.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = head.headers.get_bytes("location") else {
        return Ok(None);
    };
    // Servers that do not encode send UTF-8 mostly, and Latin-1 else.
    let text = std::str::from_utf8(location).map_or_else(
        |_| location.iter().map(|byte| char::from(*byte)).collect(),
        str::to_owned,
    );
    let refuse = |what: &str, why: &str| Cause::Redirect(format!("{what:?}: {why}"));
    let mut others = head.headers.get_all("location");
    if others.any(|other| other != location) {
        let why = "there are several different Location fields";
        return Err(refuse(presentable(&text), why));
    }
    let url = from.url();
    let mut next = url
        .join(&text)
        .map_err(|error| refuse(presentable(&text), &error.to_string()))?;
    if next.fragment().is_none() {
        next.set_fragment(url.fragment());
    }
    strip_credentials(&mut next);
    let shown = match next.cannot_be_a_base() {
        true => presentable(next.as_str()),
        false => &next[..Position::AfterPath],
    };
    let shown = shown.to_owned();
    let next = Address::of(next).map_err(|error| refuse(&shown, &error))?;
    let may_downgrade = request.said().is_some_and(|said| said.allow_downgrade);
    if from.is_https() && !next.is_https() && !may_downgrade {
        let why = "from https to http is refused (allow_downgrade)";
        return Err(refuse(&shown, why));
    }
    Ok(Some(next))
}

/// Changes the request for its next hop; true: its body goes along.
pub(super) fn rewrite(
    request: &mut HttpRequest,
    status: StatusCode,
    from: &Address,
    to: &Address,
) -> bool {
    // The proof was for the address that it was made for.
    if request.said().is_some_and(|said| said.digest.is_some()) {
        request.headers.remove("authorization");
    }
    if from.origin() != to.origin() {
        for name in CREDENTIALS {
            request.headers.remove(name);
        }
        request.leave_origin();
    }
    let to_get = match status.as_u16() {
        303 => !matches!(request.method, Method::GET | Method::HEAD),
        301 | 302 => request.method == Method::POST,
        _ => false,
    };
    if to_get {
        request.method = Method::GET;
        request.expect_continue = false;
        // `Content-Type` and its like describe a body that stays behind.
        let is_content = |name: &[u8]| {
            (name.get(..8)).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
        };
        request.headers.retain(|name, _| !is_content(name));
    }
    !to_get
}

#[cfg(test)]
mod tests {
    use squall_http::wire::head::{HeadLimits, parse_response};

    use super::*;

    fn follow(from: &str, location: &[u8]) -> Result<String, String> {
        follow_as(&HttpRequest::new(from), from, location)
    }

    fn follow_as(request: &HttpRequest, from: &str, location: &[u8]) -> Result<String, String> {
        let mut head = ResponseHead::new();
        let wire = [b"HTTP/1.1 302 Go\r\nLocation: ", location, b"\r\n\r\n"].concat();
        parse_response(&wire, &HeadLimits::default(), &mut head).unwrap();
        let from = Address::parse(from).unwrap();
        let next = target(&head, &from, request).map_err(|cause| cause.to_string())?;
        Ok(next.map_or_else(String::new, |next| next.into_url().into()))
    }

    #[test]
    fn locations_are_joined_as_browsers_do() {
        for (location, expected) in [
            (b"../d?e".as_slice(), "https://a.test/d?e#f"),
            (b"#g", "https://a.test/b/c#g"),
            (b"//b.test/x", "https://b.test/x#f"),
            (b"https://u:p@b.test/", "https://b.test/#f"),
            (b"/a b\xe9", "https://a.test/a%20b%C3%A9#f"),
            (b"/%0d%0aX:y", "https://a.test/%0d%0aX:y#f"),
            (b"", "https://a.test/b/c#f"),
            (b"?", "https://a.test/b/c?#f"),
            (b"HTTPS://B.test:443", "https://b.test/#f"),
            (b"\\\\b.test\\x", "https://b.test/x#f"),
            (b"https:///b.test/x", "https://b.test/x#f"),
            (b"https:d", "https://a.test/b/d#f"),
            (b"/x\ty", "https://a.test/xy#f"),
            (b"/../../x", "https://a.test/x#f"),
            (
                b"https://b\xc3\xbccher.test/",
                "https://xn--bcher-kva.test/#f",
            ),
        ] {
            let next = follow("https://a.test/b/c#f", location);
            assert_eq!(next.as_deref(), Ok(expected));
        }
    }

    #[test]
    fn encryption_is_not_given_up() {
        let error = follow("https://a.test/", b"http://a.test/").unwrap_err();
        assert!(error.contains("from https to http is refused"), "{error}");
        assert!(follow("http://a.test/", b"https://a.test/").is_ok());
        let told = HttpRequest::new("https://a.test/").allow_downgrade(true);
        assert!(follow_as(&told, "https://a.test/", b"http://a.test/").is_ok());
    }

    #[test]
    fn what_is_no_place_of_the_web_is_refused() {
        for location in [
            b"https://".as_slice(),
            b"//",
            b"https://b.test:65536/",
            b"https://b.test:x/",
            b"https://[::1/",
            b"https://1.2.3.4.5/",
            b"https://a%00b/",
            b"https://a b/",
            b"about:blank",
            b"mailto:a@b.test",
            b"blob:https://a.test/x",
            b"view-source:https://a.test/",
            b"ws://a.test/",
            b"unix:/run/x",
        ] {
            assert!(
                follow("https://a.test/", location).is_err(),
                "{}",
                location.escape_ascii()
            );
        }
    }
}
