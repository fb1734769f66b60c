//! Subject `forward`: what it costs to pass a request on.
//!
//! Each proxy runs in a process of its own (`proxies/`) with one lane, before one nginx or
//! before the driver itself; for large bodies before a thread of the harness. What is
//! counted is the proxy's share only.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bounded::installed;
use crate::client::Client;
use crate::cost::{self, COUNTED, Cost, best_peer, counted, cpu_us};
use crate::cpu::{self, Load, Sample};
use crate::options::Options;
use crate::servers::{self, Kind, Server};
use crate::shape::Shape;
use crate::spread::{Spread, cell, shown};
use crate::table::Table;
use crate::web_server::WebServer;
use crate::{Reason, far_side, instructions, relayed};

/// In the order of the table's rows.
pub(crate) const PROXIES: [&str; 6] = ["squall", "hyper", "axum", "pingora", "nginx", "haproxy"];
/// Connections to the proxy.
const LOADS: [usize; 3] = [8, 64, 256];

/// A proxy that is built, and checked.
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    program: String,
}

impl Proxy {
    /// Its command line before that upstream.
    pub(crate) fn before(&self, upstream: SocketAddr) -> Server {
        Server {
            name: self.name,
            kind: Kind::Rust,
            command: [&self.program, self.name, &upstream.to_string()]
                .map(String::from)
                .into(),
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<Value, Reason> {
    let wanted = PROXIES.into_iter().filter(|name| options.wants(name));
    let proxies: Vec<Proxy> = wanted
        .filter_map(|name| {
            prepare(name)
                .inspect_err(|reason| println!("skipped {name}: {reason}"))
                .ok()
        })
        .collect();
    let before = |upstream| -> Vec<Server> {
        (proxies.iter())
            .map(|proxy| proxy.before(upstream))
            .collect()
    };
    let nginx = WebServer::start()?;
    let before_nginx = before(nginx.addr);
    let mut figures = json!({
        "counts": counts(&before_nginx),
        "before_nginx": loads(&before_nginx, None, options),
    });
    drop(nginx);
    let (listener, addr) = far_side::listen()?;
    figures["before_driver"] = loads(&before(addr), Some(&listener), options);
    figures["bodies"] = relayed::run(&proxies, options)?;
    Ok(figures)
}

fn prepare(name: &'static str) -> Result<Proxy, Reason> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = match name {
        "nginx" | "haproxy" if !installed(name) => return Err("it is not installed".into()),
        "nginx" | "haproxy" => servers::peer(folder, "stock_proxies")?,
        "axum" => servers::peer_with(folder, "axum_proxy", "axum-reverse-proxy")?,
        "pingora" if !installed("cmake") => return Err("cmake, which builds it, is missing".into()),
        "pingora" => servers::peer_with(folder, "pingora_proxy", "pingora")?,
        _ => servers::peer(folder, "library_proxies")?,
    };
    let proxy = Proxy { name, program };
    check(&proxy)?;
    Ok(proxy)
}

/// Each passes an answer on, and tells the upstream who asked whom for it.
fn check(proxy: &Proxy) -> Result<(), Reason> {
    let (listener, addr) = far_side::listen()?;
    let server = proxy.before(addr);
    let upstream = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let (head, _) = far_side::read_head(&mut stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nIt works")?;
        std::io::Result::Ok(head)
    });
    let process = server.launch(1).start()?;
    let asked = Client::connect(process.addr())
        .and_then(|mut client| client.get("/told", Instant::now() + Duration::from_secs(10)))
        .map_err(|error| error.to_string())?;
    if asked != "It works" {
        return Err(format!("it answers {asked:?} for its upstream"));
    }
    let head = upstream
        .join()
        .map_err(|_| Reason::from("its upstream failed"))?
        .map_err(|error| format!("its upstream: {error}"))?
        .to_ascii_lowercase();
    let host = format!("x-forwarded-host: {}", process.addr());
    for told in [
        "get /told http/1.1",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        &host,
    ] {
        if !head.lines().any(|line| line == told) {
            return Err(format!("it does not tell its upstream {told:?}: {head}"));
        }
    }
    Ok(())
}

/// What can be counted of a small request.
fn counts(proxies: &[Server]) -> Value {
    let mut costs = cost::of(proxies);
    cost::count(proxies, &mut costs, Shape::Plain);
    cost::count_calls(proxies, &mut costs);
    let mut table = Table::new(&[&["proxy", "user instr", "x best peer"][..], &COUNTED].concat());
    let fewest = best_peer(proxies, &costs, |cost| cost.instructions);
    for (proxy, cost) in proxies.iter().zip(&costs) {
        let best = fewest.and_then(|fewest| fewest.instructions);
        let mut row = vec![
            proxy.name.into(),
            cell(cost.instructions),
            cell(cost.instructions.zip(best).map(|(ours, best)| ours / best)),
        ];
        row.extend(counted(cost.calls, cost.allocations));
        table.row(row);
    }
    println!(
        "\n## forward: GET of 1 KiB from nginx through a proxy, 1 lane; counts over {} connections, \
         system calls over {}\n\n{table}",
        instructions::CONNECTIONS,
        cpu::CONNECTIONS,
    );
    cost::by_name(proxies, &costs)
}

/// CPU time, system calls and latency under few and many connections, each of which always
/// has one request out; the driver is the upstream, too, if it is given where they arrive.
fn loads(proxies: &[Server], upstream: Option<&TcpListener>, options: &Options) -> Value {
    let mut table = Table::new(&[
        "connections",
        "proxy",
        "CPU µs (min-max)",
        "x best peer",
        "syscalls",
        "p50 ms",
        "p99 ms (min-max)",
        "x best peer",
        "p99 of 50 ms (min-max)",
        "x best peer",
        "req/s",
    ]);
    let p99 = |sample: &Sample| sample.p99_ms;
    let sliced = |sample: &Sample| sample.sliced_p99_ms;
    let mut report = serde_json::Map::new();
    let mut rounds = 0;
    for connections in LOADS {
        let mut costs = cost::of(proxies);
        let load = Load {
            connections,
            upstream,
            ..Load::full(Shape::Plain)
        };
        cost::count_calls_at_full_speed(proxies, &mut costs, load);
        (rounds, _) = cost::sample(proxies, &mut costs, load, options);
        for (proxy, cost) in proxies.iter().zip(&costs) {
            let ratio = |figure: fn(&Sample) -> f64| {
                let median = |cost: &Cost| Some(cost.spread(figure)?.median);
                let best = best_peer(proxies, &costs, median)?;
                Spread::paired_ratio(&cost.by_round(figure), &best.by_round(figure))
            };
            let median = |figure: fn(&Sample) -> f64| cell(cost.spread(figure).map(|s| s.median));
            table.row(vec![
                connections.to_string(),
                proxy.name.into(),
                shown(cost.spread(cpu_us)),
                cell(ratio(cpu_us)),
                cell(cost.calls_at_full_speed),
                median(|sample| sample.p50_ms),
                shown(cost.spread(p99)),
                cell(ratio(p99)),
                shown(cost.spread(sliced)),
                cell(ratio(sliced)),
                median(|sample| sample.requests_per_second),
            ]);
        }
        report.insert(connections.to_string(), cost::by_name(proxies, &costs));
    }
    let whose = match upstream {
        Some(_) => "the driver's own answers",
        None => "nginx, which shares the driver's CPU",
    };
    println!("\n## forward: under load, before {whose}, {rounds} rounds\n\n{table}");
    report.into()
}
