//! Starting and stopping: listening sockets, signals, and the grace at the end.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

#[cfg(unix)]
use squall_http::Peer;
use squall_http::server::Server;
use squall_loop::{Builder, IoLoop, net, say, signal, sleep};

use super::app::{App, AppHandle};
use super::application::Application;
use super::listener::Listener;
use super::panic;
use super::service::Front;
use crate::{Error, Result};

/// Files that a process opens beside its connections.
const OTHER_FILES: u64 = 1_000;

impl Application {
    /// The addresses that are bound, in the order of the calls to `listen`. Unix sockets
    /// have none.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        (self.listening.iter())
            .filter_map(Listener::local_addr)
            .collect()
    }

    /// The first bound address.
    ///
    /// # Errors
    /// When no address is bound.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.local_addrs().first().copied().ok_or_else(no_address)
    }

    /// Serves until SIGTERM or SIGINT, and ends within the grace period; see
    /// [`Running::until_terminated`].
    ///
    /// The process is the application's then: its limit of open files is raised as far as
    /// `max_connections` asks for and the system allows.
    ///
    /// # Errors
    /// When nothing is bound or the loop cannot be built.
    #[doc(alias = "start")]
    pub fn run(mut self) -> Result<()> {
        let given = self.io_loop.take();
        let owned = given.is_none();
        let io_loop = match given {
            Some(io_loop) => io_loop,
            None => self.loop_builder().build()?,
        };
        let connections = self.settings_ref().server.max_connections as u64;
        if let Err(error) = net::raise_descriptors(connections.saturating_add(OTHER_FILES)) {
            say(|| {
                tracing::warn!(target: "squall::web", %error, "the limit of open files stays as it is");
            });
        }
        let outcome = io_loop.run(async move {
            let running = self.start().await?;
            running.until_terminated().await
        });
        if owned {
            io_loop.stop();
        }
        outcome?
    }

    /// A loop as the settings want it.
    fn loop_builder(&self) -> Builder {
        let settings = self.settings_ref();
        IoLoop::builder()
            .thread_cap(settings.thread_cap)
            .executor_queue(settings.executor_queue)
    }

    /// Serves what is bound, from inside a running loop, and returns at once.
    ///
    /// # Errors
    /// When nothing is bound, or the application is not complete.
    pub async fn start(self) -> Result<Running> {
        let (app, listening) = self.freeze()?;
        if listening.is_empty() {
            return Err(no_address());
        }
        let mut running = Running::new(app);
        for listener in listening {
            running.serve(listener)?;
        }
        Ok(running)
    }
}

#[cfg(unix)]
impl Application {
    /// Serves connections that are given to it ([`Running::adopt`]) and no others.
    ///
    /// # Errors
    /// When the application is not complete.
    ///
    /// # Panics
    /// Outside of a loop.
    pub(crate) fn start_unbound(self) -> Result<Running> {
        let (app, _) = self.freeze()?;
        Ok(Running::new(app))
    }
}

fn no_address() -> Error {
    Error::internal("no address is bound: call `listen` first")
}

/// An application that is being served. Dropping it lets it go on.
pub struct Running {
    server: Server,
    app: AppHandle,
    addresses: Vec<SocketAddr>,
    /// How many there are, those without an address included.
    listeners: u32,
}

impl Running {
    fn new(app: Arc<App>) -> Self {
        panic::install();
        let settings = app.settings.server.clone();
        Self {
            server: Server::new(Arc::new(Front(app.clone())), settings),
            app: AppHandle::new(app),
            addresses: Vec::new(),
            listeners: 0,
        }
    }

    fn serve(&mut self, listener: Listener) -> Result<()> {
        let label = listener.label();
        let (address, tag) = (listener.local_addr(), self.listeners);
        let listener = listener.serve()?.tag(tag);
        say(|| tracing::info!(target: "squall::web", "listening on {label}"));
        self.listeners += 1;
        self.addresses.extend(address);
        let server = self.server.clone();
        let accepting = async move {
            if let Err(error) = server.serve(listener).await {
                tracing::error!(target: "squall::web", %error, "no longer listening on {label}");
            }
        };
        drop(IoLoop::current().spawn_named("accepting connections", accepting));
        Ok(())
    }

    #[cfg(unix)]
    pub(crate) fn adopt(&self, socket: net::UnixStream) {
        self.server.adopt(socket, Peer::Unix);
    }

    /// The addresses it is served on. Unix sockets have none.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The first address it is served on.
    ///
    /// # Errors
    /// When it is served on Unix sockets alone.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.addresses.first().copied().ok_or_else(no_address)
    }

    /// The application: figures, state, settings.
    pub fn app(&self) -> &AppHandle {
        &self.app
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// Ends in phases. Returns how many connections had to be aborted.
    ///
    /// 1. [`readiness`](crate::readiness) answers 503. For the settings' `drain_delay`
    ///    everything else goes on.
    /// 2. Nothing more is accepted, idle connections are closed, streams are told
    ///    ([`Exchange::draining`](crate::Exchange::draining)), and what is being answered
    ///    is the last answer of its connection.
    /// 3. What is left after `grace` is aborted.
    ///
    /// # Cancel safety
    /// Dropped, it leaves the phase that was reached.
    #[doc(alias = "close_all_connections")]
    pub async fn shutdown(&self, grace: Duration) -> usize {
        let delay = sleep(self.app.settings().drain_delay);
        self.app.drain();
        delay.await;
        let aborted = self.server.shutdown(grace).await;
        if aborted > 0 {
            say(|| {
                tracing::warn!(target: "squall::web", aborted, ?grace, "connections were aborted at the end of the grace");
            });
        }
        aborted
    }

    /// Waits for SIGTERM or SIGINT, then shuts down within the settings' grace. A second
    /// signal ends it at once.
    ///
    /// # Errors
    /// When the signals cannot be waited for.
    pub async fn until_terminated(&self) -> Result<()> {
        let signal = signal::terminate()?.await;
        say(|| {
            tracing::info!(target: "squall::web", signal, "shutting down; a second signal ends at once");
        });
        let mut again = pin!(signal::terminate()?);
        let mut shutdown = pin!(self.shutdown(self.app.settings().grace));
        let impatient = poll_fn(|cx| match shutdown.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => again.as_mut().poll(cx).map(Some),
        });
        if let Some(signal) = impatient.await {
            let aborted = self.server.abort();
            say(|| tracing::warn!(target: "squall::web", signal, aborted, "ending at once"));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("addresses", &self.addresses)
            .field("connections", &self.connections())
            .finish()
    }
}
