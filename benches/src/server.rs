//! Subject `server`: what one small request costs.

use serde_json::{Value, json};

use crate::Reason;
use crate::cost::{self, COUNTED, Cost, best_peer, counted, cpu_us};
use crate::cpu::{self, Load};
use crate::instructions;
use crate::options::Options;
use crate::servers::{self, Kind, Server};
use crate::shape::Shape;
use crate::spread::{Spread, cell, shown};
use crate::table::Table;

pub(crate) fn run(servers: &[Server], options: &Options) -> Value {
    let mut figures = plain(servers, options);
    let routed: Vec<Server> = (servers.iter())
        .filter_map(|server| cost::or_say(server, "the hundred routes", server.routed()).flatten())
        .collect();
    let native: Vec<Server> = (servers.iter())
        .filter(|server| server.kind == Kind::Rust)
        .cloned()
        .collect();
    let title = "a browser's request for one of a hundred routes, JSON";
    figures["browser"] = shaped(&routed, title, Shape::Browser, options);
    let title = "GET /plaintext, 16 pipelined";
    figures["pipelined"] = shaped(&native, title, Shape::Pipelined, options);
    if options.wants("squall") {
        figures["routes"] = routes();
        figures["monitor"] = monitor(options).unwrap_or_else(crate::skipped("the monitor"));
    }
    figures
}

/// What the browser's request costs Squall among few routes and among many.
fn routes() -> Value {
    let mut table = Table::new(&["routes", "user instr", "x ten"]);
    let mut figures = json!({});
    let mut ten = None;
    for count in [10, 100, 1_000] {
        eprintln!("counting: squall, {count} routes");
        let found = servers::squall_with_routes(count)
            .and_then(|server| instructions::per_request(&server, Shape::Browser));
        if let Err(reason) = &found {
            eprintln!("{count} routes: {reason}");
        }
        let found = found.ok();
        ten = ten.or(found);
        let ratio = found.zip(ten).map(|(of, ten)| of / ten);
        figures[count.to_string()] = json!(found);
        table.row(vec![count.to_string(), cell(found), cell(ratio)]);
    }
    println!("\n### server: a browser's request among so many routes, Squall\n\n{table}");
    figures
}

/// What the monitor's looks cost a plain request: Squall with it, and without.
fn monitor(options: &Options) -> Result<Value, Reason> {
    let mut on = servers::squall_peer()?;
    on.name = "monitor on";
    let mut off = on.clone();
    off.name = "monitor off";
    off.command.extend(["--monitor", "off"].map(str::to_owned));
    let servers = [on, off];
    let mut costs = cost::of(&servers);
    cost::count(&servers, &mut costs, Shape::Plain);
    cost::sample(&servers, &mut costs, Load::full(Shape::Plain), options);
    let off = &costs[1];
    let mut table = Table::new(&["squall", "user instr", "x off", "CPU µs (min-max)", "x off"]);
    for (server, cost) in servers.iter().zip(&costs) {
        let instructions = cost.instructions.zip(off.instructions);
        let cpu = Spread::paired_ratio(&cost.by_round(cpu_us), &off.by_round(cpu_us));
        table.row(vec![
            server.name.into(),
            cell(cost.instructions),
            cell(instructions.map(|(cost, off)| cost / off)),
            shown(cost.spread(cpu_us)),
            cell(cpu),
        ]);
    }
    println!("\n### server: GET /plaintext, with and without the monitor\n\n{table}");
    Ok(cost::by_name(&servers, &costs))
}

/// What a request for `/plaintext` costs.
fn plain(servers: &[Server], options: &Options) -> Value {
    let mut costs = cost::of(servers);
    cost::count(servers, &mut costs, Shape::Plain);
    cost::count_calls(servers, &mut costs);
    let (rounds, time) = cost::sample(servers, &mut costs, Load::full(Shape::Plain), options);
    println!(
        "\n## server: GET /plaintext, 1 lane; counts over {} connections, system calls and CPU over {} ({} s), {rounds} rounds\n\n{}",
        instructions::CONNECTIONS,
        cpu::CONNECTIONS,
        time.as_secs(),
        table(servers, &costs)
    );
    json!({ "rounds": rounds, "servers": cost::by_name(servers, &costs) })
}

/// A smaller table: what another kind of load costs.
fn shaped(servers: &[Server], title: &str, shape: Shape, options: &Options) -> Value {
    let mut costs = cost::of(servers);
    cost::count(servers, &mut costs, shape);
    cost::sample(servers, &mut costs, Load::full(shape), options);
    println!("\n### server: {title}\n\n{}", short_table(servers, &costs));
    cost::by_name(servers, &costs)
}

fn table(servers: &[Server], costs: &[Cost]) -> Table {
    let mut table = Table::new(
        &[
            &["server", "user instr", "x raw", "x best peer"][..],
            &COUNTED,
            &["CPU µs (min-max)", "x raw", "x best peer", "req/s"],
        ]
        .concat(),
    );
    let all = || servers.iter().zip(costs);
    let raw = all()
        .find(|(server, _)| server.name == "raw")
        .map(|(_, cost)| cost);
    let fewest = best_peer(servers, costs, |cost| cost.instructions);
    let cheapest = best_peer(servers, costs, |cost| Some(cost.spread(cpu_us)?.median));
    for (server, cost) in all() {
        let of = |other: Option<&Cost>| {
            cost.instructions
                .zip(other.and_then(|o| o.instructions))
                .map(|(a, b)| a / b)
        };
        let cpu_of = |other: Option<&Cost>| {
            Spread::paired_ratio(&cost.by_round(cpu_us), &other?.by_round(cpu_us))
        };
        let mut row = vec![
            server.name.into(),
            cell(cost.instructions),
            cell(of(raw)),
            cell(of(fewest)),
        ];
        row.extend(counted(cost.calls, cost.allocations));
        row.extend([
            shown(cost.spread(cpu_us)),
            cell(cpu_of(raw)),
            cell(cpu_of(cheapest)),
            cell(cost.spread(|s| s.requests_per_second).map(|s| s.median)),
        ]);
        table.row(row);
    }
    table
}

fn short_table(servers: &[Server], costs: &[Cost]) -> Table {
    let mut table = Table::new(&[
        "server",
        "user instr",
        "x best peer",
        "allocs",
        "alloc bytes",
        "CPU µs (min-max)",
        "x best peer",
    ]);
    let fewest = best_peer(servers, costs, |cost| cost.instructions);
    let cheapest = best_peer(servers, costs, |cost| Some(cost.spread(cpu_us)?.median));
    for (server, cost) in servers.iter().zip(costs) {
        let best = fewest.and_then(|fewest| fewest.instructions);
        let ratio = cost.instructions.zip(best).map(|(ours, best)| ours / best);
        let paired = |cheapest: &Cost| {
            Spread::paired_ratio(&cost.by_round(cpu_us), &cheapest.by_round(cpu_us))
        };
        table.row(vec![
            server.name.into(),
            cell(cost.instructions),
            cell(ratio),
            cell(cost.allocations.map(|a| a.count)),
            cell(cost.allocations.map(|a| a.bytes)),
            shown(cost.spread(cpu_us)),
            cell(cheapest.and_then(paired)),
        ]);
    }
    table
}
