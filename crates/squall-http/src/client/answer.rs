//! The receiving half of an exchange: an answer's body, and what becomes of the
//! connection.
//!
//! ```text
//!   Receiving --length reached, last chunk--> settled: home, if nothing is left over
//!       |-- end of stream: end (UntilClose) or Incomplete --> closed
//!       `-- malformed, failed, silent, dropped ------------> closed
//! ```

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};

use super::busy::Busy;
use super::connection::Home;
use super::h1::ExchangeLimits;
use crate::body::{Body, BodyError, BodyStream, SilenceLimit};
use crate::chunk::{Chunk, piped_at_most};
use crate::wire::chunked::{ChunkedDecoder, Decoded};
use crate::wire::framing::BodyLength;
use crate::wire::headers::Headers;

/// Read at a time, at least and at most: who sends fast is read in larger pieces, which
/// cost the system less.
const BODY_BUFFER: [usize; 2] = [128 << 10, 512 << 10];

/// As much of a body that nobody wants is read, if it has come.
const UNREAD: usize = 64 << 10;

/// The body; one that has arrived already is settled at once and needs no stream.
pub(super) fn receive<H: Home>(
    mut busy: Busy,
    home: H,
    length: BodyLength,
    persistent: bool,
    limits: &ExchangeLimits,
) -> Body {
    let here = busy.desk.input.data().len();
    let arrived = match length {
        BodyLength::None => Some(0),
        BodyLength::Fixed(length) => usize::try_from(length).ok().filter(|len| *len <= here),
        BodyLength::Chunked | BodyLength::UntilClose => None,
    };
    let Some(arrived) = arrived else {
        return Body::stream(Incoming::new(busy, home, length, persistent, limits));
    };
    let body = match arrived {
        0 => Body::empty(),
        arrived => busy.desk.input.take_whole(arrived),
    };
    busy.settle(home, persistent);
    body
}

/// A body on its way in, with the connection it comes from.
struct Incoming<H: Home> {
    /// `None` once it is settled what becomes of the connection.
    link: Option<Link<H>>,
    length: Length,
    /// How much is read next.
    step: usize,
    trailers: Option<Headers>,
}

struct Link<H> {
    busy: Busy,
    home: H,
    persistent: bool,
}

enum Length {
    Fixed(u64),
    Chunked(Box<ChunkedDecoder>),
    UntilClose,
    /// Whatever it was, there is no more of it.
    Broken,
}

impl<H: Home> Incoming<H> {
    fn new(
        mut busy: Busy,
        home: H,
        length: BodyLength,
        persistent: bool,
        limits: &ExchangeLimits,
    ) -> Self {
        let length = match length {
            BodyLength::None => Length::Fixed(0),
            BodyLength::Fixed(length) => Length::Fixed(length),
            BodyLength::Chunked => Length::Chunked(Box::new(ChunkedDecoder::new(limits.chunks))),
            BodyLength::UntilClose => Length::UntilClose,
        };
        busy.desk.idle.set(limits.idle, "idle_timeout");
        Self {
            link: Some(Link {
                busy,
                home,
                persistent,
            }),
            length,
            step: BODY_BUFFER[0],
            trailers: None,
        }
    }

    /// Takes what is at hand of the body; `None`: read more.
    fn take(&mut self) -> Result<Option<Bytes>, BodyError> {
        match self.length {
            Length::Fixed(0) => {
                self.settle();
                Ok(None)
            }
            Length::Chunked(_) => self.take_chunked(),
            Length::Fixed(_) | Length::UntilClose => Ok(self.take_fixed()),
            Length::Broken => Err(BodyError::Gone),
        }
    }

    fn take_fixed(&mut self) -> Option<Bytes> {
        let input = &mut self.link.as_mut()?.busy.desk.input;
        let here = input.data().len();
        let len = match self.length {
            Length::Fixed(left) => usize::try_from(left).map_or(here, |left| left.min(here)),
            _ => here,
        };
        let bytes = input.take(len);
        if let Length::Fixed(left) = &mut self.length {
            *left -= bytes.len() as u64;
        }
        (!bytes.is_empty()).then_some(bytes)
    }

    /// Joins the data of all chunks at hand, so that tiny ones are not handed out singly.
    fn take_chunked(&mut self) -> Result<Option<Bytes>, BodyError> {
        let (Some(link), Length::Chunked(decoder)) = (self.link.as_mut(), &mut self.length) else {
            return Ok(None);
        };
        let input = &mut link.busy.desk.input;
        let mut joined = BytesMut::new();
        let done = loop {
            let data = input.data();
            let decoded = decoder.decode(data).map_err(BodyError::Malformed)?;
            match decoded {
                Decoded::Data { skip, data: len } => {
                    if joined.is_empty() {
                        joined.reserve(data.len() - skip);
                    }
                    joined.extend_from_slice(data.get(skip..skip + len).unwrap_or_default());
                    input.consume(skip + len);
                }
                Decoded::More { consumed } => {
                    input.consume(consumed);
                    break false;
                }
                Decoded::Done { consumed } => {
                    input.consume(consumed);
                    break true;
                }
            }
        };
        if done {
            let trailers = decoder.take_trailers();
            self.trailers = (!trailers.is_empty()).then_some(trailers);
            self.settle();
        }
        Ok((!joined.is_empty()).then(|| joined.freeze()))
    }

