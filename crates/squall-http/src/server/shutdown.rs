//! Ending in phases: no new connections, idle ones closed, streams told, last answers
//! marked `Connection: close`, and what is left at the end of the grace is cut.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use squall_loop::{say, with_timeout};

use super::Server;
use super::accept::Handshakes;

impl Server {
    /// Stops accepting, lets requests in flight be answered, and closes every
    /// connection, within `grace`. Returns how many had to be cut. Handlers that run
    /// without their connections ([`Exchange::working`]) are waited for, too.
    ///
    /// [`Exchange::working`]: super::Exchange::working
    pub async fn shutdown(&self, grace: Duration) -> usize {
        // The grace counts from before anybody sees that it has begun.
        let ended = with_timeout(
            grace,
            poll_fn(|cx| {
                let mut open = self.inner.open();
                if open.is_empty() {
                    return Poll::Ready(());
                }
                open.wait(cx);
                Poll::Pending
            }),
        );
        self.inner.draining.set();
        let waiting = std::mem::take(&mut self.inner.open().waiting);
        for waker in waiting {
            waker.wake();
        }
        Handshakes::cancel_all(&self.inner.handshakes);
        for conn in self.inner.connections() {
            conn.close_if_idle();
        }
        if ended.await.is_ok() {
            return 0;
        }
        let working = self.inner.open().working;
        if working > 0 {
            say(|| {
                tracing::warn!(target: "squall::http", working, ?grace, "handlers that run to completion are given up");
            });
        }
        self.abort()
    }

    /// Cuts every connection, now. Returns how many there were.
    pub fn abort(&self) -> usize {
        let cut = self.inner.connections();
        for conn in &cut {
            conn.stream.abort();
        }
        cut.len()
    }
}
