//! Requests whose answers are left on the wire until the test wants them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use squall::testing::TestResponse;
use squall_tests::PATIENCE;

/// Sends a GET, and reads nothing.
pub(super) fn begin(address: SocketAddr, path: &str) -> TcpStream {
    let mut tcp = TcpStream::connect(address).expect("it listens");
    tcp.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    tcp.write_all(request.as_bytes()).expect("sent");
    tcp
}

/// The answer, once it and an end in order have come.
pub(super) fn answer(mut tcp: TcpStream) -> TestResponse {
    let mut bytes = Vec::new();
    tcp.read_to_end(&mut bytes).expect("an answer");
    TestResponse::parse(&bytes)
}
