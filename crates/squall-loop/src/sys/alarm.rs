//! Linux: an alarm that any thread may set and one waits for.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

/// A timer descriptor: setting it costs one system call and wakes nobody before its
/// time.
#[derive(Debug)]
pub(crate) struct Alarm(OwnedFd);

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: the call reads its two integers and nothing else. It returns a new
        // descriptor or -1.
        #[allow(unsafe_code)]
        let descriptor = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is open, and nobody else knows of it.
        #[allow(unsafe_code)]
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self(descriptor))
    }

    /// Goes off after `delay`, whatever it was set to before.
    pub(crate) fn set(&self, delay: Duration) {
        // All zeros would disarm it.
        self.set_to(delay.max(Duration::from_nanos(1)));
    }

    /// Does not go off, and has not, for whoever waits.
    pub(crate) fn clear(&self) {
        self.set_to(Duration::ZERO);
    }

    fn set_to(&self, delay: Duration) {
        let never = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let set = libc::itimerspec {
            it_interval: never,
            it_value: libc::timespec {
                tv_sec: libc::time_t::try_from(delay.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: libc::c_long::from(delay.subsec_nanos().cast_signed()),
            },
        };
        // SAFETY: `set` is a valid value for the kernel to read; the old one is not
        // asked for.
        #[allow(unsafe_code)]
        let failed = unsafe {
            libc::timerfd_settime(self.0.as_raw_fd(), 0, &raw const set, ptr::null_mut())
        };
        debug_assert_eq!(failed, 0, "a valid time for an open timer");
    }

    /// Waits until it goes off, or returns at once where it already has.
    pub(crate) fn wait(&self) {
        // Not by the C library: where nothing is warm after a sleep, what it does to be a
        // cancellation point costs some microseconds. A signal may end it early: one look
        // too many.
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
}
