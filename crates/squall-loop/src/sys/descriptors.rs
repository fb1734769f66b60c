//! How many files and sockets the process may have open.

use std::io;

/// Raises the limit towards `wanted`, as far as the system allows; never lowers it.
/// Returns what it is then.
pub(crate) fn raise_descriptors(wanted: u64) -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid rlimit for the kernel to fill.
    #[allow(unsafe_code)]
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0;
    if failed {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur >= wanted || limit.rlim_cur >= limit.rlim_max {
        return Ok(limit.rlim_cur);
    }
    limit.rlim_cur = wanted.min(limit.rlim_max);
    // SAFETY: `limit` is a valid rlimit, which is only read.
    #[allow(unsafe_code)]
    let failed = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0;
    match failed {
        true => Err(io::Error::last_os_error()),
        false => Ok(limit.rlim_cur),
    }
}
