//! Linux: a copy of another thread's stack, taken by that thread in a signal handler.
//!
//! The handler does as little as a handler can. It copies three registers and the
//! innermost part of its own stack into a buffer that is there from the start, and
//! sets a flag. It takes no lock, allocates nothing, unwinds nothing and calls
//! nothing but three system calls (`gettid`, `getpid`, `process_vm_readv`), so it is
//! the same to it whether it interrupted `malloc`, `dlopen`, a panic or a spin. The
//! copying itself goes through the kernel: where the stack ends, the copy ends, and
//! nothing faults. The unwinding is done afterwards, on the copy, by the thread that
//! asked ([`super::unwind`]).
//!
//! What it costs the interrupted thread, besides some microseconds: a system call
//! that it sits in is interrupted. With `SA_RESTART` the kernel goes on with most of
//! them by itself; those that it never restarts (`nanosleep`, `poll`, `epoll_wait`,
//! `select`, a socket with a receive or send timeout) return `EINTR` once.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::request::Request;
use super::unwind::{self, Registers};

/// How much of the innermost part of a stack is copied: dozens of large frames.
const STACK: usize = 128 << 10;
/// The kernel copies what is readable piece by piece; no page is smaller.
const PAGE: usize = 4096;
const PIECES: usize = STACK / PAGE + 1;
/// Between the first two looks whether the answer is there.
const LOOK: Duration = Duration::from_micros(20);
/// Between the later ones at most.
const RARE_LOOK: Duration = Duration::from_millis(1);

/// What a thread was doing, at one moment.
pub(crate) struct Captured {
    registers: Registers,
    /// From the stack pointer upwards.
    stack: Vec<u8>,
}

impl Captured {
    /// Addresses of the calls that the thread was in, innermost first.
    pub(crate) fn unwind(&self) -> Vec<usize> {
        unwind::unwind(&self.registers, &self.stack)
    }
}

/// Has a thread of this process write down its stack, for which it has so much time.
///
/// None when it does not answer, or when no signal is free. A thread in the kernel's
/// uninterruptible sleep, or with the signal blocked, gives no answer.
pub(crate) fn capture(thread: u64, patience: Duration) -> Option<Captured> {
    static SIGNAL: OnceLock<Option<c_int>> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let signal = (*SIGNAL.get_or_init(install))?;
    let _turn = TURN.lock();
    // Whoever has taken the signal over since would be hit by it.
    if !is_ours(signal) || !SLOT.request.begin(thread) {
        return None;
    }
    if !(send(signal, thread) && answered(thread, patience)) {
        // It may have accepted at the last moment. If it is still writing, then the
        // slot is its own until it is done, and this question is over.
        if SLOT.request.withdraw(thread) || !SLOT.request.is_done(thread) {
            return None;
        }
    }
    // SAFETY: the request is done, so the handler has finished with the slot, and
    // nobody begins another one before `end`, because `TURN` is held.
    #[allow(unsafe_code)]
    let answer = unsafe { &*SLOT.answer.get() };
    let captured = Captured {
        registers: answer.registers,
        stack: answer.stack[..answer.len.min(STACK)].to_vec(),
    };
    SLOT.request.end();
    Some(captured)
}

fn answered(thread: u64, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    let mut look = LOOK;
    while !SLOT.request.is_done(thread) {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(look);
        look = (look * 2).min(RARE_LOOK);
    }
    true
}

/// The one buffer of the process, and who may touch it.
struct Slot {
    request: Request,
    answer: UnsafeCell<Answer>,
}

struct Answer {
    registers: Registers,
    len: usize,
    stack: [u8; STACK],
    pieces: [libc::iovec; PIECES],
}

// SAFETY: `answer` is touched only by the thread that accepted the request, until it
// finishes, and by the asker between done and `end`; asking is under a lock. The
// pointers in `pieces` are addresses for the kernel, never followed here.
#[allow(unsafe_code)]
unsafe impl Sync for Slot {}

static SLOT: Slot = Slot {
    request: Request::new(),
    answer: UnsafeCell::new(Answer {
        registers: Registers::ZERO,
        len: 0,
        stack: [0; STACK],
        pieces: [libc::iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        }; PIECES],
    }),
};

