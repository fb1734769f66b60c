//! What a connection's driver shares with whoever else may touch the connection.
//!
//! The driver runs in one task. While a handler is stuck in blocking code that task
//! cannot run; the deadline's callback then answers in its place. Which of the two
//! owns the answer is decided by one atomic word, in `phase.rs`.

use std::any::Any;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use http::StatusCode;
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use squall_loop::time::coarse_nanos;
use squall_loop::{Blocked, DeadlineScope, Timeout, Watch};

use super::accept::Origin;
use super::admission::Admitted;
use super::encode;
use super::phase::{Phase, Turn};
use super::read::ReadSide;
use super::recycle;
use crate::alarm::nanos;
use crate::pieces::Pieces;
use crate::stream::Stream;
use crate::wire::Peer;
use crate::wire::headers::Headers;

/// What may wait for the client when one more interim answer is to go out.
const MAX_UNREAD_INTERIM: usize = 64 << 10;

pub(crate) struct Conn {
    me: Weak<Self>,
    pub(super) stream: Stream,
    pub(super) server: Admitted,
    pub(super) peer: Peer,
    /// The tag of the listener that it came by.
    pub(super) listener: u32,
    turn: Turn,
    /// What the service calls the current exchange's route.
    pub(super) tag: AtomicU32,
    /// When the current exchange began, or the connection, in nanoseconds of the loop's
    /// clock.
    begun: AtomicU64,
    /// From when on the handler has to answer: the exchange's begin, or the last piece of
    /// its body. While a piece is awaited, when its client will have run out of time.
    clock: AtomicU64,
    /// The current exchange's own limit on that, in nanoseconds; 0: none.
    limit: AtomicU64,
    /// Its request is a HEAD.
    is_head: AtomicBool,
    out: Mutex<Out>,
    pub(super) read: Mutex<ReadSide>,
    /// Made by the first exchange that has to wait.
    slow: Mutex<Option<Box<Slow>>>,
}

/// Bytes on their way out.
#[derive(Default)]
struct Out {
    buffer: Vec<u8>,
    written: usize,
    /// Bytes that the socket has taken since the connection began.
    sent: u64,
}

/// What only slow exchanges need.
#[derive(Default)]
struct Slow {
    deadline: Option<Armed>,
    driver: Option<Waker>,
    on_close: Vec<Waker>,
    /// What the service wants to be reminded of when the deadline answers.
    note: Option<Note>,
}

/// The timer of the deadlines, which goes from exchange to exchange: one that fires too
/// early is armed anew, and none that is answered in time costs a timer of its own.
struct Armed {
    timeout: Timeout,
    /// In nanoseconds of the loop's clock.
    when: u64,
    /// The last exchange that it is early enough for.
    number: u64,
}

/// Something of the service's that stays with an exchange.
pub(super) type Note = Arc<dyn Any + Send + Sync>;

