//! `Unreachable`: addresses that a better one had to stand in for lately.
//!
//! A name with several addresses, one of which is dead, would cost every new connection the
//! time that the dead one is given first. So it is tried last for a while.

use std::collections::HashMap;
use std::net::SocketAddr;

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use squall_loop::time::now;

/// How long an address is tried last.
const REMEMBERED: Duration = Duration::from_secs(30);
/// Addresses remembered.
const MAX_ADDRESSES: usize = 1024;

#[derive(Default)]
pub(super) struct Unreachable(Mutex<HashMap<SocketAddr, Instant>>);

impl Unreachable {
    /// Puts the addresses that were not reached lately behind the others.
    pub(super) fn put_last(&self, addresses: &mut [SocketAddr]) {
        let known = self.0.lock();
        if !known.is_empty() {
            let now = now();
            addresses.sort_by_key(|address| known.get(address).is_some_and(|until| *until > now));
        }
    }

    /// These were tried before the one that was reached.
    pub(super) fn note(&self, addresses: &[SocketAddr]) {
        if addresses.is_empty() {
            return;
        }
        let now = now();
        let mut known = self.0.lock();
        if known.len() + addresses.len() > MAX_ADDRESSES {
            known.retain(|_, until| *until > now);
        }
        for address in addresses {
            if known.len() < MAX_ADDRESSES {
                known.insert(*address, now + REMEMBERED);
            }
        }
    }
}
