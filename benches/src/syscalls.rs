//! System calls per request, from the difference of two runs: by strace, which says what they
//! are, and at full speed by the kernel's own counter, which does not.
//!
//! A traced program is ten times slower, and what it does by the clock is not the same in each
//! run: so it is the middle one of three such differences, and a server is asked over as many
//! connections as for its CPU time.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Reason;
use crate::bounded::output;
use crate::cpu::{self, Load};
use crate::driver::Until;
use crate::instructions::{load, requests};
use crate::servers::{self, Server};
use crate::shape::Shape;

/// The kernel's event for a call of any kind.
const EVENT: &str = "raw_syscalls:sys_enter";
const GRACE: Duration = Duration::from_secs(15);
const RUN_LIMIT: Duration = Duration::from_secs(300);

/// How often each system call was made.
pub(crate) type Counts = BTreeMap<String, u64>;

/// Calls per request.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Calls {
    pub(crate) read: f64,
    pub(crate) write: f64,
    pub(crate) epoll: f64,
    pub(crate) other: f64,
}

impl Calls {
    pub(crate) fn sum(self) -> f64 {
        self.read + self.write + self.epoll + self.other
    }

    pub(crate) fn to_json(self) -> Value {
        json!({ "sum": self.sum(), "read": self.read, "write": self.write, "epoll": self.epoll, "other": self.other })
    }
}

pub(crate) fn per_request(server: &Server) -> Result<Calls, Reason> {
    if !crate::bounded::installed("strace") {
        return Err("strace is not installed".into());
    }
    let [few, many] = requests(server.kind);
    let count = |requests| counts(server, requests);
    middle_of_three(|| Ok([count(few)?, count(many)?]), (many - few) as f64)
}

/// The middle one of three differences between two runs, by their sums.
pub(crate) fn middle_of_three(
    runs: impl Fn() -> Result<[Counts; 2], Reason>,
    requests: f64,
) -> Result<Calls, Reason> {
    let one = || runs().map(|[few, many]| difference(&few, &many, requests));
    let mut found = [one()?, one()?, one()?];
    found.sort_by(|a, b| a.sum().total_cmp(&b.sum()));
    Ok(found[1])
}

fn counts(server: &Server, requests: u64) -> Result<Counts, Reason> {
    let out = servers::scratch()?.join("strace.txt");
    let process = server
        .launch(1)
        .under(&["strace", "-f", "-c", "-o", &out.to_string_lossy()])
        .start()?;
    load(&process, Shape::Plain, cpu::CONNECTIONS, requests)?;
    process.stop(GRACE);
    read(&out)
}

/// How many there are in all per request under that load, at full speed.
pub(crate) fn at_full_speed(server: &Server, load: Load<'_>) -> Result<f64, Reason> {
    if !crate::bounded::installed("perf") {
        return Err("perf is not installed".into());
    }
    let count = |requests| counted_by_perf(server, load, requests);
    let [few, many] = [5_000, 25_000];
    Ok((count(many)? - count(few)?) / (many - few) as f64)
}

fn counted_by_perf(server: &Server, load: Load<'_>, requests: u64) -> Result<f64, Reason> {
    let out = servers::scratch()?.join("perf.txt");
    let path = out.to_string_lossy();
    let tool = ["perf", "stat", "-x", ",", "-e", EVENT, "-o", &path, "--"];
    let process = cpu::start_on_first(server, &tool)?;
    let addr = process.addr();
    cpu::on_second(|| {
        load.open(addr)?
            .run(Until::Answers(requests, Duration::from_secs(60)))
    })?;
    process.stop(GRACE);
    let counted = fs::read_to_string(&out).map_err(|e| format!("perf's counts: {e}"))?;
    perfs_count(&counted).ok_or_else(|| format!("perf counted nothing: {}", counted.trim()))
}

