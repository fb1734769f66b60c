//! Tokio inside: what needs a tokio runtime finds one on every thread of the loop.
//!
//! Tokio looks for its runtime in a thread-local, and nothing tells us that it is
//! about to look. So the handle is entered when a thread of the pool starts and
//! stays entered for the thread's life: a poll pays nothing for it. For the same
//! reason the runtime is started with the loop and not on first need.
//!
//! Handlers do not run in this runtime, they are polled on lanes. It drives tokio's
//! sockets and timers and runs what is given to `tokio::spawn`; its wakes reach a
//! lane as any wake from another thread does.

pub(crate) use imp::{Choice, Tokio, inside};

#[cfg(feature = "tokio")]
mod imp {
    use std::io;
    use std::sync::{Arc, Weak};

    use parking_lot::Mutex;
    use tokio::runtime::{Builder, Handle, Runtime};

    use crate::ioloop::Shared;

    /// The runtime that the program gave, if it gave one.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Choice(pub(crate) Option<Handle>);

    impl Choice {
        /// The runtime of a new loop: the program's, or one that is started here.
        pub(crate) fn open(self) -> io::Result<Tokio> {
            if let Some(handle) = self.0 {
                return Ok(Tokio {
                    handle,
                    own: Mutex::new(None),
                });
            }
            // Multi-threaded, so that a task on it may use `block_in_place`.
            let runtime = Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("squall-tokio")
                .enable_all()
                .build()?;
            Ok(Tokio {
                handle: runtime.handle().clone(),
                own: Mutex::new(Some(Arc::new(Own(Some(runtime))))),
            })
        }
    }

    /// A loop's tokio runtime.
    #[derive(Debug)]
    pub(crate) struct Tokio {
        handle: Handle,
        own: Mutex<Option<Arc<Own>>>,
    }

    impl Tokio {
        /// The loop stops: its runtime ends with the last of its threads.
        pub(crate) fn stop(&self) {
            let own = self.own.lock().take();
            drop(own);
        }
    }

    /// Lives a thread's life with the runtime entered.
    ///
    /// The thread owns a share of the runtime, so that futures which a stopping
    /// loop drops, and a handler that is still stuck, find it alive.
    pub(crate) fn inside(shared: &Weak<Shared>, life: impl FnOnce()) {
        let Some(strong) = shared.upgrade() else {
            return; // The loop is gone before its thread has begun.
        };
        let handle = strong.tokio.handle.clone();
        let _own = strong.tokio.own.lock().clone();
        drop(strong);
        let _entered = handle.enter();
        life();
    }

    /// A runtime that ends without waiting for anything, wherever it is dropped.
    #[derive(Debug)]
    struct Own(Option<Runtime>);

    impl Drop for Own {
        fn drop(&mut self) {
            if let Some(runtime) = self.0.take() {
                runtime.shutdown_background();
            }
        }
    }
}

/// Without the feature there is no runtime.
#[cfg(not(feature = "tokio"))]
mod imp {
    use std::io;
    use std::sync::Weak;

    use crate::ioloop::Shared;

    #[derive(Debug, Clone, Default)]
    pub(crate) struct Choice;

    impl Choice {
        pub(crate) fn open(self) -> io::Result<Tokio> {
            Ok(Tokio)
        }
    }

    #[derive(Debug)]
    pub(crate) struct Tokio;

    impl Tokio {
        pub(crate) fn stop(&self) {}
    }

    pub(crate) fn inside(_: &Weak<Shared>, life: impl FnOnce()) {
        life();
    }
}