/// Runs on the interrupted thread, between any two of its instructions.
///
/// A signal that comes late, or from elsewhere, finds no request for its thread and
/// changes nothing.
extern "C" fn handler(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: `gettid` has no arguments, no failure and no effect.
    #[allow(unsafe_code)]
    let thread = u64::try_from(unsafe { libc::gettid() }).unwrap_or(0);
    if context.is_null() || !SLOT.request.accept(thread) {
        return;
    }
    // SAFETY: accepted, so the slot is this thread's own until `finish`; the signal
    // itself is masked while its handler runs. The kernel passes a valid context to a
    // handler that was installed with SA_SIGINFO.
    #[allow(unsafe_code)]
    let (answer, registers) = unsafe {
        (
            &mut *SLOT.answer.get(),
            Registers::of(&*context.cast::<libc::ucontext_t>()),
        )
    };
    answer.registers = registers;
    answer.len = copy(registers.stack_pointer(), answer);
    SLOT.request.finish(thread);
}

/// Copies from `from` upwards as far as memory is readable. Async-signal-safe.
fn copy(from: usize, answer: &mut Answer) -> usize {
    let mut address = from;
    for piece in &mut answer.pieces {
        let end = (address | (PAGE - 1)).wrapping_add(1);
        piece.iov_base = ptr::without_provenance_mut(address);
        piece.iov_len = end.wrapping_sub(address);
        address = end;
    }
    let buffer = libc::iovec {
        iov_base: answer.stack.as_mut_ptr().cast(),
        iov_len: STACK,
    };
    // SAFETY: `__errno_location` is this thread's own errno, which the interrupted
    // code must find as it was. `process_vm_readv` on the own process needs no
    // privilege; it writes at most STACK bytes into `buffer`, and an unreadable
    // source is a short count or an error, never a fault.
    #[allow(unsafe_code)]
    let copied = unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        let copied = libc::process_vm_readv(
            libc::getpid(),
            &raw const buffer,
            1,
            answer.pieces.as_ptr(),
            PIECES as libc::c_ulong,
            0,
        );
        *errno = before;
        copied
    };
    usize::try_from(copied).unwrap_or(0)
}

/// Takes a real-time signal that nobody uses, for the life of the process.
///
/// It is never given back: a signal that is still on its way to a thread would end
/// the process.
fn install() -> Option<c_int> {
    // From the top, because libraries and people who take one begin at the bottom.
    let free = (libc::SIGRTMIN()..=libc::SIGRTMAX())
        .rev()
        .find(|&signal| action_of(signal) == Some(libc::SIG_DFL));
    let signal = free?;
    // SAFETY: all zeros is a valid sigaction, with an empty mask; `handler` has the
    // signature that SA_SIGINFO asks for and does only what a handler may do.
    // SA_ONSTACK: where the thread has an alternate stack, as the threads of the
    // standard library have, nothing is pushed on a stack that may be nearly full.
    #[allow(unsafe_code)]
    let failed = unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = handler_address();
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        libc::sigaction(signal, &raw const action, ptr::null_mut())
    } != 0;
    (!failed).then_some(signal)
}

fn handler_address() -> usize {
    handler as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize
}

fn is_ours(signal: c_int) -> bool {
    action_of(signal) == Some(handler_address())
}

/// What a signal does now.
fn action_of(signal: c_int) -> Option<libc::sighandler_t> {
    // SAFETY: all zeros is a valid sigaction for the kernel to fill; nothing is set.
    #[allow(unsafe_code)]
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        (libc::sigaction(signal, ptr::null(), &raw mut action) == 0).then_some(action.sa_sigaction)
    }
}

