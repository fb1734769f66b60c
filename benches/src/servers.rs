//! The servers that are compared, and how each is built.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Reason;
use crate::bounded::{installed, output};
use crate::client::Client;
use crate::options::Options;

/// How long a build may take: a first one with fat LTO on two slow cores.
const BUILD_LIMIT: Duration = Duration::from_secs(45 * 60);
const TORNADO: &str = "tornado==6.6.1";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rust,
    /// Slow under callgrind, and with an allocator of its own.
    Python,
    /// Unknown to callgrind, and without malloc.
    Go,
}

#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) command: Vec<String>,
}

impl Server {
    /// One of those that Squall is compared with; the floor is none of them.
    pub(crate) fn is_peer(&self) -> bool {
        self.name != "raw" && self.name != "squall"
    }

    /// Whether it is Squall's demo, which has options of its own.
    pub(crate) fn is_demo(&self) -> bool {
        self.command.get(1).is_some_and(|word| word == "demo")
    }

    /// The program that has the hundred routes, too; None: it has no router.
    pub(crate) fn routed(&self) -> Result<Option<Self>, Reason> {
        let command = match self.name {
            "axum" | "actix" | "xitca" => self.command.clone(),
            "squall" => squall_peer()?.command,
            _ => return Ok(None),
        };
        let routed = Self { command, ..*self };
        check(&routed)?;
        check_routes(&routed)?;
        Ok(Some(routed))
    }
}

/// The peers' versions, as the lock file pins them.
pub(crate) fn versions() -> String {
    let locked = include_str!("../Cargo.lock");
    let version = |name| pinned(locked, name).unwrap_or("?");
    let rust = [
        "axum",
        "actix-web",
        "xitca-web",
        "hyper",
        "tokio",
        "smol",
        "reqwest",
        "awc",
        "axum-reverse-proxy",
        "pingora",
    ]
    .map(|name| format!("{name} {}", version(name)));
    format!("{}, {}", rust.join(", "), TORNADO.replace("==", " "))
}

/// The version of the first package of that name.
fn pinned<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(after.split_once('"')?.0)
}

/// All there are.
pub(crate) const NAMES: [&str; 8] = [
    "raw", "squall", "axum", "actix", "xitca", "hyper", "tornado", "go",
];

type Skipped = Vec<(&'static str, Reason)>;

/// Builds what was asked for, and starts each server once to see that it
/// answers; what cannot be had is skipped with a reason.
pub(crate) fn prepare(options: &Options) -> Result<(Vec<Server>, Skipped), Reason> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut skipped = Skipped::new();
    let mut servers = Vec::new();
    let mut add = |name, kind, command: Result<Vec<String>, Reason>| {
        let ready = command.and_then(|command| {
            let server = Server {
                name,
                kind,
                command,
            };
            check(&server)?;
            Ok(server)
        });
        match ready {
            Ok(server) => servers.push(server),
            Err(reason) => skipped.push((name, reason)),
        }
    };
    for (name, bin) in [
        ("raw", "raw_peer"),
        ("axum", "axum_peer"),
        ("actix", "actix_peer"),
        ("xitca", "xitca_peer"),
        ("hyper", "hyper_peer"),
    ] {
        if options.wants(name) {
            add(name, Kind::Rust, peer(folder, bin).map(|bin| vec![bin]));
        }
    }
    if options.wants("tornado") {
        add("tornado", Kind::Python, tornado(folder));
    }
    if options.wants("go") {
        add("go", Kind::Go, go(folder));
    }
    if options.wants("squall") {
        add("squall", Kind::Rust, squall(folder, options));
    }
    // The reader looks for raw and squall first.
    servers.sort_by_key(|server| (server.name != "raw", server.name != "squall"));
    Ok((servers, skipped))
}

/// Squall with the routes of the peers.
pub(crate) fn squall_peer() -> Result<Server, Reason> {
    let server = Server {
        name: "squall",
        kind: Kind::Rust,
        command: vec![peer(Path::new(env!("CARGO_MANIFEST_DIR")), "squall_peer")?],
    };
    check(&server)?;
    Ok(server)
}

/// The same with so many routes.
pub(crate) fn squall_with_routes(count: usize) -> Result<Server, Reason> {
    let mut server = squall_peer()?;
    (server.command).extend(["--routes".to_owned(), count.to_string()]);
    Ok(server)
}

pub(crate) fn peer(folder: &Path, bin: &str) -> Result<String, Reason> {
    peer_with(folder, bin, "")
}

/// One that is built with a feature of its own.
pub(crate) fn peer_with(folder: &Path, bin: &str, feature: &str) -> Result<String, Reason> {
    let mut command = cargo();
    command
        .args(["build", "--release", "--bin", bin, "--features", feature])
        .arg("--manifest-path")
        .arg(folder.join("Cargo.toml"));
    built(command, bin)
}

