//! `Tunnel`: bytes between a client and an upstream that have left HTTP.
//!
//! ```text
//!   client --read--> Pipe --write--> upstream       each direction on its own:
//!   client <--write-- Pipe <--read-- upstream       an end of one is passed on as an end,
//!                                                   and the other one goes on (half-close)
//! ```
//! Where one side takes nothing any more, what still comes for it is thrown away, and the
//! other side gets what was sent before that. It is over when both directions have ended, a
//! connection has failed, or nothing has moved for too long. When the server shuts down, a
//! WebSocket is closed as its protocol has it, as soon as the frame that is on its way has
//! ended; whatever else is spoken is cut at the end of the grace.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use squall_http::Stream;
use squall_http::client::Upgraded;
use squall_http::server::{self, Exchange};
use squall_loop::time::coarse_nanos;
use squall_loop::{IoLoop, Sleep, sleep, sleep_until, with_timeout};

use super::frames::Frames;
use super::upstream::InFlight;

/// What is read at a time, and is on its way at most.
const PIECE: usize = 16 << 10;
/// How long a peer that has its end may go on sending: a socket that is closed with unread
/// bytes takes back what its peer has not read.
const LINGER: Duration = Duration::from_secs(10);
/// The same, when the server shuts down.
const LAST: Duration = Duration::from_secs(1);

/// Both ends of a tunnel, before it is opened.
pub(super) struct Tunnel {
    pub(super) exchange: Exchange,
    pub(super) upgraded: Upgraded,
    pub(super) is_websocket: bool,
    /// How long nothing may move.
    pub(super) idle: Option<Duration>,
    pub(super) in_flight: InFlight,
}

impl Tunnel {
    /// Carries bytes until both ends have nothing more to say.
    pub(super) async fn run(self, mut client: server::Upgraded) {
        let read_ahead = client.take_read_ahead();
        if let Some(end) = self.carry(client.stream(), read_ahead).await {
            linger(client.stream(), end).await;
        }
        client.stream().abort();
    }

    /// The same, until the upstream is not needed any more. The client may still be sending
    /// when it is to be told of this end.
    async fn carry(self, client: &Stream, read_ahead: Bytes) -> Option<End> {
        // The permit of the upstream's connection is held as long as that carries anything.
        let (answered_ahead, upstream, permit) = self.upgraded.into_parts();
        let watches = self.is_websocket;
        let mut up = Pipe::new(client, &upstream, read_ahead, watches);
        let mut down = Pipe::new(&upstream, client, answered_ahead, watches);
        let mut silence = self.idle.map(Silence::new);
        let mut draining = pin!(self.exchange.draining());
        let mut is_draining = false;
        let carried = poll_fn(|cx| {
            if watches && !is_draining && draining.as_mut().poll(cx).is_ready() {
                is_draining = true;
                up.close_frames(&CLOSE_MASKED);
                down.close_frames(&CLOSE);
            }
            let before = up.moved + down.moved;
            let up_is_over = up.poll(cx).map_err(|_| Cut::Both)?.is_ready();
            // A reset is told once, to whoever comes first: reading sees an end behind it.
            down.is_reset = up.met_reset;
            let over = up_is_over & down.poll(cx).map_err(|_| Cut::Upstream)?.is_ready();
            if over {
                return Poll::Ready(Ok(()));
            }
            match &mut silence {
                Some(silence) => {
                    (silence.poll(cx, up.moved + down.moved > before)).map(|()| Err(Cut::Both))
                }
                None => Poll::Pending,
            }
        })
        .await;
        let (up_refused, down_refused) = (up.is_refused(), down.is_refused());
        if carried.is_ok() && down_refused && !up_refused {
            // Nobody is served by that any more: it takes no place, and a shutdown hardly waits.
            drop((self.in_flight, permit));
            let over = async {
                self.exchange.draining().await;
                sleep(LAST).await;
            };
            or_until(over, linger(&upstream, End::Whole)).await;
        }
        upstream.abort();
        match carried {
            Ok(()) => (up_refused && !down_refused).then_some(End::Whole),
            Err(Cut::Upstream) => (!down_refused).then_some(End::Cut),
            Err(Cut::Both) => None,
        }
    }
}

/// What ends a tunnel before both directions have ended.
#[derive(Clone, Copy)]
enum Cut {
    /// The upstream's connection has failed. What came over it before is on its way.
    Upstream,
    /// The client's has, or nothing has moved for too long.
    Both,
}

/// What the end of what a peer was sent is.
#[derive(Clone, Copy)]
enum End {
    /// All that there was.
    Whole,
    /// Not the whole, and a peer that can tell is to see that.
    Cut,
}

/// Lets a peer that may still be sending read to the end of what it was sent.
async fn linger(peer: &Stream, end: End) {
    let end = async {
        poll_fn(|cx| peer.poll_flush(cx)).await?;
        match end {
            End::Whole => peer.close_write()?,
            End::Cut => peer.cut_write()?,
        }
        poll_fn(|cx| poll_discard(peer, cx)).await
    };
    // However it ends, it is over.
    let _ = with_timeout(LINGER, end).await;
}

/// Does something until it is done, or there is no time for it any more.
async fn or_until(over: impl Future<Output = ()>, task: impl Future<Output = ()>) {
    let (mut over, mut task) = (pin!(over), pin!(task));
    poll_fn(|cx| match task.as_mut().poll(cx) {
        Poll::Pending => over.as_mut().poll(cx),
        Poll::Ready(()) => Poll::Ready(()),
    })
    .await;
}

