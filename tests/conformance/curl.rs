//! curl: connections, `Expect`, chunks, forms, HTTP/1.0.

use std::process::Command;

use serde_json::{Value, json};
use squall::testing::TestServer;

use super::{noise, output, program, run, server, streamed, sum, text};

/// More than any buffer on the way.
const MUCH: usize = 5_000_000;

/// curl with arguments; `{}` in them stands for the server's address.
fn curl(server: &TestServer, args: &[&str]) -> Option<Command> {
    let mut curl = program("curl", &["--version"])?;
    curl.args(["-q", "-sS", "--max-time", "60", "--noproxy", "*"]);
    curl.args(["--expect100-timeout", "30"]);
    let base = format!("http://{}", server.address());
    curl.args(args.iter().map(|arg| arg.replace("{}", &base)));
    Some(curl)
}

#[test]
fn a_connection_is_used_again() {
    let server = server();
    let mut args = vec!["-w", "%{http_version} %{num_connects};"];
    for target in ["{}/plaintext", "{}/stream", "{}/plaintext"] {
        args.extend([target, "-o", "/dev/null"]);
    }
    let Some(curl) = curl(&server, &args) else {
        return;
    };
    assert_eq!(text(curl, b""), "1.1 1;1.1 0;1.1 0;");
}

#[test]
fn a_body_waits_until_it_is_asked_for() {
    let server = server();
    let sent = noise(MUCH);
    let args = [
        "-v",
        "-H",
        "Expect: 100-continue",
        "--data-binary",
        "@-",
        "{}/echo",
    ];
    let Some(curl) = curl(&server, &args) else {
        return;
    };
    let done = run(curl, &sent);
    let log = String::from_utf8_lossy(&done.stderr);
    assert_eq!(log.matches("< HTTP/1.1 100 Continue").count(), 1, "{log}");
    assert!(log.contains("< HTTP/1.1 200 OK"), "{log}");
    assert!(done.stdout == sent, "{} bytes came back", done.stdout.len());
}

#[test]
fn a_body_that_nobody_wants_is_not_asked_for() {
    let server = server();
    let args = [
        "-v",
        "-H",
        "Expect: 100-continue",
        "--data-binary",
        "@-",
        "-w",
        "\n%{http_code} %{size_upload}",
        "{}/plaintext",
    ];
    let Some(curl) = curl(&server, &args) else {
        return;
    };
    let done = run(curl, &noise(MUCH));
    let log = String::from_utf8_lossy(&done.stderr);
    assert!(!log.contains("100 Continue"), "{log}");
    assert!(log.contains("< Allow: GET, HEAD, OPTIONS"), "{log}");
    let answer = String::from_utf8_lossy(&done.stdout);
    assert!(answer.ends_with("\n405 0"), "{answer}");
}

#[test]
fn chunks_arrive_whole_in_both_directions() {
    let server = server();
    for length in [0, 1, 65_536, MUCH] {
        let sent = noise(length);
        let Some(curl) = curl(&server, &["-X", "POST", "-T", "-", "{}/echo"]) else {
            return;
        };
        assert!(output(curl, &sent) == sent, "{length} bytes");
    }
    let Some(curl) = curl(&server, &["{}/stream"]) else {
        return;
    };
    assert!(output(curl, b"") == streamed());
}

#[test]
fn a_form_has_its_parts() {
    let server = server();
    let image = noise(MUCH);
    let args = [
        "-F",
        "title=grüße",
        "-F",
        "file=@-;filename=a \"b\".png;type=image/png",
        "-F",
        "empty=",
        "{}/upload",
    ];
    let Some(curl) = curl(&server, &args) else {
        return;
    };
    let parts: Value = serde_json::from_slice(&output(curl, &image)).expect("JSON");
    let expected = json!([
        ["title", null, null, 7, sum("grüße".as_bytes())],
        ["file", "a \"b\".png", "image/png", MUCH, sum(&image)],
        ["empty", null, null, 0, 0],
    ]);
    assert_eq!(parts, expected);
}

#[test]
fn methods_are_told_apart() {
    let server = server();
    let format = "%{http_code} %{size_download}";
    for (args, expected) in [
        (["-I", "{}/plaintext"], "200 0"),
        (["-I", "{}/stream"], "200 0"),
        (["-XOPTIONS", "{}/plaintext"], "204 0"),
    ] {
        let Some(mut curl) = curl(&server, &args) else {
            return;
        };
        curl.args(["-w", format, "-o", "/dev/null"]);
        assert_eq!(text(curl, b""), expected, "{args:?}");
    }
    for (method, target, status, allow) in [
        (
            "OPTIONS",
            "{}/plaintext",
            "204 No Content",
            "GET, HEAD, OPTIONS",
        ),
        (
            "DELETE",
            "{}/upload",
            "405 Method Not Allowed",
            "POST, OPTIONS",
        ),
    ] {
        let Some(curl) = curl(&server, &["-i", "-X", method, target]) else {
            return;
        };
        let answer = text(curl, b"");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
        assert!(
            answer.contains(&format!("\r\nAllow: {allow}\r\n")),
            "{answer}"
        );
    }
}

#[test]
fn a_head_tells_the_length_of_the_body_that_a_get_has() {
    let server = server();
    let Some(curl) = curl(&server, &["-I", "{}/plaintext"]) else {
        return;
    };
    let head = text(curl, b"");
    assert!(head.contains("\r\nContent-Length: 8\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn the_old_protocol_is_spoken() {
    let server = server();
    let Some(once) = curl(&server, &["-0", "-i", "{}/stream"]) else {
        return;
    };
    let answer = output(once, b"");
    let body = streamed();
    let head = answer
        .strip_suffix(&body[..])
        .expect("a body without chunks");
    let head = String::from_utf8_lossy(head);
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
    assert!(!head.contains("Transfer-Encoding"), "{head}");

    let sent = noise(MUCH);
    let args = ["-0", "--data-binary", "@-", "{}/echo"];
    let posted = curl(&server, &args).map(|curl| output(curl, &sent));
    assert!(posted == Some(sent));

    let kept = curl(
        &server,
        &[
            "-0",
            "-H",
            "Connection: keep-alive",
            "-w",
            " %{num_connects};",
            "{}/plaintext",
            "{}/plaintext",
        ],
    );
    let kept = kept.map(|curl| text(curl, b""));
    assert_eq!(kept.as_deref(), Some("It works 1;It works 0;"));
}
