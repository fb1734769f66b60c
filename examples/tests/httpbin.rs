//! `httpbin`: beside the real one, and under the tests that others wrote against it.

use std::path::Path;
use std::process::Command;

use super::program::Program;

/// Python with a module; `None` says that the test is skipped.
fn python(module: &str) -> Option<Command> {
    let import = format!("import {module}");
    let probe = Command::new("python3").args(["-c", &import]).output();
    if probe.is_ok_and(|probe| probe.status.success()) {
        return Some(Command::new("python3"));
    }
    eprintln!("skipped: there is no python3 with {module}");
    None
}

#[track_caller]
fn succeeds(command: &mut Command) {
    let done = command.output().expect("a process");
    assert!(
        done.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}

#[test]
fn every_endpoint_answers_as_the_real_httpbin_does() {
    let Some(mut python) = python("httpbin.core") else {
        return;
    };
    let program = Program::start("httpbin", &["--listen", "127.0.0.1:0"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/beside_httpbin.py");
    succeeds(python.arg(script).arg(program.url()));
    program.terminate();
}

/// The tests of Python's requests, from its source distribution, with their `httpbin`
/// being ours. Left out are those that speak to an address outside of this machine.
#[test]
fn the_tests_of_requests_pass() {
    let Ok(folder) = std::env::var("SQUALL_REQUESTS_SDIST") else {
        eprintln!(
            "skipped: SQUALL_REQUESTS_SDIST names no unpacked source distribution of requests"
        );
        return;
    };
    let Some(mut python) = python("pytest_httpbin") else {
        return;
    };
    let program = Program::start("httpbin", &["--listen", "127.0.0.1:0"]);
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    succeeds(
        python
            .current_dir(folder)
            .env("PYTHONPATH", plugins)
            .env("SQUALL_URL", program.url())
            .args(["-m", "pytest", "-p", "httpbin_is_squall", "-q"])
            .args(["-k", "not connect_timeout and not total_timeout_connect"])
            .arg("tests/test_requests.py"),
    );
    program.terminate();
}
