//! `-v`: the heads as they go over the wire, and how long each phase took, on stderr.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use squall::client::{Head, TimeInfo};
use squall::{Bytes, HttpResponse};

use crate::program::remark;

/// Hears every head, and tells of it if that is wanted.
pub(super) struct Talk {
    wanted: bool,
    /// The last answer's head with its empty line.
    last: Arc<Mutex<Bytes>>,
}

impl Talk {
    pub(super) fn new(wanted: bool) -> Self {
        Self {
            wanted,
            last: Arc::default(),
        }
    }

    /// What a request has to tell heads to.
    pub(super) fn hears(&self) -> impl Fn(Head<'_>) + Send + Sync + 'static {
        let (wanted, last) = (self.wanted, self.last.clone());
        move |head| {
            let (mark, lines) = match head {
                Head::Request(sent) => ('>', sent.to_vec()),
                Head::Answer {
                    version,
                    status,
                    reason,
                    headers,
                } => {
                    let status = status.as_u16();
                    let mut lines = format!("{version} {status} {reason}\r\n").into_bytes();
                    for (name, value) in headers.iter() {
                        lines.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
                    }
                    lines.extend(b"\r\n");
                    *last.lock().unwrap_or_else(PoisonError::into_inner) = lines.clone().into();
                    ('<', lines)
                }
                _ => return,
            };
            if wanted {
                let lines = String::from_utf8_lossy(&lines);
                let marked = lines.lines().map(|line| format!("{mark} {line}\n"));
                remark(&marked.collect::<String>());
            }
        }
    }

    /// The answer's head with its empty line.
    pub(super) fn last_head(&self) -> Bytes {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn answered(&self, response: &HttpResponse) {
        if !self.wanted {
            return;
        }
        for hop in response.history() {
            let status = hop.status.as_u16();
            remark(&format!("* {status} led on from {}\n", hop.url));
        }
        if let Some(address) = response.remote_addr() {
            remark(&format!("* answered by {address}\n"));
        }
    }

    /// How long each phase took, up to the end of the body, or up to the failure.
    pub(super) fn times(&self, ends: &TimeInfo, whole: Option<Duration>) {
        if !self.wanted {
            return;
        }
        let (last, whole) = match whole {
            Some(whole) => ("body", whole.as_secs_f64()),
            None => ("failed", ends.total),
        };
        let mut begun = 0.0;
        let mut table = String::new();
        for (phase, end) in [
            ("redirects", ends.redirect),
            ("queue", ends.queue),
            ("name", ends.namelookup),
            ("connect", ends.connect),
            ("tls", ends.appconnect),
            ("answer", ends.starttransfer),
            (last, whole),
        ] {
            // A phase that was not reached has no end.
            let end = f64::max(begun, end);
            let _ = writeln!(table, "* {phase:<9} {:>10.3} ms", (end - begun) * 1e3);
            begun = end;
        }
        let _ = writeln!(table, "* {:<9} {:>10.3} ms", "total", whole * 1e3);
        remark(&table);
    }
}
