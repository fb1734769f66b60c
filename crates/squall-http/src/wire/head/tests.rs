//! Heads as peers send them, and as they should not.

use proptest::prelude::*;

use super::*;

/// Parses `wire` whole and byte by byte; both have to agree.
fn request(wire: impl AsRef<[u8]>) -> Result<Option<(usize, RequestHead)>, HeadError> {
    let (wire, limits) = (wire.as_ref(), HeadLimits::default());
    let mut head = RequestHead::new();
    let whole = parse_request(wire, &limits, &mut head);
    let mut slow = RequestHead::new();
    let mut dripped = Ok(None);
    for end in 0..=wire.len() {
        dripped = parse_request(&wire[..end], &limits, &mut slow);
        if dripped != Ok(None) {
            break;
        }
    }
    assert_eq!(dripped, whole, "{}", wire.escape_ascii());
    Ok(whole?.map(|used| (used, head)))
}

fn error(wire: impl AsRef<[u8]>) -> HeadError {
    request(wire).expect_err("the head was accepted")
}

fn response(wire: &str) -> Result<Option<(usize, ResponseHead)>, HeadError> {
    let limits = HeadLimits::default();
    let mut head = ResponseHead::new();
    let whole = parse_response(wire.as_bytes(), &limits, &mut head);
    let mut slow = ResponseHead::new();
    let mut dripped = Ok(None);
    for end in 0..=wire.len() {
        dripped = parse_response(&wire.as_bytes()[..end], &limits, &mut slow);
        if dripped != Ok(None) {
            break;
        }
    }
    assert_eq!(dripped, whole, "{wire:?}");
    Ok(whole?.map(|used| (used, head)))
}

#[test]
fn a_request_is_read() {
    let wire = "POST /a/b?c=d HTTP/1.1\r\nHost: a.test:80\r\nX-Y:z\r\nx-y: \t a b \t\r\nEmpty:\r\n\r\nbody";
    let (used, head) = request(wire).unwrap().unwrap();
    assert_eq!(used, wire.len() - 4);
    assert_eq!(
        (&head.method, head.version),
        (&Method::POST, Version::Http11)
    );
    assert_eq!(
        (head.target(), head.path(), head.query()),
        ("/a/b?c=d", "/a/b", Some("c=d"))
    );
    let fields: Vec<_> = head.headers.iter().collect();
    let expected: [(&str, &[u8]); 4] = [
        ("Host", b"a.test:80"),
        ("X-Y", b"z"),
        ("x-y", b"a b"),
        ("Empty", b""),
    ];
    assert_eq!(fields, expected);
    assert!(head.known().host() && !head.known().content_length());
}

#[test]
fn a_head_is_reused() {
    let mut head = RequestHead::new();
    let limits = HeadLimits::default();
    let wire = b"GET /1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\nPUT /2 HTTP/1.0\r\nX: y\r\n\r\n";
    let used = parse_request(wire, &limits, &mut head).unwrap().unwrap();
    assert!(head.known().expect());
    parse_request(&wire[used..], &limits, &mut head)
        .unwrap()
        .unwrap();
    assert_eq!(
        (head.path(), head.version, head.headers.len()),
        ("/2", Version::Http10, 1)
    );
    assert!(!head.known().expect() && !head.known().host());
}

