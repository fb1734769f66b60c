//! Where new connections go.

use std::io;
use std::time::Duration;

use squall_loop::IoLoop;
use squall_loop::net::{self, TcpListener, TcpStream};

const CONNECTIONS: usize = 1000;
const LANES: usize = 4;

/// How many descriptors this process may have, where the system shows it.
fn descriptors() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

fn too_few(needed: usize) -> bool {
    let few = descriptors().is_some_and(|limit| limit < needed);
    if few {
        eprintln!("skipped: {needed} descriptors are needed; raise `ulimit -n`");
    }
    few
}

#[test]
fn long_lived_connections_are_spread_evenly() {
    if too_few(2 * CONNECTIONS + 500) {
        return;
    }
    let io_loop = IoLoop::builder().lanes(LANES).build().expect("a loop");
    let held = io_loop.run(async {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
        let address = listener.local_addr()?;
        let mut held: Vec<(TcpStream, TcpStream)> = Vec::new();
        while held.len() < CONNECTIONS {
            // Some of the older ones leave, and not evenly.
            for old in (0..held.len() / 20).rev() {
                held.swap_remove(old * 4);
            }
            // A wave that fits into every system's backlog, from all lanes.
            let wave: Vec<_> = (0..100.min(CONNECTIONS - held.len()))
                .map(|_| IoLoop::current().spawn(TcpStream::connect(address)))
                .collect();
            for client in wave {
                let (accepted, _) = listener.accept().await?;
                held.push((accepted, client.await.expect("no panic")?));
            }
        }
        Ok::<_, io::Error>(held)
    });
    let held = held.expect("ran").expect("no error");
    let fair = CONNECTIONS / LANES;
    for lane in io_loop.stats().lanes {
        let off = lane.connections.abs_diff(fair);
        assert!(off * 5 <= fair, "lane {} has {}", lane.id, lane.connections);
    }
    drop(held);
    let lanes = io_loop.stats().lanes;
    assert!(lanes.iter().all(|lane| lane.connections == 0));
    io_loop.stop();
}

#[cfg(target_os = "linux")]
#[test]
fn a_crowd_waits_in_line_while_nobody_accepts() {
    let allowed = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
    let allowed = allowed.ok().and_then(|limit| limit.trim().parse().ok());
    if allowed.is_none_or(|limit: usize| limit < CONNECTIONS) {
        eprintln!("skipped: net.core.somaxconn is {allowed:?}, below {CONNECTIONS}");
        return;
    }
    if too_few(CONNECTIONS + 500) {
        return;
    }
    let listener = net::bind(("127.0.0.1", 0)).expect("bound");
    let address = listener.local_addr().expect("an address");
    // Without room for it, the system would not answer the one that is too many.
    let limit = Duration::from_millis(900);
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|n| (n, std::net::TcpStream::connect_timeout(&address, limit)))
        .collect();
    for (n, client) in clients {
        assert!(client.is_ok(), "connection {n}: {client:?}");
    }
}
