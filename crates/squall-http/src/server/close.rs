//! How a connection gets rid of bytes that nobody wants, to go on or to end well.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Poll, ready};

use squall_loop::with_timeout;

use super::conn::Conn;
use super::h1::Then;
use super::send::flush;
use super::waits::Waits;

/// What is thrown away at once.
const SCRATCH: usize = 16 << 10;

/// Reads an unwanted body to its end if that is cheap, so that the connection can
/// go on; else it is closed.
pub(super) async fn drain(conn: &Arc<Conn>) -> Then {
    let settings = &conn.server.settings;
    if conn.read().is_hopeless(settings.max_drain_size) {
        return Then::Linger;
    }
    let drained = with_timeout(
        settings.linger_timeout,
        poll_fn(|cx| {
            let _ = conn.poll_flush(cx)?;
            loop {
                let piece = (conn.read()).poll_body(&conn.stream, cx, settings.max_drain_size);
                match ready!(piece) {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                    None => return Poll::Ready(Ok(())),
                }
            }
        }),
    );
    match drained.await {
        Ok(Ok(())) => Then::Continue,
        _ => Then::Linger,
    }
}

/// Closes so that the peer can read the last answer although it still sends: our
/// direction ends, its direction is read and thrown away for a while.
///
/// A socket that is closed with unread bytes is reset, and a reset takes the answer
/// back from a client that has not read it yet.
pub(super) async fn linger(conn: &Arc<Conn>, waits: &mut Waits) {
    if !flush(conn, waits).await {
        return;
    }
    let _ = conn.stream.close_write();
    let settings = &conn.server.settings;
    let mut scratch = Vec::new();
    waits.forget();
    let gone = poll_fn(|cx| {
        loop {
            if conn.stream.poll_readable(cx).is_ready() {
                scratch.resize(SCRATCH, 0);
                match conn.stream.poll_read(cx, &mut scratch) {
                    Poll::Ready(Ok(read)) if read > 0 => {
                        waits.forget();
                        continue;
                    }
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
            }
            // Who only waits for the peer's end holds no buffer.
            scratch = Vec::new();
            return waits.poll(cx, settings.linger_timeout);
        }
    });
    let _ = with_timeout(settings.linger_limit, gone).await;
}
