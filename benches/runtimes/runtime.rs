//! The runtimes behind one face, each as its documentation shows it.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Threads of the multi-core runtimes, and lanes of Squall.
const THREADS: usize = 2;

/// A runtime that runs. What has no `self` is called from inside.
pub(crate) trait Runtime: Sized + 'static {
    type Sleep: Future<Output: Send> + Unpin + Send + 'static;
    /// What cancels a call, where there are calls.
    type Call: Send + 'static;

    fn start() -> Self;

    /// Runs a future inside, on a worker where there are workers.
    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T;

    /// Runs two futures to their ends, on threads that differ.
    fn apart(
        self,
        a: impl Future<Output = ()> + Send + 'static,
        b: impl Future<Output = ()> + Send + 'static,
    );

    fn spawn<T: Send + 'static>(
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static;

    fn sleep(duration: Duration) -> Self::Sleep;

    /// `call_later`; None where the runtime has no such thing.
    fn call_later(_: Duration, _: impl FnOnce() + Send + 'static) -> Option<Self::Call> {
        None
    }

    fn cancel_call(_: Self::Call) {}

    /// Runs a blocking call where the runtime's documentation says.
    fn offload(call: impl FnOnce() + Send + 'static) -> impl Future<Output = ()> + Send;

    /// For what only Squall does.
    fn as_squall(&self) -> Option<&Squall> {
        None
    }
}

pub(crate) struct Squall(squall_loop::IoLoop);

impl Squall {
    pub(crate) fn hand_offs(&self) -> u64 {
        self.0.stats().handoffs()
    }
}

impl Runtime for Squall {
    type Sleep = squall_loop::Sleep;
    type Call = squall_loop::Timeout;

    fn start() -> Self {
        Self(
            squall_loop::IoLoop::builder()
                .lanes(THREADS)
                .build()
                .expect("a loop"),
        )
    }

    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        self.0.run(future).expect("no panic")
    }

    fn apart(
        self,
        a: impl Future<Output = ()> + Send + 'static,
        b: impl Future<Output = ()> + Send + 'static,
    ) {
        // From outside, tasks go to the lanes in turn.
        let (a, b) = (self.0.spawn(a), self.0.spawn(b));
        let both = async { (a.await, b.await) };
        let (a, b) = self.0.run(both).expect("no panic");
        a.and(b).expect("no panic");
    }

    fn spawn<T: Send + 'static>(
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        let task = squall_loop::IoLoop::current().spawn(future);
        async { task.await.expect("no panic") }
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        squall_loop::sleep(duration)
    }

    fn call_later(after: Duration, call: impl FnOnce() + Send + 'static) -> Option<Self::Call> {
        Some(squall_loop::IoLoop::current().call_later(after, call))
    }

    fn cancel_call(call: Self::Call) {
        call.cancel();
    }

    fn offload(call: impl FnOnce() + Send + 'static) -> impl Future<Output = ()> + Send {
        let done = squall_loop::run_on_executor(call);
        async { done.await.expect("no panic") }
    }

    fn as_squall(&self) -> Option<&Squall> {
        Some(self)
    }
}

/// tokio's current-thread runtime.
pub(crate) struct TokioSingle(tokio::runtime::Runtime);

impl Runtime for TokioSingle {
    type Sleep = Pin<Box<tokio::time::Sleep>>;
    type Call = ();

    fn start() -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        Self(builder.enable_all().build().expect("a runtime"))
    }

    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        self.0.block_on(future)
    }

    fn apart(
        self,
        a: impl Future<Output = ()> + Send + 'static,
        b: impl Future<Output = ()> + Send + 'static,
    ) {
        let other = thread::spawn(|| Self::start().run(b));
        self.run(a);
        other.join().expect("no panic");
    }

    fn spawn<T: Send + 'static>(
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        let task = tokio::spawn(future);
        async { task.await.expect("no panic") }
    }

    fn offload(call: impl FnOnce() + Send + 'static) -> impl Future<Output = ()> + Send {
        let done = tokio::task::spawn_blocking(call);
        async { done.await.expect("no panic") }
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// tokio's multi-thread runtime.
pub(crate) struct TokioMulti(tokio::runtime::Runtime);

impl TokioMulti {
    fn with(threads: usize) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(threads).enable_all();
        Self(builder.build().expect("a runtime"))
    }
}

impl Runtime for TokioMulti {
    type Sleep = Pin<Box<tokio::time::Sleep>>;
    type Call = ();

    fn start() -> Self {
        Self::with(THREADS)
    }

    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        // `block_on` alone polls on the calling thread, which is no worker.
        let inside = self.0.spawn(future);
        self.0.block_on(inside).expect("no panic")
    }

    fn apart(
        self,
        a: impl Future<Output = ()> + Send + 'static,
        b: impl Future<Output = ()> + Send + 'static,
    ) {
        // Within one runtime both would move to the thread that wakes them.
        let (one, other) = (Self::with(1), Self::with(1));
        let (a, b) = (one.0.spawn(a), other.0.spawn(b));
        self.0.block_on(a).expect("no panic");
        self.0.block_on(b).expect("no panic");
    }

    fn spawn<T: Send + 'static>(
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        TokioSingle::spawn(future)
    }

    fn offload(call: impl FnOnce() + Send + 'static) -> impl Future<Output = ()> + Send {
        TokioSingle::offload(call)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// smol's global executor.
pub(crate) struct Smol;

impl Runtime for Smol {
    type Sleep = smol::Timer;
    type Call = ();

    fn start() -> Self {
        // Its threads start with the first task. The harness sets SMOL_THREADS.
        smol::block_on(smol::spawn(async {}));
        Self
    }

    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        let (done, output) = mpsc::sync_channel(1);
        let task = smol::spawn(async move { done.send(future.await).expect("waited for") });
        let output = output.recv().expect("no panic");
        smol::block_on(task);
        output
    }

    fn apart(
        self,
        a: impl Future<Output = ()> + Send + 'static,
        b: impl Future<Output = ()> + Send + 'static,
    ) {
        let other = thread::spawn(|| smol::block_on(smol::Executor::new().run(b)));
        smol::block_on(smol::Executor::new().run(a));
        other.join().expect("no panic");
    }

    fn spawn<T: Send + 'static>(
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        smol::spawn(future)
    }

    fn offload(call: impl FnOnce() + Send + 'static) -> impl Future<Output = ()> + Send {
        smol::unblock(call)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        smol::Timer::after(duration)
    }
}
