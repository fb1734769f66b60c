//! How much a task may move through sockets in one poll.
//!
//! Between two fast sockets a copy loop never has to wait, and would keep its lane
//! for as long as the copy lasts. So each poll has a budget; when it is used up, the
//! next socket operation wakes its own task and is pending, and the others get
//! their turn.

use std::cell::Cell;
use std::task::{Context, Poll};

/// Operations in one poll.
const OPERATIONS: usize = 128;
/// Moving so many bytes counts as one more operation: 2 MiB a poll, below a
/// millisecond on today's machines.
const BYTES_PER_OPERATION: usize = 16 << 10;
/// What an operation takes, about.
const MICROS_PER_OPERATION: usize = 8;

thread_local! {
    static LEFT: Cell<usize> = const { Cell::new(OPERATIONS) };
}

/// A poll begins.
#[inline]
pub(crate) fn renew() {
    LEFT.set(OPERATIONS);
}

/// Whether the poll may go on; if not, its task is woken for the next one.
#[inline]
pub(crate) fn is_left(cx: &Context<'_>) -> bool {
    if LEFT.get() > 0 {
        return true;
    }
    cx.waker().wake_by_ref();
    false
}

/// Asks for a turn of computing that takes about `micros` microseconds, for a loop that
/// would keep its lane for long without ever waiting: one that compresses, say.
///
/// Pending when the poll has spent its budget of about a millisecond, sockets included;
/// the task is woken at once, behind the others.
///
/// # Cancel safety
/// Nothing is lost.
pub fn poll_turn(cx: &Context<'_>, micros: u32) -> Poll<()> {
    if !is_left(cx) {
        // Who polls outside of a loop has nobody else who renews it.
        renew();
        return Poll::Pending;
    }
    let operations = micros as usize / MICROS_PER_OPERATION;
    LEFT.set(LEFT.get().saturating_sub(operations.max(1)));
    Poll::Ready(())
}

/// An operation moved `bytes`.
#[inline]
pub(crate) fn spend(bytes: usize) {
    LEFT.set(LEFT.get().saturating_sub(1 + bytes / BYTES_PER_OPERATION));
}
