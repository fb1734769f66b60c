//! `squall bench` from outside: ab's labels, honest counts, exit statuses.

use std::process::{Command, Output};

use squall::testing::{Nobody, TestServer};
use squall::{Application, StatusCode};

fn bench(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command
        .arg("bench")
        .args(args)
        .output()
        .expect("the program starts")
}

fn server() -> TestServer {
    TestServer::start(
        Application::new()
            .route("/", async || "It works")
            .route("/gone", async || StatusCode::GONE),
    )
}

/// The number behind a label of ab's.
fn figure(report: &str, label: &str) -> f64 {
    let line = report.lines().find_map(|line| line.strip_prefix(label));
    let line = line.unwrap_or_else(|| panic!("no {label:?} in\n{report}"));
    let number = line.split_whitespace().next().expect("a figure");
    number.parse().expect("a number")
}

#[test]
fn the_report_has_abs_labels() {
    let server = server();
    let url = format!("http://{}/", server.address());
    for keep in [&["-k"][..], &[]] {
        let done = bench(&[&[url.as_str(), "-c", "5", "-n", "200"], keep].concat());
        assert_eq!(done.status.code(), Some(0));
        let report = String::from_utf8(done.stdout).expect("text");
        for label in [
            "Server Software:",
            "Server Hostname:",
            "Server Port:",
            "Document Path:",
            "Document Length:",
            "Concurrency Level:",
            "Time taken for tests:",
            "Requests per second:",
            "Time per request:",
            "Transfer rate:",
            "Connection Times (ms)",
            "Connect:",
            "Processing:",
            "Waiting:",
            "Total:",
            "Percentage of the requests served within a certain time (ms)",
            "  50%",
            " 100%",
        ] {
            assert!(report.contains(label), "no {label:?} in\n{report}");
        }
        assert_eq!(figure(&report, "Complete requests:"), 200.0);
        assert_eq!(figure(&report, "Failed requests:"), 0.0);
        assert_eq!(figure(&report, "Document Length:"), 8.0);
        assert_eq!(figure(&report, "HTML transferred:"), 1600.0);
        match keep.is_empty() {
            true => assert!(!report.contains("Keep-Alive requests:")),
            false => assert_eq!(figure(&report, "Keep-Alive requests:"), 195.0),
        }
        let bars = report.lines().filter(|line| line.contains('#')).count();
        assert!(bars > 2, "{report}");
    }
    // Both runs and nothing else: what it says it sent, it sent.
    assert_eq!(server.app().stats().requests, 400);
}

#[test]
fn a_time_ends_a_run_too() {
    let server = server();
    let done = bench(&[
        &format!("http://{}/gone", server.address()),
        "-z",
        "0.2",
        "-c",
        "2",
        "-k",
    ]);
    assert_eq!(done.status.code(), Some(0));
    let report = String::from_utf8(done.stdout).expect("text");
    let complete = figure(&report, "Complete requests:");
    assert!(complete > 0.0);
    assert_eq!(figure(&report, "Non-2xx responses:"), complete);
}

#[test]
fn failures_have_statuses() {
    let nobody = Nobody::bind();
    let url = nobody.url("/");
    // http:// is understood.
    for address in [&url, &nobody.address().to_string()] {
        let done = bench(&[address, "-n", "2"]);
        assert_eq!(done.status.code(), Some(7), "{address}");
    }
    for wrong in [
        &[][..],
        &[url.as_str()],
        &[&url, "-n", "1", "-z", "1"],
        &[&url, "-n", "1", "-c", "2"],
        &["ftp://a/", "-n", "1"],
        &[&url, "-n", "0"],
        &[&url, "-z", "-1"],
    ] {
        assert_eq!(bench(wrong).status.code(), Some(2), "{wrong:?}");
    }
}
