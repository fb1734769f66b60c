//! `Route`: by which way an origin is reached, and as whom.
//!
//! Two requests share a connection only when origin and route are equal: a connection
//! whose certificate was not checked, or that carries somebody's client certificate, is
//! for nobody else.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use squall_http::tls::{ClientIdentity, ClientTls};

use super::address::Address;
use super::proxy::{Proxy, Via};

/// The way to an origin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Route {
    /// Whom to trust, and who we say we are. The client's own for plain HTTP.
    pub(super) tls: ClientTls,
    /// The name that is asked for and that the certificate has to be for, instead of the
    /// host. TLS only.
    pub(super) server_name: Option<String>,
    /// The socket to connect to, instead of the host.
    pub(super) unix_socket: Option<PathBuf>,
    /// This end's address.
    pub(super) source: Option<IpAddr>,
    /// The proxy on the way.
    pub(super) via: Option<Arc<Via>>,
}

impl Route {
    /// The proxy that gets requests to `url` as they are.
    pub(super) fn relay(&self, url: &Address) -> Option<&Via> {
        self.via.as_deref().filter(|via| via.relays(url))
    }
}

/// What a request says about its route; the rest is the client's.
#[derive(Debug, Clone, Default)]
pub(super) struct Detour {
    pub(super) validate_cert: Option<bool>,
    pub(super) ca_certs: Option<Arc<[u8]>>,
    pub(super) identity: Option<ClientIdentity>,
    pub(super) server_name: Option<String>,
    pub(super) unix_socket: Option<PathBuf>,
    pub(super) source: Option<IpAddr>,
    pub(super) proxy: Option<Proxy>,
}

impl Detour {
    /// The route to `url` of a request that says this.
    pub(super) fn apply(&self, route: &Route, url: &Address) -> Route {
        let tls = match url.is_https() {
            true => ClientTls {
                validate_cert: self.validate_cert.unwrap_or(route.tls.validate_cert),
                ca_certs: (self.ca_certs.clone()).or_else(|| route.tls.ca_certs.clone()),
                identity: (self.identity.clone()).or_else(|| route.tls.identity.clone()),
                key_log: route.tls.key_log,
            },
            false => route.tls.clone(),
        };
        let server_name = (self.server_name.clone()).filter(|_| url.is_https());
        Route {
            tls,
            server_name: server_name.or_else(|| route.server_name.clone()),
            unix_socket: (self.unix_socket.clone()).or_else(|| route.unix_socket.clone()),
            source: self.source.or(route.source),
            via: None,
        }
    }

    /// Forgets what was said for one origin only.
    pub(super) fn leave_origin(&mut self) {
        self.identity = None;
        self.server_name = None;
        self.unix_socket = None;
    }
}
