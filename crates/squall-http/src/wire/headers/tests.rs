use super::*;

fn sample() -> Headers {
    let mut headers = Headers::new();
    for (name, value) in [
        ("Host", "a.test"),
        ("Accept", "a, b"),
        ("X-Id", "1"),
        ("accept", " , c\t,"),
        ("x-id", "2"),
    ] {
        headers.append(name, value).unwrap();
    }
    headers
}

#[test]
fn lookup_ignores_case_and_keeps_order() {
    let headers = sample();
    assert_eq!(headers.get("x-ID"), Some("1"));
    assert_eq!(headers.get_all("X-id").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(headers.count("accept"), 2);
    assert_eq!(
        headers.iter().map(|f| f.0).collect::<Vec<_>>(),
        ["Host", "Accept", "X-Id", "accept", "x-id"]
    );
    assert!(!headers.contains("hos"));
}

#[test]
fn tokens_span_lines_and_skip_empty_elements() {
    assert_eq!(
        sample().tokens("ACCEPT").collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
    assert!(sample().has_token("accept", "C"));
    let mut headers = Headers::new();
    headers.append("Connection", b"\xff\xfe, close").unwrap();
    assert_eq!(headers.tokens("connection").collect::<Vec<_>>(), ["close"]);
    assert_eq!(headers.get("connection"), None);
}

#[test]
fn set_takes_the_place_of_the_first() {
    let mut headers = sample();
    headers.set("ACCEPT", "d").unwrap();
    let names: Vec<_> = headers.iter().map(|f| f.0.to_owned()).collect();
    assert_eq!(names, ["Host", "ACCEPT", "X-Id", "x-id"]);
    assert!(headers.set("accept", "a\nb").is_err());
    assert_eq!(
        headers.get("accept"),
        Some("d"),
        "a refused value leaves the old one"
    );
    assert_eq!(headers.remove("x-id"), 2);
    let mut text = Vec::new();
    headers.write(&mut text);
    assert_eq!(text, b"Host: a.test\r\nACCEPT: d\r\n");
}

#[test]
fn nothing_can_be_injected() {
    for value in [
        "a\r\nb", "a\nb", "a\rb", "a\0b", "a\x01b", "a\x7fb", "a\x0bb",
    ] {
        assert!(Headers::new().append("X", value).is_err(), "{value:?}");
    }
    for name in ["", " ", "a b", "a:", "a\r", "é", "a(", "\t"] {
        assert!(Headers::new().append(name, "v").is_err(), "{name:?}");
    }
    let mut headers = Headers::new();
    headers.append("X", b" \t \xe2\x9c\x93 y \t").unwrap();
    assert_eq!(headers.get("x"), Some("\u{2713} y"));
}

#[test]
fn some_fields_are_written_as_one_by_one() {
    let mut headers = Headers::new();
    let section = b"A: 1\r\nB:2\r\nC:  3 \r\nD: \r\nE: 5\r\n\r\n";
    headers.begin_parsed();
    for (at, value, len) in [
        (0, None, 1),
        (6, Some(8), 1),
        (11, Some(15), 1),
        (19, None, 0),
        (24, None, 1),
    ] {
        match value {
            None => headers.push_line(WellKnown::Other, at, 1, len),
            Some(value) => {
                headers.push_parsed(WellKnown::Other, at..at + 1, value..value + len);
            }
        }
    }
    headers.end_parsed(section);
    headers.append("F", "6").unwrap();
    for kept in 0..64_u32 {
        let keeps = |name: &[u8]| kept & (1 << (name[0] - b'A')) != 0;
        let mut names = headers.iter_bytes();
        let mut out = b"x".to_vec();
        headers.write_some(&mut out, |_| keeps(names.next().unwrap().0));
        let mut expected = b"x".to_vec();
        for (name, value) in headers.iter_bytes().filter(|(name, _)| keeps(name)) {
            crate::wire::encode::line(&mut expected, name, value);
        }
        assert_eq!(
            out.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }
}

#[test]
fn debug_hides_credentials() {
    let mut headers = Headers::new();
    headers.append("Authorization", "Bearer s3cret").unwrap();
    headers.append("Set-Cookie", "s3cret=1").unwrap();
    headers.append("X", b"\xff").unwrap();
    let text = format!("{headers:?}");
    assert!(!text.contains("s3cret"), "{text}");
    assert!(
        text.contains("Authorization: ***") && text.contains("X: \\xff"),
        "{text}"
    );
}

#[test]
fn goes_to_a_map_and_back() {
    let headers = sample();
    let map = HeaderMap::from(&headers);
    assert_eq!(map.get_all("accept").iter().count(), 2);
    let back = Headers::try_from(&map).unwrap();
    assert_eq!(back.len(), headers.len());
    assert_eq!(back.get("host"), Some("a.test"));
}

#[test]
fn some_fields_of_another_message_are_added_as_one_by_one() {
    let section = b"A: 1\r\nB:2\r\nC: 3\r\nD: \r\n\r\n";
    let mut from = Headers::new();
    from.begin_parsed();
    from.push_line(WellKnown::Other, 0, 1, 1);
    from.push_parsed(WellKnown::Other, 6..7, 8..9);
    from.push_line(WellKnown::Other, 11, 1, 1);
    from.push_line(WellKnown::Other, 17, 1, 0);
    from.end_parsed(section);
    from.append("E", "5").unwrap();
    from.set("C", "33").unwrap();
    for kept in 0..32_u32 {
        let keeps = |name: &[u8]| kept & (1 << (name[0] - b'A')) != 0;
        let mut some = Headers::new();
        some.append("X", "y").unwrap();
        let mut expected = some.clone();
        some.append_some(&from, |_, line| keeps(line.name()));
        for (name, value) in from.iter().filter(|(name, _)| keeps(name.as_bytes())) {
            expected.append(name, value).unwrap();
        }
        assert_eq!(some, expected);
        let (mut text, mut expected_text) = (Vec::new(), Vec::new());
        some.write(&mut text);
        expected.write(&mut expected_text);
        assert_eq!(text, expected_text);
    }
}

#[test]
fn a_list_is_one_line_and_nothing_can_be_injected() {
    const VIA: FieldName = FieldName::new("Via");
    let mut headers = Headers::new();
    let elements: [&[u8]; 4] = [b" a ", b"", b"b, c", b"d"];
    headers.append_list(VIA, elements).unwrap();
    assert_eq!(headers.get("via"), Some("a, b, c, d"));
    let elements: [&[u8]; 2] = [b"a", b"b\r\nX: y"];
    assert!(headers.append_list(VIA, elements).is_err());
    headers.append("X", "z").unwrap();
    let mut text = Vec::new();
    headers.write(&mut text);
    assert_eq!(text, b"Via: a, b, c, d\r\nX: z\r\n");
}
