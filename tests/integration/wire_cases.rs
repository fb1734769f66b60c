//! Cases as lines of JSON, fed to the parsers of uploads and cookies.
//!
//! `tests/cases/` holds ours: strings are latin-1, one character a byte. `SQUALL_CASES`
//! may name a folder with further files of the same names and shape.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use squall_http::Headers;
use squall_http::wire::cookie;
use squall_http::wire::multipart::{
    Event, MultipartError, MultipartLimits, MultipartParser, boundary_from_content_type,
};

/// Name, filename, content type and data of a part.
type Part = (String, Option<String>, Option<String>, Vec<u8>);

/// Bodies that are longer are not cut at every byte.
const SHORT: usize = 2000;

#[test]
fn uploads_are_read_alike_however_they_are_cut() {
    each("multipart.jsonl", |case| {
        let body = bytes(case, "body");
        let whole = read(case, &[&body]);
        judge(case, &whole);
        let short = body.len() <= SHORT;
        let steps: &[usize] = if short {
            &[1, 2, 3, 7, 64]
        } else {
            &[61, 4096]
        };
        for step in steps {
            let pieces: Vec<_> = body.chunks(*step).collect();
            assert_eq!(read(case, &pieces), whole, "{case}: in pieces of {step}");
        }
        for at in (0..body.len()).filter(|_| short) {
            let (first, second) = body.split_at(at);
            assert_eq!(read(case, &[first, second]), whole, "{case}: cut at {at}");
        }
    });
}

/// Compares with what the case expects, or also allows.
#[track_caller]
fn judge(case: &Value, found: &Result<Vec<Part>, MultipartError>) {
    let allowed = |what: &str| {
        let also = case["allow"].as_array().into_iter().flatten();
        case["expect"] == what || case["expect"] == "any" || also.into_iter().any(|a| a == what)
    };
    match found {
        Err(error) => assert!(allowed("reject"), "{case}: {error}"),
        Ok(parts) if parts.is_empty() && allowed("ok0") => {}
        Ok(parts) => {
            assert!(allowed("ok"), "{case}: {parts:?}");
            let Some(expected) = case["parts"].as_array() else {
                return;
            };
            assert!(
                *parts == expected.iter().map(part).collect::<Vec<_>>(),
                "{case}: {parts:?}"
            );
        }
    }
}

fn part(expected: &Value) -> Part {
    let text = |name: &str| {
        let text = expected[name].as_str()?;
        Some(String::from_utf8(latin1(text)).expect("UTF-8"))
    };
    let value = match &expected["value"] {
        Value::String(value) => latin1(value),
        flood => latin1(flood["repeat"].as_str().expect("what")).repeat(count(&flood["n"])),
    };
    let name = text("name").expect("a name");
    (name, text("filename"), text("content_type"), value)
}

/// Runs the parser over a body that arrives in pieces.
fn read(case: &Value, pieces: &[&[u8]]) -> Result<Vec<Part>, MultipartError> {
    let boundary = boundary_from_content_type(case["content_type"].as_str().expect("a type"))?;
    let mut parser = MultipartParser::new(&boundary, MultipartLimits::default())?;
    let (mut buffer, mut parts) = (Vec::new(), Vec::<Part>::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut at = 0;
        loop {
            match parser.next_event(&buffer[at..])? {
                Event::Part { consumed, head } => {
                    at += consumed;
                    parts.push((head.name, head.filename, head.content_type, Vec::new()));
                }
                Event::Data { len } => {
                    let (.., data) = parts.last_mut().expect("a part");
                    data.extend_from_slice(&buffer[at..at + len]);
                    at += len;
                }
                Event::PartEnd { consumed } | Event::End { consumed } => at += consumed,
                Event::NeedMore { consumed } => {
                    at += consumed;
                    break;
                }
            }
        }
        buffer.drain(..at);
        let limits = MultipartLimits::default();
        assert!(
            buffer.len() <= limits.header_bytes,
            "{case}: {} bytes are kept",
            buffer.len()
        );
    }
    parser.finish()?;
    Ok(parts)
}

#[test]
fn cookies_are_read_as_browsers_mean_them() {
    each("cookies.jsonl", |case| {
        let mut headers = Headers::new();
        let lines: Vec<_> = match case["header"].as_array() {
            Some(lines) => lines
                .iter()
                .map(|line| latin1(line.as_str().expect("text")))
                .collect(),
            None => vec![bytes(case, "header")],
        };
        for line in lines {
            if headers.append("Cookie", &line).is_err() {
                assert_eq!(case["expect"], "reject", "{case}");
                return;
            }
        }
        let found: Vec<_> = cookie::all(&headers)
            .map(|(name, value)| [name, value].map(str::to_owned))
            .collect();
        let pairs = |expected: &Value| {
            let pair = |pair: &Value| {
                [0, 1].map(|n| {
                    String::from_utf8(latin1(pair[n].as_str().expect("text"))).expect("UTF-8")
                })
            };
            expected
                .as_array()
                .map(|all| all.iter().map(pair).collect::<Vec<_>>())
        };
        let allowed = case["allow"].as_array().into_iter().flatten();
        match case["expect"].as_str() {
            Some("capped") => assert_eq!(found.len(), cookie::PAIRS, "{case}"),
            Some("linear") => assert_eq!(found.len(), 1, "{case}"),
            Some(other) => panic!("{other} was expected, {found:?} came: {case}"),
            None => assert!(
                allowed
                    .chain([&case["expect"]])
                    .any(|expected| pairs(expected).as_ref() == Some(&found)),
                "{case}: {found:?}"
            ),
        }
    });
}

/// Calls `check` with each case of a file, ours and those of `SQUALL_CASES`.
fn each(file: &str, check: impl Fn(&Value)) {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    each_of(&ours.join(file), &check);
    each_of_others(file, &check);
}

/// Calls `check` with each case of a file of `SQUALL_CASES`, if there is one.
pub(super) fn each_of_others(file: &str, check: impl Fn(&Value)) {
    let Some(folder) = std::env::var_os("SQUALL_CASES").map(PathBuf::from) else {
        return eprintln!("no further cases: SQUALL_CASES names no folder");
    };
    let path = folder.join(file);
    if !path.exists() {
        return eprintln!("no further cases: there is no {}", path.display());
    }
    each_of(&path, check);
}

fn each_of(path: &Path, check: impl Fn(&Value)) {
    let text = fs::read_to_string(path).unwrap_or_else(|why| panic!("{path:?}: {why}"));
    for line in text.lines() {
        check(&serde_json::from_str(line).expect("a case"));
    }
}

/// A string of the case, or what repeats it in `…_parts`.
fn bytes(case: &Value, name: &str) -> Vec<u8> {
    match case[name].as_str() {
        Some(text) => latin1(text),
        None => (case[format!("{name}_parts")].as_array().expect("text"))
            .iter()
            .flat_map(|piece| latin1(piece[0].as_str().expect("text")).repeat(count(&piece[1])))
            .collect(),
    }
}

fn count(value: &Value) -> usize {
    usize::try_from(value.as_u64().expect("a count")).expect("a small count")
}

pub(super) fn latin1(text: &str) -> Vec<u8> {
    text.chars()
        .map(|char| u8::try_from(char).expect("a byte"))
        .collect()
}
