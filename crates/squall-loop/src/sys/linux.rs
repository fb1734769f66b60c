//! Linux: thread ids, another thread's CPU clock, and `/proc/self/task`.
//!
//! No signal is sent and nothing is traced: a process may read its own threads.

use std::fs::File;
use std::os::unix::fs::FileExt;
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
    Inspector::default().inspect(thread)
}

/// Looks at threads again and again. Opening the kernel's file on a thread is most of
/// what a look costs, so the files of the last few stay open.
#[derive(Default)]
pub(crate) struct Inspector(Vec<(u64, File)>);

impl Inspector {
    /// Files that stay open.
    const FEW: usize = 16;

    /// What a thread of this process is doing now.
    pub(crate) fn inspect(&mut self, thread: u64) -> Option<Activity> {
        // One small file tells all: "running", or the number of the system call, which
        // is -1 for a wait outside of any. Not every kernel and sandbox shows it.
        let mut buffer = [0; 512];
        let Some(line) = self.syscall(thread, &mut buffer) else {
            return state(thread);
        };
        let first = line.split_ascii_whitespace().next()?;
        if first == "running" {
            return Some(Activity::Runnable);
        }
        let call = first.parse().ok().and_then(syscalls::Sysno::new);
        Some(Activity::Waiting(call.map(|call| call.name())))
    }

    fn syscall<'a>(&mut self, thread: u64, buffer: &'a mut [u8]) -> Option<&'a str> {
        if let Some(place) = self.0.iter().position(|(id, _)| *id == thread) {
            if let Some(length) = start(&self.0[place].1, buffer) {
                return str::from_utf8(&buffer[..length]).ok();
            }
            self.0.swap_remove(place); // That thread is gone.
        }
        let file = open(thread, "syscall")?;
        let length = start(&file, buffer)?;
        if self.0.len() >= Self::FEW {
            self.0.clear();
        }
        self.0.push((thread, file));
        str::from_utf8(&buffer[..length]).ok()
    }

    /// Closes the files.
    pub(crate) fn rest(&mut self) {
        self.0.clear();
    }
}

/// Whether a tracer or a debugger has hold of this process.
pub(crate) fn is_traced() -> bool {
    if cfg!(miri) {
        return false; // It has no /proc.
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let tracer = (status.lines()).find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}

/// Whether a thread is running, where nothing else is told.
fn state(thread: u64) -> Option<Activity> {
    let mut buffer = [0; 512];
    let length = start(&open(thread, "stat")?, &mut buffer)?;
    let stat = String::from_utf8_lossy(&buffer[..length]);
    // The name in parentheses may hold anything; the state follows the last one.
    let state = stat.rsplit_once(')')?.1.trim_start().chars().next()?;
    Some(if state == 'R' {
        Activity::Runnable
    } else {
        Activity::Waiting(None)
    })
}

fn open(thread: u64, file: &str) -> Option<File> {
    File::open(format!("/proc/self/task/{thread}/{file}")).ok()
}

/// The start of one of the kernel's files on a thread, as it is now. None once the
/// thread is gone, even if another one has its id.
fn start(file: &File, buffer: &mut [u8]) -> Option<usize> {
    file.read_at(buffer, 0).ok()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::io::Read;
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
        let mut inspector = Inspector::default();
        let seen = loop {
            match inspector.inspect(id) {
                Some(Activity::Waiting(Some(name))) if name != "futex" => break name,
                _ => std::thread::yield_now(),
            }
        };
        assert!(matches!(seen, "read" | "recvfrom"), "{seen}");
        assert!(thread_cpu_time(id).is_some());
        std::io::Write::write_all(&mut ours, b"x").expect("written");
        thread.join().expect("joined");
        while inspector.inspect(id).is_some() {
            std::thread::yield_now(); // Joined a moment before the kernel forgets it.
        }
        assert!(inspect(id).is_none());
    }
}