impl Conn {
    pub(super) fn new(stream: Stream, origin: Origin, server: Admitted) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            stream,
            server,
            peer: origin.peer,
            listener: origin.listener,
            turn: Turn::new(),
            tag: AtomicU32::new(0),
            begun: AtomicU64::new(coarse_nanos()),
            clock: AtomicU64::new(0),
            limit: AtomicU64::new(0),
            is_head: AtomicBool::new(false),
            out: Mutex::default(),
            read: Mutex::default(),
            slow: Mutex::default(),
        })
    }

    // ---- the exchange's life ----

    /// How many exchanges have begun.
    pub(super) fn number(&self) -> u64 {
        self.turn.number()
    }

    pub(super) fn is(&self, phase: Phase) -> bool {
        self.turn.is(phase)
    }

    /// Between two requests. False: the server closes the connection meanwhile.
    pub(super) fn idle(&self) -> bool {
        self.turn.idle();
        !self.server.is_draining()
    }

    /// The first byte of a head is there. False: the server has closed us.
    pub(super) fn leave_idle(&self) -> bool {
        self.turn.leave_idle()
    }

    /// Whether it waits for its next request, or its first.
    pub(super) fn is_idle(&self) -> bool {
        self.turn.is(Phase::Idle)
    }

    /// Closes an idle connection, from outside. False: it is not idle any more.
    pub(super) fn close_if_idle(&self) -> bool {
        let ours = self.turn.close_if_idle();
        if ours {
            self.stream.abort();
        }
        ours
    }

    /// A head is complete: the handler begins.
    pub(super) fn begin(&self, is_head: bool) -> u64 {
        self.is_head.store(is_head, Ordering::Relaxed);
        self.tag.store(0, Ordering::Relaxed);
        self.limit.store(0, Ordering::Relaxed);
        let now = coarse_nanos();
        self.begun.store(now, Ordering::Relaxed);
        self.clock.store(now, Ordering::Relaxed);
        self.turn.begin()
    }

    /// The handler has answered. False: the deadline answered before.
    pub(super) fn answered(&self, number: u64) -> bool {
        let answered = self.turn.answered(number);
        if answered == Some(true)
            && let Some(slow) = &mut *self.slow.lock()
        {
            slow.note = None;
        }
        answered.is_some()
    }

    /// The connection is over: whoever waits for that is woken.
    pub(super) fn closed(&self) {
        self.turn.close();
        let Some(waited) = self.slow.lock().take() else {
            return;
        };
        if let Some(armed) = waited.deadline {
            armed.timeout.cancel();
        }
        for waker in waited.on_close {
            waker.wake();
        }
    }

    /// Ready once the exchange or its connection is over.
    pub(super) fn poll_over(&self, number: u64, cx: &Context<'_>) -> Poll<()> {
        let mut slow = self.slow();
        if self.is_over(number) {
            return Poll::Ready(());
        }
        if !slow
            .on_close
            .iter()
            .any(|waker| waker.will_wake(cx.waker()))
        {
            slow.on_close.push(cx.waker().clone());
        }
        Poll::Pending
    }

    // ---- the deadline ----

    pub(super) fn begun(&self) -> Instant {
        self.server.io_loop.instant_of(self.begun_nanos())
    }

    /// The same in nanoseconds of the loop's clock; before the first exchange, when the
    /// connection began.
    pub(super) fn begun_nanos(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// When the current exchange must be answered, in nanoseconds of the loop's clock.
    #[inline]
    pub(super) fn due(&self) -> u64 {
        let limit = match self.limit.load(Ordering::Relaxed) {
            0 => self.server.handler_nanos,
            own => own,
        };
        self.clock.load(Ordering::Relaxed).saturating_add(limit)
    }

    /// The handler has to answer from now on: it was waiting for the client until now, or
    /// will until then. How long a client may take is no matter of the handler's.
    pub(super) fn set_clock(&self, nanos: u64) {
        let before = self.due();
        self.clock.store(nanos, Ordering::Relaxed);
        DeadlineScope::moved(before, self.due());
    }

    pub(super) fn limit(&self) -> Duration {
        match self.limit.load(Ordering::Relaxed) {
            0 => self.server.settings.handler_timeout,
            own => Duration::from_nanos(own),
        }
    }

    /// Gives the current exchange a deadline of its own.
    pub(super) fn set_limit(&self, number: u64, limit: Duration) {
        if self.is_over(number) {
            return; // By now this may be another exchange's connection.
        }
        let before = self.due();
        self.limit.store(nanos(limit).max(1), Ordering::Relaxed);
        DeadlineScope::moved(before, self.due());
        let mut slow = self.slow();
        if let Some(armed) = &mut slow.deadline {
            armed.number = 0;
        }
        self.arm_deadline(&mut slow, number);
    }

    /// Sees to it that the handler's deadline fires even if its task cannot run.
    fn arm_deadline(&self, slow: &mut Slow, number: u64) {
        if !self.turn.arm(number) {
            return;
        }
        if let Some(armed) = &mut slow.deadline {
            // Never more than the limit away: the body moves the clock in both directions.
            let latest = self.begun_nanos().saturating_add(nanos(self.limit()));
            if armed.when <= self.due().min(latest) {
                armed.number = number;
            }
            if armed.number == number {
                return;
            }
        }
        if let Some(late) = slow.deadline.replace(self.call_deadline(number)) {
            late.timeout.cancel();
        }
    }

    /// The timer is never more than the limit away, so that it is not late whenever the
    /// body moves the clock.
    fn call_deadline(&self, number: u64) -> Armed {
        let io_loop = &self.server.io_loop;
        let now = (io_loop.now()).saturating_duration_since(io_loop.instant_of(0));
        let when = (self.due()).min(nanos(now.saturating_add(self.limit())));
        let conn = self.me.clone();
        let timeout = io_loop.call_at(io_loop.instant_of(when), move || {
            if let Some(conn) = conn.upgrade() {
                conn.deadline_passed();
            }
        });
        Armed {
            timeout,
            when,
            number,
        }
    }

    /// Answers 504 in place of a handler that has not, stuck or not.
    fn deadline_passed(&self) {
        let mut slow = self.slow();
        slow.deadline = None;
        let number = self.number();
        if !self.turn.arm(number) {
            return; // Between two exchanges: the next one that needs a timer arms one.
        }
        let io_loop = &self.server.io_loop;
        if io_loop.now() < io_loop.instant_of(self.due()) {
            slow.deadline = Some(self.call_deadline(number));
            return;
        }
        drop(slow);
        if !self.turn.take(number) {
            return;
        }
        let tag = self.tag.load(Ordering::Relaxed);
        let note = self.slow().note.take();
        let answer = self.server.service.timed_out(tag, self.limit(), note);
        let mut out = self.out();
        let is_head = self.is_head.load(Ordering::Relaxed);
        encode::whole(&mut out.buffer, is_head, answer);
        // No task of ours can wait here: a full socket is closed with less said.
        self.write_now(&mut out);
        drop(out);
        let _ = self.stream.close_write();
        let mut slow = self.slow();
        let driver = slow.driver.take();
        let waiting = std::mem::take(&mut slow.on_close);
        drop(slow);
        for waker in driver.into_iter().chain(waiting) {
            waker.wake();
        }
    }

    /// Whether nobody waits for this exchange's answer any more.
    pub(super) fn is_over(&self, number: u64) -> bool {
        self.turn.is_over(number)
    }

    /// A handler's result came when nobody waited for it any more.
    pub(super) fn late(&self, tag: u32) {
        let now = self.server.io_loop.now();
        let due = self.server.io_loop.instant_of(self.due());
        let overdue = now.saturating_duration_since(due);
        self.server.late(tag, overdue);
    }

    pub(super) fn keep_note(&self, note: Note) {
        self.slow().note = Some(note);
    }

    // ---- the write side ----

    /// Appends to what goes out next.
    pub(super) fn write(&self, fill: impl FnOnce(&mut Vec<u8>)) -> usize {
        let mut out = self.out();
        if out.buffer.capacity() == 0 {
            out.buffer = recycle::take_write_buffer();
        }
        fill(&mut out.buffer);
        out.waiting()
    }

    /// Puts an interim answer before the exchange's own. False: it is too late for one, or
    /// the client has not taken the last ones.
    pub(super) fn inform(&self, number: u64, status: StatusCode, headers: &Headers) -> bool {
        let mut out = self.out();
        // Under the lock, so that a deadline's answer is before it or after it.
        let is_due = self.number() == number && self.is(Phase::Handling);
        if !is_due || out.waiting() > MAX_UNREAD_INTERIM {
            return false;
        }
        if out.buffer.capacity() == 0 {
            out.buffer = recycle::take_write_buffer();
        }
        encode::interim(&mut out.buffer, status, headers);
        self.write_now(&mut out);
        true
    }

    /// Bytes that wait to be written.
    pub(super) fn buffered(&self) -> usize {
        self.out().waiting()
    }

    /// Bytes that the socket has taken since the connection began.
    pub(super) fn sent(&self) -> u64 {
        self.out().sent
    }

    /// Writes what is buffered, then the pieces and what ends them, in as few system calls as
    /// the socket has room.
    pub(super) fn poll_write(
        &self,
        cx: &Context<'_>,
        pieces: &mut Pieces,
        tail: &mut &[u8],
    ) -> Poll<io::Result<()>> {
        let mut out = self.out();
        while out.waiting() > 0 || !pieces.is_empty() || !tail.is_empty() {
            let buffered = out.rest().unwrap_or_default();
            let written = ready!(pieces.poll_write(&self.stream, cx, buffered, tail))?;
            if written.sum() == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            out.note(written.before);
            out.sent += (written.pieces + written.after) as u64;
            *tail = tail.get(written.after..).unwrap_or_default();
        }
        out.release_written();
        Poll::Ready(Ok(()))
    }

    /// Writes what the socket takes at once, for whoever is not the driver: its waker
    /// stays where it is.
    fn write_now(&self, out: &mut Out) {
        while let Some(rest) = out.rest() {
            match self.stream.try_write(rest) {
                Ok(written) if written > 0 => out.note(written),
                _ => break,
            }
        }
    }

    /// Writes what is buffered to the socket.
    pub(super) fn poll_flush(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let mut out = self.out();
        if out.buffer.is_empty() {
            drop(out);
            return self.stream.poll_flush(cx);
        }
        while let Some(rest) = out.rest() {
            match ready!(self.stream.poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => out.note(written),
            }
        }
        out.release_written();
        drop(out);
        self.stream.poll_flush(cx)
    }

    /// While the handler is pending: what there was to send is sent, the deadline
    /// is armed. Ready when the deadline has answered or the client is gone.
    pub(super) fn poll_waiting(&self, number: u64, cx: &mut Context<'_>) -> Poll<()> {
        let mut slow = self.slow();
        match &mut slow.driver {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            other => *other = Some(cx.waker().clone()),
        }
        self.arm_deadline(&mut slow, number);
        drop(slow);
        if self.is(Phase::Taken) {
            return Poll::Ready(());
        }
        if let Poll::Ready(Err(_)) = self.poll_flush(cx) {
            return Poll::Ready(());
        }
        self.read().poll_gone(&self.stream, cx)
    }

    pub(super) fn read(&self) -> MutexGuard<'_, ReadSide> {
        self.read.lock()
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock()
    }

    fn slow(&self) -> MappedMutexGuard<'_, Slow> {
        MutexGuard::map(self.slow.lock(), |slow| &mut **slow.get_or_insert_default())
    }
}

