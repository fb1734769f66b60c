//! Forms with files: written as they are sent, read back by the server's own parser.

use std::io::Write;
use std::sync::mpsc;

use squall::client::{AsyncHttpClient, HttpRequest, Multipart};
use squall::{Body, BodyError, Bytes};
use squall_http::wire::multipart::{
    Event, MultipartLimits, MultipartParser, boundary_from_content_type,
};
use squall_tests::on_one_lane;

use super::client_script::script;

type Part = (String, Option<String>, Option<String>, Vec<u8>);

fn parse(content_type: &str, mut rest: &[u8]) -> Vec<Part> {
    let boundary = boundary_from_content_type(content_type).expect("a boundary");
    let mut parser = MultipartParser::new(&boundary, MultipartLimits::default()).expect("a parser");
    let mut parts: Vec<Part> = Vec::new();
    loop {
        let used = match parser.next_event(rest).expect("a form") {
            Event::Part { consumed, head } => {
                parts.push((head.name, head.filename, head.content_type, Vec::new()));
                consumed
            }
            Event::Data { len } => {
                parts
                    .last_mut()
                    .expect("a part")
                    .3
                    .extend_from_slice(&rest[..len]);
                len
            }
            Event::PartEnd { consumed } => consumed,
            Event::NeedMore { .. } => panic!("the form is not complete"),
            Event::End { .. } => return parts,
        };
        rest = &rest[used..];
    }
}

/// Sends a form; gives the request's head and its parts.
fn send(form: impl FnOnce() -> Multipart + Send + 'static) -> (String, Vec<Part>) {
    let (seen, sees) = mpsc::channel();
    let server = script(move |_, mut peer| {
        let head = peer.head().expect("a head");
        let field = |name: &str| {
            let rest = head.split(&format!("{name}: ")).nth(1)?;
            rest.split("\r\n").next().map(str::to_owned)
        };
        let mut body = Vec::new();
        if let Some(len) = field("Content-Length") {
            body = peer.read(len.parse().expect("a length"));
        } else {
            loop {
                let size = peer.read_until("\r\n");
                let size = usize::from_str_radix(size.trim_end(), 16).expect("a size");
                body.extend(peer.read(size));
                peer.read(2);
                if size == 0 {
                    break;
                }
            }
        }
        let parts = parse(&field("Content-Type").expect("a type"), &body);
        seen.send((head, parts)).expect("waited for");
        peer.write("HTTP/1.1 204 No Content\r\n\r\n");
    });
    let url = server.url("/");
    on_one_lane(async move {
        let request = HttpRequest::post(url).multipart(form());
        AsyncHttpClient::new()
            .fetch(request)
            .await
            .expect("an answer");
    });
    sees.recv().expect("a form")
}

fn owned(name: &str, filename: Option<&str>, kind: Option<&str>, data: &[u8]) -> Part {
    (
        name.to_owned(),
        filename.map(str::to_owned),
        kind.map(str::to_owned),
        data.to_vec(),
    )
}

fn stream(chunks: &'static [&'static str]) -> Body {
    let mut chunks = chunks.iter();
    Body::from_fn(move || {
        let chunk = chunks
            .next()
            .map(|text| Ok::<_, BodyError>(Bytes::from(*text)));
        async move { chunk }
    })
}

#[test]
fn a_form_in_memory_has_a_length_and_is_read_back() {
    let (head, parts) = send(|| {
        Multipart::new().text("api_key", "k\u{e9}y").bytes(
            "im\"age",
            "c\r\nat.png",
            "",
            b"\x89PNG\r\n--".as_slice(),
        )
    });
    assert!(
        head.contains("Content-Length: ") && !head.contains("chunked"),
        "{head}"
    );
    assert_eq!(
        parts,
        [
            owned("api_key", None, None, "k\u{e9}y".as_bytes()),
            owned(
                "im\"age",
                Some("c\r\nat.png"),
                Some("image/png"),
                b"\x89PNG\r\n--"
            ),
        ]
    );
}

#[test]
fn streams_go_in_chunks_unless_their_length_is_told() {
    let (head, parts) =
        send(|| Multipart::new().part("a", "a.bin", "", stream(&["he", "llo"]), None));
    assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
    let expected = owned(
        "a",
        Some("a.bin"),
        Some("application/octet-stream"),
        b"hello",
    );
    assert_eq!(parts, std::slice::from_ref(&expected));
    let (head, parts) =
        send(|| Multipart::new().part("a", "a.bin", "", stream(&["he", "llo"]), Some(5)));
    assert!(
        head.contains("Content-Length: ") && !head.contains("chunked"),
        "{head}"
    );
    assert_eq!(parts, [expected]);
}

#[test]
fn a_part_that_breaks_its_word_fails_the_fetch() {
    for len in [4, 6] {
        let server = super::client_script::answering("HTTP/1.1 204 No Content\r\n\r\n");
        let (url, form) = (
            server.url("/"),
            Multipart::new().part("a", "b", "", stream(&["hello"]), Some(len)),
        );
        let error = on_one_lane(async move {
            // The early answer of this server would win, so it is not asked for one.
            let request = HttpRequest::post(url)
                .multipart(form)
                .expect_continue(false);
            AsyncHttpClient::new().fetch(request).await
        });
        if let Err(error) = error {
            assert!(error.to_string().contains("length"), "{error}");
        }
    }
}

#[test]
fn a_large_file_is_read_while_it_is_sent() {
    let path = std::env::temp_dir().join(format!("squall-multipart-{}.txt", std::process::id()));
    let data: Vec<u8> = (0..1_000_000_u32).map(|n| b'a' + (n % 26) as u8).collect();
    std::fs::File::create(&path)
        .and_then(|mut file| file.write_all(&data))
        .expect("a file");
    let (sent, sends) = mpsc::channel();
    let server = script(move |_, mut peer| {
        let head = peer.head().expect("a head");
        let len = head
            .split("Content-Length: ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next());
        let body = peer.read(len.expect("a length").parse().expect("a number"));
        sent.send((head, body)).expect("waited for");
        peer.write("HTTP/1.1 204 No Content\r\n\r\n");
    });
    let (url, from) = (server.url("/"), path.clone());
    on_one_lane(async move {
        let form = Multipart::new().file("file", from).await.expect("a file");
        AsyncHttpClient::new()
            .fetch(HttpRequest::post(url).multipart(form))
            .await
            .expect("an answer");
        let none = Multipart::new()
            .file("file", "/no/such/file")
            .await
            .expect_err("no file");
        assert!(none.to_string().contains("/no/such/file"), "{none}");
    });
    let (head, body) = sends.recv().expect("a form");
    let kind = head
        .split("Content-Type: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next());
    let parts = parse(kind.expect("a type"), &body);
    assert_eq!(parts.len(), 1);
    assert!(parts[0].3 == data && parts[0].2.as_deref() == Some("text/plain"));
    std::fs::remove_file(path).expect("removed");
}
