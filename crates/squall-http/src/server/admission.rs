//! Who may connect: connections in total and per client, and what gives way when the
//! process runs short of them.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use squall_loop::{say, sleep};

use super::Inner;
use super::conn::Conn;
use super::phase::Phase;

/// How long accepting pauses when the process is out of file descriptors.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);
/// Idle connections that are closed for each such pause.
const GIVES_WAY: usize = 64;
/// How often a shortage is logged.
const COMPLAINS: Duration = Duration::from_secs(5);

/// Who counts as one client: an IPv4 address, or the upper half of an IPv6 address,
/// which is the smallest network that is given away. None: the machine itself.
type Client = Option<NonZeroU64>;

fn client(address: IpAddr) -> Client {
    let number = match address.to_canonical() {
        address if address.is_loopback() => 0,
        // No address of the internet has an upper half this small: the two do not meet.
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    };
    NonZeroU64::new(number)
}

/// How many connections each client has; nobody is kept who has none.
#[derive(Debug, Default)]
pub(super) struct Clients(HashMap<NonZeroU64, usize>);

impl Clients {
    /// Counts one more. False: it would be more than `limit`.
    fn enter(&mut self, client: Client, limit: usize) -> bool {
        let Some(client) = client else {
            return true;
        };
        let open = self.0.entry(client).or_default();
        if *open >= limit {
            // An entry that was made for this question goes, too.
            self.leave_if_none(client);
            return false;
        }
        *open += 1;
        true
    }

    fn leave(&mut self, client: NonZeroU64) {
        if let Some(open) = self.0.get_mut(&client) {
            *open -= 1;
        }
        self.leave_if_none(client);
    }

    fn leave_if_none(&mut self, client: NonZeroU64) {
        if self.0.get(&client) == Some(&0) {
            self.0.remove(&client);
        }
    }
}

/// A connection's place among those of its server, until it is dropped.
pub(super) struct Admitted {
    server: Arc<Inner>,
    client: Client,
}

impl Admitted {
    /// Counts a connection; whose it is may be known later.
    pub(super) fn new(server: &Arc<Inner>) -> Self {
        server.open().admitted += 1;
        Self {
            server: server.clone(),
            client: None,
        }
    }

    /// Counts it as one of its client's, too. False: that has too many already.
    pub(super) fn is_welcome(&mut self, address: Option<IpAddr>) -> bool {
        let client = address.and_then(client);
        let limit = self.server.settings.max_connections_per_address;
        let welcome = self.server.open().clients.enter(client, limit);
        if welcome {
            self.client = client;
        }
        welcome
    }
}

impl Deref for Admitted {
    type Target = Arc<Inner>;

    fn deref(&self) -> &Arc<Inner> {
        &self.server
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.server.open();
        open.admitted -= 1;
        if let Some(client) = self.client {
            open.clients.leave(client);
        }
        self.server.ended(open);
    }
}

impl Inner {
    /// Waits until there is a place for a connection that has been accepted; one that
    /// idles is closed to make it. False: the server shuts down.
    pub(super) async fn has_room(&self) -> bool {
        // Whoever gives way has to see that first; until then nobody else is closed.
        let mut gives_way = Weak::new();
        poll_fn(|cx| {
            if self.is_draining() {
                return Poll::Ready(false);
            }
            let leaves = |conn: Arc<Conn>| !conn.is(Phase::Closed);
            if self.is_full() && !gives_way.upgrade().is_some_and(leaves) {
                gives_way = self.close_idlest(1).pop().unwrap_or_default();
            }
            let mut open = self.open();
            if open.admitted < self.settings.max_connections {
                return Poll::Ready(true);
            }
            open.full = true;
            open.wait(cx);
            Poll::Pending
        })
        .await
    }

    fn is_full(&self) -> bool {
        self.open().admitted >= self.settings.max_connections
    }

    /// Closes up to `count` of the connections that have been idle for longest, a quarter
    /// of them at most. Those whose first request may be on its way come last.
    fn close_idlest(&self, count: usize) -> Vec<Weak<Conn>> {
        let mut idle: Vec<_> = (self.connections().into_iter())
            .filter(|conn| conn.is_idle())
            .collect();
        idle.sort_by_key(|conn| (conn.number() == 0, conn.begun_nanos()));
        let count = count.min(idle.len().div_ceil(4));
        (idle.iter().take(count))
            .filter(|conn| conn.close_if_idle())
            .map(Arc::downgrade)
            .collect()
    }
}

/// An acceptor's dealings with a system that refuses to give another descriptor.
#[derive(Default)]
pub(super) struct Shortage(Option<Instant>);

impl Shortage {
    /// Makes room and waits for a moment: accepting is not tried in a busy loop.
    pub(super) async fn pass(&mut self, server: &Inner, error: &io::Error) {
        let closed = server.close_idlest(GIVES_WAY).len();
        let now = Instant::now();
        if self.0.is_none_or(|last| now - last >= COMPLAINS) {
            self.0 = Some(now);
            say(|| {
                tracing::error!(target: "squall::http", %error, idle_closed = closed, "cannot accept connections; trying again");
            });
        }
        sleep(OUT_OF_DESCRIPTORS).await;
    }
}

/// Whether a failed `accept` says something about one connection only.
pub(super) fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::InvalidInput
    )
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_client_and_an_ipv6_network_is_one() {
        let of = |text: &str| client(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        for own in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(of(own), None, "{own}");
        }
    }

    #[test]
    fn a_client_is_counted_up_to_its_limit_and_forgotten_at_the_end() {
        let mut clients = Clients::default();
        let a = NonZeroU64::new(1);
        assert!(clients.enter(a, 2) && clients.enter(a, 2));
        assert!(!clients.enter(a, 2));
        assert!(clients.enter(NonZeroU64::new(2), 2) && clients.enter(None, 0));
        assert!(!clients.enter(NonZeroU64::new(3), 0));
        clients.leave(a.expect("not zero"));
        assert!(clients.enter(a, 2));
        for client in [1, 1, 2] {
            clients.leave(NonZeroU64::new(client).expect("not zero"));
        }
        assert!(clients.0.is_empty());
    }
}
