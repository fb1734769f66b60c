//! What a request looked like, in httpbin's words.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use squall::{Form, Multipart, Peer, Query, RemoteAddr, Request, Result};

/// A file or a body that is told as a whole.
const MAX_TOLD: usize = 8 << 20;

const OCTETS: &str = "application/octet-stream";

type Pairs = Vec<(String, String)>;

pub(super) async fn get(mut request: Request) -> Result<Value> {
    pick(&mut request, &["args", "headers", "origin", "url"]).await
}

pub(super) async fn with_body(mut request: Request) -> Result<Value> {
    let told = [
        "args", "data", "files", "form", "headers", "json", "origin", "url",
    ];
    pick(&mut request, &told).await
}

pub(super) async fn anything(mut request: Request) -> Result<Value> {
    describe(&mut request).await.map(Value::from)
}

pub(super) async fn headers(request: Request) -> Value {
    json!({ "headers": header_fields(&request) })
}

pub(super) async fn ip(RemoteAddr(peer): RemoteAddr) -> Value {
    json!({ "origin": address(peer) })
}

/// A client over a Unix socket has no address.
fn address(peer: Peer) -> Value {
    peer.ip().map(|ip| ip.to_string()).into()
}

pub(super) async fn user_agent(request: Request) -> Value {
    json!({ "user-agent": request.headers().get("user-agent") })
}

/// Some of what is told of a request.
pub(super) async fn pick(request: &mut Request, names: &[&str]) -> Result<Value> {
    let mut object = describe(request).await?;
    object.retain(|name, _| names.contains(&name.as_str()));
    Ok(object.into())
}

async fn describe(request: &mut Request) -> Result<Map<String, Value>> {
    let Query(args) = request.extract::<Query<Pairs>>().await?;
    let mut object = Map::new();
    object.insert("method".to_owned(), request.method().as_str().into());
    object.insert("args".to_owned(), dictionary(args));
    object.insert("headers".to_owned(), header_fields(request));
    object.insert("origin".to_owned(), address(request.remote_addr()));
    object.insert("url".to_owned(), url(request).into());
    let (mut data, mut files, mut form) = (Value::from(""), json!({}), json!({}));
    let mut as_json = Value::Null;
    let kind = request.headers().get("content-type").unwrap_or_default();
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match kind.as_str() {
        "application/x-www-form-urlencoded" => {
            let Form(pairs) = request.extract::<Form<Pairs>>().await?;
            form = dictionary(pairs);
        }
        "multipart/form-data" => {
            let mut parts = request.extract::<Multipart>().await?;
            let (mut texts, mut contents) = (Pairs::new(), Pairs::new());
            while let Some(mut part) = parts.next_part().await? {
                let kind = part.content_type().unwrap_or(OCTETS).to_owned();
                let content = text_or_base64(&part.bytes(MAX_TOLD).await?, &kind);
                let list = if part.filename().is_some() {
                    &mut contents
                } else {
                    &mut texts
                };
                list.push((part.name().to_owned(), content));
            }
            (form, files) = (dictionary(texts), dictionary(contents));
        }
        _ => {
            let body = request.body_mut().collect(MAX_TOLD as u64).await?;
            as_json = serde_json::from_slice(&body).unwrap_or_default();
            data = text_or_base64(&body, OCTETS).into();
        }
    }
    for (name, value) in [
        ("data", data),
        ("files", files),
        ("form", form),
        ("json", as_json),
    ] {
        object.insert(name.to_owned(), value);
    }
    Ok(object)
}

/// A name that comes more than once has a list.
fn dictionary(pairs: Pairs) -> Value {
    let mut dictionary = Map::new();
    for (name, value) in pairs {
        match dictionary.get_mut(&name) {
            None => {
                dictionary.insert(name, value.into());
            }
            Some(Value::Array(values)) => values.push(value.into()),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    dictionary.into()
}

/// Names as `Title-Case`; repeated fields as one.
fn header_fields(request: &Request) -> Value {
    let mut fields = Map::new();
    for (name, value) in request.headers().iter() {
        let value = String::from_utf8_lossy(value);
        match fields.get_mut(&title_case(name)) {
            Some(Value::String(before)) => *before = format!("{before},{value}"),
            _ => {
                fields.insert(title_case(name), value.into());
            }
        }
    }
    fields.into()
}

fn title_case(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let lower = word.to_ascii_lowercase();
        let (first, rest) = lower.split_at(lower.len().min(1));
        first.to_ascii_uppercase() + rest
    });
    words.collect::<Vec<_>>().join("-")
}

/// Scheme, host and port that were asked.
pub(super) fn origin(request: &Request) -> String {
    let scheme = if request.exchange().is_tls() {
        "https"
    } else {
        "http"
    };
    format!("{scheme}://{}", request.host().unwrap_or_default())
}

/// The address that was asked for.
fn url(request: &Request) -> String {
    let query = request
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    format!("{}{}{query}", origin(request), request.path())
}

fn text_or_base64(bytes: &[u8], kind: &str) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("data:{kind};base64,{}", STANDARD.encode(bytes)),
    }
}
