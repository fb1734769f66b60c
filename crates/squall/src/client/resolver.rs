//! Names to addresses: the system's resolver with a cache, or one of your own.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use squall_loop::sync::{Event, Semaphore};
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
/// Names that the system looks up at a time: each one takes a thread, for as long as the
/// DNS servers are silent.
const MAX_LOOK_UPS: usize = 64;

/// The whole process's turns, for its threads are.
static TURNS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(MAX_LOOK_UPS));

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
    /// Instead of the system's.
    own: Option<Arc<dyn Resolver>>,
    system: Remembering,
}

impl Names {
    pub(super) fn ask(&mut self, resolver: impl Resolver) {
        self.own = Some(Arc::new(resolver));
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
        let with_port = |ip: &IpAddr| SocketAddr::new(*ip, port);
        let mapped = self.mapped.get(host.trim_end_matches('.'));
        let mut found: Vec<_> = match (mapped, &self.own) {
            (Some(mapped), _) => mapped.iter().map(with_port).collect(),
            (None, Some(own)) => own.resolve(host).await?.iter().map(with_port).collect(),
            (None, None) => self.system.look_up(host).await?,
        };
        if found.is_empty() {
            let why = "the name has no address";
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        }
        for address in &mut found {
            address.set_port(port);
        }
        Ok(found)
    }
}