fn squall(folder: &Path, options: &Options) -> Result<Vec<String>, Reason> {
    let program = match &options.squall {
        Some(path) => path.to_string_lossy().into_owned(),
        None => {
            let mut command = cargo();
            command
                .args(["build", "--profile", "bench", "--bin", "squall"])
                .current_dir(folder.join(".."));
            built(command, "squall")?
        }
    };
    let mut command = vec![program, "demo".to_owned()];
    command.extend(options.squall_args.iter().cloned());
    Ok(command)
}

pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Builds, and asks cargo where the program is: the target folder may be anywhere.
fn built(mut command: Command, bin: &str) -> Result<String, Reason> {
    eprintln!("building {bin}");
    let report = output(
        command.arg("--message-format=json-render-diagnostics"),
        BUILD_LIMIT,
    )?;
    executable(&report, bin).ok_or_else(|| format!("cargo built no program {bin}"))
}

fn executable(report: &str, bin: &str) -> Option<String> {
    let artifacts = report
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    artifacts
        .filter(|artifact| artifact["target"]["name"] == bin)
        .find_map(|artifact| artifact["executable"].as_str().map(str::to_owned))
}

/// A folder beside the built programs for what is no cargo artifact.
pub(crate) fn scratch() -> Result<PathBuf, Reason> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let folder = own
        .parent()
        .ok_or("the harness lies in no folder")?
        .join("benches-scratch");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    Ok(folder)
}

fn tornado(folder: &Path) -> Result<Vec<String>, Reason> {
    let venv = scratch()?.join("venv");
    let python = venv.join("bin/python");
    let quiet = |command: &mut Command| output(command, Duration::from_secs(300));
    if !python.exists() {
        eprintln!("making a virtual environment with {TORNADO}");
        quiet(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    }
    let here = "import tornado; print(tornado.version)";
    let version = output(
        Command::new(&python)
            .args(["-c", here])
            .stderr(std::process::Stdio::null()),
        Duration::from_secs(60),
    );
    if version.is_err() {
        quiet(Command::new(&python).args(["-m", "pip", "install", "--quiet", TORNADO]))?;
    }
    Ok(vec![
        path(&python),
        path(&folder.join("peers/tornado_peer.py")),
    ])
}

fn go(folder: &Path) -> Result<Vec<String>, Reason> {
    if !installed("go") {
        return Err("go is not installed".into());
    }
    let program = scratch()?.join("go_peer");
    eprintln!("building go_peer");
    let mut build = Command::new("go");
    build
        .args(["build", "-o"])
        .arg(&program)
        .arg(folder.join("peers/go_peer.go"));
    output(&mut build, BUILD_LIMIT)?;
    Ok(vec![path(&program)])
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A route among a hundred answers JSON.
fn check_routes(server: &Server) -> Result<(), Reason> {
    let process = server.launch(2).start()?;
    let mut client = Client::connect(process.addr()).map_err(|e| e.to_string())?;
    for path in [
        "/api/users/7",
        "/api/orders/7/history",
        "/api/messages/7/access",
    ] {
        let deadline = Instant::now() + Duration::from_secs(10);
        let answer = client
            .get(path, deadline)
            .map_err(|e| format!("{path}: {e}"))?;
        if serde_json::from_str::<Value>(&answer).is_ok_and(|json| json["id"] == 7) {
            continue;
        }
        return Err(format!("{path} answers {answer:?}"));
    }
    Ok(())
}

/// Every measured route must answer as the peers do.
fn check(server: &Server) -> Result<(), Reason> {
    let process = server.launch(2).start()?;
    let deadline = Instant::now() + Duration::from_secs(10);
    for (path, body) in [
        ("/plaintext", "It works"),
        ("/block/1", "blocked"),
        ("/spin/1", "spun"),
        ("/lock/1", "unlocked"),
    ] {
        let mut client = Client::connect(process.addr()).map_err(|e| e.to_string())?;
        let answer = client
            .get(path, deadline)
            .map_err(|e| format!("{path}: {e}"))?;
        if answer.trim() != body {
            return Err(format!("{path} answers {answer:?} instead of {body:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_the_lock_file() {
        let lock = "[[package]]\nname = \"axum-core\"\nversion = \"0.5.6\"\n\n[[package]]\nname = \"axum\"\nversion = \"0.8.9\"\n";
        assert_eq!(pinned(lock, "axum"), Some("0.8.9"));
        assert_eq!(pinned(lock, "hyper"), None);
        assert!(!versions().contains('?'), "{}", versions());
    }

    #[test]
    fn the_program_in_cargos_report() {
        let report = "\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"squall\",\"kind\":[\"lib\"]},\"executable\":null}\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"squall\",\"kind\":[\"bin\"]},\"executable\":\"/t/squall\"}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executable(report, "squall").as_deref(), Some("/t/squall"));
        assert_eq!(executable(report, "raw_peer"), None);
    }
}
