//! Names to addresses: the system's resolver with a cache, or one of your own.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use squall_loop::net;
use squall_loop::time::now;

/// Names kept.
const MAX_NAMES: usize = 1024;
/// How long an address is believed. The system does not tell how long it may be.
const FOUND: Duration = Duration::from_secs(30);
/// How long a failure is believed.
const FAILED: Duration = Duration::from_secs(1);

/// What [`Resolver::resolve`] gives.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Finds the addresses of a host; for [`ClientBuilder::resolver`].
///
/// ```
/// use squall::client::{AsyncHttpClient, Resolver, Resolving};
///
/// struct Inside;
///
/// impl Resolver for Inside {
///     fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
///         let last = if host.starts_with("blue.") { 1 } else { 2 };
///         Box::pin(async move { Ok(vec![[10, 0, 0, last].into()]) })
///     }
/// }
///
/// let client = AsyncHttpClient::builder().resolver(Inside).build();
/// ```
///
/// [`ClientBuilder::resolver`]: super::ClientBuilder::resolver
pub trait Resolver: Send + Sync + 'static {
    /// The addresses of a name, the best one first. It is asked for names only, never for
    /// literal addresses, and each time: what may be remembered is its own matter.
    ///
    /// # Errors
    /// What stands in the way; an empty list is an error, too.
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a>;
}

/// The client's way from a host to its addresses: what is mapped by hand, then a resolver.
#[derive(Clone)]
pub(super) struct Names {
    mapped: HashMap<String, Vec<IpAddr>>,
    resolver: Arc<dyn Resolver>,
}

impl Names {
    pub(super) fn ask(&mut self, resolver: impl Resolver) {
        self.resolver = Arc::new(resolver);
    }

    pub(super) fn map(&mut self, host: &str, addresses: Vec<IpAddr>) {
        self.mapped.insert(host.to_ascii_lowercase(), addresses);
    }

    /// The addresses of an address's host, which is in small letters already; a literal
    /// one is its own.
    pub(super) async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(literal) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(literal, port)]);
        }
        let found = match self.mapped.get(host) {
            Some(mapped) => mapped.clone(),
            None => self.resolver.resolve(host).await?,
        };
        if found.is_empty() {
            let why = "the name has no address";
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        }
        let with_port = |ip| SocketAddr::new(ip, port);
        Ok(found.into_iter().map(with_port).collect())
    }
}

impl Default for Names {
    fn default() -> Self {
        Self {
            mapped: HashMap::new(),
            resolver: Arc::new(SystemResolver::default()),
        }
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names")
            .field("mapped", &self.mapped)
            .finish_non_exhaustive()
    }
}

/// The system's resolver, on the executor; its answers are believed for 30 seconds, its
/// failures for one. At most 1,024 names are remembered.
#[derive(Default)]
struct SystemResolver {
    known: Mutex<HashMap<String, Known>>,
}

struct Known {
    until: Instant,
    found: Result<Vec<IpAddr>, (io::ErrorKind, String)>,
}

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            if let Some(known) = self.remembered(host) {
                return known;
            }
            let found = net::resolve(host, 0).await;
            let found = found.map(|found| found.iter().map(SocketAddr::ip).collect());
            self.remember(host, &found);
            found
        })
    }
}

impl SystemResolver {
    fn remembered(&self, host: &str) -> Option<io::Result<Vec<IpAddr>>> {
        let names = self.lock();
        let known = names.get(host).filter(|known| known.until > now())?;
        Some(match &known.found {
            Ok(found) => Ok(found.clone()),
            Err((kind, words)) => Err(io::Error::new(*kind, words.clone())),
        })
    }

    fn remember(&self, host: &str, found: &io::Result<Vec<IpAddr>>) {
        let now = now();
        let mut names = self.lock();
        if names.len() >= MAX_NAMES && !names.contains_key(host) {
            names.retain(|_, known| known.until > now);
            if names.len() >= MAX_NAMES {
                names.clear();
            }
        }
        let known = Known {
            until: now + if found.is_ok() { FOUND } else { FAILED },
            found: match found {
                Ok(found) => Ok(found.clone()),
                Err(error) => Err((error.kind(), error.to_string())),
            },
        };
        names.insert(host.to_owned(), known);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
