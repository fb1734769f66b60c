//! Programs that others wrote speak to the server.
//!
//! Each test skips, and says so, where its program is not installed.

mod curl;
mod files;
#[cfg(unix)]
mod files_nginx;
#[cfg(unix)]
mod front;
mod httpbin;
mod load;
mod python;
#[cfg(unix)]
mod real_proxies;
#[cfg(unix)]
mod real_servers;
mod responses;
mod servers;
mod slowhttptest;

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::thread;

use serde_json::{Value, json};
use squall::testing::TestServer;
use squall::{
    Application, Body, BodyError, Bytes, Json, Multipart, Request, Response, Result, StatusCode,
    any, post,
};

/// Eight bytes.
const IT_WORKS: &str = "It works";
/// The chunks of `/stream`, of 1000 bytes each.
const CHUNKS: u8 = 100;

/// A server with the routes that the programs ask for.
fn server() -> TestServer {
    TestServer::start(
        Application::new()
            .route("/plaintext", async || IT_WORKS)
            .route("/json", async || Json(json!({ "greeting": "grüße" })))
            .route("/stream", async || stream())
            .route("/echo", any(echo))
            .route("/seen", any(seen))
            .route("/upload", post(upload)),
    )
}

/// A body whose length nobody knows before its end.
fn stream() -> Body {
    let mut sent = 0;
    Body::from_fn(move || {
        let chunk = (sent < CHUNKS).then(|| Ok::<_, BodyError>(Bytes::from(vec![sent; 1000])));
        sent += 1;
        async move { chunk }
    })
}

/// What `/stream` sends.
fn streamed() -> Vec<u8> {
    (0..CHUNKS).flat_map(|chunk| [chunk; 1000]).collect()
}

/// The request's body, while it arrives.
async fn echo(mut request: Request) -> Response {
    Response::new(StatusCode::OK, request.take_body())
}

/// What was asked.
async fn seen(mut request: Request) -> Result<Value> {
    let mut length = 0;
    while let Some(chunk) = request.body_mut().chunk().await {
        length += chunk?.len();
    }
    Ok(json!({
        "method": request.method().as_str(),
        "path": request.path(),
        "query": request.query(),
        "length": length,
    }))
}

/// The parts of a form, each as `[name, filename, content type, length, sum of the bytes]`.
async fn upload(mut form: Multipart) -> Result<Value> {
    let mut parts = Vec::new();
    while let Some(mut part) = form.next_part().await? {
        let (mut length, mut sum) = (0, 0);
        while let Some(chunk) = part.chunk().await? {
            length += chunk.len();
            sum += self::sum(&chunk);
        }
        parts.push(json!([
            part.name(),
            part.filename(),
            part.content_type(),
            length,
            sum
        ]));
    }
    Ok(parts.into())
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().copied().map(u64::from).sum()
}

/// Bytes without a period that a buffer's size could hide.
fn noise(length: usize) -> Vec<u8> {
    let mut state: u32 = 1;
    let byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(byte).take(length).collect()
}

/// The program, unless it is not installed: then the test is skipped.
///
/// `probe` are arguments with which the program does nothing; what its status then says
/// differs, so all that counts is that it starts.
fn program(name: &str, probe: &[&str]) -> Option<Command> {
    let mut command = Command::new(name);
    let started = Command::new(name).args(probe).output();
    if let Err(error) = started {
        eprintln!("skipped: {name} does not start: {error}");
        return None;
    }
    for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    Some(command)
}

/// Runs the program to its end, with bytes on its standard input.
#[track_caller]
fn run(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut stdin = child.stdin.take().expect("a pipe");
    thread::scope(|scope| {
        // A program that has its answer early need not read to the end.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().expect("an end")
    })
}

/// Runs the program to its end, which has to be a good one; its standard output.
#[track_caller]
fn output(command: Command, input: &[u8]) -> Vec<u8> {
    let done = run(command, input);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}: {errors}", done.status);
    done.stdout
}

/// The same as text.
#[track_caller]
fn text(command: Command, input: &[u8]) -> String {
    String::from_utf8(output(command, input)).expect("text")
}
