//! Bodies that stream and can still be sent twice, because they can be made anew.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use squall_http::{Body, BodyError, BodyStream, Headers};

type Make = Arc<dyn Fn() -> Body + Send + Sync>;

/// The body that `make` makes, again for each time that it is sent.
pub(super) fn replayed(make: impl Fn() -> Body + Send + Sync + 'static) -> Body {
    let first = make();
    let content_type = first.content_type();
    let body = Body::stream(Replay {
        make: Arc::new(make),
        len: first.len(),
        body: Some(first),
    });
    match content_type {
        Some(content_type) => body.with_content_type(content_type),
        None => body,
    }
}

struct Replay {
    make: Make,
    /// The first body's; each has to be as long.
    len: Option<u64>,
    /// Made when it is asked for.
    body: Option<Body>,
}

impl Replay {
    fn body(&mut self) -> &mut Body {
        self.body.get_or_insert_with(|| (self.make)())
    }
}

impl BodyStream for Replay {
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.get_mut().body().poll_chunk(cx)
    }

    fn remaining(&self) -> Option<u64> {
        self.body.as_ref().map_or(self.len, Body::len)
    }

    fn take_trailers(self: Pin<&mut Self>) -> Option<Headers> {
        self.get_mut().body().take_trailers()
    }

    fn replay(&self) -> Option<Body> {
        Some(Body::stream(Self {
            make: self.make.clone(),
            len: self.len,
            body: None,
        }))
    }
}
