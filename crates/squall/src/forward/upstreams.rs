//! `Upstreams`: the servers among which requests are shared out.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::StatusCode;

use super::balance::{Balance, Turn};
use super::error::ForwardError;
use super::health::{Checks, HealthCheck};
use super::names::Names;
use super::upstream::{Ejection, InFlight, Upstream, UpstreamState, UpstreamStats};
use squall_http::server::Exchange;

use crate::Request;
use crate::client::{AsyncHttpClient, Origin};

/// Fifths of a retry that are there at first, and that are saved up at most.
const RETRIES: (u32, u32) = (50, 500);
/// What one retry costs: each request gives one.
const PER_RETRY: u32 = 5;

/// One upstream, or a set of them.
///
/// ```
/// use std::time::Duration;
/// use squall::forward::{Balance, Forward, HealthCheck, Upstreams};
///
/// let upstreams = Upstreams::of(["http://10.0.0.1:8080", "http://10.0.0.2:8080"])
///     .balance(Balance::round_robin())
///     .max_in_flight(200)
///     .health_check(HealthCheck::get("/health").every(Duration::from_secs(5)));
/// let api = Forward::to(upstreams).strip_prefix("/api");
/// ```
#[derive(Debug)]
pub struct Upstreams(Set);

/// What a set is made of, as forwards share it.
pub(super) struct Set {
    members: Members,
    balance: Balance,
    max_in_flight: usize,
    ejection: Ejection,
    retries: usize,
    /// With which an upstream has declined.
    declines: Vec<StatusCode>,
    check: Option<Arc<Checks>>,
    turn: Turn,
    /// In fifths of one.
    budget: AtomicU32,
    /// Of the address.
    path: String,
}

enum Members {
    Fixed(Arc<[Arc<Upstream>]>),
    Named(Names),
    /// What is wrong with the addresses.
    Invalid(String),
}

impl Upstreams {
    /// These servers, each `http://host:port`, `https://…` or `unix:/path/of/the/socket`.
    /// All have the same path, or none; it is put before every forwarded one.
    pub fn of<A: AsRef<str>>(addresses: impl IntoIterator<Item = A>) -> Self {
        let mut path = None;
        let mut members = Vec::new();
        for address in addresses {
            let origin = match Origin::parse(address.as_ref()) {
                Ok(origin) => origin,
                Err(why) => return Self::invalid(why),
            };
            let path = path.get_or_insert_with(|| origin.path().to_owned());
            if path != origin.path() {
                let why = "the upstreams of a set have different paths".to_owned();
                return Self::invalid(why);
            }
            members.push(Upstream::new(origin));
        }
        if members.is_empty() {
            let why = "a set of upstreams is empty".to_owned();
            return Self::invalid(why);
        }
        Self::new(Members::Fixed(members.into()), path.unwrap_or_default())
    }

    /// Every address of a name is a server: `http://name:port` or `https://…`, where
    /// certificates have to be for the name. It is looked up again while it is
    /// in use; a change is followed within a minute. A client's HTTP proxy is told the name
    /// for `http://`, and finds an address itself.
    pub fn of_name(address: &str) -> Self {
        match Origin::parse(address) {
            Ok(origin) if origin.is_socket() => {
                let why = format!("{address:?} is a socket and not a name");
                Self::invalid(why)
            }
            Ok(origin) => {
                let path = origin.path().to_owned();
                Self::new(Members::Named(Names::of(origin)), path)
            }
            Err(why) => Self::invalid(why),
        }
    }

    /// A set that fails every request, and why.
    pub(super) fn invalid(why: String) -> Self {
        Self::new(Members::Invalid(why), String::new())
    }

    fn new(members: Members, path: String) -> Self {
        Self(Set {
            members,
            path,
            balance: Balance::default(),
            max_in_flight: usize::MAX,
            ejection: Ejection {
                after: 5,
                base: Duration::from_secs(10),
            },
            retries: 1,
            declines: Vec::new(),
            check: None,
            turn: Turn::default(),
            budget: AtomicU32::new(RETRIES.0),
        })
    }

    /// Which of them gets a request: default [`Balance::least_in_flight`].
    pub fn balance(mut self, balance: Balance) -> Self {
        self.0.balance = balance;
        self
    }

