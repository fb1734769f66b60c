//! Linux: thread ids, another thread's CPU clock, and `/proc/self/task`.
//!
//! No signal is sent and nothing is traced: a process may read its own threads.

use std::fs;
use std::io::Read;
use std::time::Duration;

use super::Activity;

/// The kernel's id of this thread.
pub(crate) fn thread_id() -> u64 {
    thread_local!(static ID: u64 = {
        // SAFETY: gettid has no arguments, no failure and no effect.
        #[allow(unsafe_code)]
        let id = unsafe { libc::gettid() };
        u64::try_from(id).unwrap_or(0)
    });
    ID.with(|id| *id)
}

/// CPU time a thread of this process has used; None once it is gone.
pub(crate) fn thread_cpu_time(thread: u64) -> Option<Duration> {
    // The kernel's encoding of a thread's scheduler clock: the id's complement
    // shifted by three, with CPUCLOCK_PERTHREAD (4) and CPUCLOCK_SCHED (2).
    let thread = libc::clockid_t::try_from(thread).ok()?;
    let clock = (!thread << 3) | 6;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec for the kernel to fill; an unknown clock
    // is an error return, not undefined.
    #[allow(unsafe_code)]
    let failed = unsafe { libc::clock_gettime(clock, &raw mut time) } != 0;
    if failed {
        return None;
    }
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanos = u32::try_from(time.tv_nsec).ok()?;
    Some(Duration::new(seconds, nanos))
}

/// What a thread of this process is doing now.
pub(crate) fn inspect(thread: u64) -> Option<Activity> {
    // One small file tells all: "running", or the number of the system call, which
    // is -1 for a wait outside of any. Not every kernel and sandbox shows it.
    if let Some(line) = read(thread, "syscall") {
        let first = line.split_ascii_whitespace().next()?;
        if first == "running" {
            return Some(Activity::Runnable);
        }
        let call = first.parse().ok().and_then(syscalls::Sysno::new);
        return Some(Activity::Waiting(call.map(|call| call.name())));
    }
    let stat = read(thread, "stat")?;
    // The name in parentheses may hold anything; the state follows the last one.
    let state = stat.rsplit_once(')')?.1.trim_start().chars().next()?;
    Some(if state == 'R' {
        Activity::Runnable
    } else {
        Activity::Waiting(None)
    })
}

/// The start of one of the kernel's files on a thread, with a single read: the
/// monitor reads one for each hand-off.
fn read(thread: u64, file: &str) -> Option<String> {
    let mut buffer = [0; 512];
    let mut file = fs::File::open(format!("/proc/self/task/{thread}/{file}")).ok()?;
    let length = file.read(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    #[cfg_attr(miri, ignore = "miri has no /proc of its threads")]
    fn names_the_system_call_of_a_waiting_thread() {
        let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let (id, ids) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            id.send(thread_id()).expect("sent");
            let mut theirs = theirs;
            let _ = theirs.read(&mut [0]);
        });
        let id = ids.recv().expect("an id");
        let seen = loop {
            match inspect(id) {
                Some(Activity::Waiting(Some(name))) if name != "futex" => break name,
                _ => std::thread::yield_now(),
            }
        };
        assert!(matches!(seen, "read" | "recvfrom"), "{seen}");
        assert!(thread_cpu_time(id).is_some());
        std::io::Write::write_all(&mut ours, b"x").expect("written");
        thread.join().expect("joined");
    }
}
