//! The command line of the harness.

use std::path::PathBuf;

use crate::fetching::CLIENTS;
use crate::forwarding::PROXIES;
use crate::primitives::RUNTIMES;
use crate::servers::NAMES;

pub(crate) const USAGE: &str = "\
usage: squall-benches [bench] SUBJECT [--quick] [--json FILE] [--only NAME,NAME] [--squall PATH] [--rounds N]
                      [--squall-args ARGS] [--warm-up SECONDS] [--cell TEXT]

subjects
  blocking   latency of a cheap route while handlers block: sleep, spin, lock; and five jobs at once
  server     instructions, system calls, allocations and CPU time per request
  client     the same for a fetch
  upload     CPU time and memory for one large body: a file as multipart, up and down
  forward    the same for a request that is passed on, and for one large body
  memory     resident bytes per idle keep-alive connection
  loop       spawning, waking and timers of the event loop, beside tokio and smol
  slow       latency and memory while thousands of clients keep the server waiting
  rebuild    seconds to build an application of fifty routes again after a change
  all        the nine of them

options
  --quick         fewer and shorter rounds: to see that it works, not to quote
  --json FILE     keep the figures
  --only NAMES    of raw, squall, axum, actix, xitca, hyper, tornado, go; for `loop` of squall, tokio-1, tokio, smol;
                  for `client` of raw, squall, reqwest, hyper, awc; for `upload` of squall, reqwest, hyper;
                  for `forward` of squall, hyper, axum, pingora, nginx, haproxy
  --squall PATH   a ready `squall` program instead of building one
  --squall-args A more arguments for `squall demo`, separated by spaces
  --rounds N      how often each timed cell is run
  --warm-up S     `blocking`: how long the background runs before \"squall learned\" is measured (default 3)
  --cell TEXT     `blocking`: only the cells whose title contains this";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Blocking,
    Server,
    Client,
    Upload,
    Forward,
    Memory,
    Loop,
    Slow,
    Rebuild,
}

impl Subject {
    /// Whether servers are measured.
    pub(crate) fn is_of_servers(self) -> bool {
        matches!(self, Self::Blocking | Self::Server | Self::Memory)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Options {
    /// `None` is all of them.
    subject: Option<Subject>,
    pub(crate) quick: bool,
    pub(crate) json: Option<PathBuf>,
    pub(crate) only: Option<Vec<String>>,
    pub(crate) squall: Option<PathBuf>,
    pub(crate) squall_args: Vec<String>,
    pub(crate) rounds: Option<usize>,
    pub(crate) warm_up: Option<u64>,
    pub(crate) cell: Option<String>,
}

impl Options {
    /// `Ok(None)` asks for the usage.
    pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Option<Self>, String> {
        let mut args = args.into_iter();
        let mut options = Self::default();
        let mut subject = None;
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "-h" | "--help" => return Ok(None),
                "--quick" => options.quick = true,
                "--json" => options.json = Some(value()?.into()),
                "--only" => options.only = Some(value()?.split(',').map(str::to_owned).collect()),
                "--squall" => options.squall = Some(value()?.into()),
                "--squall-args" => {
                    options.squall_args = value()?.split_whitespace().map(str::to_owned).collect();
                }
                "--warm-up" => {
                    options.warm_up =
                        Some(value()?.parse().map_err(|e| format!("--warm-up: {e}"))?);
                }
                "--cell" => options.cell = Some(value()?),
                "--rounds" => {
                    let rounds: usize = value()?.parse().map_err(|e| format!("--rounds: {e}"))?;
                    options.rounds = Some(rounds.max(1));
                }
                // `cargo xtask bench SUBJECT`
                "bench" if subject.is_none() => {}
                "blocking" => subject = Some(Some(Subject::Blocking)),
                "server" => subject = Some(Some(Subject::Server)),
                "client" => subject = Some(Some(Subject::Client)),
                "upload" => subject = Some(Some(Subject::Upload)),
                "forward" => subject = Some(Some(Subject::Forward)),
                "memory" => subject = Some(Some(Subject::Memory)),
                "loop" => subject = Some(Some(Subject::Loop)),
                "slow" => subject = Some(Some(Subject::Slow)),
                "rebuild" => subject = Some(Some(Subject::Rebuild)),
                "all" => subject = Some(None),
                _ => return Err(format!("unknown argument {arg}")),
            }
        }
        let known = |name: &&String| {
            (NAMES.iter().chain(&RUNTIMES))
                .chain(&CLIENTS)
                .chain(&PROXIES)
                .any(|known| known == name)
        };
        if let Some(unknown) = options.only.iter().flatten().find(|name| !known(name)) {
            return Err(format!("--only: there is no {unknown}"));
        }
        options.subject = subject.ok_or("which subject?")?;
        Ok(Some(options))
    }

    pub(crate) fn subjects(&self) -> Vec<Subject> {
        self.subject.map_or_else(
            || {
                vec![
                    Subject::Blocking,
                    Subject::Server,
                    Subject::Client,
                    Subject::Upload,
                    Subject::Forward,
                    Subject::Memory,
                    Subject::Loop,
                    Subject::Slow,
                    Subject::Rebuild,
                ]
            },
            |one| vec![one],
        )
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only
            .as_ref()
            .is_none_or(|only| only.iter().any(|n| n == name))
    }

    pub(crate) fn named(&self, name: &str) -> bool {
        self.only.is_some() && self.wants(name)
    }

    pub(crate) fn rounds(&self, quick: usize, full: usize) -> usize {
        self.rounds.unwrap_or(if self.quick { quick } else { full })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Options>, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_subject_with_its_options() {
        let options = parse("bench blocking --quick --only axum,go --rounds 0")
            .unwrap()
            .unwrap();
        assert_eq!(options.subjects(), [Subject::Blocking]);
        assert!(options.quick && options.wants("go") && !options.wants("raw"));
        assert_eq!(options.rounds(1, 3), 1);
    }

    #[test]
    fn wrong_usage_says_what() {
        assert_eq!(parse("--quick").unwrap_err(), "which subject?");
        assert_eq!(parse("server --json").unwrap_err(), "--json needs a value");
        assert_eq!(parse("sevrer").unwrap_err(), "unknown argument sevrer");
        assert!(parse("--help").unwrap().is_none());
    }
}
