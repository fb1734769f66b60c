//! `BodyWriter`: a request's body that is pushed, as Tornado's `body_producer` does.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use squall_http::{Body, BodyError, BodyStream};

/// Where a producer writes its body to.
pub struct BodyWriter {
    shared: Arc<Mutex<Slot>>,
}

/// One chunk on its way from the producer to the connection.
#[derive(Default)]
struct Slot {
    chunk: Option<Bytes>,
    /// Waits for the chunk.
    reader: Option<Waker>,
    /// Waits until it is taken.
    writer: Option<Waker>,
    /// Nobody will take another one.
    gone: bool,
}

impl BodyWriter {
    /// Sends a piece of the body, and waits until the connection has taken it: up to 512 KiB at
    /// a time, once all before that is on the wire. So a slow server slows the producer down.
    ///
    /// # Errors
    /// [`BodyError::Gone`] when the fetch is over.
    ///
    /// # Cancel safety
    /// The piece may have been taken.
    pub async fn write(&mut self, chunk: impl Into<Bytes>) -> Result<(), BodyError> {
        let mut chunk = Some(chunk.into()).filter(|chunk| !chunk.is_empty());
        poll_fn(|cx| {
            let mut slot = self.shared.lock();
            if slot.gone {
                return Poll::Ready(Err(BodyError::Gone));
            }
            if let Some(chunk) = chunk.take() {
                slot.chunk = Some(chunk);
                if let Some(reader) = slot.reader.take() {
                    reader.wake();
                }
            }
            if slot.chunk.is_none() {
                return Poll::Ready(Ok(()));
            }
            slot.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl fmt::Debug for BodyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyWriter").finish_non_exhaustive()
    }
}

/// The body that a producer writes while it is sent.
pub(super) fn produced<F, Fut>(producer: F) -> Body
where
    F: FnOnce(BodyWriter) -> Fut,
    Fut: Future<Output = Result<(), BodyError>> + Send + 'static,
{
    let shared = Arc::new(Mutex::new(Slot::default()));
    let writer = BodyWriter {
        shared: shared.clone(),
    };
    Body::stream(Produced {
        producer: Some(Box::pin(producer(writer))),
        shared,
    })
}

type Producer = Pin<Box<dyn Future<Output = Result<(), BodyError>> + Send>>;

struct Produced {
    /// `None` once it is done.
    producer: Option<Producer>,
    shared: Arc<Mutex<Slot>>,
}

impl BodyStream for Produced {
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let this = self.get_mut();
        // The producer goes on only when its last piece is taken: now.
        let done = match &mut this.producer {
            Some(producer) => producer.as_mut().poll(cx),
            None => return Poll::Ready(None),
        };
        let mut slot = this.shared.lock();
        if let Poll::Ready(done) = done {
            this.producer = None;
            if let Err(error) = done {
                return Poll::Ready(Some(Err(error)));
            }
        }
        if let Some(chunk) = slot.chunk.take() {
            if let Some(writer) = slot.writer.take() {
                writer.wake();
            }
            return Poll::Ready(Some(Ok(chunk)));
        }
        if this.producer.is_none() {
            return Poll::Ready(None);
        }
        slot.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Produced {
    fn drop(&mut self) {
        let mut slot = self.shared.lock();
        slot.gone = true;
        let writer = slot.writer.take();
        drop(slot);
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}
