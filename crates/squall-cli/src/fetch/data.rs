//! `-d`: the body, put together from text and files.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use squall::{Body, BodyError, BodyStream, Bytes};

use super::source::source;

/// What stands between two pieces, as between the fields of a form.
const BETWEEN: &str = "&";

/// What one `-d` says.
#[derive(Debug, Clone)]
pub(super) enum Data {
    Text(String),
    File(String),
}

impl From<&str> for Data {
    fn from(text: &str) -> Self {
        match text.strip_prefix('@') {
            Some(path) => Self::File(path.to_owned()),
            None => Self::Text(text.to_owned()),
        }
    }
}

/// The body that all of them make.
pub(super) async fn body(pieces: &[Data]) -> io::Result<Body> {
    let texts = pieces.iter().map(|piece| match piece {
        Data::Text(text) => Some(text.as_str()),
        Data::File(_) => None,
    });
    if let Some(texts) = texts.collect::<Option<Vec<_>>>() {
        return Ok(Bytes::from(texts.join(BETWEEN)).into());
    }
    let mut parts = VecDeque::new();
    for piece in pieces {
        if !parts.is_empty() {
            parts.push_back(Bytes::from(BETWEEN).into());
        }
        parts.push_back(match piece {
            Data::Text(text) => Bytes::from(text.clone()).into(),
            Data::File(path) => source(path).await?,
        });
    }
    Ok(match parts.len() {
        1 => parts.remove(0).unwrap_or_default(),
        _ => Body::stream(Joined { parts }),
    })
}

/// Bodies one after the other.
struct Joined {
    parts: VecDeque<Body>,
}

impl BodyStream for Joined {
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let parts = &mut self.get_mut().parts;
        while let Some(part) = parts.front_mut() {
            match ready!(part.poll_chunk(cx)) {
                None => drop(parts.pop_front()),
                chunk => return Poll::Ready(chunk),
            }
        }
        Poll::Ready(None)
    }

    fn remaining(&self) -> Option<u64> {
        self.parts.iter().map(Body::len).sum()
    }

    // Not sent again for a redirect: what was read from a pipe is gone, and a file is
    // mostly sent alone.
}