#[test]
fn request_lines() {
    for (line, status) in [
        ("GET  / HTTP/1.1", 400),
        ("GET /  HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        (" GET / HTTP/1.1", 400),
        ("GET /a b HTTP/1.1", 400),
        ("GET\t/\tHTTP/1.1", 400),
        ("GET /", 400),
        ("GET", 400),
        ("GE(T / HTTP/1.1", 400),
        ("PRI * HTTP/2.0", 400),
        ("GET / http/1.1", 400),
        ("GET / HTTP/1", 400),
        ("GET / HTTP/1.10", 400),
        ("GET / HTTP/11.1", 400),
        ("GET / HTTP/1.x", 400),
        ("GET / HTTP/x.1", 400),
        ("GET / HTTPS/1.1", 400),
        ("GET / HTTP/0.9", 505),
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/3.0", 505),
        ("GET ?a HTTP/1.1", 400),
        ("GET /%zz HTTP/1.1", 400),
        ("CONNECT a.test HTTP/1.1", 400),
    ] {
        let error = error(format!("{line}\r\nHost: a.test\r\n\r\n"));
        assert_eq!(error.status().as_u16(), status, "{line:?}: {error}");
    }
    let (_, head) = request("GET / HTTP/1.2\r\nHost: a\r\nX: y\r\n\r\n")
        .unwrap()
        .unwrap();
    assert_eq!(
        (head.version, head.headers.get("x")),
        (Version::Http11, Some("y"))
    );
    let (_, head) = request("frob / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap()
        .unwrap();
    assert_eq!(head.method.as_str(), "frob");
}

#[test]
fn empty_lines_in_front_are_bounded() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for lines in 0..=8 {
        let wire = format!("{}{head}", "\r\n".repeat(lines));
        assert_eq!(request(&wire).unwrap().unwrap().0, wire.len());
    }
    assert_eq!(
        error(format!("{}{head}", "\r\n".repeat(9))),
        HeadError::EmptyLines
    );
    assert_eq!(error(format!("\n{head}")), HeadError::LineEnd);
    assert_eq!(error(format!("\r{head}")), HeadError::LineEnd);
    assert!(request("\r\n\r").unwrap().is_none());
}

#[test]
fn line_ends() {
    for wire in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nX: a\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.0\r\n\n",
        "GET / HTTP/1.0\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\rXGET / HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(error(wire), HeadError::LineEnd, "{wire:?}");
    }
    assert_eq!(
        request("GET / HTTP/1.1\rHost: a\r\r")
            .unwrap()
            .map(|found| found.0),
        None
    );
}

#[test]
fn field_lines() {
    for field in [
        "X : y",
        "X\t: y",
        ": y",
        "Xyz",
        " X: y",
        "X: a\r\n b",
        "X: a\r\n\tb",
        "X: a\0b",
        "X: a\x0bb",
        "X: a\x7fb",
        "X: a\rb",
        "X y: z",
        "X(: y",
        "\u{e9}: y",
    ] {
        let error = error(format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n"));
        assert_eq!(error.status(), StatusCode::BAD_REQUEST, "{field:?}");
    }
    let (_, head) = request(b"GET / HTTP/1.1\r\nHost: a\r\nX: \xa0\xe2\x9c\x93\x85\r\n\r\n")
        .unwrap()
        .unwrap();
    assert_eq!(
        head.headers.get_bytes("x"),
        Some(b"\xa0\xe2\x9c\x93\x85".as_slice())
    );
}

#[test]
fn hosts() {
    for fields in [
        "Host: a\r\nHost: a",
        "Host: a, b",
        "Host: u@a",
        "Host: a b",
        "Host: a:b",
        "Host: [::1",
        "Host: a\\b",
        "Host: \u{ff}a",
        "X: y",
    ] {
        assert_eq!(
            error(format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n")).status(),
            StatusCode::BAD_REQUEST,
            "{fields:?}"
        );
    }
    for host in ["a.test", "a:", "a_b.test", "[::1]:80", ""] {
        assert!(
            request(format!("GET / HTTP/1.1\r\nhOST: {host}\r\n\r\n"))
                .unwrap()
                .is_some(),
            "{host:?}"
        );
    }
    assert!(request("GET / HTTP/1.0\r\n\r\n").unwrap().is_some());
    assert_eq!(
        error("GET / HTTP/1.0\r\nHost: a b\r\n\r\n"),
        HeadError::Host
    );
}

#[test]
fn the_authority_of_an_absolute_target_wins() {
    let (_, head) = request("GET http://b.test?q HTTP/1.1\r\nHost: a.test\r\nX: y\r\n\r\n")
        .unwrap()
        .unwrap();
    assert_eq!(
        (head.host(), head.path(), head.query()),
        (Some("b.test"), "/", Some("q"))
    );
    assert_eq!(
        (head.target_form(), head.headers.len()),
        (TargetForm::Absolute, 2)
    );
    let (_, head) = request("GET http://b.test/p HTTP/1.0\r\n\r\n")
        .unwrap()
        .unwrap();
    assert_eq!((head.host(), head.path()), (Some("b.test"), "/p"));
}

#[test]
fn repeated_content_type() {
    let wire = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\ncontent-type: a/b\r\n\r\n";
    assert_eq!(
        error(wire),
        HeadError::FieldRepeated {
            name: "Content-Type"
        }
    );
}

#[test]
fn limits_have_names() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (wire, status, text) in [
        (
            format!("{head}{}\r\n", "X: y\r\n".repeat(100)),
            431,
            "more than 100 header fields (setting: max_headers)",
        ),
        (
            format!("{head}X: {}\r\n\r\n", "y".repeat(70_000)),
            431,
            "the head is longer than 65536 bytes (setting: max_header_size)",
        ),
        (
            format!("{head}X: {}", "y".repeat(70_000)),
            431,
            "the head is longer than 65536 bytes (setting: max_header_size)",
        ),
        (
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(8192)),
            414,
            "the request target is longer than 8192 bytes (setting: max_target_size)",
        ),
        (
            format!("GET /{}", "a".repeat(9000)),
            414,
            "the request target is longer than 8192 bytes (setting: max_target_size)",
        ),
        ("A".repeat(100), 400, "invalid method"),
    ] {
        let mut out = RequestHead::new();
        let error = parse_request(wire.as_bytes(), &HeadLimits::default(), &mut out).unwrap_err();
        assert_eq!(
            (error.status().as_u16(), error.to_string().as_str()),
            (status, text)
        );
    }
    assert!(
        request(format!(
            "GET /{} HTTP/1.1\r\nHost: a\r\n\r\n",
            "a".repeat(8191)
        ))
        .unwrap()
        .is_some()
    );
    assert!(
        request(format!("{head}{}\r\n", "X: y\r\n".repeat(99)))
            .unwrap()
            .is_some()
    );
}

