//! The ends of a pipe, as a child process has them.

use std::io;
use std::process::{ChildStderr, ChildStdin, ChildStdout};

use mio::unix::pipe::{Receiver, Sender};

use super::registered::Registered;
use super::stream::{read_stream, write_stream};
use crate::reactor::Source;

/// The end of a pipe that is read, on one lane. Dropping it closes it.
#[derive(Debug)]
#[doc(alias = "PipeIOStream")]
pub struct PipeReader(Registered<Receiver>);

impl PipeReader {
    pub(crate) fn new(receiver: Receiver) -> io::Result<Self> {
        receiver.set_nonblocking(true)?;
        Registered::here(receiver, Source::waiting()).map(Self)
    }

    pub(crate) fn from_stdout(stdout: ChildStdout) -> io::Result<Self> {
        Self::new(stdout.into())
    }

    pub(crate) fn from_stderr(stderr: ChildStderr) -> io::Result<Self> {
        Self::new(stderr.into())
    }
}

/// The end of a pipe that is written to, on one lane. Dropping it closes it, and
/// then the reader sees the end.
#[derive(Debug)]
#[doc(alias = "PipeIOStream")]
pub struct PipeWriter(Registered<Sender>);

impl PipeWriter {
    pub(crate) fn from_stdin(stdin: ChildStdin) -> io::Result<Self> {
        let sender = Sender::from(stdin);
        sender.set_nonblocking(true)?;
        Registered::here(sender, Source::writable()).map(Self)
    }
}

read_stream!(PipeReader);
write_stream!(PipeWriter);
