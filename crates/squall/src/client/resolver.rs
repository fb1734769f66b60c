//! Names to addresses: the system's resolver with a cache, or one of your own.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use squall_loop::time::now;
use squall_loop::{IoLoop, net};

/// Names kept.
const MAX_NAMES: usize = 1024;
/// How long an address is believed. The system does not tell how long it may be.
const FOUND: Duration = Duration::from_secs(30);
/// How long it is used after that, while it is looked for again (RFC 8767 is bolder).
const STALE: Duration = Duration::from_secs(30);
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
        let host = host.trim_end_matches('.');
        let known =
            url::Host::parse(host).map_or_else(|_| host.to_lowercase(), |it| it.to_string());
        self.mapped.insert(known, addresses);
    }

    /// The addresses of an address's host, which is in small letters already; a literal
    /// one is its own.
    pub(super) async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(literal) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(literal, port)]);
        }
        let found = match self.mapped.get(host.trim_end_matches('.')) {
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
            resolver: Arc::new(Remembering::of(SystemResolver)),
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

/// The system's resolver, on the executor.
struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            let found = net::resolve(host, 0).await?;
            Ok(found.iter().map(SocketAddr::ip).collect())
        })
    }
}

/// Remembers what a resolver has found: addresses are believed for 30 seconds, and used for
/// 30 more while somebody looks again, so that nobody waits for a name that is in use. A
/// failure is believed for one. At most 1,024 names are remembered.
struct Remembering<R>(Arc<Memory<R>>);

struct Memory<R> {
    known: Mutex<HashMap<String, Known>>,
    resolver: R,
}

struct Known {
    /// When somebody looks again, in the background.
    due: Instant,
    until: Instant,
    found: Result<Vec<IpAddr>, (io::ErrorKind, String)>,
}

impl<R: Resolver> Resolver for Remembering<R> {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            let Some((known, is_due)) = self.0.remembered(host) else {
                return self.0.look_up(host).await;
            };
            if is_due {
                let (memory, host) = (self.0.clone(), host.to_owned());
                IoLoop::current().spawn(async move { memory.look_up(&host).await.map(drop) });
            }
            known
        })
    }
}

impl<R: Resolver> Remembering<R> {
    fn of(resolver: R) -> Self {
        let known = Mutex::default();
        Self(Arc::new(Memory { known, resolver }))
    }
}

impl<R: Resolver> Memory<R> {
    async fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = self.resolver.resolve(host).await;
        self.remember(host, &found);
        found
    }

    /// What is known of a name, and whether it is the caller's turn to look again.
    fn remembered(&self, host: &str) -> Option<(io::Result<Vec<IpAddr>>, bool)> {
        let now = now();
        let mut names = self.lock();
        let known = names.get_mut(host).filter(|known| known.until > now)?;
        let is_due = known.due <= now;
        if is_due {
            // Nobody else does meanwhile.
            known.due = known.until;
        }
        let found = match &known.found {
            Ok(found) => Ok(found.clone()),
            Err((kind, words)) => Err(io::Error::new(*kind, words.clone())),
        };
        Some((found, is_due))
    }

    fn remember(&self, host: &str, found: &io::Result<Vec<IpAddr>>) {
        let now = now();
        let mut names = self.lock();
        let stale = (names.get_mut(host))
            .filter(|known| found.is_err() && known.found.is_ok() && known.until > now);
        if let Some(stale) = stale {
            stale.due = now + FAILED;
            return;
        }
        if names.len() >= MAX_NAMES && !names.contains_key(host) {
            names.retain(|_, known| known.until > now);
            if names.len() >= MAX_NAMES {
                names.clear();
            }
        }
        let (found, due, stale) = match found {
            Ok(found) => (Ok(found.clone()), now + FOUND, STALE),
            Err(error) => (
                Err((error.kind(), error.to_string())),
                now + FAILED,
                Duration::ZERO,
            ),
        };
        let until = due + stale;
        names.insert(host.to_owned(), Known { due, until, found });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

    use squall_loop::TestClock;

    use super::*;

    /// Finds another address each time, or fails.
    #[derive(Default)]
    struct Counting {
        asked: AtomicU8,
        fails: AtomicBool,
    }

    impl Resolver for Arc<Counting> {
        fn resolve<'a>(&'a self, _host: &'a str) -> Resolving<'a> {
            Box::pin(async {
                let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
                match self.fails.load(Ordering::SeqCst) {
                    false => Ok(vec![[10, 0, 0, asked].into()]),
                    true => Err(io::ErrorKind::NotFound.into()),
                }
            })
        }
    }

    /// A memory, what it asks, and the loop it is asked on.
    struct Setup {
        io_loop: IoLoop,
        clock: TestClock,
        counting: Arc<Counting>,
        names: Arc<Remembering<Arc<Counting>>>,
    }

    impl Setup {
        fn new() -> Self {
            let clock = TestClock::new();
            let counting = Arc::<Counting>::default();
            Self {
                io_loop: IoLoop::builder().lanes(1).clock(&clock).build().unwrap(),
                clock,
                names: Arc::new(Remembering::of(counting.clone())),
                counting,
            }
        }

        /// The last number of the address that is given for the name.
        fn ask(&self) -> Option<u8> {
            let names = self.names.clone();
            let found = self
                .io_loop
                .run(async move { names.resolve("a.test").await });
            match found.unwrap().ok()?.first()? {
                IpAddr::V4(address) => Some(address.octets()[3]),
                IpAddr::V6(_) => None,
            }
        }

        fn asked(&self) -> u8 {
            self.counting.asked.load(Ordering::SeqCst)
        }

        fn wait(&self, seconds: u64) {
            self.clock.advance(Duration::from_secs(seconds));
        }
    }

    impl Drop for Setup {
        fn drop(&mut self) {
            self.io_loop.stop();
        }
    }

    #[test]
    fn an_old_address_is_used_while_somebody_looks_again() {
        let setup = Setup::new();
        assert_eq!((setup.ask(), setup.ask()), (Some(1), Some(1)));
        setup.wait(29);
        assert_eq!((setup.ask(), setup.asked()), (Some(1), 1));
        setup.wait(2);
        assert_eq!(setup.ask(), Some(1));
        while setup.ask() != Some(2) {}
        assert_eq!(setup.asked(), 2);
        // Nobody asks for it for so long that it is not used any more.
        setup.wait(61);
        assert_eq!((setup.ask(), setup.asked()), (Some(3), 3));
    }

    #[test]
    fn a_failure_does_not_take_the_old_address_away_at_once() {
        let setup = Setup::new();
        assert_eq!(setup.ask(), Some(1));
        setup.counting.fails.store(true, Ordering::SeqCst);
        setup.wait(31);
        assert_eq!(setup.ask(), Some(1));
        while setup.asked() < 2 {
            std::thread::yield_now();
        }
        // It was asked just now.
        assert_eq!(
            (setup.ask(), setup.ask(), setup.asked()),
            (Some(1), Some(1), 2)
        );
        setup.wait(30);
        assert_eq!((setup.ask(), setup.asked()), (None, 3));
        setup.counting.fails.store(false, Ordering::SeqCst);
        assert_eq!((setup.ask(), setup.asked()), (None, 3));
        setup.wait(1);
        assert_eq!((setup.ask(), setup.asked()), (Some(4), 4));
    }
}
