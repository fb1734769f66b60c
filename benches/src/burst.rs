//! Five slow jobs at once, measured in jobs: 1 is perfect, 5 is one after the
//! other. It is the first experiment of every tutorial on async servers.
//!
//! `ab` sends its first request alone and the other four after its answer, so
//! in its column 2 is perfect.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::blocking::LANES;
use crate::bounded::{installed, output};
use crate::client::Client;
use crate::server_process::ServerProcess;
use crate::servers::Server;
use crate::spread::cell;
use crate::table::Table;

const AT_ONCE: usize = 5;
/// The job takes about a second; five of them in a row on a busy machine.
const LIMIT: Duration = Duration::from_secs(40);

#[derive(Debug, Default)]
struct Burst {
    job_s: Option<f64>,
    jobs: Option<f64>,
    ab_jobs: Option<f64>,
}

pub(crate) fn run(servers: &[&Server]) -> Value {
    let ab = installed("ab");
    if !ab {
        println!("skipped ab: it is not installed");
    }
    let mut table = Table::new(&[
        "server",
        "one job, s",
        "5 at once, jobs",
        "ab -c 5 -n 5, jobs",
    ]);
    let mut report = serde_json::Map::new();
    for server in servers {
        eprintln!("five at once: {}", server.name);
        let burst = server
            .launch(LANES)
            .start()
            .and_then(|process| measure(&process, ab));
        let burst = burst.unwrap_or_else(|reason| {
            println!("{} with five jobs at once: {reason}", server.name);
            Burst::default()
        });
        table.row(vec![
            server.name.into(),
            cell(burst.job_s),
            cell(burst.jobs),
            cell(burst.ab_jobs),
        ]);
        let figures = json!({ "job_s": burst.job_s, "jobs": burst.jobs, "ab_jobs": burst.ab_jobs });
        report.insert(server.name.into(), figures);
    }
    println!("\n### {AT_ONCE} at once on /sync, in jobs (1 is perfect; with ab 2)\n\n{table}");
    Value::Object(report)
}

fn measure(process: &ServerProcess, ab: bool) -> Result<Burst, String> {
    let call = || Client::connect(process.addr())?.get("/sync", Instant::now() + LIMIT);
    let begin = Instant::now();
    call().map_err(|e| format!("/sync: {e}"))?;
    let job = begin.elapsed();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(call)).collect();
        calls.into_iter().try_for_each(|call| match call.join() {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(format!("/sync: {e}")),
            Err(_) => Err("a client thread failed".into()),
        })
    })?;
    let in_jobs = |elapsed: f64| elapsed / job.as_secs_f64();
    let jobs = in_jobs(begin.elapsed().as_secs_f64());
    let mut burst = Burst {
        job_s: Some(job.as_secs_f64()),
        jobs: Some(jobs),
        ab_jobs: None,
    };
    if ab {
        let count = AT_ONCE.to_string();
        let mut command = Command::new("ab");
        command
            .args([
                "-c",
                &count,
                "-n",
                &count,
                &format!("http://{}/sync", process.addr()),
            ])
            .stderr(Stdio::null());
        burst.ab_jobs = time_taken(&output(&mut command, LIMIT)?).map(in_jobs);
    }
    Ok(burst)
}

/// The seconds in `Time taken for tests:   1.004 seconds`, if no request failed.
fn time_taken(report: &str) -> Option<f64> {
    let value = |label| {
        report
            .lines()
            .find_map(|line: &str| line.strip_prefix(label)?.split_whitespace().next())
    };
    if value("Failed requests:") != Some("0") || value("Non-2xx responses:").is_some() {
        return None;
    }
    value("Time taken for tests:")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_in_abs_report() {
        let report = "Time taken for tests:   1.004 seconds\nComplete requests:      5\nFailed requests:        0\n";
        assert_eq!(time_taken(report), Some(1.004));
        assert_eq!(time_taken(&report.replace(" 0\n", " 2\n")), None);
        assert_eq!(
            time_taken(&format!("{report}Non-2xx responses:      5\n")),
            None
        );
    }
}