    /// How many requests and tunnels each may have at a time: default no limit but the
    /// client's connections. Where all are full, the answer is 503; zero: they always are.
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.0.max_in_flight = requests;
        self
    }

    /// How many others are tried when one cannot be reached, also within `connect_timeout`,
    /// or closes or breaks off without an answer: default 1. Zero: none.
    ///
    /// One that is silent is not left for another one: it may be at work, and the time is
    /// spent. That is a 504.
    ///
    /// A request goes to another one only where that is safe: none of it was sent, or it is
    /// idempotent; and its body, as far as it was sent, is still there
    /// ([`Forward::replay_buffer`](super::Forward::replay_buffer)). Beyond the first
    /// ten, no more than a fifth of the requests to this set are sent again.
    pub fn retries(mut self, others: usize) -> Self {
        self.0.retries = others;
        self
    }

    /// With which statuses one says that another one should be asked, such as 502, 503 and
    /// 504: default none, any status is the answer.
    ///
    /// Only for idempotent requests whose body is still there, within [`retries`](Self::retries);
    /// whoever is left for another one has failed. Where there is no other, the answer is
    /// passed on.
    ///
    /// ```
    /// use squall::StatusCode;
    /// use squall::forward::Upstreams;
    ///
    /// let upstreams = Upstreams::of(["http://10.0.0.1:8080", "http://10.0.0.2:8080"])
    ///     .retry_statuses([StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE]);
    /// ```
    pub fn retry_statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.0.declines = statuses.into_iter().collect();
        self
    }

    /// After how many failures in a row one is left alone, and for how long at first:
    /// default 5 and 10 s, and twice as long with each time, up to 5 minutes. Zero: never.
    ///
    /// A failure is no connection, no answer, or one that is malformed; a status is none, but
    /// for the [`retry_statuses`](Self::retry_statuses), nor is what this machine has run out
    /// of or a setting of the client forbids. Silence is one, unless the handler's own deadline
    /// left the upstream less than half of the forward's
    /// [`idle_timeout`](super::Forward::idle_timeout), or that is zero.
    ///
    /// Half of a set stays in it at least; those that are down count as out. When the time is
    /// over one request at a time tries it, where there are others, until it answers.
    pub fn eject_after(mut self, failures: u32, time: Duration) -> Self {
        self.0.ejection = Ejection {
            after: failures,
            base: time,
        };
        self
    }

    /// Asks each from time to time whether it works: default not.
    ///
    /// # Errors
    /// A check whose path or host is none fails every request with 500.
    pub fn health_check(mut self, check: HealthCheck) -> Self {
        match check.fault() {
            Some(why) => self.0.members = Members::Invalid(why),
            None => self.0.check = Some(Checks::of(check)),
        }
        self
    }

    pub(super) fn into_set(self) -> Set {
        self.0
    }
}

impl From<&str> for Upstreams {
    fn from(address: &str) -> Self {
        Self::of([address])
    }
}

impl From<&String> for Upstreams {
    fn from(address: &String) -> Self {
        Self::of([address])
    }
}

impl From<String> for Upstreams {
    fn from(address: String) -> Self {
        Self::of([address])
    }
}

impl Set {
    /// The path that is put before every other one.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The servers at present.
    ///
    /// # Errors
    /// When a name has no address, or an address is none.
    pub(super) async fn members(
        self: &Arc<Self>,
        client: &AsyncHttpClient,
        exchange: &Exchange,
    ) -> Result<Arc<[Arc<Upstream>]>, ForwardError> {
        let members = match &self.members {
            Members::Fixed(members) => members.clone(),
            Members::Named(names) => (Box::pin(names.members(client)).await)
                .map_err(|error| ForwardError::unavailable(error.to_string()))?,
            Members::Invalid(why) => return Err(ForwardError::invalid(why.clone())),
        };
        if let Some(check) = &self.check {
            check.begin(self, client, exchange);
        }
        if members.len() > 1 {
            let saved = |saved: u32| (saved < RETRIES.1).then_some(saved + 1);
            // An error: enough are saved.
            let _ = (self.budget).fetch_update(Ordering::Relaxed, Ordering::Relaxed, saved);
        }
        Ok(members)
    }

    /// The servers that are known of.
    pub(super) fn known(&self) -> Arc<[Arc<Upstream>]> {
        match &self.members {
            Members::Fixed(members) => members.clone(),
            Members::Named(names) => names.known(),
            Members::Invalid(_) => Arc::default(),
        }
    }

