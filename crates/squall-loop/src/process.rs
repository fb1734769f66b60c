//! Child processes whose pipes and whose end a task can wait for.
//!
//! A [`Subprocess`] is made from the standard library's
//! [`Command`], so there is no second builder to learn.
//!
//! | Tornado | here |
//! |---|---|
//! | `Subprocess(args, stdout=Subprocess.STREAM)` | [`Subprocess::spawn`]`(Command::new(…).stdout(Stdio::piped()))` |
//! | `proc.stdout.read_until_close()` | [`ReadStream::read_to_end`] of `subprocess.stdout`, or [`Subprocess::wait_with_output`] |
//! | `proc.wait_for_exit()` | [`Subprocess::wait_for_exit`] |
//! | `proc.wait_for_exit(raise_error=False)`, `set_exit_callback` | [`Subprocess::wait`] |
//! | `Subprocess.initialize()` | not needed: no handler for SIGCHLD has to be installed |
//!
//! This module is there on Unix only: the loop waits for descriptors, and Windows has
//! handles for processes and pipes that a reactor of sockets cannot watch. There, give
//! the blocking [`Command`] to [`run_on_executor`](crate::run_on_executor).

use std::future::poll_fn;
use std::io;
use std::process::{Child, Command, ExitStatus, Output};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use crate::lane::Lane;
use crate::net::{PipeReader, PipeWriter, ReadStream, current_lane};
use crate::signal::{SignalKind, Signals, signal};
#[cfg(target_os = "linux")]
use crate::{
    net::Registered,
    reactor::{Direction, Source},
    sys::PidFd,
};

/// A child process.
///
/// Dropping it kills the process (SIGKILL, to this process and not to its own
/// children) unless [`kill_on_drop`](Self::kill_on_drop) says otherwise. Either way the
/// loop reaps it when it ends, so none stays a zombie while the loop runs. Only the
/// child itself is waited for, never "any child": other code may have children too.
///
/// ```
/// use std::process::{Command, Stdio};
/// use squall_loop::process::Subprocess;
///
/// # let io_loop = squall_loop::IoLoop::builder().lanes(1).build().unwrap();
/// # io_loop.run(async {
/// let mut echo = Command::new("echo");
/// let echo = Subprocess::spawn(echo.arg("hello").stdout(Stdio::piped()))?;
/// let output = echo.wait_with_output().await?;
/// assert!(output.status.success());
/// assert_eq!(output.stdout, b"hello\n");
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap().unwrap();
/// # io_loop.stop();
/// ```
#[derive(Debug)]
pub struct Subprocess {
    /// What the child reads, if the command said `Stdio::piped()`. Take it to write
    /// while something else waits for the child; dropping it is the end of its input.
    pub stdin: Option<PipeWriter>,
    /// What the child writes, if the command said `Stdio::piped()`.
    pub stdout: Option<PipeReader>,
    /// The child's complaints, if the command said `Stdio::piped()`.
    pub stderr: Option<PipeReader>,
    watched: Option<Watched>,
    kill_on_drop: bool,
    id: u32,
}

