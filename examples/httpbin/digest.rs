//! Digest authentication (RFC 7616), with httpbin's cookies around it.

use std::collections::HashMap;
use std::fmt::Write;

use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256, Sha512};
use squall::{Cookies, IntoResponse, Json, Path, Query, Request, Response, Result, StatusCode};

use super::auth::credentials;
use super::cookies::set_cookie;

const REALM: &str = "me@kennethreitz.com";
/// A body that is part of the digest (`auth-int`).
const MAX_BODY: u64 = 1 << 20;

#[derive(Clone, Copy)]
enum Algorithm {
    Md5,
    Sha256,
    Sha512,
}

impl Algorithm {
    /// What is not known is MD5.
    fn named(name: &str) -> Self {
        match name {
            "SHA-256" => Self::Sha256,
            "SHA-512" => Self::Sha512,
            _ => Self::Md5,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512 => "SHA-512",
        }
    }

    fn hash(self, data: impl AsRef<[u8]>) -> String {
        fn hex(digest: &[u8]) -> String {
            digest.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
        }
        match self {
            Self::Md5 => hex(&*md5::compute(data)),
            Self::Sha256 => hex(&Sha256::digest(data)),
            Self::Sha512 => hex(&Sha512::digest(data)),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Options {
    #[serde(rename = "require-cookie", default)]
    require_cookie: String,
}

pub(super) async fn plain(
    Path((qop, user, password)): Path<(String, String, String)>,
    options: Query<Options>,
    cookies: Cookies,
    request: Request,
) -> Result<Response> {
    let told = Told::new(&qop, "MD5", "never");
    answer(told, (&user, &password), &options, &cookies, request).await
}

pub(super) async fn with_algorithm(
    Path((qop, user, password, algorithm)): Path<(String, String, String, String)>,
    options: Query<Options>,
    cookies: Cookies,
    request: Request,
) -> Result<Response> {
    let told = Told::new(&qop, &algorithm, "never");
    answer(told, (&user, &password), &options, &cookies, request).await
}

pub(super) async fn with_stale(
    Path((qop, user, password, algorithm, stale_after)): Path<(
        String,
        String,
        String,
        String,
        String,
    )>,
    options: Query<Options>,
    cookies: Cookies,
    request: Request,
) -> Result<Response> {
    let told = Told::new(&qop, &algorithm, &stale_after);
    answer(told, (&user, &password), &options, &cookies, request).await
}

/// What the path says about the challenge.
struct Told<'a> {
    qop: Option<&'a str>,
    algorithm: Algorithm,
    stale_after: &'a str,
}

impl<'a> Told<'a> {
    fn new(qop: &'a str, algorithm: &str, stale_after: &'a str) -> Self {
        Self {
            qop: Some(qop).filter(|qop| matches!(*qop, "auth" | "auth-int")),
            algorithm: Algorithm::named(algorithm),
            stale_after,
        }
    }

    fn challenge(&self, last_nonce: Option<&str>, stale: bool) -> Result<Response> {
        let nonce = self.algorithm.hash(uuid::Uuid::new_v4().as_bytes());
        let opaque = self.algorithm.hash(uuid::Uuid::new_v4().as_bytes());
        let qop = self.qop.unwrap_or("auth, auth-int");
        let algorithm = self.algorithm.name();
        let challenge = format!(
            "Digest realm=\"{REALM}\", nonce=\"{nonce}\", opaque=\"{opaque}\", qop=\"{qop}\", \
             algorithm={algorithm}, stale={}",
            if stale { "TRUE" } else { "FALSE" },
        );
        let mut response = StatusCode::UNAUTHORIZED.into_response()?;
        (response.headers_mut()).set("WWW-Authenticate", challenge)?;
        set_cookie(&mut response, "stale_after", self.stale_after)?;
        if let Some(nonce) = last_nonce {
            set_cookie(&mut response, "last_nonce", nonce)?;
        }
        set_cookie(&mut response, "fake", "fake_value")?;
        Ok(response)
    }
}

async fn answer(
    told: Told<'_>,
    known: (&str, &str),
    options: &Options,
    cookies: &Cookies,
    mut request: Request,
) -> Result<Response> {
    let wants_cookie = matches!(
        options.require_cookie.to_ascii_lowercase().as_str(),
        "1" | "t" | "true"
    );
    let given = credentials(&request, "Digest").map(str::to_owned);
    let given = given.as_deref().map(fields);
    let Some(given) = given.filter(|_| !wants_cookie || request.headers().contains("cookie"))
    else {
        return told.challenge(None, false);
    };
    if wants_cookie && cookies.get("fake") != Some("fake_value") {
        let why = Json(json!({ "errors": ["missing cookie set on challenge"] }));
        let mut response = (StatusCode::FORBIDDEN, why).into_response()?;
        set_cookie(&mut response, "fake", "fake_value")?;
        return Ok(response);
    }
    let nonce = given.get("nonce").map_or("", String::as_str);
    let stale_after = cookies.get("stale_after");
    if cookies.get("last_nonce") == Some(nonce) || stale_after == Some("0") {
        return told.challenge(Some(nonce), true);
    }
    let body = request.body_mut().collect(MAX_BODY).await?;
    if given.get("response") != expected(&given, known, &request, &body).as_ref() {
        return told.challenge(Some(nonce), false);
    }
    let (user, _) = known;
    let mut response = Json(json!({ "authenticated": true, "user": user })).into_response()?;
    set_cookie(&mut response, "fake", "fake_value")?;
    if let Some(stale_after) = stale_after {
        let left = (stale_after.parse::<u32>().ok()).map(|left| left.saturating_sub(1).to_string());
        set_cookie(
            &mut response,
            "stale_after",
            left.as_deref().unwrap_or("never"),
        )?;
    }
    Ok(response)
}

/// The response that whoever knows the password gives (RFC 7616 section 3.4.1).
fn expected(
    given: &HashMap<&str, String>,
    (_, password): (&str, &str),
    request: &Request,
    body: &[u8],
) -> Option<String> {
    let field = |name: &str| given.get(name).map(String::as_str);
    let algorithm = Algorithm::named(field("algorithm").unwrap_or("MD5"));
    let (user, realm) = (field("username")?, field("realm").unwrap_or_default());
    let secret = algorithm.hash(format!("{user}:{realm}:{password}"));
    let (method, target) = (request.method(), request.target());
    let asked = match field("qop") {
        None | Some("auth") => algorithm.hash(format!("{method}:{target}")),
        Some("auth-int") => algorithm.hash(format!("{method}:{target}:{}", algorithm.hash(body))),
        Some(_) => return None,
    };
    let nonce = field("nonce")?;
    Some(match field("qop") {
        None => algorithm.hash(format!("{secret}:{nonce}:{asked}")),
        Some(qop) => {
            let (count, own) = (field("nc")?, field("cnonce")?);
            algorithm.hash(format!("{secret}:{nonce}:{count}:{own}:{qop}:{asked}"))
        }
    })
}

/// `name=value` and `name="quoted \"value\""`, separated by commas.
fn fields(mut rest: &str) -> HashMap<&str, String> {
    let mut fields = HashMap::new();
    while let Some((name, behind)) = rest.split_once('=') {
        let name = name.trim_matches([' ', '\t', ',']);
        let value;
        (value, rest) = match behind.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = behind.find(',').unwrap_or(behind.len());
                let (token, rest) = behind.split_at(end);
                (token.trim().to_owned(), rest)
            }
        };
        fields.insert(name, value);
    }
    fields
}

/// A quoted string without its quotes, and what follows it.
fn unquote(quoted: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = quoted.chars();
    while let Some(next) = chars.next() {
        match next {
            '"' => break,
            '\\' => value.extend(chars.next()),
            other => value.push(other),
        }
    }
    (value, chars.as_str())
}