/// Throws away what comes. Ready at its end.
fn poll_discard(from: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    loop {
        ready!(from.poll_readable(cx));
        let mut scratch = vec![0; PIECE];
        if ready!(from.poll_read(cx, &mut scratch))? == 0 {
            return Poll::Ready(Ok(()));
        }
    }
}

/// A WebSocket's close frame with the code 1001, going away (RFC 6455 section 7.4.1).
const CLOSE: [u8; 4] = [0x88, 2, 0x03, 0xe9];
/// The same as a client sends it, masked by zeros.
const CLOSE_MASKED: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9];

/// One direction.
struct Pipe<'a> {
    from: &'a Stream,
    to: &'a Stream,
    /// On its way.
    piece: Bytes,
    moved: u64,
    stage: Stage,
    /// Writing has found that the connection was reset.
    met_reset: bool,
    /// So has the other direction: an end that is read is none.
    is_reset: bool,
    frames: Option<Frames>,
    /// What ends the conversation, once a frame has ended.
    closing: Option<&'static [u8]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// The end has been read.
    Ending,
    /// And passed on.
    Ended,
    /// We have put in what ends it.
    Closing,
    /// That is passed on, and what still comes is thrown away until its end.
    Draining,
    /// Nobody takes it, and what still comes is thrown away.
    Refused,
}

impl<'a> Pipe<'a> {
    fn new(from: &'a Stream, to: &'a Stream, ahead: Bytes, watches: bool) -> Self {
        let mut frames = watches.then(Frames::default);
        if let Some(frames) = &mut frames {
            frames.pass(&ahead);
        }
        Self {
            from,
            to,
            piece: ahead,
            moved: 0,
            stage: Stage::Open,
            met_reset: false,
            is_reset: false,
            frames,
            closing: None,
        }
    }

    /// Ends the conversation with this frame at the next border of two.
    fn close_frames(&mut self, frame: &'static [u8]) {
        self.closing = Some(frame);
    }

    /// Nobody takes what comes.
    fn is_refused(&self) -> bool {
        self.stage == Stage::Refused
    }

    fn refuse(&mut self, why: &io::Error) {
        self.met_reset |= why.kind() == io::ErrorKind::ConnectionReset;
        self.piece = Bytes::new();
        self.stage = Stage::Refused;
    }

    /// Ready when it has ended, or nobody takes what comes: the other direction may still
    /// have something. An error is the source's, and there is nobody for the other one.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.stage {
                Stage::Open | Stage::Ending | Stage::Closing => {}
                Stage::Draining => {
                    ready!(poll_discard(self.from, cx))?;
                    self.stage = Stage::Ended;
                    continue;
                }
                Stage::Refused => {
                    if poll_discard(self.from, cx)?.is_ready() {
                        self.stage = Stage::Ended;
                    }
                    return Poll::Ready(Ok(()));
                }
                Stage::Ended => return Poll::Ready(Ok(())),
            }
            if let Err(error) = ready!(self.poll_pass_on(cx)) {
                self.refuse(&error);
            }
            if self.stage != Stage::Open {
                continue;
            }
            let at_border = self.frames.as_ref().is_some_and(Frames::at_border);
            if let Some(frame) = self.closing.take_if(|_| at_border) {
                self.piece = Bytes::from_static(frame);
                self.stage = Stage::Closing;
                continue;
            }
            match self.poll_read(cx)? {
                Poll::Ready(true) => {}
                Poll::Ready(false) if self.is_reset => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                Poll::Ready(false) => self.stage = Stage::Ending,
                // What an encrypted stream has kept goes out while more is awaited.
                Poll::Pending => match self.to.poll_flush(cx) {
                    Poll::Ready(Err(error)) => self.refuse(&error),
                    _ => return Poll::Pending,
                },
            }
        }
    }

    /// Writes what is on its way, and the end behind it if that was read.
    fn poll_pass_on(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.piece.is_empty() {
            match ready!(self.to.poll_write(cx, &self.piece))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => {
                    self.piece.advance(written);
                    self.moved += written as u64;
                }
            }
        }
        let next = match self.stage {
            Stage::Ending => Stage::Ended,
            Stage::Closing => Stage::Draining,
            _ => return Poll::Ready(Ok(())),
        };
        ready!(self.to.poll_flush(cx))?;
        self.to.close_write()?;
        self.stage = next;
        Poll::Ready(Ok(()))
    }

    /// Reads the next piece; false is the end. Who waits holds no memory for it.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        ready!(self.from.poll_readable(cx));
        let mut piece = vec![0; PIECE];
        let read = ready!(self.from.poll_read(cx, &mut piece))?;
        piece.truncate(read);
        if let Some(frames) = &mut self.frames {
            frames.pass(&piece);
        }
        self.moved += read as u64;
        self.piece = piece.into();
        Poll::Ready(Ok(read > 0))
    }
}

/// The limit on silence: its timer is moved when it fires, not with each piece.
struct Silence {
    limit: Duration,
    moved_at: u64,
    timer: Sleep,
}

impl Silence {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            moved_at: coarse_nanos(),
            timer: sleep(limit),
        }
    }

    /// Ready when nothing has moved for so long.
    fn poll(&mut self, cx: &mut Context<'_>, moved: bool) -> Poll<()> {
        if moved {
            self.moved_at = coarse_nanos();
        }
        loop {
            ready!(Pin::new(&mut self.timer).poll(cx));
            let io_loop = IoLoop::current();
            let due = io_loop.instant_of(self.moved_at) + self.limit;
            if due <= io_loop.now() {
                return Poll::Ready(());
            }
            self.timer = sleep_until(due);
        }
    }
}
