//! The blocking twin of the client, outside of any loop.

use squall::client::{FetchError, HttpClient, HttpRequest, Phase};

use super::client_script::{answering, script};

#[test]
fn a_thread_fetches_and_waits() {
    let server = script(|_, mut peer| {
        while let Some(head) = peer.head() {
            let target = head.split(' ').nth(1).expect("a target").to_owned();
            let length = target.len();
            peer.write(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{target}"
            ));
        }
    });
    let client = HttpClient::new().expect("a client");
    for target in ["/a", "/b"] {
        let response = client.fetch(server.url(target)).expect("an answer");
        assert_eq!(
            (response.code(), response.body()),
            (200, Some(target.as_bytes()))
        );
    }
    assert_eq!(server.accepted(), 1);
    let response = client.fetch(server.url("/7")).expect("an answer");
    assert_eq!(response.body_text().as_deref(), Some("/7"));
    let error = response.body_json::<u32>().expect_err("no number");
    assert!(error.is_body(), "{error}");
    let error = client.fetch("ftp://a.test/").expect_err("no such scheme");
    assert_eq!(error.phase(), Phase::Request);
}

#[test]
fn several_at_a_time_and_in_pieces() {
    let server = answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
    );
    let client = HttpClient::new().expect("a client");
    let url = server.url("/");
    let whole = client.run(|client| async move {
        let mut first = client.fetch(HttpRequest::get(&url)).await?;
        let mut second = client.fetch(HttpRequest::get(&url)).await?;
        let mut whole = Vec::new();
        while let Some(chunk) = first.chunk().await? {
            whole.extend_from_slice(&chunk);
        }
        whole.extend_from_slice(&second.bytes().await?);
        Ok::<_, FetchError>(whole)
    });
    assert_eq!(whole.expect("bodies"), b"abcabc");
}