#[test]
fn responses() {
    let (used, head) = response("HTTP/1.1 404 Not Found\r\nX: y\r\n\r\nrest")
        .unwrap()
        .unwrap();
    assert_eq!(
        (used, head.status, &*head.reason),
        (32, StatusCode::NOT_FOUND, "Not Found")
    );
    let (_, head) = response("HTTP/1.0 200\r\n\r\n").unwrap().unwrap();
    assert_eq!(
        (head.version, &*head.reason, head.keep_alive()),
        (Version::Http10, "", false)
    );
    let (_, head) = response("HTTP/1.1 200 D\u{e9}j\u{e0}\r\n\r\n")
        .unwrap()
        .unwrap();
    assert_eq!(head.status, StatusCode::OK);
    let (_, head) = response("HTTP/1.9 200 OK\r\n\r\n").unwrap().unwrap();
    assert_eq!(head.version, Version::Http11);
    let (_, head) = response("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\tc\r\nY: z\r\n\r\n")
        .unwrap()
        .unwrap();
    let value = head.headers.get("x").unwrap();
    assert_eq!(
        value.split_ascii_whitespace().collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
    assert!(!value.contains(['\r', '\n']));
    assert_eq!(head.headers.get("y"), Some("z"));
    assert_eq!(
        response("HTTP/1.1 200 OK\r\nContent-Le")
            .unwrap()
            .map(|found| found.0),
        None
    );
}

#[test]
fn refused_responses() {
    for wire in [
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 000 X\r\n\r\n",
        "HTTP/1.1 2000 X\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.11 200 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "<html>hi</html>\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\n\r\n",
        "HTTP/1.1 200 OK\nX: y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\n b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0\r\n\r\n",
    ] {
        assert!(response(wire).is_err(), "{wire:?}");
    }
}

#[test]
fn a_dripping_head_is_scanned_once() {
    let wire = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(60_000));
    let mut head = RequestHead::new();
    for end in 0..wire.len() {
        assert_eq!(
            parse_request(&wire.as_bytes()[..end], &HeadLimits::default(), &mut head),
            Ok(None)
        );
        assert!(end == 0 || head.scan.seen == end);
    }
}

fn written(headers: &Headers) -> Vec<u8> {
    let mut out = Vec::new();
    super::super::encode::fields(&mut out, headers);
    out
}

/// A field line, right or wrong.
const FIELD: &str = "(Host|host|Content-Length|Via|A|A B|A\u{e9}|)(: |:|:  | :)(a|a b|a\tb|a\u{e9}|a\u{1}|[a-z ]{1,50}|a\u{7f}|)(|  |\t)(\r\n|\r\n|\r\n|\n|\r\n |\r)";

