//! `Balance`: which upstream of a set gets a request.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::upstream::Upstream;
use crate::Request;

type Key = Arc<dyn Fn(&Request) -> Option<Vec<u8>> + Send + Sync>;

/// How the upstream of a request is chosen among those that work.
#[derive(Clone, Default)]
pub struct Balance(Way);

#[derive(Clone, Default)]
enum Way {
    #[default]
    LeastInFlight,
    RoundRobin,
    Hash(Key),
}

impl Balance {
    /// The less busy of two that are drawn at random: the default.
    ///
    /// As good as the least busy of all, and without the herd that runs to the one that was
    /// the least busy a moment ago.
    pub fn least_in_flight() -> Self {
        Self(Way::LeastInFlight)
    }

    /// Each in turn.
    pub fn round_robin() -> Self {
        Self(Way::RoundRobin)
    }

    /// The same upstream for each key, such as a session's (rendezvous hashing): when one
    /// goes, only its own keys move. A request without a key goes to the less busy of two.
    ///
    /// ```
    /// use squall::forward::Balance;
    ///
    /// let balance = Balance::hash(|request| {
    ///     request.headers().get_bytes("x-session").map(<[u8]>::to_vec)
    /// });
    /// ```
    pub fn hash<F>(key: F) -> Self
    where
        F: Fn(&Request) -> Option<Vec<u8>> + Send + Sync + 'static,
    {
        Self(Way::Hash(Arc::new(key)))
    }

    /// The same upstream for each client address ([`Request::remote_addr`]).
    pub fn hash_client() -> Self {
        Self::hash(|request| {
            let address = request.remote_addr().ip()?;
            Some(address.to_string().into_bytes())
        })
    }

    /// What a request hashes to, where that is asked for.
    pub(super) fn key(&self, request: &Request) -> Option<u64> {
        match &self.0 {
            Way::Hash(key) => key(request).map(|key| hash(&key)),
            _ => None,
        }
    }

    /// One of the `count` upstreams, of which there are some.
    pub(super) fn choose<'a>(
        &self,
        upstreams: impl Iterator<Item = &'a Arc<Upstream>> + Clone,
        count: usize,
        key: Option<u64>,
        turn: u64,
    ) -> Option<&'a Arc<Upstream>> {
        if let Some(key) = key {
            let weight = |upstream: &&Arc<Upstream>| hash(&(key, upstream.origin.as_str()));
            return upstreams.max_by_key(weight);
        }
        let nth = |n: u64| upstreams.clone().nth((n % count as u64) as usize);
        if matches!(self.0, Way::RoundRobin) {
            return nth(turn);
        }
        let drawn = scrambled(turn);
        let (first, rest) = (drawn >> 32, drawn & 0xffff_ffff);
        let first = first % count as u64;
        // Another one than the first, where there is one.
        let second = (first + 1 + rest % (count as u64 - 1).max(1)) % count as u64;
        let (first, second) = (nth(first)?, nth(second)?);
        match second.in_flight() < first.in_flight() {
            true => Some(second),
            false => Some(first),
        }
    }
}

impl fmt::Debug for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Way::LeastInFlight => "LeastInFlight",
            Way::RoundRobin => "RoundRobin",
            Way::Hash(_) => "Hash",
        })
    }
}

/// Whose turn it is: a count that all requests of a set share.
#[derive(Debug, Default)]
pub(super) struct Turn(AtomicU64);

impl Turn {
    /// The next one, which is taken.
    pub(super) fn take(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    /// The next one, which is left to another request.
    pub(super) fn next(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A turn as a number that looks random (SplitMix64).
fn scrambled(turn: u64) -> u64 {
    let mut drawn = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    drawn ^ (drawn >> 31)
}

/// The same in every process of the same build, so that two proxies agree.
fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Origin;
    use crate::forward::upstream::InFlight;

    fn set(count: usize) -> Vec<Arc<Upstream>> {
        let origin = |n| Origin::parse(&format!("http://a.test:800{n}")).expect("an address");
        (0..count).map(|n| Upstream::new(origin(n))).collect()
    }

    fn chosen(balance: &Balance, set: &[Arc<Upstream>], key: Option<u64>, turn: &Turn) -> usize {
        let chosen = balance.choose(set.iter(), set.len(), key, turn.take());
        let digit = chosen.and_then(|it| it.origin.as_str().chars().last()?.to_digit(10));
        digit.expect("one of them") as usize
    }

    #[test]
    fn each_has_its_turn() {
        let (set, turn) = (set(3), Turn::default());
        let balance = Balance::round_robin();
        let turns: Vec<_> = (0..6)
            .map(|_| chosen(&balance, &set, None, &turn))
            .collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn the_busiest_is_never_the_less_busy_of_two() {
        let (set, turn) = (set(3), Turn::default());
        let balance = Balance::least_in_flight();
        let _busy: Vec<_> = (0..5)
            .map(|_| InFlight::begin(&set[1], usize::MAX))
            .collect();
        let mut seen = [0; 3];
        for _ in 0..300 {
            seen[chosen(&balance, &set, None, &turn)] += 1;
        }
        assert_eq!(seen[1], 0);
        assert!(seen[0] > 50 && seen[2] > 50, "{seen:?}");
    }

    #[test]
    fn a_key_moves_only_when_its_own_upstream_goes() {
        let (mut set, turn) = (set(5), Turn::default());
        let balance = Balance::hash(|_| None);
        let of = |set: &[Arc<Upstream>], key| chosen(&balance, set, Some(key), &turn);
        let before: Vec<_> = (0..500).map(|key| of(&set, key)).collect();
        set.remove(2);
        for (key, before) in before.iter().enumerate() {
            let after = of(&set, key as u64);
            assert!(after == *before || *before == 2, "{key}");
        }
        let share = before.iter().filter(|upstream| **upstream == 2).count();
        assert!((50..150).contains(&share), "{share} of 500 for one of five");
    }
}