    pub(super) fn stats(&self) -> Vec<UpstreamStats> {
        self.known()
            .iter()
            .map(|upstream| upstream.stats())
            .collect()
    }

    /// One of the members that works, has room, and was not tried. A request takes one turn,
    /// however often it is sent.
    pub(super) fn pick(
        &self,
        members: &[Arc<Upstream>],
        tried: &[Arc<Upstream>],
        request: &Request,
    ) -> Result<InFlight, ForwardError> {
        let begun = match members {
            [only] if self.may_be_asked(only, tried) => InFlight::begin(only, self.max_in_flight),
            [_] => None,
            _ => self.pick_of_many(members, tried, request),
        };
        begun.ok_or_else(|| self.why_none(members))
    }

    #[inline(never)]
    fn pick_of_many(
        &self,
        members: &[Arc<Upstream>],
        tried: &[Arc<Upstream>],
        request: &Request,
    ) -> Option<InFlight> {
        let steady = self.pick_among(members, tried, request, |it| !it.is_probed());
        // Rather one that is being tried already than none.
        steady.or_else(|| self.pick_among(members, tried, request, Upstream::is_probed))
    }

    fn pick_among(
        &self,
        members: &[Arc<Upstream>],
        tried: &[Arc<Upstream>],
        request: &Request,
        wanted: impl Fn(&Upstream) -> bool,
    ) -> Option<InFlight> {
        let working = (members.iter())
            .filter(|upstream| self.may_be_asked(upstream, tried) && wanted(upstream));
        // Another lane may take the room that was seen; there may be more elsewhere.
        for _ in members {
            let count = working.clone().count();
            if count == 0 {
                break;
            }
            let turn = match tried {
                [] => self.turn.take(),
                _ => self.turn.next(),
            };
            let key = self.balance.key(request);
            let chosen = (self.balance).choose(working.clone(), count, key, turn);
            let begun = chosen.and_then(|one| InFlight::begin(one, self.max_in_flight));
            if begun.is_some() {
                return begun;
            }
        }
        None
    }

    /// Whether it works, has room, and was not tried.
    fn may_be_asked(&self, upstream: &Arc<Upstream>, tried: &[Arc<Upstream>]) -> bool {
        upstream.in_flight() < self.max_in_flight
            && upstream.state() == UpstreamState::Up
            && !tried.iter().any(|other| Arc::ptr_eq(upstream, other))
    }

    /// Whether a status says that another one should be asked.
    pub(super) fn is_declined(&self, status: StatusCode) -> bool {
        !self.declines.is_empty() && self.declines.contains(&status)
    }

    /// Whether there is another one to ask.
    pub(super) fn has_another(&self, members: &[Arc<Upstream>], tried: &[Arc<Upstream>]) -> bool {
        (members.iter()).any(|upstream| self.may_be_asked(upstream, tried))
    }

    /// Whether one more may be tried instead of one that has failed.
    pub(super) fn may_retry(&self, tried: usize, members: usize) -> bool {
        let spend = |saved: u32| saved.checked_sub(PER_RETRY);
        tried <= self.retries
            && tried < members
            && (self.budget)
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend)
                .is_ok()
    }

    /// One has failed: it is left alone, unless too many are.
    pub(super) fn has_failed(&self, members: &[Arc<Upstream>], in_flight: &InFlight) {
        if !in_flight.has_failed(self.ejection) {
            return;
        }
        let is_up = |upstream: &&Arc<Upstream>| upstream.state() == UpstreamState::Up;
        let out = members.len() - members.iter().filter(is_up).count();
        if (out + 1) * 2 <= members.len() {
            in_flight.eject(self.ejection);
        }
    }

    fn why_none(&self, members: &[Arc<Upstream>]) -> ForwardError {
        let count = |state| members.iter().filter(|it| it.state() == state).count();
        let full = (members.iter())
            .filter(|upstream| upstream.in_flight() >= self.max_in_flight)
            .count();
        ForwardError::unavailable(format!(
            "none of {} upstreams is available: {} down, {} ejected, {full} full (max_in_flight)",
            members.len(),
            count(UpstreamState::Down),
            count(UpstreamState::Ejected),
        ))
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known();
        let addresses = known.iter().map(|upstream| upstream.origin.as_str());
        f.debug_struct("Set")
            .field("upstreams", &addresses.collect::<Vec<_>>())
            .field("balance", &self.balance)
            .finish_non_exhaustive()
    }
}
