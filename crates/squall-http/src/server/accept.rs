//! From an accepted socket to a connection that is ready for HTTP.
//!
//! What comes before the first head (a PROXY header, the TLS handshake) is done in a task
//! of its own, on the connection's lane, within `handshake_timeout`. At most `max_handshakes` are under
//! way: beyond that the one that has lasted longest is given up, because a client that
//! means it is done within some round trips, and one that holds places is not.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use http::StatusCode;
use parking_lot::Mutex;
use squall_loop::{JoinHandle, say, with_timeout};

use super::Inner;
use super::admission::Admitted;
use super::listener::Listener;
use super::{start_on, turn_away};
use crate::socket::Socket;
use crate::stream::Stream;
use crate::tls::Tls;
use crate::wire::Peer;
use crate::wire::proxy::{self, Proxied, ProxyError};

/// What is read at once before HTTP begins. A TLS client's first flight fits.
const FIRST_READ: usize = 4 << 10;
/// What a TLS record of a handshake begins with (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) peer: Peer,
    /// The tag of its listener.
    pub(super) listener: u32,
}

/// Handshakes that are under way, by their age.
#[derive(Default)]
pub(super) struct Handshakes {
    begun: u64,
    open: BTreeMap<u64, JoinHandle<()>>,
}

impl Handshakes {
    /// Gives all of them up.
    pub(super) fn cancel_all(handshakes: &Mutex<Self>) {
        // Cancelling one takes the lock.
        let open = std::mem::take(&mut handshakes.lock().open);
        for handshake in open.into_values() {
            handshake.cancel();
        }
    }
}

/// Starts a connection, at once or after its handshake.
pub(super) fn start(inner: &Arc<Inner>, socket: Socket, peer: Peer, listener: &Listener) {
    let origin = Origin {
        peer,
        listener: listener.tag,
    };
    let admitted = Admitted::new(inner);
    let proxied = inner.settings.proxy_protocol.contains(peer);
    if listener.tls.is_none() && !proxied {
        start_on(admitted, origin, socket.into(), &[]);
        return;
    }
    let tls = listener.tls.clone();
    let mut handshakes = inner.handshakes.lock();
    let age = handshakes.begun;
    handshakes.begun += 1;
    let place = Place {
        inner: inner.clone(),
        age,
    };
    // Who idles makes room for others, who shakes hands does not: that must not be all.
    let limit = inner.settings.max_connections.div_ceil(2);
    let limit = limit.min(inner.settings.max_handshakes);
    // The task has to own the socket that says on which lane it is to run.
    let socket = Arc::new(Mutex::new(Some(socket)));
    let owned = socket.clone();
    let lane = socket.lock();
    let Some(on) = lane.as_ref() else { return };
    let handshake = on.spawn_here(
        async move {
            let Some(socket) = owned.lock().take() else {
                return;
            };
            shake_hands(&place, admitted, socket, origin, proxied, tls).await;
        },
        None,
    );
    drop(lane);
    handshakes.open.insert(age, handshake);
    let oldest = (handshakes.open.len() > limit)
        .then(|| handshakes.open.pop_first())
        .flatten();
    drop(handshakes);
    if let Some((_, oldest)) = oldest {
        say(|| {
            tracing::debug!(target: "squall::http", "the oldest handshake is given up (setting: max_handshakes)");
        });
        oldest.cancel();
    }
}

/// A handshake's place among those that are under way.
struct Place {
    inner: Arc<Inner>,
    age: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let handle = self.inner.handshakes.lock().open.remove(&self.age);
        drop(handle);
    }
}

async fn shake_hands(
    place: &Place,
    admitted: Admitted,
    socket: Socket,
    origin: Origin,
    proxied: bool,
    tls: Option<Tls>,
) {
    let inner = &place.inner;
    let peer = origin.peer;
    let limit = inner.settings.handshake_timeout;
    match with_timeout(limit, begin(socket, origin, proxied, tls)).await {
        Ok(Ok(Begun::Http(stream, origin, bytes))) => start_on(admitted, origin, stream, &bytes),
        Ok(Ok(Begun::HttpInTheOpen(socket, origin))) => {
            let why = "this port speaks https, and the request came as http";
            turn_away(
                admitted,
                origin,
                socket.into(),
                StatusCode::BAD_REQUEST,
                why,
            );
        }
        Ok(Err(error))
            if error
                .get_ref()
                .is_some_and(|error| error.is::<ProxyError>()) =>
        {
            tracing::warn!(target: "squall::http", %peer, %error, "a connection is refused (setting: proxy_protocol)");
        }
        Ok(Err(error)) => {
            tracing::debug!(target: "squall::http", %peer, %error, "handshake failed");
        }
        Err(_) => {
            tracing::debug!(target: "squall::http", %peer, ?limit, "handshake timed out (setting: handshake_timeout)");
        }
    }
}

/// A connection on which HTTP may begin.
enum Begun {
    /// With what was read of it already.
    Http(Stream, Origin, Vec<u8>),
    /// It should be encrypted, and the client has sent HTTP as it is.
    HttpInTheOpen(Socket, Origin),
}

/// Everything that comes before HTTP.
async fn begin(
    socket: Socket,
    mut origin: Origin,
    proxied: bool,
    tls: Option<Tls>,
) -> io::Result<Begun> {
    let mut bytes = Vec::new();
    if proxied && let Proxied::For(client) = proxy_header(&socket, &mut bytes).await? {
        origin.peer = client.into();
    }
    let Some(tls) = tls else {
        return Ok(Begun::Http(socket.into(), origin, bytes));
    };
    if bytes.is_empty() {
        read_more(&socket, &mut bytes).await?;
    }
    let http = |byte: &u8| *byte != HANDSHAKE && byte.is_ascii_uppercase();
    if bytes.first().is_some_and(http) {
        return Ok(Begun::HttpInTheOpen(socket, origin));
    }
    let stream = Stream::accept_tls_begun(socket, tls.config(), bytes).await?;
    Ok(Begun::Http(stream, origin, Vec::new()))
}

/// Reads a PROXY header; what was read behind it stays in `bytes`.
async fn proxy_header(socket: &Socket, bytes: &mut Vec<u8>) -> io::Result<Proxied> {
    loop {
        read_more(socket, bytes).await?;
        let parsed = proxy::parse(bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if let Some((proxied, used)) = parsed {
            bytes.drain(..used);
            return Ok(proxied);
        }
    }
}

async fn read_more(socket: &Socket, bytes: &mut Vec<u8>) -> io::Result<()> {
    let filled = bytes.len();
    bytes.resize(filled + FIRST_READ, 0);
    let room = bytes.get_mut(filled..).unwrap_or_default();
    let read = poll_fn(|cx| socket.poll_read(cx, room)).await?;
    bytes.truncate(filled + read);
    match read {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
