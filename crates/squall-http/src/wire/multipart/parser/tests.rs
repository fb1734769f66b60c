//! Uploads at every split point, near misses and floods.

use super::*;

type Part = (String, Option<String>, Vec<u8>);

/// Feeds `wire` in pieces of `step` bytes and collects the parts.
fn parse_by(wire: &[u8], step: usize) -> Result<Vec<Part>, MultipartError> {
    let mut parser = MultipartParser::new("b", MultipartLimits::default())?;
    let (mut parts, mut start, mut end, mut open) = (Vec::<Part>::new(), 0, 0, false);
    loop {
        match parser.next_event(&wire[start..end])? {
            Event::Part { consumed, head } => {
                assert!(!open, "a part inside a part");
                open = true;
                start += consumed;
                parts.push((head.name, head.filename, Vec::new()));
            }
            Event::Data { len } => {
                assert!(open && len > 0);
                parts
                    .last_mut()
                    .unwrap()
                    .2
                    .extend_from_slice(&wire[start..start + len]);
                start += len;
            }
            Event::PartEnd { consumed } => {
                assert!(std::mem::take(&mut open));
                start += consumed;
            }
            Event::End { consumed } => {
                assert!(!open);
                start += consumed;
            }
            Event::NeedMore { consumed } => {
                start += consumed;
                if end == wire.len() {
                    return parser.finish().map(|()| parts);
                }
                end = wire.len().min(end + step);
            }
        }
    }
}

/// The same result however the bytes arrive.
fn parse(wire: impl AsRef<[u8]>) -> Result<Vec<Part>, MultipartError> {
    let wire = wire.as_ref();
    let whole = parse_by(wire, usize::MAX / 2);
    for step in 1..wire.len().min(200) {
        assert_eq!(parse_by(wire, step), whole, "in steps of {step}");
    }
    whole
}

const HEAD: &str = "Content-Disposition: form-data; name=\"a\"\r\n\r\n";

fn value(data: &str) -> Result<Vec<u8>, MultipartError> {
    parse(format!("--b\r\n{HEAD}{data}\r\n--b--\r\n")).map(|mut parts| {
        assert_eq!(parts.len(), 1);
        parts.remove(0).2
    })
}

#[test]
fn data_that_looks_like_a_delimiter() {
    for data in [
        "",
        "1",
        "\r\n",
        "x\r\n",
        "x--b",
        "x\n--b\ny",
        "x\r--b\ry",
        "\r\n-\r\n--\r\n-b\r\n--B",
        "x\r\n--bX\r\ny",
        "\r\n--b-",
        "\r\n--b-x",
        "\r\n--b x",
        "\r\r\n--",
        "--bX",
        "--",
        "\r\n--b\rx",
    ] {
        assert_eq!(value(data).as_deref(), Ok(data.as_bytes()), "{data:?}");
    }
}

#[test]
fn framing_variants() {
    for wire in [
        format!("--b\r\n{HEAD}1\r\n--b--"),
        format!("\r\n--b\r\n{HEAD}1\r\n--b--"),
        format!("preamble\r\n--bX\r\n--b\r\n{HEAD}1\r\n--b--\r\nepilogue\r\n--b\r\n"),
        format!("--b \t \r\n{HEAD}1\r\n--b-- \t\r\n"),
    ] {
        let parts = parse(&wire).unwrap();
        assert_eq!(
            (parts.len(), parts[0].2.as_slice()),
            (1, b"1".as_slice()),
            "{wire:?}"
        );
    }
    assert_eq!(parse("--b--\r\n"), Ok(vec![]));
    let without_body = parse(format!("--b\r\n{HEAD}--b\r\n{HEAD}--b--\r\n")).unwrap();
    assert_eq!(
        without_body
            .iter()
            .map(|part| part.2.len())
            .collect::<Vec<_>>(),
        [0, 0]
    );
}

#[test]
fn refused() {
    for (wire, error) in [
        (String::new(), MultipartError::Incomplete),
        (format!("--b\r\n{HEAD}1\r\n"), MultipartError::Incomplete),
        (format!("--b\r\n{HEAD}1\r\n--b"), MultipartError::Incomplete),
        (
            format!("--b\r\n{HEAD}1\r\n--b-"),
            MultipartError::Incomplete,
        ),
        (
            "--b\r\nContent-Dispo".to_owned(),
            MultipartError::Incomplete,
        ),
        (format!("--b\n{HEAD}1\n--b--\n"), MultipartError::Line),
        (
            format!("--b\r\n{HEAD}1\r\n--b--x"),
            MultipartError::AfterEnd,
        ),
        (format!("--b{}\r\n", " ".repeat(65)), MultipartError::Line),
        (
            "--b\r\nContent-Disposition: form-data; name=a\n\n1\r\n--b--".to_owned(),
            MultipartError::Line,
        ),
        (
            "--b\r\n\r\n1\r\n--b--".to_owned(),
            MultipartError::Disposition,
        ),
        (
            format!("--b\r\nContent-Disposition: form-data; name=a\r\n{HEAD}1\r\n--b--"),
            MultipartError::Disposition,
        ),
        (
            format!("--b\r\nX : y\r\n{HEAD}1\r\n--b--"),
            MultipartError::Header,
        ),
        (
            format!("--b\r\nX: y\r\n z\r\n{HEAD}1\r\n--b--"),
            MultipartError::Header,
        ),
        (
            format!("--b\r\nX: \0\r\n{HEAD}1\r\n--b--"),
            MultipartError::Header,
        ),
        (
            format!("--b\r\nContent-Type: a/b\r\nContent-Type: a/c\r\n{HEAD}1\r\n--b--"),
            MultipartError::Header,
        ),
    ] {
        assert_eq!(parse(&wire), Err(error), "{wire:?}");
    }
}

#[test]
fn limits_have_names() {
    let many = format!("--b\r\n{HEAD}1\r\n").repeat(1001);
    let error = parse_by(many.as_bytes(), 4096).unwrap_err();
    assert_eq!(
        error.to_string(),
        "more than 1000 parts (setting: uploads.limits.parts)"
    );
    let error = parse_by(
        format!("--b\r\n{}{HEAD}", "X: y\r\n".repeat(33)).as_bytes(),
        4096,
    )
    .unwrap_err();
    assert_eq!(error, MultipartError::TooManyHeaders { limit: 32 });
    for step in [1, 4096, 1 << 20] {
        let error =
            parse_by(format!("--b\r\nX: {}", "y".repeat(20_000)).as_bytes(), step).unwrap_err();
        assert_eq!(error, MultipartError::HeadersTooLong { limit: 16 << 10 });
        let error = parse_by(&[b'x'; 5000], step).unwrap_err();
        assert_eq!(error, MultipartError::PreambleTooLong { limit: 4 << 10 });
    }
}

#[test]
fn a_flood_of_near_matches_is_linear() {
    let mut wire = format!("--b\r\n{HEAD}").into_bytes();
    for _ in 0..300_000 {
        wire.extend_from_slice(b"\r\n--");
    }
    let data = 1_200_000;
    wire.extend_from_slice(b"\r\n--b--");
    for step in [1, 5, 65536] {
        assert_eq!(parse_by(&wire, step).unwrap()[0].2.len(), data);
    }
}
