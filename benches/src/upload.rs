//! Subject `upload`: what a large body costs its sender or reader.
//!
//! Every transfer is a process of its own (`clients/`) on one thread. The far side is a
//! thread of the harness on the other CPU.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Reason;
use crate::bounded::output;
use crate::cpu::{command_on_first, on_second};
use crate::options::Options;
use crate::spread::{Spread, cell};
use crate::table::Table;
use crate::{far_side, servers};

const CLIENTS: [&str; 3] = ["squall", "reqwest", "hyper"];
const LIMIT: Duration = Duration::from_secs(120);

/// How a body is moved: its name, its option, whether there is a peer for it.
struct Transfer {
    what: &'static str,
    option: &'static str,
    clients: &'static [&'static str],
}

const TRANSFERS: [Transfer; 4] = [
    Transfer {
        what: "a file as multipart",
        option: "--file",
        // hyper knows no forms.
        clients: &["squall", "reqwest"],
    },
    Transfer {
        what: "up from memory",
        option: "--up",
        clients: &CLIENTS,
    },
    Transfer {
        what: "the same in small pieces",
        option: "--up-small",
        clients: &CLIENTS,
    },
    Transfer {
        what: "down",
        option: "--down",
        clients: &CLIENTS,
    },
];

/// One client and one transfer, over the rounds.
struct Row {
    transfer: &'static Transfer,
    client: &'static str,
    cpu_s: Vec<Option<f64>>,
    grown_kb: Vec<f64>,
}

pub(crate) fn run(options: &Options) -> Result<Value, Reason> {
    let bytes: u64 = if options.quick { 256 << 20 } else { 1 << 30 };
    let program = servers::peer(Path::new(env!("CARGO_MANIFEST_DIR")), "clients")?;
    let url = format!("http://{}/{bytes}", on_second(far_side::start)?);
    let file = Disposable::of(bytes)?;
    let mut rows: Vec<Row> = Vec::new();
    for transfer in &TRANSFERS {
        for client in transfer.clients.iter().filter(|name| options.wants(name)) {
            rows.push(Row {
                transfer,
                client,
                cpu_s: Vec::new(),
                grown_kb: Vec::new(),
            });
        }
    }
    let rounds = options.rounds(3, 7);
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for turn in 0..rows.len() {
            // Every round begins with another row.
            let at = (turn + round) % rows.len();
            let row = &mut rows[at];
            let value = match row.transfer.option {
                "--file" => file.0.clone(),
                _ => bytes.to_string(),
            };
            let line = [&program, row.client, &url, row.transfer.option, &value];
            let printed = output(&mut command_on_first(&line), LIMIT)
                .inspect_err(|reason| println!("skipped {}: {reason}", row.client))
                .unwrap_or_default();
            let figure = |name: &str| {
                let line = printed.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|value| value.trim().parse::<f64>().ok())
            };
            row.cpu_s.push(figure("cpu_s "));
            row.grown_kb.extend(figure("grown_kb "));
        }
    }
    println!(
        "\n## upload: {} MiB over one connection, one thread, {rounds} rounds\n\n{}",
        bytes >> 20,
        table(&rows)
    );
    let json = rows.iter().map(|row| {
        json!({
            "transfer": row.transfer.what,
            "client": row.client,
            "cpu_s_by_round": row.cpu_s,
            "grown_kb": row.grown_kb,
        })
    });
    Ok(json!({ "bytes": bytes, "rounds": rounds, "rows": json.collect::<Vec<_>>() }))
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "what",
        "client",
        "CPU s (min-max)",
        "x best peer",
        "resident growth, KiB (min-max)",
    ]);
    for row in rows {
        let best = (rows.iter())
            .filter(|other| other.transfer.option == row.transfer.option)
            .filter(|other| other.client != "squall")
            .filter_map(|other| Some((other, median(other)?.median)))
            .min_by(|a, b| a.1.total_cmp(&b.1));
        table.row(vec![
            row.transfer.what.into(),
            row.client.into(),
            median(row).map_or("-".into(), |spread| spread.to_string()),
            cell(best.and_then(|(best, _)| Spread::paired_ratio(&row.cpu_s, &best.cpu_s))),
            Spread::of(&row.grown_kb).map_or("-".into(), |spread| spread.to_string()),
        ]);
    }
    table
}

fn median(row: &Row) -> Option<Spread> {
    Spread::of(&row.cpu_s.iter().flatten().copied().collect::<Vec<_>>())
}

/// A file of zeros that is in the system's memory, and gone afterwards.
struct Disposable(String);

impl Disposable {
    fn of(bytes: u64) -> Result<Self, Reason> {
        let path = servers::scratch()?.join("large");
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let this = Self(path.to_string_lossy().into_owned());
        let mut file = fs::File::create(&path).map_err(failed)?;
        let piece = vec![0; 1 << 20];
        for _ in 0..bytes >> 20 {
            file.write_all(&piece).map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
        Ok(this)
    }
}

impl Drop for Disposable {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