proptest! {
    #[test]
    fn bytes_never_panic(wire in "(GET|POST| |/|HTTP/1\\.[0-9]|\r\n|\n|\r|Host|Content-Length|: |a|1|\\PC){0,40}") {
        let limits = HeadLimits::default();
        let (mut whole, mut slow) = (RequestHead::new(), RequestHead::new());
        let accepted = |result: Result<Option<usize>, HeadError>| result.ok().flatten();
        let at_once = accepted(parse_request(wire.as_bytes(), &limits, &mut whole));
        let dripped = (0..=wire.len()).find_map(|end| accepted(parse_request(&wire.as_bytes()[..end], &limits, &mut slow)));
        prop_assert_eq!(at_once, dripped, "a head is the same however it arrives");
        let _ = parse_response(wire.as_bytes(), &limits, &mut ResponseHead::new());
    }

    #[test]
    fn a_written_head_is_read(fields in prop::collection::vec(("[A-Za-z!#$%&'*+.^_`|~0-9-]{1,12}", "[ -~\u{a0}-\u{ff}\t]{0,20}"), 0..20)) {
        let mut headers = Headers::new();
        headers.append("Host", "a.test").unwrap();
        for (name, value) in &fields {
            prop_assume!(!name.eq_ignore_ascii_case("host") && !name.eq_ignore_ascii_case("content-type"));
            headers.append(name, value).unwrap();
        }
        let mut wire = Vec::new();
        super::super::encode::request_line(&mut wire, &Method::GET, "/", Version::Http11).unwrap();
        super::super::encode::fields(&mut wire, &headers);
        super::super::encode::end(&mut wire);
        let (used, head) = request(&wire).unwrap().unwrap();
        prop_assert_eq!(used, wire.len());
        prop_assert_eq!(head.headers, headers);
    }

    #[test]
    fn the_usual_request_is_read_as_every_request(
        line in "(GET|POST|G\u{e9}T|OPTIONS|PRI|CONNECT| )( |  )(/|/a\\?b|\\*|http://h/a|h:1|/%|/%41|/\"|/`|/a\\?`|/\u{e9}|/a/b/c/d|/12345678|)( |  )HTTP/1\\.[0-2]",
        fields in prop::collection::vec(FIELD, 0..6),
    ) {
        let wire = format!("{line}\r\nHost: h\r\n{}\r\nnext", fields.concat());
        let limits = HeadLimits { max_headers: 4, max_target_size: 8, ..HeadLimits::default() };
        for end in [wire.len(), wire.len() - 5, wire.len() - 8, line.len()] {
            let wire = wire.as_bytes().get(..end).unwrap_or_default();
            let (mut usual, mut every) = (RequestHead::new(), RequestHead::new());
            let read = read_request(wire, &limits, &mut usual);
            prop_assert_eq!(&read, &read_any_request(wire, &limits, &mut every));
            if read.is_ok_and(|used| used.is_some()) {
                prop_assert_eq!(written(&usual.headers), written(&every.headers));
                prop_assert_eq!(&usual.headers, &every.headers);
                prop_assert_eq!((&usual.method, usual.version, usual.known), (&every.method, every.version, every.known));
                prop_assert_eq!((usual.target(), usual.form, usual.marks), (every.target(), every.form, every.marks));
            }
        }
    }

    #[test]
    fn the_usual_answer_is_read_as_every_answer(
        line in "HTTP/1\\.[0-2]( |  )(200 OK|404 Not Found|200 Ok|200 OK |200|999 |204|20 OK)",
        fields in prop::collection::vec(FIELD, 0..6),
    ) {
        let wire = format!("{line}\r\n{}\r\nnext", fields.concat());
        let (wire, limits) = (wire.as_bytes(), HeadLimits { max_headers: 4, ..HeadLimits::default() });
        let (mut usual, mut every) = (ResponseHead::new(), ResponseHead::new());
        let read = read_response(wire, &limits, &mut usual);
        prop_assert_eq!(&read, &read_any_response(wire, &limits, false, &mut every));
        if read.is_ok_and(|used| used.is_some()) {
            prop_assert_eq!(written(&usual.headers), written(&every.headers));
            prop_assert_eq!(&usual.headers, &every.headers);
            prop_assert_eq!((usual.status, usual.version, usual.known), (every.status, every.version, every.known));
            prop_assert_eq!(usual.reason, every.reason);
        }
    }
}
