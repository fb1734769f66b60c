//! A large body through a proxy: CPU time, and how much of it the proxy holds.
//!
//! The proxy has one lane on the first CPU. Its client and its upstream are threads of the
//! harness on the second, which move a MiB at a time. Whoever reads the body reads nothing
//! for the first second: what a proxy takes in meanwhile is in its growth.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::cpu::{on_second, start_on_first};
use crate::far_side::{self, STALL};
use crate::forwarding::Proxy;
use crate::options::Options;
use crate::servers::Server;
use crate::spread::{Spread, cell, shown};
use crate::table::Table;
use crate::{Reason, process_tree};

const STEP: usize = 1 << 20;
/// What goes each way before anything is measured.
const WARM_UP: u64 = 1 << 20;
const SILENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Down,
    Up,
}

/// One proxy and one way, over the rounds.
struct Row {
    way: Way,
    proxy: Server,
    cpu_s: Vec<Option<f64>>,
    grown_kb: Vec<f64>,
}

pub(crate) fn run(proxies: &[Proxy], options: &Options) -> Result<Value, Reason> {
    let bytes: u64 = if options.quick { 256 << 20 } else { 1 << 30 };
    // Its threads stay where this one is.
    let upstream = on_second(far_side::start)?;
    let mut rows: Vec<Row> = Vec::new();
    for way in [Way::Down, Way::Up] {
        rows.extend(proxies.iter().map(|proxy| Row {
            way,
            proxy: proxy.before(upstream),
            cpu_s: Vec::new(),
            grown_kb: Vec::new(),
        }));
    }
    let rounds = options.rounds(3, 7);
    for round in 0..rounds {
        eprintln!("a large body, round {} of {rounds}", round + 1);
        for turn in 0..rows.len() {
            // Every round begins with another row.
            let at = (turn + round) % rows.len();
            let row = &mut rows[at];
            let moved = transfer(&row.proxy, row.way, bytes).inspect_err(|reason| {
                println!(
                    "skipped a body {:?} of {}: {reason}",
                    row.way, row.proxy.name
                );
            });
            row.cpu_s.push(moved.as_ref().ok().map(|moved| moved.cpu_s));
            row.grown_kb.extend(moved.map(|moved| moved.grown_kb));
        }
    }
    println!(
        "\n## forward: one body of {} MiB through a proxy, 1 lane, {rounds} rounds\n\n{}",
        bytes >> 20,
        table(&rows)
    );
    let json = rows.iter().map(|row| {
        json!({
            "way": format!("{:?}", row.way).to_lowercase(),
            "proxy": row.proxy.name,
            "cpu_s_by_round": row.cpu_s,
            "grown_kb": row.grown_kb,
        })
    });
    Ok(json!({ "bytes": bytes, "rounds": rounds, "rows": json.collect::<Vec<_>>() }))
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "way",
        "proxy",
        "CPU s (min-max)",
        "x best peer",
        "resident growth, KiB (min-max)",
    ]);
    let spread = |row: &Row| Spread::of(&row.cpu_s.iter().flatten().copied().collect::<Vec<_>>());
    for row in rows {
        let best = (rows.iter())
            .filter(|other| other.way == row.way && other.proxy.is_peer())
            .filter_map(|other| Some((other, spread(other)?.median)))
            .min_by(|a, b| a.1.total_cmp(&b.1));
        table.row(vec![
            format!("{:?}", row.way).to_lowercase(),
            row.proxy.name.into(),
            shown(spread(row)),
            cell(best.and_then(|(best, _)| Spread::paired_ratio(&row.cpu_s, &best.cpu_s))),
            shown(Spread::of(&row.grown_kb)),
        ]);
    }
    table
}

struct Moved {
    cpu_s: f64,
    grown_kb: f64,
}

fn transfer(proxy: &Server, way: Way, bytes: u64) -> Result<Moved, Reason> {
    let process = start_on_first(proxy, &[])?;
    let (tree, addr) = (process.tree(), process.addr());
    on_second(move || {
        exchange(addr, Way::Down, WARM_UP, Duration::ZERO)?;
        exchange(addr, Way::Up, WARM_UP, Duration::ZERO)?;
        process_tree::forget_peak(&tree);
        let resident = process_tree::peak_bytes(&tree) as f64;
        let before = process_tree::cpu_ns(&tree);
        exchange(addr, way, bytes, STALL)?;
        Ok(Moved {
            cpu_s: (process_tree::cpu_ns(&tree).saturating_sub(before)) as f64 / 1e9,
            grown_kb: (process_tree::peak_bytes(&tree) as f64 - resident) / 1024.0,
        })
    })
}

/// One request on a connection of its own; whoever reads the body begins `late`.
fn exchange(addr: SocketAddr, way: Way, bytes: u64, late: Duration) -> Result<(), Reason> {
    let moved = match way {
        Way::Down => down(addr, bytes, late),
        Way::Up => up(addr, bytes, !late.is_zero()),
    };
    moved.map_err(|error| format!("a body {way:?}: {error}"))
}

fn down(addr: SocketAddr, bytes: u64, late: Duration) -> std::io::Result<()> {
    let mut stream = connect(addr)?;
    write!(stream, "GET /{bytes} HTTP/1.1\r\nHost: {addr}\r\n\r\n")?;
    std::thread::sleep(late);
    let (head, begun) = far_side::read_head(&mut stream)?;
    expect(&head, "200", far_side::announced(&head) == bytes)?;
    let mut buffer = vec![0; STEP];
    let mut left = bytes - begun as u64;
    while left > 0 {
        match stream.read(&mut buffer)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => left -= read as u64,
        }
    }
    Ok(())
}

fn up(addr: SocketAddr, bytes: u64, stalled: bool) -> std::io::Result<()> {
    let mut stream = connect(addr)?;
    let path = if stalled { "/stalled" } else { "/" };
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {bytes}\r\n\r\n"
    )?;
    let piece = vec![b'x'; STEP];
    for _ in 0..bytes / STEP as u64 {
        stream.write_all(&piece)?;
    }
    let (head, _) = far_side::read_head(&mut stream)?;
    expect(&head, "204", true)
}

fn connect(addr: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    Ok(stream)
}

fn expect(head: &str, status: &str, whole: bool) -> std::io::Result<()> {
    if whole && head.split(' ').nth(1) == Some(status) {
        return Ok(());
    }
    Err(std::io::Error::other(format!("answered with {head:?}")))
}
