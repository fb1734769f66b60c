//! Names to addresses, on the executor: the system's resolver blocks.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use crate::executor::run_on_executor;

/// Resolves a host name or a literal address, in the system's order.
///
/// A literal (`127.0.0.1`, `::1`, `[::1]`) is answered without asking anybody.
///
/// # Errors
/// The resolver's, with the name in the message.
///
/// # Cancel safety
/// Dropping it stops waiting; the system's call runs to its end unseen.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = bare.to_owned();
    let found = run_on_executor(move || -> io::Result<Vec<SocketAddr>> {
        let found: Vec<_> = (name.as_str(), port)
            .to_socket_addrs()
            .map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?
            .collect();
        if found.is_empty() {
            let message = format!("{name}: the name has no address");
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        Ok(found)
    });
    found.await.map_err(io::Error::other)?
}