impl Default for Names {
    fn default() -> Self {
        let ask =
            |host: String| -> Finding { Box::pin(async move { net::resolve(&host, 0).await }) };
        Self {
            mapped: HashMap::new(),
            own: None,
            system: Remembering::of(ask, &TURNS),
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

/// Addresses with the zone that the system found them in, and without a port.
type Finding = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Remembers what was found: addresses are believed for 30 seconds, and used for 30 more
/// while somebody looks again, so that nobody waits for a name that is in use. A failure is
/// believed for one. At most 1,024 names are remembered.
///
/// All who want a name wait for the same look-up. It goes on when they have gone, so that
/// those who come later find what it has found.
#[derive(Clone)]
struct Remembering(Arc<Memory>);

struct Memory {
    state: Mutex<State>,
    turns: &'static Semaphore,
    ask: Box<dyn Fn(String) -> Finding + Send + Sync>,
}

#[derive(Default)]
struct State {
    known: HashMap<String, Known>,
    /// Look-ups under way.
    running: HashMap<String, Arc<LookUp>>,
}

struct Known {
    /// When somebody looks again, in the background.
    due: Instant,
    until: Instant,
    found: Found,
}

/// What can be told to many.
type Found = Result<Vec<SocketAddr>, (io::ErrorKind, String)>;

/// The outcome of a look-up, for all who wait for it.
#[derive(Default)]
struct LookUp {
    found: OnceLock<Found>,
    is_over: Event,
}

impl Remembering {
    fn of(
        ask: impl Fn(String) -> Finding + Send + Sync + 'static,
        turns: &'static Semaphore,
    ) -> Self {
        Self(Arc::new(Memory {
            state: Mutex::default(),
            turns,
            ask: Box::new(ask),
        }))
    }

    /// The addresses of a name.
    ///
    /// # Cancel safety
    /// The look-up goes on, unless its turn has not come and nobody else waits for it.
    async fn look_up(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        // One that has ended with the loop of whoever began it is begun again, here.
        for _ in 0..2 {
            let look_up = match self.ask(host) {
                Ok(known) => return told(known),
                Err(look_up) => look_up,
            };
            look_up.is_over.wait().await;
            if let Some(found) = look_up.found.get() {
                return told(found.clone());
            }
        }
        Err(io::Error::other(format!("{host}: the look-up broke off")))
    }

    /// What is known of a name, or the look-up that will tell.
    fn ask(&self, host: &str) -> Result<Found, Arc<LookUp>> {
        let mut state = self.0.state.lock();
        let known = match state.remembered(host) {
            Some((known, false)) => return Ok(known),
            Some((known, true)) => Some(known),
            None => None,
        };
        let (look_up, begun) = self.join(&mut state, host, known.is_some());
        // Its end takes the lock, and may come at once in a loop that stops.
        drop(state);
        if let Some(begun) = begun {
            drop(IoLoop::current().spawn(begun.run()));
        }
        known.ok_or(look_up)
    }

    /// The look-up of a name, and what is to be run if none was under way.
    fn join(
        &self,
        state: &mut State,
        host: &str,
        refreshes: bool,
    ) -> (Arc<LookUp>, Option<Running>) {
        if let Some(running) = state.running.get(host) {
            return (running.clone(), None);
        }
        let look_up = Arc::<LookUp>::default();
        state.running.insert(host.to_owned(), look_up.clone());
        let begun = Running {
            memory: self.0.clone(),
            host: host.to_owned(),
            look_up: look_up.clone(),
            refreshes,
        };
        (look_up, Some(begun))
    }
}

fn told(found: Found) -> io::Result<Vec<SocketAddr>> {
    found.map_err(|(kind, words)| io::Error::new(kind, words))
}

/// A look-up under way. Dropping it tells all who wait that it is over.
struct Running {
    memory: Arc<Memory>,
    host: String,
    look_up: Arc<LookUp>,
    /// What is known is used meanwhile: nobody waits.
    refreshes: bool,
}

impl Running {
    async fn run(self) {
        let _turn = self.memory.turns.acquire().await;
        if self.is_abandoned() {
            return;
        }
        let found = (self.memory.ask)(self.host.clone()).await;
        let found = found.map_err(|error| (error.kind(), error.to_string()));
        self.memory.remember(&self.host, &found);
        // Nobody else sets it.
        let _ = self.look_up.found.set(found);
    }

    /// Whether all who waited have gone before its turn came; nobody can join it then.
    fn is_abandoned(&self) -> bool {
        let mut state = self.memory.state.lock();
        // One is the list's, one its own.
        let abandoned = !self.refreshes && Arc::strong_count(&self.look_up) <= 2;
        if abandoned {
            state.running.remove(&self.host);
        }
        abandoned
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.memory.state.lock();
        let listed = state.running.get(&self.host);
        if listed.is_some_and(|listed| Arc::ptr_eq(listed, &self.look_up)) {
            state.running.remove(&self.host);
        }
        drop(state);
        self.look_up.is_over.set();
    }
}

impl State {
    /// What is known of a name, and whether it is the caller's turn to look again.
    fn remembered(&mut self, host: &str) -> Option<(Found, bool)> {
        let now = now();
        let known = (self.known.get_mut(host)).filter(|known| known.until > now)?;
        let is_due = known.due <= now;
        if is_due {
            // Nobody else does meanwhile.
            known.due = known.until;
        }
        Some((known.found.clone(), is_due))
    }
}

impl Memory {
    fn remember(&self, host: &str, found: &Found) {
        let now = now();
        let names = &mut self.state.lock().known;
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
        let (due, stale) = match found {
            Ok(_) => (now + FOUND, STALE),
            Err(_) => (now + FAILED, Duration::ZERO),
        };
        let known = Known {
            due,
            until: due + stale,
            found: found.clone(),
        };
        names.insert(host.to_owned(), known);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV6;
    use std::pin::pin;
    use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
    use std::sync::mpsc;

    use squall_loop::{TestClock, with_timeout, yield_now};

    use super::*;

    /// Finds another address each time, or fails; not before it may.
    #[derive(Default)]
    struct Counting {
        asked: AtomicU8,
        fails: AtomicBool,
        held: AtomicBool,
        released: Event,
    }

    impl Counting {
        async fn find(self: Arc<Self>) -> io::Result<Vec<SocketAddr>> {
            let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            if self.held.load(Ordering::SeqCst) {
                self.released.wait().await;
            }
            match self.fails.load(Ordering::SeqCst) {
                false => Ok(vec![([10, 0, 0, asked], 0).into()]),
                true => Err(io::ErrorKind::NotFound.into()),
            }
        }
    }

    /// A memory, what it asks, and the loop it is asked on.
    struct Setup {
        io_loop: IoLoop,
        clock: TestClock,
        counting: Arc<Counting>,
        names: Remembering,
    }

    impl Setup {
        fn new() -> Self {
            Self::with_turns(&TURNS)
        }

        fn with_turns(turns: &'static Semaphore) -> Self {
            let clock = TestClock::new();
            let counting = Arc::<Counting>::default();
            let asked = counting.clone();
            let ask = move |_| -> Finding { Box::pin(asked.clone().find()) };
            Self {
                io_loop: IoLoop::builder().lanes(1).clock(&clock).build().unwrap(),
                clock,
                names: Remembering::of(ask, turns),
                counting,
            }
        }

        /// The last number of the address that is given for the name.
        fn ask(&self) -> Option<u8> {
            let names = self.names.clone();
            let found = self
                .io_loop
                .run(async move { names.look_up("a.test").await });
            last_number(&found.unwrap())
        }

        /// Asks for a name, and leaves before the answer.
        fn ask_in_vain(&self, host: &'static str) {
            let names = self.names.clone();
            let left = self.io_loop.run(async move {
                let mut asking = pin!(names.look_up(host));
                let asked = with_timeout(Duration::ZERO, asking.as_mut()).await;
                // What it has begun gets as far as it can before it leaves.
                yield_now().await;
                asked.is_err()
            });
            assert!(left.unwrap(), "{host} was known");
        }

        fn asked(&self) -> u8 {
            self.counting.asked.load(Ordering::SeqCst)
        }

        fn hold(&self) {
            self.counting.held.store(true, Ordering::SeqCst);
        }

        fn release(&self) {
            self.counting.released.set();
        }

        fn wait(&self, seconds: u64) {
            self.clock.advance(Duration::from_secs(seconds));
        }
    }

    fn last_number(found: &io::Result<Vec<SocketAddr>>) -> Option<u8> {
        match found.as_ref().ok()?.first()?.ip() {
            IpAddr::V4(address) => Some(address.octets()[3]),
            IpAddr::V6(_) => None,
        }
    }

    impl Drop for Setup {
        fn drop(&mut self) {
            self.io_loop.stop();
        }
    }

    #[test]
    fn all_who_want_a_name_wait_for_one_look_up() {
        let setup = Setup::new();
        setup.hold();
        let (names, counting) = (setup.names.clone(), setup.counting.clone());
        let found = setup.io_loop.run(async move {
            let asking = (0..50).map(|_| {
                let names = names.clone();
                IoLoop::current().spawn(async move { names.look_up("a.test").await })
            });
            let asking: Vec<_> = asking.collect();
            while counting.asked.load(Ordering::SeqCst) == 0 {
                yield_now().await;
            }
            counting.released.set();
            let mut found = Vec::new();
            for asked in asking {
                found.push(last_number(&asked.await.unwrap()));
            }
            found
        });
        assert_eq!(found.unwrap(), [Some(1); 50]);
        assert_eq!(setup.asked(), 1);
    }

    #[test]
    fn a_look_up_goes_on_when_nobody_waits_for_it_any_more() {
        let setup = Setup::new();
        setup.hold();
        setup.ask_in_vain("a.test");
        setup.ask_in_vain("a.test");
        assert_eq!(setup.asked(), 1);
        setup.release();
        assert_eq!((setup.ask(), setup.ask()), (Some(1), Some(1)));
        assert_eq!(setup.asked(), 1);
    }

    #[test]
    fn some_names_are_looked_up_at_a_time_and_none_that_nobody_waits_for() {
        static TWO: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(2));
        let setup = Setup::with_turns(&TWO);
        setup.hold();
        for host in ["b.test", "c.test", "d.test", "e.test"] {
            setup.ask_in_vain(host);
        }
        assert_eq!(setup.asked(), 2);
        setup.release();
        // Its turn is behind those that are given up.
        assert_eq!((setup.ask(), setup.asked()), (Some(3), 3));
    }

    #[test]
    fn a_look_up_that_breaks_off_twice_is_an_error_and_the_next_one_goes_well() {
        let asked = AtomicU8::new(0);
        let ask = move |_| -> Finding {
            let asked = asked.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                assert!(asked >= 2, "on purpose");
                Ok(vec![([10, 0, 0, 1], 0).into()])
            })
        };
        let names = Remembering::of(ask, &TURNS);
        let io_loop = IoLoop::builder().lanes(1).build().unwrap();
        let (first, second) = io_loop
            .run(async move {
                let first = names.look_up("a.test").await;
                (first, names.look_up("a.test").await)
            })
            .unwrap();
        io_loop.stop();
        assert!(first.unwrap_err().to_string().contains("broke off"));
        assert_eq!(last_number(&second), Some(1));
    }

    #[test]
    fn a_look_up_that_ends_with_its_loop_is_begun_again_by_who_waits_in_another() {
        let setup = Setup::new();
        setup.hold();
        setup.ask_in_vain("a.test");
        let io_loop = IoLoop::builder().lanes(1).build().unwrap();
        let (waits, waiting) = mpsc::channel();
        let names = setup.names.clone();
        let found = io_loop.spawn(async move {
            let mut asking = pin!(names.look_up("a.test"));
            let asked = with_timeout(Duration::ZERO, asking.as_mut()).await;
            waits.send(asked.is_err()).unwrap();
            asking.await
        });
        assert!(waiting.recv().unwrap(), "it waits for the one under way");
        setup.counting.held.store(false, Ordering::SeqCst);
        setup.io_loop.stop();
        let found = io_loop.run(found).unwrap().unwrap();
        io_loop.stop();
        assert_eq!((last_number(&found), setup.asked()), (Some(2), 2));
    }

    #[test]
    fn the_zone_of_a_link_local_address_is_kept() {
        let zoned = SocketAddrV6::new("fe80::1".parse().unwrap(), 0, 0, 7);
        let names = Names {
            system: Remembering::of(
                move |_| Box::pin(async move { Ok(vec![zoned.into()]) }),
                &TURNS,
            ),
            ..Names::default()
        };
        let io_loop = IoLoop::builder().lanes(1).build().unwrap();
        let found = io_loop.run(async move { names.look_up("a.test", 80).await });
        io_loop.stop();
        let expected = SocketAddrV6::new(*zoned.ip(), 80, 0, 7);
        assert_eq!(found.unwrap().unwrap(), [expected.into()]);
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