/// `perf stat -x ,`: `count,unit,event,…`.
fn perfs_count(counted: &str) -> Option<f64> {
    let line = counted.lines().find(|line| line.contains(EVENT))?;
    line.split(',').next()?.parse().ok()
}

/// All system calls of a program that ends by itself.
pub(crate) fn of_run(line: &[String]) -> Result<Counts, Reason> {
    if !crate::bounded::installed("strace") {
        return Err("strace is not installed".into());
    }
    let out = servers::scratch()?.join("strace.txt");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-c", "-o"])
        .arg(&out)
        .args(line)
        .stderr(std::process::Stdio::null());
    output(&mut command, RUN_LIMIT)?;
    read(&out)
}

fn read(out: &Path) -> Result<Counts, Reason> {
    let counts = parse(&fs::read_to_string(out).map_err(|e| format!("strace's summary: {e}"))?);
    if counts.is_empty() {
        Err("strace wrote no summary".into())
    } else {
        Ok(counts)
    }
}

/// `strace -c`: `% time  seconds  usecs/call  calls  [errors]  syscall`.
fn parse(summary: &str) -> Counts {
    let rows = summary.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (name, calls) = (*fields.last()?, fields.get(3)?.parse().ok()?);
        let is_row = (5..=6).contains(&fields.len()) && name != "total";
        is_row.then(|| (name.to_owned(), calls))
    });
    rows.collect()
}

fn difference(few: &Counts, many: &Counts, requests: f64) -> Calls {
    let mut calls = Calls::default();
    let names: std::collections::BTreeSet<&String> = few.keys().chain(many.keys()).collect();
    for name in names {
        let count = |counts: &Counts| counts.get(name).copied().unwrap_or(0) as f64;
        let class = match name.as_str() {
            "read" | "readv" | "recvfrom" | "recvmsg" | "recvmmsg" | "pread64" => &mut calls.read,
            "write" | "writev" | "sendto" | "sendmsg" | "sendmmsg" | "sendfile" | "splice" => {
                &mut calls.write
            }
            "epoll_wait" | "epoll_pwait" | "epoll_pwait2" | "poll" | "ppoll" | "select"
            | "pselect6" => &mut calls.epoll,
            _ => &mut calls.other,
        };
        *class += (count(many) - count(few)) / requests;
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 55.00    0.120000          10     12000           writev
 44.00    0.110000           9     12010         8 recvfrom
  1.00    0.000100           5        20           epoll_wait
  0.00    0.000000           0         1           execve
------ ----------- ----------- --------- --------- ----------------
100.00    0.230100           9     24031         8 total
";

    #[test]
    fn rows_with_and_without_errors() {
        let counts = parse(SUMMARY);
        let named: Vec<_> = counts
            .iter()
            .map(|(name, calls)| (name.as_str(), *calls))
            .collect();
        assert_eq!(
            named,
            [
                ("epoll_wait", 20),
                ("execve", 1),
                ("recvfrom", 12010),
                ("writev", 12000)
            ]
        );
    }

    #[test]
    fn perfs_line() {
        let line = "# started on Thu\n\n158788,,raw_syscalls:sys_enter,1500123,100.00,,\n";
        assert_eq!(perfs_count(line), Some(158_788.0));
        let none = "<not supported>,,raw_syscalls:sys_enter,0,100.00,,\n";
        assert_eq!(perfs_count(none), None);
    }

    #[test]
    fn start_up_cancels_out() {
        let many = parse(SUMMARY);
        let few = [
            ("writev", 2000),
            ("recvfrom", 2010),
            ("execve", 1),
            ("futex", 100),
        ];
        let few = few
            .into_iter()
            .map(|(name, calls)| (name.to_owned(), calls))
            .collect();
        let calls = difference(&few, &many, 10_000.0);
        assert_eq!(
            calls,
            Calls {
                read: 1.0,
                write: 1.0,
                epoll: 0.002,
                other: -0.01
            }
        );
    }
}
