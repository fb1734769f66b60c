//! One large body, up or down: what it costs to move a GiB, and what stays in memory.

use std::fs;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::TokioExecutor;
use squall::{AsyncHttpClient, Body, BodyError, BodyStream, HttpRequest};
use squall_loop::IoLoop;

use crate::load::{Figures, cpu_ns, status};

/// Which body goes where.
#[derive(Debug, Clone)]
pub(crate) enum Transfer {
    /// A body of so many bytes is read and thrown away.
    Down(u64),
    /// So many bytes are sent from memory, handed over in pieces of that size.
    Up(u64, usize),
    /// The file is sent as the one part of a `multipart/form-data` form.
    File(String),
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// What the transfer cost; `moved` is how many bytes came down.
fn figures(transfer: &Transfer, before: (f64, f64), moved: u64) -> Figures {
    if let Transfer::Down(bytes) = transfer
        && moved != *bytes
    {
        return Err(format!("{moved} bytes came instead of {bytes}"));
    }
    let (cpu, resident) = before;
    Ok(vec![
        ("cpu_s", (cpu_ns() - cpu) / 1e9),
        ("grown_kb", status("VmHWM:") - resident),
    ])
}

/// CPU time and resident memory before; the peak is forgotten.
fn begin() -> (f64, f64) {
    // Where it may not be written, the peak counts what came before, too.
    let _ = fs::write("/proc/self/clear_refs", "5");
    (cpu_ns(), status("VmRSS:"))
}

/// The same piece of memory again and again.
struct Pieces {
    piece: Bytes,
    left: u64,
}

impl Pieces {
    fn new(left: u64, piece: usize) -> Self {
        Self {
            piece: vec![b'x'; piece].into(),
            left,
        }
    }

    fn next(&mut self) -> Option<Bytes> {
        let piece = self.piece.len();
        let len = usize::try_from(self.left).map_or(piece, |left| left.min(piece));
        self.left -= len as u64;
        (len > 0).then(|| self.piece.slice(..len))
    }
}

impl BodyStream for Pieces {
    fn poll_chunk(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        Poll::Ready(self.get_mut().next().map(Ok))
    }

    fn remaining(&self) -> Option<u64> {
        Some(self.left)
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.get_mut().next().map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

pub(crate) fn squall(url: String, transfer: Transfer) -> Figures {
    let io_loop = IoLoop::builder().lanes(1).build().map_err(text)?;
    let figures = io_loop.run(async move {
        let client = AsyncHttpClient::new();
        let before = begin();
        let request = HttpRequest::post(&url).request_timeout(std::time::Duration::ZERO);
        let request = match &transfer {
            Transfer::Down(_) => HttpRequest::get(&url),
            Transfer::Up(bytes, piece) => request.body(Body::stream(Pieces::new(*bytes, *piece))),
            Transfer::File(path) => {
                let form = squall::client::Multipart::new().file("file", path).await;
                request.multipart(form.map_err(text)?)
            }
        };
        let mut response = client.fetch(request).await.map_err(text)?;
        let mut moved = 0;
        while let Some(chunk) = response.chunk().await.map_err(text)? {
            moved += chunk.len() as u64;
        }
        figures(&transfer, before, moved)
    });
    figures.map_err(text)?
}

fn on_tokio<F>(transfer: &Transfer, moving: F) -> Figures
where
    F: Future<Output = Result<u64, String>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(text)?;
    runtime.block_on(async {
        let before = begin();
        let moved = moving.await?;
        figures(transfer, before, moved)
    })
}

pub(crate) fn reqwest(url: String, transfer: Transfer) -> Figures {
    on_tokio(&transfer, async {
        let client = reqwest::Client::new();
        let request = match &transfer {
            Transfer::Down(_) => client.get(&url),
            Transfer::Up(bytes, piece) => client
                .post(&url)
                .body(reqwest::Body::wrap(Pieces::new(*bytes, *piece))),
            Transfer::File(path) => {
                let form = reqwest::multipart::Form::new().file("file", path).await;
                client.post(&url).multipart(form.map_err(text)?)
            }
        };
        let mut response = request.send().await.map_err(text)?;
        let mut moved = 0;
        while let Some(chunk) = response.chunk().await.map_err(text)? {
            moved += chunk.len() as u64;
        }
        Ok(moved)
    })
}

pub(crate) fn hyper(url: String, transfer: Transfer) -> Figures {
    on_tokio(&transfer, async {
        let (method, pieces) = match &transfer {
            Transfer::Down(_) => ("GET", Pieces::new(0, 0)),
            Transfer::Up(bytes, piece) => ("POST", Pieces::new(*bytes, *piece)),
            Transfer::File(_) => return Err("it knows no forms".to_owned()),
        };
        let client: HyperClient<_, Pieces> =
            HyperClient::builder(TokioExecutor::new()).build_http();
        let request = hyper::Request::builder()
            .method(method)
            .uri(&url)
            .body(pieces)
            .map_err(text)?;
        let mut body = client.request(request).await.map_err(text)?.into_body();
        let mut moved = 0;
        while let Some(frame) = body.frame().await {
            moved += frame.map_err(text)?.data_ref().map_or(0, Bytes::len) as u64;
        }
        Ok(moved)
    })
}