impl Subprocess {
    /// Starts a process. Must be called inside a loop.
    ///
    /// Starting one takes the system a millisecond or so, in which this thread waits.
    ///
    /// # Errors
    /// When the program cannot be started, such as `NotFound`, or not be watched.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        // Without a lane nobody would reap it.
        let lane = current_lane()?;
        let mut child = command.spawn()?;
        match pipes_and_exit(&mut child) {
            Ok((stdin, stdout, stderr, exit)) => Ok(Self {
                stdin,
                stdout,
                stderr,
                id: child.id(),
                watched: Some(Watched { child, exit, lane }),
                kill_on_drop: true,
            }),
            Err(error) => {
                // Killed, it ends at once.
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// The process's id. Once its end has been seen, another process may have it.
    #[doc(alias = "pid")]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Waits for the process to end, after closing [`stdin`](Self::stdin) unless that
    /// was taken: a child that reads to the end would wait for us otherwise.
    ///
    /// Once it has ended, every call returns the same status at once. A child whose
    /// output is piped and not read may never end: its pipe is full at 64 KiB.
    ///
    /// # Errors
    /// The system's: somebody else has reaped the child. `NotConnected` while it runs and
    /// the loop that it was started in has ended, which would have told of its end.
    ///
    /// # Cancel safety
    /// The end of the process is not lost; wait again. Closed stays closed.
    #[doc(alias = "set_exit_callback")]
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.stdin = None;
        let watched = self.watched();
        poll_fn(|cx| watched.poll_wait(cx)).await
    }

    /// As [`wait`](Self::wait), and anything but success is an error.
    ///
    /// # Errors
    /// An [`ExitError`] inside of an [`io::Error`], or the system's.
    ///
    /// # Cancel safety
    /// As [`wait`](Self::wait).
    #[doc(alias = "CalledProcessError")]
    pub async fn wait_for_exit(&mut self) -> io::Result<()> {
        let status = self.wait().await?;
        if status.success() {
            return Ok(());
        }
        Err(io::Error::other(ExitError { status }))
    }

    /// Waits for the process to end and collects what it writes to its piped outputs,
    /// without a limit. An output that is not piped, or was taken, is empty.
    ///
    /// # Errors
    /// The system's.
    ///
    /// # Cancel safety
    /// Dropping it drops the process and what was collected.
    #[doc(alias = "read_until_close")]
    pub async fn wait_with_output(mut self) -> io::Result<Output> {
        self.stdin = None;
        let (stdout, stderr) = collect_both(self.stdout.take(), self.stderr.take()).await?;
        let status = self.wait().await?;
        Ok(Output {
            status,
            stdout,
            stderr,
        })
    }

    /// The status, if the process has ended.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.watched().child.try_wait()
    }

    /// Kills the process (SIGKILL) without waiting for its end. A process that has
    /// ended is left in peace.
    ///
    /// # Errors
    /// The system's, such as `PermissionDenied` for a program with another user's rights.
    pub fn kill(&mut self) -> io::Result<()> {
        self.watched().child.kill()
    }

    /// Whether dropping this kills the process; at first it does.
    ///
    /// With false the process goes on without us, and outlives the loop. Its piped
    /// streams are closed all the same.
    #[doc(alias = "detach")]
    pub fn kill_on_drop(&mut self, kill: bool) {
        self.kill_on_drop = kill;
    }

    fn watched(&mut self) -> &mut Watched {
        self.watched.as_mut().expect("only `drop` takes it")
    }
}

impl Drop for Subprocess {
    fn drop(&mut self) {
        let Some(mut watched) = self.watched.take() else {
            return;
        };
        if !matches!(watched.child.try_wait(), Ok(None)) {
            return;
        }
        // Where it fails the process has another user's rights, and goes on.
        let killed = self.kill_on_drop && watched.child.kill().is_ok();
        let lane = watched.lane.clone();
        let mut orphan = Orphan { watched, killed };
        if !lane.stopping.load(Ordering::SeqCst) {
            let reaped = async move { poll_fn(|cx| orphan.watched.poll_wait(cx)).await };
            drop(lane.spawn(reaped, None));
        }
    }
}

/// A process that nobody waits for but us.
struct Orphan {
    watched: Watched,
    killed: bool,
}

impl Drop for Orphan {
    /// After its end, or when the loop stops.
    fn drop(&mut self) {
        if self.killed {
            // It has been killed, so this takes a moment at most.
            let _ = self.watched.child.wait();
        }
    }
}

/// The process and what tells of its end.
#[derive(Debug)]
struct Watched {
    child: Child,
    exit: Exit,
    lane: Arc<Lane>,
}

impl Watched {
    /// Looks first and waits then, so an end that came before the watch is seen.
    fn poll_wait(&mut self, cx: &Context<'_>) -> Poll<io::Result<ExitStatus>> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Poll::Ready(Ok(status));
            }
            ready!(self.exit.poll_news(cx))?;
        }
    }
}