    /// Lets go of what is at hand of the body.
    fn take_all(&mut self) -> Result<(), BodyError> {
        while self.take()?.is_some() {}
        Ok(())
    }

    /// The answer is complete.
    fn settle(&mut self) {
        if let Some(link) = self.link.take() {
            let ends_itself = !matches!(self.length, Length::UntilClose);
            link.busy.settle(link.home, link.persistent && ends_itself);
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        loop {
            let taken = self.take()?;
            let Some(link) = &mut self.link else {
                return Poll::Ready(Ok(taken));
            };
            if taken.is_some() {
                link.busy.desk.idle.reset();
                return Poll::Ready(Ok(taken));
            }
            let step = self.step;
            match ready!(link.poll_more(cx, |busy, cx| busy.poll_fill(cx, step)))? {
                0 => return Poll::Ready(self.ended()),
                read if read < step / 4 => self.step = BODY_BUFFER[0],
                read if read < step => {}
                _ => self.step = (step * 2).min(BODY_BUFFER[1]),
            }
        }
    }

    /// The same for whoever does not look at it: in a pipe, if it may be had so.
    fn poll_next_unseen(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>, BodyError>> {
        if let (Some(most), Some(link)) = (self.piped_at_most(), &mut self.link)
            && let Some(piped) = ready!(link.poll_more(cx, |busy, cx| busy.poll_piped(cx, most)))?
        {
            if piped.is_empty() {
                return Poll::Ready(self.ended());
            }
            link.busy.desk.idle.reset();
            if let Length::Fixed(left) = &mut self.length {
                *left = left.saturating_sub(piped.len() as u64);
            }
            return Poll::Ready(Ok(Some(Chunk::Piped(piped))));
        }
        self.poll_next(cx).map_ok(|next| next.map(Chunk::from))
    }

    fn piped_at_most(&self) -> Option<usize> {
        let busy = &self.link.as_ref()?.busy;
        let left = match self.length {
            Length::Fixed(left) => left,
            // Who has sent much at once sends much.
            Length::UntilClose if self.step > BODY_BUFFER[0] => u64::MAX,
            _ => return None,
        };
        piped_at_most(&busy.connection.stream, left).filter(|_| busy.desk.input.is_empty())
    }

    /// The stream has ended.
    fn ended<T>(&mut self) -> Result<Option<T>, BodyError> {
        self.link = None;
        match self.length {
            Length::UntilClose => Ok(None),
            _ => Err(BodyError::Incomplete),
        }
    }

    /// After an error the connection is of no use.
    fn passed_on<T>(&mut self, next: Result<Option<T>, BodyError>) -> Option<Result<T, BodyError>> {
        if next.is_err() {
            self.link = None;
            self.length = Length::Broken;
        }
        next.transpose()
    }
}

impl<H> Link<H> {
    /// Goes on with the request.
    #[inline]
    fn send(&mut self, cx: &mut Context<'_>) {
        let busy = &mut self.busy;
        let before = busy.desk.upload.written();
        let _ = busy.poll_send(cx);
        if busy.desk.upload.written() > before {
            busy.desk.idle.reset();
        }
    }

    /// Goes on in both directions until `fill` has read something of the body.
    fn poll_more<T>(
        &mut self,
        cx: &mut Context<'_>,
        fill: impl FnOnce(&mut Busy, &Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<Result<T, BodyError>> {
        self.send(cx);
        let busy = &mut self.busy;
        let upload = &mut busy.desk.upload;
        if let Some(error) = upload.take_broken() {
            return Poll::Ready(Err(BodyError::other(error)));
        }
        let starved = upload.is_starved();
        match fill(busy, cx) {
            // Its own body is late, and the answer may well depend on it.
            Poll::Pending if starved => Poll::Pending,
            Poll::Pending => {
                let (limit, _) = ready!(busy.desk.idle.poll(cx));
                let setting = SilenceLimit::IdleTimeout;
                Poll::Ready(Err(BodyError::TimedOut { limit, setting }))
            }
            // An encrypted stream that was cut off.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Poll::Ready(Err(BodyError::Incomplete))
            }
            read => read.map_err(BodyError::Io),
        }
    }
}

impl<H: Home> BodyStream for Incoming<H> {
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        // Nothing here is pinned by its own contents.
        let this = self.get_mut();
        let next = ready!(this.poll_next(cx));
        Poll::Ready(this.passed_on(next))
    }

    fn poll_unseen(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk, BodyError>>> {
        let this = self.get_mut();
        let next = ready!(this.poll_next_unseen(cx));
        Poll::Ready(this.passed_on(next))
    }

    fn drive(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        if let Some(link) = &mut self.get_mut().link {
            link.send(cx);
        }
    }

    fn remaining(&self) -> Option<u64> {
        match self.length {
            Length::Fixed(left) => Some(left),
            Length::Chunked(_) | Length::UntilClose if self.link.is_none() => Some(0),
            _ => None,
        }
    }

    fn take_trailers(self: Pin<&mut Self>) -> Option<Headers> {
        self.get_mut().trailers.take()
    }
}

impl<H: Home> Unpin for Incoming<H> {}

/// Who has seen enough of an answer may have all of it at hand: then its connection is as
/// good as one whose body was read. Nothing is waited for.
impl<H: Home> Drop for Incoming<H> {
    fn drop(&mut self) {
        if self.take_all().is_err() {
            return;
        }
        let is_short = match self.length {
            Length::Fixed(left) => left <= UNREAD as u64,
            Length::Chunked(_) => true,
            Length::UntilClose | Length::Broken => false,
        };
        if let Some(link) = self.link.as_mut().filter(|_| is_short) {
            let cx = Context::from_waker(Waker::noop());
            if let Poll::Ready(Ok(1..)) = link.busy.poll_fill(&cx, UNREAD) {
                let _ = self.take_all();
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::Method;
    use squall_loop::IoLoop;
    use squall_loop::net::{UnixStream, WriteStream};
    use squall_loop::sync::Event;
    use squall_loop::time::now;

    use super::*;
    use crate::client::{Answer, Connection, Head, OnHead, Outgoing, Progress, exchange};
    use crate::stream::Stream;

    /// Larger than the largest read, and different at every place.
    fn pattern() -> Vec<u8> {
        (0..3_u32 << 20).map(|at| (at % 251) as u8).collect()
    }

    /// What a server answers that writes its head, and then goes on as told.
    async fn answer(ours: UnixStream, limits: ExchangeLimits, on_head: &OnHead) -> Answer {
        let headers = Headers::new();
        let outgoing = Outgoing {
            on_head: Some(on_head),
            ..Outgoing::new(&Method::GET, "/", "a", &headers)
        };
        let connection = Connection::new(Stream::from(ours), now(), now());
        let (body, mut progress) = (&mut Body::empty(), Progress::default());
        let answer = exchange(connection, (), &outgoing, body, &limits, &mut progress).await;
        answer.unwrap()
    }

    #[test]
    fn a_long_body_comes_as_it_was_sent() {
        let io_loop = IoLoop::builder().lanes(1).build().unwrap();
        let whole = io_loop.run(async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let server = IoLoop::current().spawn(async move {
                let body = pattern();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                theirs.write_all(head.as_bytes()).await.unwrap();
                theirs.write_all(&body).await.unwrap();
                theirs
            });
            let mut answer = answer(ours, ExchangeLimits::default(), &|_| {}).await;
            let whole = answer.body.collect(u64::MAX).await.unwrap();
            drop(server.await);
            whole
        });
        io_loop.stop();
        assert!(*whole.unwrap() == *pattern());
    }

    /// Whether an answer came whole whose body follows the head, and the body. The server
    /// writes it when the head was seen, or when the answer was had.
    fn split(hold: Option<Duration>, late: bool) -> (bool, Bytes) {
        let io_loop = IoLoop::builder().lanes(1).build().unwrap();
        let came = io_loop.run(async move {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let go_on = Arc::new(Event::new());
            let server = IoLoop::current().spawn({
                let go_on = go_on.clone();
                async move {
                    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
                    theirs.write_all(head).await.unwrap();
                    go_on.wait().await;
                    theirs.write_all(b"hello").await.unwrap();
                    theirs
                }
            });
            let limits = ExchangeLimits {
                hold,
                ..ExchangeLimits::default()
            };
            let told = go_on.clone();
            let on_head = move |head: Head<'_>| {
                if matches!(head, Head::Answer { .. }) && !late {
                    told.set();
                }
            };
            let mut answer = answer(ours, limits, &on_head).await;
            go_on.set();
            let whole = answer.body.as_bytes().is_some();
            let body = answer.body.collect(u64::MAX).await.unwrap();
            drop(server.await);
            (whole, body)
        });
        io_loop.stop();
        came.unwrap()
    }

    #[test]
    fn a_head_is_held_back_for_its_short_body() {
        let long = Some(Duration::from_secs(600));
        assert_eq!(split(long, false), (true, Bytes::from_static(b"hello")));
        assert_eq!(split(None, false), (false, Bytes::from_static(b"hello")));
    }

    #[test]
    fn a_head_is_not_held_back_for_ever() {
        let short = Some(Duration::from_millis(1));
        assert_eq!(split(short, true), (false, Bytes::from_static(b"hello")));
    }
}
