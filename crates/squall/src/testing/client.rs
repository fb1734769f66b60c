//! `TestClient` and `TestRequest`: requests put together step by step.

use std::cell::RefCell;

use serde::Serialize;
use squall_http::wire::multipart::{PART_END, closing, part_head, random_boundary};

use super::{TestResponse, TestServer};

/// Sends requests to a [`TestServer`], and remembers the cookies that come back.
///
/// Of a cookie its name and value count; path, domain and expiry are not looked at, but
/// for `Max-Age=0`, which deletes it. Redirects are not followed.
///
/// ```
/// use squall::testing::TestServer;
/// use squall::{Application, Json, post};
/// use serde_json::{Value, json};
///
/// async fn echo(Json(value): Json<Value>) -> Json<Value> { Json(value) }
///
/// let server = TestServer::start(Application::new().route("/echo", post(echo)));
/// let client = server.client();
/// (client.post("/echo").header("X-Answer", "42").json(&json!({ "a": 1 })).send())
///     .assert_status(200)
///     .assert_header("content-type", "application/json")
///     .assert_json(&json!({ "a": 1 }));
/// ```
#[derive(Debug)]
pub struct TestClient<'s> {
    server: &'s TestServer,
    cookies: RefCell<Vec<(String, String)>>,
}

impl<'s> TestClient<'s> {
    pub(super) fn new(server: &'s TestServer) -> Self {
        Self {
            server,
            cookies: RefCell::default(),
        }
    }

    /// A GET.
    pub fn get(&self, target: &str) -> TestRequest<'_> {
        self.request("GET", target)
    }

    /// A POST.
    pub fn post(&self, target: &str) -> TestRequest<'_> {
        self.request("POST", target)
    }

    /// A PUT.
    pub fn put(&self, target: &str) -> TestRequest<'_> {
        self.request("PUT", target)
    }

    /// A PATCH.
    pub fn patch(&self, target: &str) -> TestRequest<'_> {
        self.request("PATCH", target)
    }

    /// A DELETE.
    pub fn delete(&self, target: &str) -> TestRequest<'_> {
        self.request("DELETE", target)
    }

    /// A request with any method.
    pub fn request(&self, method: &str, target: &str) -> TestRequest<'_> {
        TestRequest {
            client: self,
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            boundary: None,
            content_type: None,
        }
    }

    /// Sets a cookie for the requests to come.
    pub fn set_cookie(&self, name: &str, value: &str) {
        let mut cookies = self.cookies.borrow_mut();
        cookies.retain(|(known, _)| known != name);
        cookies.push((name.to_owned(), value.to_owned()));
    }

    /// The value of a cookie that is remembered.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.cookies.borrow();
        let found = cookies.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    }

    fn remember(&self, set_cookie: &str) {
        let mut parts = set_cookie.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let (name, value) = (name.trim(), value.trim());
        if parts.any(|attribute| attribute.trim().eq_ignore_ascii_case("max-age=0")) {
            (self.cookies.borrow_mut()).retain(|(known, _)| known != name);
        } else {
            self.set_cookie(name, value);
        }
    }

    fn cookie_header(&self) -> Option<String> {
        let cookies = self.cookies.borrow();
        let pairs: Vec<_> = (cookies.iter())
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

/// A request that is being put together; [`send`](Self::send) sends it.
#[must_use = "a request does nothing until `send`"]
#[derive(Debug)]
pub struct TestRequest<'c> {
    client: &'c TestClient<'c>,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Of a body in parts.
    boundary: Option<String>,
    /// The body's, unless a header says another one.
    content_type: Option<&'static str>,
}

impl TestRequest<'_> {
    /// Adds a header field; `Content-Type` replaces the one that there was.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if is_content_type(name) {
            self.headers.retain(|(known, _)| !is_content_type(known));
        }
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds arguments to the target's query.
    pub fn query(mut self, arguments: &[(&str, &str)]) -> Self {
        self.target.push(match self.target.contains('?') {
            true => '&',
            false => '?',
        });
        self.target += &encoded(arguments);
        self
    }

    /// The body, as it is.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A JSON body: `application/json`, unless a `Content-Type` is given before or after.
    ///
    /// # Panics
    /// When the value has no JSON.
    #[track_caller]
    pub fn json(mut self, value: &impl Serialize) -> Self {
        self.body = serde_json::to_vec(value).expect("a value that has JSON");
        self.content_type = Some("application/json");
        self
    }

    /// A form as browsers send it: `application/x-www-form-urlencoded`, unless a
    /// `Content-Type` is given before or after.
    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        self.body = encoded(fields).into_bytes();
        self.content_type = Some("application/x-www-form-urlencoded");
        self
    }

    /// Adds a field to a body in parts (`multipart/form-data`).
    ///
    /// With the first part comes their `Content-Type`, in place of one that was given before.
    #[track_caller]
    pub fn part(self, name: &str, value: &str) -> Self {
        self.add_part(name, None, None, value.as_bytes())
    }

    /// Adds a file to a body in parts.
    ///
    /// # Panics
    /// When the content type is none.
    #[track_caller]
    pub fn file(self, name: &str, filename: &str, content_type: &str, data: &[u8]) -> Self {
        self.add_part(name, Some(filename), Some(content_type), data)
    }

    #[track_caller]
    fn add_part(
        mut self,
        name: &str,
        filename: Option<&str>,
        content_type: Option<&str>,
        data: &[u8],
    ) -> Self {
        let boundary = match self.boundary.take() {
            Some(boundary) => boundary,
            None => {
                self.body.clear();
                let boundary = random_boundary().expect("randomness");
                let kind = format!("multipart/form-data; boundary={boundary}");
                self = self.header("Content-Type", &kind);
                boundary
            }
        };
        let head = part_head(&boundary, name, filename, content_type).expect("a content type");
        for bytes in [head.as_slice(), data, PART_END] {
            self.body.extend_from_slice(bytes);
        }
        self.boundary = Some(boundary);
        self
    }

    /// Sends it on a connection of its own and waits for the answer.
    ///
    /// # Panics
    /// When there is no whole answer within 30 s.
    #[track_caller]
    pub fn send(mut self) -> TestResponse {
        if let Some(boundary) = &self.boundary {
            self.body.extend(closing(boundary));
        }
        let has_type = self.headers.iter().any(|(name, _)| is_content_type(name));
        if let Some(kind) = self.content_type.filter(|_| !has_type) {
            self = self.header("Content-Type", kind);
        }
        if let Some(cookies) = self.client.cookie_header() {
            self.headers.push(("Cookie".to_owned(), cookies));
        }
        let headers: Vec<_> = (self.headers.iter())
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let server = self.client.server;
        let answer = server.send(&self.method, &self.target, &headers, &self.body);
        for (name, value) in &answer.headers {
            if name.eq_ignore_ascii_case("set-cookie") {
                self.client.remember(value);
            }
        }
        answer
    }
}

fn is_content_type(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-type")
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(pairs).finish()
}
