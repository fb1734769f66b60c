//! Signals, as streams on a lane.
//!
//! A handler writes a byte into a pipe, and the pipe is registered in the lane's
//! reactor, so no thread waits and nothing of the program runs inside a handler.
//!
//! | Tornado, Python | here |
//! |---|---|
//! | `signal.signal(SIGHUP, …)` with `add_callback_from_signal` | [`signal`]`(SignalKind::hangup())?`, then [`Signals::recv`] |
//! | `loop.add_signal_handler` | the same |
//! | a handler for SIGTERM and SIGINT that stops the loop | [`terminate`] |

use std::future::Future;
use std::io;
#[cfg(unix)]
use std::{
    fmt,
    future::poll_fn,
    task::{Context, Poll},
};

#[cfg(unix)]
use signal_hook::{SigId, consts, low_level};

#[cfg(unix)]
use crate::net::{PipeReader, ReadStream};
#[cfg(unix)]
use crate::task::say;

/// Which signal.
#[cfg(unix)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignalKind(i32);

#[cfg(unix)]
impl SignalKind {
    /// A signal by its number on this platform.
    pub const fn from_raw(number: i32) -> Self {
        Self(number)
    }

    /// Its number on this platform.
    pub const fn as_raw(self) -> i32 {
        self.0
    }

    /// SIGHUP: the terminal is gone; by custom, "read your settings anew".
    pub const fn hangup() -> Self {
        Self(consts::SIGHUP)
    }

    /// SIGINT: Ctrl-C.
    pub const fn interrupt() -> Self {
        Self(consts::SIGINT)
    }

    /// SIGTERM: a polite request to end.
    pub const fn terminate() -> Self {
        Self(consts::SIGTERM)
    }

    /// SIGCHLD: a child process has ended or stopped.
    /// [`Subprocess`](crate::process::Subprocess) needs no help with it.
    pub const fn child() -> Self {
        Self(consts::SIGCHLD)
    }

    /// SIGUSR1: of the program's own meaning.
    pub const fn user_defined1() -> Self {
        Self(consts::SIGUSR1)
    }

    /// SIGUSR2: of the program's own meaning.
    pub const fn user_defined2() -> Self {
        Self(consts::SIGUSR2)
    }

    /// SIGWINCH: the terminal has another size.
    pub const fn window_change() -> Self {
        Self(consts::SIGWINCH)
    }
}

#[cfg(unix)]
impl fmt::Display for SignalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match low_level::signal_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

#[cfg(unix)]
impl fmt::Debug for SignalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignalKind({self})")
    }
}

/// Catches a signal of the process from now on. Must be called inside a loop.
///
/// Any number of streams may catch the same signal; each sees it. From the first
/// call on the signal has no other effect on the process, also when every stream
/// has been dropped again.
///
/// # Errors
/// `InvalidInput` for a signal that cannot be caught (SIGKILL, SIGSTOP), that stands
/// for a broken program (SIGSEGV, SIGILL, SIGFPE), or that does not exist; else the
/// system's.
///
/// ```
/// use squall_loop::signal::{SignalKind, signal};
///
/// # let io_loop = squall_loop::IoLoop::builder().lanes(1).build().unwrap();
/// # io_loop.run(async {
/// let mut hangups = signal(SignalKind::hangup())?;
/// # signal_hook::low_level::raise(signal_hook::consts::SIGHUP)?;
/// hangups.recv().await;
/// // … read the settings anew.
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap().unwrap();
/// # io_loop.stop();
/// ```
#[cfg(unix)]
#[doc(alias = "add_signal_handler")]
pub fn signal(kind: SignalKind) -> io::Result<Signals> {
    if consts::FORBIDDEN.contains(&kind.0) {
        let message = format!("{kind} cannot be handled by a program");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let (sender, receiver) = mio::unix::pipe::new()?;
    let pipe = PipeReader::new(receiver)?;
    let action = low_level::pipe::register(kind.0, sender)
        .map_err(|error| io::Error::new(error.kind(), format!("{kind}: {error}")))?;
    Ok(Signals { kind, pipe, action })
}

/// The signals of one kind, as they come.
#[cfg(unix)]
#[derive(Debug)]
pub struct Signals {
    kind: SignalKind,
    pipe: PipeReader,
    action: SigId,
}

#[cfg(unix)]
impl Signals {
    /// Waits for the next signal. Those that come while nobody waits count as one. None
    /// comes any more once the loop has ended that this was made in.
    ///
    /// # Cancel safety
    /// No signal is lost.
    pub async fn recv(&mut self) {
        poll_fn(|cx| self.poll_recv(cx)).await;
    }

    /// Ready when a signal has come since the last time; else the task is woken then.
    pub fn poll_recv(&mut self, cx: &Context<'_>) -> Poll<()> {
        match self.poll_caught(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            // Its loop has ended.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::NotConnected => Poll::Pending,
            Poll::Ready(Err(error)) => {
                // The pipe is ours, and its writing end is as old as we are.
                say(|| {
                    tracing::error!(target: "squall::loop", %error, kind = %self.kind, "a pipe of signals is broken");
                });
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// As [`poll_recv`](Self::poll_recv), and an error where no signal will be seen.
    pub(crate) fn poll_caught(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let read = self.pipe.poll_read(cx, &mut [0; 64]);
        read.map_ok(drop)
    }
}

#[cfg(unix)]
impl Drop for Signals {
    fn drop(&mut self) {
        low_level::unregister(self.action);
    }
}

/// Catches SIGTERM and SIGINT (Ctrl-C) from now on; the future names which came.
///
/// The call itself does the catching, so a signal that comes before the future is
/// awaited is not lost. From then on they no longer end the process by themselves.
/// Must be called inside a loop.
///
/// # Errors
/// When the handler cannot be installed.
///
/// # Cancel safety
/// Dropping the future stops waiting; the signals stay without effect.
#[cfg(unix)]
pub fn terminate() -> io::Result<impl Future<Output = &'static str> + Send> {
    let mut terminations = signal(SignalKind::terminate())?;
    let mut interrupts = signal(SignalKind::interrupt())?;
    Ok(poll_fn(move |cx| {
        if terminations.poll_recv(cx).is_ready() {
            Poll::Ready("SIGTERM")
        } else {
            interrupts.poll_recv(cx).map(|()| "SIGINT")
        }
    }))
}

/// Never: this platform's console events are not supported yet.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn terminate() -> io::Result<impl Future<Output = &'static str> + Send> {
    Ok(std::future::pending())
}