impl Out {
    fn waiting(&self) -> usize {
        self.buffer.len() - self.written
    }

    /// So many bytes of the buffer were written.
    fn note(&mut self, written: usize) {
        self.written += written;
        self.sent += written as u64;
    }

    fn rest(&self) -> Option<&[u8]> {
        self.buffer
            .get(self.written..)
            .filter(|rest| !rest.is_empty())
    }

    /// Lets go of the buffer if all of it is written.
    #[inline]
    fn release_written(&mut self) {
        if self.waiting() == 0 && self.buffer.capacity() > 0 {
            recycle::give_write_buffer(std::mem::take(&mut self.buffer));
            self.written = 0;
        }
    }
}

/// The connection's task as the loop's monitor sees it: one that the task's end takes
/// off its lane's list.
impl Watch for Conn {
    fn label(&self) -> String {
        self.server.service.label(self.tag.load(Ordering::Relaxed))
    }

    fn caught(&self, blocked: &Blocked) {
        if self.is(Phase::Handling) {
            // Answers to earlier requests of the same connection do not wait.
            self.write_now(&mut self.out());
            self.arm_deadline(&mut self.slow(), self.number());
        }
        if !blocked.explicit {
            let tag = self.tag.load(Ordering::Relaxed);
            self.server.service.caught(tag, blocked);
        }
    }

    fn released(&self, blocked: &Blocked, total: Duration) {
        if !blocked.explicit {
            let tag = self.tag.load(Ordering::Relaxed);
            self.server.service.released(tag, blocked, total);
        }
    }
}
