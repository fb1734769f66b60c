//! How bytes come out of a descriptor, and how they go in.
//!
//! Linux is asked for a socket's bytes without the C library in between. There each such
//! call is a point at which a thread can be cancelled, and getting ready for that takes more
//! instructions than the call itself on our side: a forwarded request has four of them.

use std::io::{self, IoSlice, Read, Write};

#[cfg(target_os = "linux")]
use rustix::net::{RecvFlags, SendFlags};

/// What is read from.
pub(crate) trait Receive {
    fn receive(&self, buf: &mut [u8]) -> io::Result<usize>;
}

/// What is written to.
pub(crate) trait Transmit {
    fn transmit(&self, buf: &[u8]) -> io::Result<usize>;

    fn transmit_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// By the standard library: what is used seldom, or on other systems.
macro_rules! by_std {
    (Receive for $io:ty) => {
        impl Receive for $io {
            #[inline]
            fn receive(&self, buf: &mut [u8]) -> io::Result<usize> {
                (&mut &*self).read(buf)
            }
        }
    };
    (Transmit for $io:ty) => {
        impl Transmit for $io {
            #[inline]
            fn transmit(&self, buf: &[u8]) -> io::Result<usize> {
                (&mut &*self).write(buf)
            }

            #[inline]
            fn transmit_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                (&mut &*self).write_vectored(bufs)
            }
        }
    };
}

#[cfg(target_os = "linux")]
macro_rules! socket {
    ($socket:ty) => {
        impl Receive for $socket {
            #[inline]
            fn receive(&self, buf: &mut [u8]) -> io::Result<usize> {
                let (received, _) = rustix::net::recv(self, buf, RecvFlags::empty())?;
                Ok(received)
            }
        }

        impl Transmit for $socket {
            #[inline]
            fn transmit(&self, buf: &[u8]) -> io::Result<usize> {
                // A peer that has gone is an error, not a signal.
                Ok(rustix::net::send(self, buf, SendFlags::NOSIGNAL)?)
            }

            #[inline]
            fn transmit_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                (&mut &*self).write_vectored(bufs)
            }
        }
    };
}

#[cfg(not(target_os = "linux"))]
macro_rules! socket {
    ($socket:ty) => {
        by_std!(Receive for $socket);
        by_std!(Transmit for $socket);
    };
}

socket!(mio::net::TcpStream);
#[cfg(unix)]
socket!(mio::net::UnixStream);
#[cfg(unix)]
by_std!(Receive for mio::unix::pipe::Receiver);
#[cfg(unix)]
by_std!(Transmit for mio::unix::pipe::Sender);
