//! An answer whose head is sent before its handler has ended: what `flush` begins.
//!
//! ```text
//!            flush                          the connection asks for more
//!   handler --------> head, first chunk --> Rest polls the handler --> next chunk ...
//!      ^                                                                    |
//!      '------------------- goes on once the chunk was taken <--------------'
//! ```
//!
//! Until the first flush a handler's future runs as any other. With it the future
//! becomes the answer's body: whoever reads the body drives the handler, so that a slow
//! client slows it down.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use squall_http::server::Response;
use squall_http::{Body, BodyError, BodyStream};

use crate::web::{http_error, panic};
use crate::{Error, Result};

/// What a handler has flushed, between it and its connection.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Until it is taken to the connection.
    head: Option<Response>,
    /// Usually one: `flush` waits until it is taken.
    chunks: VecDeque<Bytes>,
    /// What follows the last chunk.
    tail: Body,
    flushing: Option<Waker>,
}

impl Outgoing {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Begins the answer.
    pub(super) fn begin(&self, head: Response) {
        self.state().head = Some(head);
    }

    pub(super) fn push(&self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.state().chunks.push_back(chunk);
        }
    }

    /// The body that ends the answer.
    pub(super) fn end(&self, tail: Body) {
        self.state().tail = tail;
    }

    /// Waits until everything that was pushed was taken.
    pub(super) async fn taken(&self) {
        poll_fn(|cx| {
            let mut state = self.state();
            if state.chunks.is_empty() {
                return Poll::Ready(());
            }
            state.flushing = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn take(&self) -> Option<Bytes> {
        let mut state = self.state();
        let chunk = state.chunks.pop_front()?;
        let flushing = state.flushing.take();
        drop(state);
        if let Some(waker) = flushing {
            waker.wake();
        }
        Some(chunk)
    }

    fn take_head(&self) -> Option<Response> {
        self.state().head.take()
    }
}

/// The whole life of a handler value; the answer is `None` when it was begun by a flush.
pub(super) type Life = Pin<Box<dyn Future<Output = Result<Option<Response>>> + Send>>;

/// A handler's life up to its answer's head.
pub(super) struct UntilHead {
    life: Option<Life>,
    outgoing: Arc<Outgoing>,
    route: Arc<str>,
}

impl UntilHead {
    pub(super) fn new(life: Life, outgoing: Arc<Outgoing>, route: Arc<str>) -> Self {
        Self {
            life: Some(life),
            outgoing,
            route,
        }
    }
}

impl Future for UntilHead {
    type Output = Result<Response>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Response>> {
        let this = self.get_mut();
        let poll = this.life.as_mut().map(|life| life.as_mut().poll(cx));
        if let Some(Poll::Ready(result)) = poll {
            this.life = None;
            if let Some(response) = result? {
                return Poll::Ready(Ok(response));
            }
        }
        let Some(mut head) = this.outgoing.take_head() else {
            return Poll::Pending;
        };
        let rest = Body::stream(Rest {
            life: this.life.take(),
            failed: false,
            outgoing: this.outgoing.clone(),
            route: this.route.clone(),
        });
        let body = std::mem::take(head.body_mut());
        *head.body_mut() = match body.content_type() {
            Some(content_type) => rest.with_content_type(content_type),
            None => rest,
        };
        Poll::Ready(Ok(head))
    }
}

/// The rest of a handler's life, as the body of its answer.
struct Rest {
    /// Until it has ended.
    life: Option<Life>,
    /// What was flushed goes first.
    failed: bool,
    outgoing: Arc<Outgoing>,
    route: Arc<str>,
}

impl BodyStream for Rest {
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let this = self.get_mut();
        loop {
            if let Some(chunk) = this.outgoing.take() {
                return Poll::Ready(Some(Ok(chunk)));
            }
            if std::mem::take(&mut this.failed) {
                // The status is sent: a body that breaks off is all that can be said.
                let why = "the handler failed after it had begun to answer";
                return Poll::Ready(Some(Err(BodyError::other(why))));
            }
            let Some(life) = &mut this.life else {
                return this.outgoing.state().tail.poll_chunk(cx);
            };
            let poll = panic::contain(|| life.as_mut().poll(cx)).unwrap_or_else(|panicked| {
                panicked.log(&this.route);
                Poll::Ready(Err(Error::internal(panicked.message)))
            });
            match poll {
                Poll::Pending if this.outgoing.state().chunks.is_empty() => return Poll::Pending,
                Poll::Pending => {}
                Poll::Ready(result) => {
                    this.life = None;
                    if let Err(error) = result {
                        http_error::log(&this.route, &error);
                        this.failed = true;
                    }
                }
            }
        }
    }

    fn drive(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.outgoing.state().tail.drive(cx);
    }
}

/// Polls a part of a handler's life; a panic becomes an error.
pub(super) async fn contained<T>(route: &str, part: impl Future<Output = Result<T>>) -> Result<T> {
    let mut part = std::pin::pin!(part);
    poll_fn(|cx| match panic::contain(|| part.as_mut().poll(cx)) {
        Ok(poll) => Poll::Ready(ready!(poll)),
        Err(panicked) => {
            panicked.log(route);
            Poll::Ready(Err(Error::internal(panicked.message)))
        }
    })
    .await
}
