//! What a request needs before it can be sent: a place in the pool, and a connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use squall_http::client::Connection;
use squall_loop::time::now;

use super::address::Address;
use super::async_http_client::Shared;
use super::connect;
use super::error::{Cause, Phase};
use super::pool::{Acquired, Lease, Turn, Waiting};
use super::proxy::Via;
use super::request::{Waits, unless_zero};
use super::route::Route;
use super::trace::Trace;

/// A place in the pool, or the wait for one.
pub(super) fn place(shared: &Shared, url: &Address, route: &Arc<Route>) -> Result<Acquired, Cause> {
    // A proxy's connections are for every host.
    let origin = route.relay(url).map_or(url.origin(), Via::name);
    let acquired = shared.pool.acquire(origin, route);
    acquired.map_err(|limit| Cause::PoolFull { limit })
}

/// Waits for a place; and when it was there.
pub(super) async fn in_line(waiting: Waiting, limit: Duration) -> Result<(Lease, Instant), Cause> {
    let waited = async { Ok(waiting.await) };
    let lease = unless_zero(limit, "pool_timeout", waited).await?;
    Ok((lease, now()))
}

/// A connection of one's own, or one that came free before it was one's turn to dial.
pub(super) async fn open(
    shared: &Shared,
    waits: &Waits,
    url: &Address,
    route: &Route,
    lease: &Lease,
    trace: &mut Trace,
) -> Result<Box<Connection>, Cause> {
    let opened = async {
        trace.enter(Phase::Connect);
        let turn = lease.turn().await;
        trace.marks.queued(now());
        let _dialling = match turn {
            Turn::Connection(connection) => return Ok(connection),
            Turn::Dial(dialling) => dialling,
        };
        // Kept apart, for it is large, and whoever stands in line may never need it.
        Box::pin(connect::dial(shared, waits, url, route, trace)).await
    };
    unless_zero(waits.connect, "connect_timeout", opened).await
}

/// Whether a proxy may be asked for the host, in time.
pub(super) async fn guard(
    shared: &Shared,
    waits: &Waits,
    url: &Address,
    trace: &mut Trace,
) -> Result<(), Cause> {
    let looked_up = async {
        let allowed = connect::addresses(shared, waits, url, trace).await;
        allowed.map(drop)
    };
    unless_zero(waits.connect, "connect_timeout", looked_up).await
}