/// Sends a signal to exactly one thread of this process.
fn send(signal: c_int, thread: u64) -> bool {
    let Ok(thread) = libc::pid_t::try_from(thread) else {
        return false;
    };
    // SAFETY: plain numbers. A thread that is gone is an error return, and one that
    // has its number now finds no request for itself or answers it harmlessly.
    #[allow(unsafe_code)]
    unsafe {
        libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::symbols;
    use super::*;
    use crate::sys;
    use std::panic::{catch_unwind, resume_unwind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::sync::mpsc;
    use std::thread::JoinHandle;

    const PATIENCE: Duration = Duration::from_millis(50);

    #[inline(never)]
    fn waits_here(end: &mpsc::Receiver<()>) {
        // Something is left to do, so that the call is not the function's last.
        std::hint::black_box(end.recv().is_err());
    }

    /// A thread, and its id once it runs.
    fn thread<T: Send + 'static>(
        body: impl FnOnce() -> T + Send + 'static,
    ) -> (u64, JoinHandle<T>) {
        let (id, ids) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            id.send(sys::thread_id()).expect("sent");
            body()
        });
        (ids.recv().expect("an id"), thread)
    }

    fn names(captured: &Captured) -> Vec<String> {
        (captured.unwind().into_iter())
            .flat_map(symbols)
            .map(|symbol| symbol.function)
            .collect()
    }

    #[test]
    #[cfg_attr(miri, ignore = "miri sends no signals")]
    fn names_the_function_that_a_thread_waits_in() {
        let (end, ended) = mpsc::channel();
        let (id, waiting) = thread(move || waits_here(&ended));
        // It may be on its way there.
        let names = loop {
            let names = capture(id, PATIENCE)
                .as_ref()
                .map(names)
                .unwrap_or_default();
            if names.iter().any(|name| name.contains("waits_here")) {
                break names;
            }
        };
        assert!(names.iter().any(|name| name.contains("recv")), "{names:?}");
        end.send(()).expect("sent");
        waiting.join().expect("joined");
    }

    #[test]
    #[cfg_attr(miri, ignore = "miri sends no signals")]
    fn a_thread_that_is_gone_gives_no_answer() {
        let (id, gone) = thread(|| ());
        gone.join().expect("joined");
        // Its number may be another thread's by now, but no thread waits for an answer
        // that does not come.
        drop(capture(id, PATIENCE));
        assert!(capture(u64::from(u32::MAX), PATIENCE).is_none());
    }

    /// What a signal handler is dangerous to: the allocator, the loader, locks, an
    /// unwinding stack, system calls. Returns whether all of it came out right.
    fn a_day_in_the_life(round: u64, lock: &Mutex<u64>) -> bool {
        let numbers: Vec<u64> = (0..round % 1000).collect();
        let text = format!("{numbers:?}").len();
        *lock.lock() += 1;
        let panic = catch_unwind(|| -> u64 { resume_unwind(Box::new(round)) });
        let caught = panic.err().and_then(|payload| payload.downcast().ok());
        // SAFETY: the loader's own library is loaded already; its count goes up and
        // down again.
        #[allow(unsafe_code)]
        let opened = unsafe {
            let library = libc::dlopen(c"libc.so.6".as_ptr(), libc::RTLD_NOW);
            library.is_null() || libc::dlclose(library) == 0
        };
        let mut spun = round;
        for _ in 0..round % 500 {
            spun = std::hint::black_box(spun.wrapping_mul(31));
        }
        std::thread::sleep(Duration::from_nanos(round % 2000));
        let file = std::fs::read("/proc/self/stat").map_or(0, |bytes| bytes.len());
        text >= 2 && caught == Some(Box::new(round)) && opened && file > 0
    }

    #[test]
    #[cfg_attr(miri, ignore = "miri sends no signals")]
    fn ten_thousand_captures_disturb_nothing() {
        const CAPTURES: u64 = 10_000;
        let stop = Arc::new(AtomicBool::new(false));
        let lock = Arc::new(Mutex::new(0));
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let (stop, lock) = (stop.clone(), lock.clone());
                thread(move || {
                    let mut rounds = 0;
                    while !stop.load(Ordering::Relaxed) {
                        assert!(a_day_in_the_life(rounds, &lock), "round {rounds}");
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        let ids: Vec<u64> = workers.iter().map(|(id, _)| *id).collect();
        // Two ask at the same time, as two loops in one process would.
        let done = Arc::new(AtomicU64::new(0));
        let askers: Vec<_> = (0..2)
            .map(|_| {
                let (ids, done) = (ids.clone(), done.clone());
                std::thread::spawn(move || {
                    let (mut answers, mut frames) = (0, 0);
                    loop {
                        let turn = done.fetch_add(1, Ordering::Relaxed);
                        if turn >= CAPTURES {
                            return (answers, frames);
                        }
                        let id = ids[turn as usize % ids.len()];
                        let Some(captured) = capture(id, PATIENCE) else {
                            continue;
                        };
                        answers += 1;
                        assert!(captured.registers.stack_pointer() != 0);
                        if turn % 16 == 0 {
                            frames += captured.unwind().len();
                        }
                    }
                })
            })
            .collect();
        let (mut answers, mut frames) = (0, 0);
        for asker in askers {
            let (more, deeper) = asker.join().expect("asked");
            answers += more;
            frames += deeper;
        }
        stop.store(true, Ordering::Relaxed);
        let rounds: u64 = (workers.into_iter())
            .map(|(_, worker)| worker.join().expect("undisturbed"))
            .sum();
        assert_eq!(*lock.lock(), rounds);
        // A thread may wait for a core longer than anybody waits for its answer.
        assert!(answers > CAPTURES / 2, "{answers} answers");
        assert!(frames > 0);
    }
}