/// Tells when a look at the process is worth while.
#[derive(Debug)]
enum Exit {
    #[cfg(target_os = "linux")]
    Process(Registered<PidFd>),
    /// SIGCHLD: one of the program's children has ended, perhaps this one.
    AnyChild(Signals),
}

impl Exit {
    #[cfg(target_os = "linux")]
    fn of(id: u32) -> io::Result<Self> {
        use io::ErrorKind::{PermissionDenied, Unsupported};
        match PidFd::open(id) {
            Ok(process) => Registered::here(process, Source::waiting()).map(Self::Process),
            // Kernels before 5.3, and sandboxes that do not know the call.
            Err(error) if matches!(error.kind(), Unsupported | PermissionDenied) => {
                Self::of_any_child()
            }
            Err(error) => Err(error),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn of(_id: u32) -> io::Result<Self> {
        Self::of_any_child()
    }

    fn of_any_child() -> io::Result<Self> {
        signal(SignalKind::child()).map(Self::AnyChild)
    }

    /// Ready once after each piece of news; an error once its loop hears of none any more.
    fn poll_news(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Process(process) => {
                ready!(process.source().poll_ready(Direction::Read, cx));
                process.source().check()?;
                process.source().clear(Direction::Read);
                Poll::Ready(Ok(()))
            }
            Self::AnyChild(signals) => signals.poll_caught(cx),
        }
    }
}

type Parts = (
    Option<PipeWriter>,
    Option<PipeReader>,
    Option<PipeReader>,
    Exit,
);

fn pipes_and_exit(child: &mut Child) -> io::Result<Parts> {
    let exit = Exit::of(child.id())?;
    let stdin = child.stdin.take().map(PipeWriter::from_stdin);
    let stdout = child.stdout.take().map(PipeReader::from_stdout);
    let stderr = child.stderr.take().map(PipeReader::from_stderr);
    Ok((
        stdin.transpose()?,
        stdout.transpose()?,
        stderr.transpose()?,
        exit,
    ))
}

/// Reads both to their ends, whichever has something: a child that is stuck because
/// one is full would never end the other.
async fn collect_both(
    stdout: Option<PipeReader>,
    stderr: Option<PipeReader>,
) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut readings = [
        Some(Box::pin(collect(stdout, &mut out))),
        Some(Box::pin(collect(stderr, &mut err))),
    ];
    poll_fn(|cx| {
        for reading in &mut readings {
            if let Some(future) = reading
                && let Poll::Ready(read) = future.as_mut().poll(cx)
            {
                *reading = None;
                read?;
            }
        }
        if readings.iter().all(Option::is_none) {
            return Poll::Ready(Ok::<(), io::Error>(()));
        }
        Poll::Pending
    })
    .await?;
    drop(readings);
    Ok((out, err))
}

async fn collect(pipe: Option<PipeReader>, bytes: &mut Vec<u8>) -> io::Result<()> {
    if let Some(pipe) = pipe {
        pipe.read_to_end(bytes).await?;
    }
    Ok(())
}

/// The error of a process that did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "CalledProcessError")]
pub struct ExitError {
    /// How it ended.
    pub status: ExitStatus,
}

impl std::fmt::Display for ExitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the process ended with {}", self.status)
    }
}

impl std::error::Error for ExitError {}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::IoLoop;

    /// Where there is no pidfd. The handler for SIGCHLD stays in this test's process.
    #[test]
    #[cfg_attr(miri, ignore = "miri starts no processes")]
    fn an_end_is_seen_by_sigchld_alone() {
        let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
        let codes = io_loop.run(async {
            let mut codes = Vec::new();
            for code in 0..20 {
                let mut command = Command::new("sh");
                let mut child = Subprocess::spawn(command.args(["-c", &format!("exit {code}")]))?;
                child.watched().exit = Exit::of_any_child()?;
                codes.push(child.wait().await?.code());
            }
            Ok::<_, io::Error>(codes)
        });
        let codes = codes.expect("ran").expect("no error");
        assert_eq!(codes, (0..20).map(Some).collect::<Vec<_>>());
        io_loop.stop();
    }
}
