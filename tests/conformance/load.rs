//! ab and wrk: many requests, on few connections and on many.

use super::{IT_WORKS, program, server, text};

/// The number behind a label of ab's report.
fn figure(report: &str, label: &str) -> Option<u64> {
    let line = report.lines().find_map(|line| line.strip_prefix(label))?;
    line.trim_start_matches(':')
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

#[test]
fn ab_counts_no_failures() {
    let server = server();
    for (args, kept) in [
        (["-k", "-c", "10", "-n", "1000"].as_slice(), Some(1000)),
        (&["-c", "10", "-n", "500"], None),
    ] {
        let Some(mut ab) = program("ab", &["-V"]) else {
            return;
        };
        ab.args(["-q", "-s", "30"]).args(args);
        ab.arg(format!("http://{}/plaintext", server.address()));
        let report = text(ab, b"");
        let length = figure(&report, "Document Length");
        assert_eq!(length, Some(IT_WORKS.len() as u64), "{report}");
        assert_eq!(figure(&report, "Failed requests"), Some(0), "{report}");
        assert_eq!(figure(&report, "Non-2xx responses"), None, "{report}");
        assert_eq!(figure(&report, "Keep-Alive requests"), kept, "{report}");
    }
}

#[test]
fn wrk_meets_no_errors() {
    let server = server();
    for target in ["/plaintext", "/json", "/stream"] {
        let Some(mut wrk) = program("wrk", &["-v"]) else {
            return;
        };
        wrk.args(["-t", "2", "-c", "32", "-d", "1s", "--timeout", "30s"]);
        wrk.arg(format!("http://{}{target}", server.address()));
        let report = text(wrk, b"");
        assert!(!report.contains("Socket errors"), "{report}");
        assert!(!report.contains("Non-2xx"), "{report}");
        assert!(report.contains("Requests/sec"), "{report}");
    }
}
