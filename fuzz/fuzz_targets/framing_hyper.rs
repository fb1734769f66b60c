//! Where requests end: ours against hyper's reading of the same bytes.
//!
//! As far as both accept, they must see the same requests with the same bodies. A front
//! and a back that do not are how a request is smuggled between them. What only one of
//! the two accepts is no difference of framing, and not looked at.
#![no_main]

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use libfuzzer_sys::fuzz_target;
use squall_http::wire::chunked::{ChunkedDecoder, Decoded};
use squall_http::wire::framing::{BodyLength, request_body};
use squall_http::wire::head::{HeadLimits, RequestHead, parse_request};

/// Method, target and body.
type Seen = (String, String, Vec<u8>);

/// Requests that are compared of one input.
const MOST: usize = 8;

/// The input, and then the end; what is written is of no interest.
struct Wire<'a>(&'a [u8]);

impl Read for Wire<'_> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
        mut room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let (now, later) = self.0.split_at(room.remaining().min(self.0.len()));
        room.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire<'_> {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The requests whose bodies came whole.
fn hypers(wire: &[u8]) -> Vec<Seen> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let seen = seen.clone();
        async move {
            let (head, body) = request.into_parts();
            if let Ok(body) = body.collect().await {
                let target = head.uri.to_string();
                let body = body.to_bytes().to_vec();
                seen.borrow_mut().push((head.method.to_string(), target, body));
            }
            Ok::<_, Infallible>(hyper::Response::new(Empty::<Bytes>::new()))
        }
    });
    {
        let mut serving = pin!(http1::Builder::new().serve_connection(Wire(wire), service));
        let mut cx = Context::from_waker(Waker::noop());
        // All there is to read is there: a poll that waits yields to itself.
        for _ in 0..64 {
            if serving.as_mut().poll(&mut cx).is_ready() {
                break;
            }
        }
    }
    seen.take()
}

/// The same by our parsers, as far as the connection goes on.
fn ours(mut wire: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    while seen.len() < MOST {
        let mut head = RequestHead::new();
        let Ok(Some(used)) = parse_request(wire, &HeadLimits::default(), &mut head) else {
            break;
        };
        wire = &wire[used..];
        let Ok(length) = request_body(&head) else { break };
        let Some((body, end)) = body(wire, length) else { break };
        let upgrades = head.headers.contains("upgrade") || head.method == "CONNECT";
        if upgrades {
            break;
        }
        seen.push((head.method.to_string(), head.target().to_owned(), body));
        wire = &wire[end..];
        if !head.keep_alive() {
            break;
        }
    }
    seen
}

fn body(wire: &[u8], length: BodyLength) -> Option<(Vec<u8>, usize)> {
    match length {
        BodyLength::None => Some((Vec::new(), 0)),
        BodyLength::Fixed(length) => {
            let end = usize::try_from(length).ok()?;
            Some((wire.get(..end)?.to_vec(), end))
        }
        BodyLength::Chunked => {
            let (mut decoder, mut body, mut at) = (ChunkedDecoder::default(), Vec::new(), 0);
            loop {
                match decoder.decode(&wire[at..]).ok()? {
                    Decoded::Data { skip, data } => {
                        body.extend_from_slice(&wire[at + skip..at + skip + data]);
                        at += skip + data;
                    }
                    Decoded::More { .. } => return None,
                    Decoded::Done { consumed } => return Some((body, at + consumed)),
                }
            }
        }
        BodyLength::UntilClose => unreachable!("requests end by themselves"),
    }
}

fuzz_target!(|wire: &[u8]| {
    let (ours, hypers) = (ours(wire), hypers(wire));
    for (ours, hypers) in ours.iter().zip(&hypers) {
        assert_eq!((&ours.0, &ours.2), (&hypers.0, &hypers.2), "{:?}", ours.1);
    }
});
