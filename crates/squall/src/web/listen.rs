//! Starting and stopping: listening sockets, signals, and the grace at the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use squall_http::server::Server;
use squall_loop::net::TcpListener;
use squall_loop::{Builder, IoLoop, signal};

use super::app::{App, AppHandle};
use super::application::Application;
use super::panic;
use super::service::Front;
use crate::{Error, Result};

/// An address that is bound, and not served yet.
pub(super) struct Listening {
    pub(super) listener: std::net::TcpListener,
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
}

impl Application {
    /// The addresses that are bound, in the order of the calls to `listen`.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        (self.listening.iter())
            .filter_map(|listening| listening.listener.local_addr().ok())
            .collect()
    }

    /// The first bound address.
    ///
    /// # Errors
    /// When nothing is bound.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.local_addrs().first().copied().ok_or_else(no_address)
    }

    /// Serves until SIGTERM or SIGINT, and ends within the grace period.
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
        let grace = self.settings_ref().grace;
        let outcome = io_loop.run(async move {
            let running = self.start().await?;
            let signal = signal::terminate()?.await;
            tracing::info!(target: "squall::web", signal, "shutting down");
            running.shutdown(grace).await;
            Ok(())
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
        for Listening { listener, tls } in listening {
            running.serve(TcpListener::from_std(listener)?, tls)?;
        }
        Ok(running)
    }

    /// Serves a listener that was made elsewhere, from inside a running loop, and what
    /// is bound already. Returns at once.
    ///
    /// # Errors
    /// When the application is not complete.
    pub async fn serve(self, listener: TcpListener) -> Result<Running> {
        let (app, listening) = self.freeze()?;
        let mut running = Running::new(app);
        running.serve(listener, None)?;
        for Listening { listener, tls } in listening {
            running.serve(TcpListener::from_std(listener)?, tls)?;
        }
        Ok(running)
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
}

impl Running {
    fn new(app: Arc<App>) -> Self {
        panic::install();
        let settings = app.settings.server.clone();
        Self {
            server: Server::new(Arc::new(Front(app.clone())), settings),
            app: AppHandle::new(app),
            addresses: Vec::new(),
        }
    }

    fn serve(
        &mut self,
        listener: TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> Result<()> {
        let address = listener.local_addr()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        tracing::info!(target: "squall::web", "listening on {scheme}://{address}");
        self.addresses.push(address);
        let server = self.server.clone();
        let accepting = async move {
            if let Err(error) = server.serve(listener, tls).await {
                tracing::error!(target: "squall::web", %error, %address, "no longer listening");
            }
        };
        drop(IoLoop::current().spawn_named("accepting connections", accepting));
        Ok(())
    }

    /// The addresses it is served on.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The first address it is served on.
    pub fn local_addr(&self) -> SocketAddr {
        // A running application has at least one.
        self.addresses[0]
    }

    /// The application: figures, state, settings.
    pub fn app(&self) -> &AppHandle {
        &self.app
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// Accepts nothing more, closes what is idle, and waits at most `grace` for what is
    /// being answered. Returns how many connections had to be aborted.
    pub async fn shutdown(&self, grace: Duration) -> usize {
        let aborted = self.server.shutdown(grace).await;
        if aborted > 0 {
            tracing::warn!(target: "squall::web", aborted, ?grace, "connections were aborted at the end of the grace");
        }
        aborted
    }

    /// Waits for SIGTERM or SIGINT, then shuts down within the settings' grace.
    ///
    /// # Errors
    /// When the signals cannot be waited for.
    pub async fn until_terminated(&self) -> Result<()> {
        signal::terminate()?.await;
        self.shutdown(self.app.settings().grace).await;
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
