//! Cookies that are told, set and deleted.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use squall::{Cookies, IntoResponse, Path, Query, Redirect, Response, Result, StatusCode};

type Pairs = Vec<(String, String)>;

pub(super) async fn show(cookies: Cookies) -> Value {
    let mut told = Map::new();
    for (name, value) in cookies.iter() {
        told.entry(name).or_insert_with(|| unescape(value).into());
    }
    json!({ "cookies": told })
}

pub(super) async fn set_one(Path((name, value)): Path<(String, String)>) -> Result<Response> {
    set_all(vec![(name, value)])
}

pub(super) async fn set(Query(pairs): Query<Pairs>) -> Result<Response> {
    set_all(pairs)
}

fn set_all(pairs: Pairs) -> Result<Response> {
    let mut response = back()?;
    for (name, value) in pairs {
        set_cookie(&mut response, &name, &value)?;
    }
    Ok(response)
}

pub(super) async fn delete(Query(pairs): Query<Pairs>) -> Result<Response> {
    let mut response = back()?;
    for (name, _) in pairs {
        let gone = format!("{name}=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/");
        response.headers_mut().append("Set-Cookie", gone)?;
    }
    Ok(response)
}

/// To the page that shows them.
fn back() -> Result<Response> {
    Redirect::to("/cookies")
        .with_status(StatusCode::FOUND)
        .into_response()
}

/// A session cookie as httpbin sets it: readable by scripts, with any value.
pub(super) fn set_cookie(response: &mut Response, name: &str, value: &str) -> Result<()> {
    let field = format!("{name}={}; Path=/", escape(value));
    response.headers_mut().append("Set-Cookie", field)?;
    Ok(())
}

/// What a cookie cannot hold is written in octal, within quotes.
fn escape(value: &str) -> String {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b",;\\".contains(&byte);
    if value.bytes().all(fits) {
        return value.to_owned();
    }
    let mut escaped = String::from("\"");
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => escaped.extend(['\\', char::from(byte)]),
            b' ' => escaped.push(' '),
            byte if fits(byte) => escaped.push(char::from(byte)),
            byte => {
                let _ = write!(escaped, "\\{byte:03o}");
            }
        }
    }
    escaped + "\""
}

fn unescape(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        let octal = (first == b'\\')
            .then(|| behind.first_chunk::<3>())
            .flatten();
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match (
            octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()),
            behind,
        ) {
            (Some(byte), [_, _, _, behind @ ..]) => {
                bytes.push(byte);
                rest = behind;
            }
            (_, [escaped, behind @ ..]) if first == b'\\' => {
                bytes.push(*escaped);
                rest = behind;
            }
            _ => bytes.push(first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
