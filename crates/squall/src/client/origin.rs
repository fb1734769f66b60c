//! `Origin`: whom a relay sends to.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use super::address::{Address, strip_credentials};
use super::async_http_client::{AsyncHttpClient, Defaults};
use super::error::Cause;
use super::request::{Waits, unless_zero};
use super::route::Route;

/// What the address of a Unix socket begins with.
const UNIX: &str = "unix:";

/// Where hops go to.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(super) url: Address,
    /// What is asked for in `Host`, with the port where it is not the scheme's own.
    authority: String,
    /// The address with the name that it was looked up for, where it has none itself.
    named: Option<Box<Address>>,
    /// The Unix socket that it listens on, as it was written.
    socket: Option<String>,
    /// The way there, as the client that was here first goes.
    way: OnceLock<Way>,
}

/// The way to an origin.
#[derive(Debug, Clone)]
struct Way {
    /// By what the client's own way is.
    from: Arc<Route>,
    route: Arc<Route>,
}

impl Origin {
    /// Reads `http://host:port`, `https://…`, where a path is not looked at, or a Unix
    /// socket's `unix:/path`.
    pub(crate) fn parse(address: &str) -> Result<Self, String> {
        if let Some(path) = address.strip_prefix(UNIX) {
            return Self::on_socket(address, path);
        }
        let mut url = Address::parse(address)?.into_url();
        strip_credentials(&mut url);
        let url = Address::of(url)?;
        Ok(Self {
            authority: url.authority().to_owned(),
            url,
            named: None,
            socket: None,
            way: OnceLock::new(),
        })
    }

    /// Whoever listens there is asked for `localhost`, as by nginx and curl.
    fn on_socket(address: &str, path: &str) -> Result<Self, String> {
        if path.is_empty() || cfg!(not(unix)) {
            return Err(format!("{address:?} is no Unix socket of this system"));
        }
        Ok(Self {
            socket: Some(address.to_owned()),
            ..Self::parse("http://localhost")?
        })
    }

    /// The same origin under one of its addresses: nobody is asked for it any more.
    pub(crate) fn at(&self, address: SocketAddr) -> Option<Self> {
        let mut url = self.url.url().clone();
        url.set_ip_host(address.ip()).ok()?;
        Some(Self {
            url: Address::of(url).ok()?,
            authority: self.authority.clone(),
            named: Some(Box::new(self.url.clone())),
            socket: None,
            way: OnceLock::new(),
        })
    }

    /// The address with the name that it was looked up for.
    pub(super) fn asked(&self) -> &Address {
        self.named.as_deref().unwrap_or(&self.url)
    }

    /// The path of the address, without a slash at its end.
    pub(crate) fn path(&self) -> &str {
        self.url.url().path().trim_end_matches('/')
    }

    /// Host and port, as they stand in `Host`.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Scheme, host and port, or the socket, for people.
    pub(crate) fn as_str(&self) -> &str {
        self.socket.as_deref().unwrap_or(self.url.origin())
    }

    /// Whether it is a socket, which has no name to look up.
    pub(crate) fn is_socket(&self) -> bool {
        self.socket.is_some()
    }

    /// Its addresses at present, within `connect_timeout`.
    pub(crate) async fn addresses(&self, client: &AsyncHttpClient) -> io::Result<Vec<SocketAddr>> {
        let defaults = &client.shared().defaults;
        let host = self.url.url().host_str().unwrap_or_default();
        let port = self.url.url().port_or_known_default().unwrap_or(80);
        let found = async {
            let found = defaults.names.look_up(host, port).await;
            found.map_err(Cause::Io)
        };
        let found = unless_zero(Waits::of(defaults).connect, "connect_timeout", found).await;
        found.map_err(|cause| match cause {
            Cause::Io(error) => error,
            cause => io::Error::new(io::ErrorKind::TimedOut, cause.to_string()),
        })
    }

    /// The way there: worked out once, for all hops go with the same client.
    pub(super) fn route(&self, defaults: &Defaults) -> Arc<Route> {
        let way = self.way.get_or_init(|| Way {
            from: defaults.route.clone(),
            route: self.work_out(defaults),
        });
        match Arc::ptr_eq(&way.from, &defaults.route) {
            true => way.route.clone(),
            false => self.work_out(defaults),
        }
    }

    fn work_out(&self, defaults: &Defaults) -> Arc<Route> {
        let mut route = defaults.route.clone();
        if let Some(socket) = &self.socket {
            let path = socket.strip_prefix(UNIX).unwrap_or_default();
            Arc::make_mut(&mut route).unix_socket = Some(path.into());
            return route;
        }
        let named = self.named.as_deref();
        if let Some(name) = named.and_then(|named| named.url().host_str())
            && self.url.is_https()
        {
            Arc::make_mut(&mut route).server_name = Some(name.to_owned());
        }
        if let Some(proxy) = &defaults.proxy
            && let Some(via) = defaults.via(proxy, self.asked())
        {
            Arc::make_mut(&mut route).via = Some(via.clone());
        }
        route
    }
}
