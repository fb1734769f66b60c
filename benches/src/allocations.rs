//! Heap allocations per request, counted by a preloaded `malloc`.
//!
//! `peers/alloc_count.c` is built with `cc` and preloaded into the server; its
//! counters lie in a shared file, which is read before and after the load.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Reason;
use crate::bounded::{installed, output};
use crate::driver::{Driver, Until};
use crate::instructions::CONNECTIONS;
use crate::servers::{self, Kind, Server};
use crate::shape::Shape;

const REQUESTS: u64 = 10_000;
const RUN_LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Allocations {
    pub(crate) count: f64,
    pub(crate) bytes: f64,
}

pub(crate) fn per_request(server: &Server, shape: Shape) -> Result<Allocations, Reason> {
    if server.kind == Kind::Go {
        return Err("Go has an allocator of its own".into());
    }
    let library = counter()?;
    let file = servers::scratch()?.join("allocations");
    let unreadable = |e: std::io::Error| format!("{}: {e}", file.display());
    fs::write(&file, [0; 16]).map_err(unreadable)?;
    let process = server
        .launch(1)
        .env("LD_PRELOAD", library.to_string_lossy().into_owned())
        .env("ALLOC_COUNT_FILE", file.to_string_lossy().into_owned())
        // Otherwise small objects come from Python's own arenas.
        .env("PYTHONMALLOC", "malloc".into())
        .start()?;
    let mut load = Driver::open(process.addr(), CONNECTIONS, shape)?;
    // Buffers have reached their size after a while.
    load.run(Until::Answers(REQUESTS / 10, Duration::from_secs(60)))?;
    let before = parse(&fs::read(&file).map_err(unreadable)?)?;
    if before.0 == 0 {
        return Err("it does not use the system's malloc".into());
    }
    load.run(Until::Answers(REQUESTS, Duration::from_secs(60)))?;
    let after = parse(&fs::read(&file).map_err(unreadable)?)?;
    Ok(difference(before, after, REQUESTS as f64))
}

/// All allocations of a program that ends by itself, and their bytes.
pub(crate) fn of_run(line: &[String]) -> Result<(u64, u64), Reason> {
    let library = counter()?;
    let file = servers::scratch()?.join("allocations");
    let unreadable = |e: std::io::Error| format!("{}: {e}", file.display());
    fs::write(&file, [0; 16]).map_err(unreadable)?;
    let mut command = Command::new(&line[0]);
    command
        .args(&line[1..])
        .env("LD_PRELOAD", library)
        .env("ALLOC_COUNT_FILE", &file);
    output(&mut command, RUN_LIMIT)?;
    parse(&fs::read(&file).map_err(unreadable)?)
}

pub(crate) fn difference(few: (u64, u64), many: (u64, u64), requests: f64) -> Allocations {
    Allocations {
        count: (many.0 as f64 - few.0 as f64) / requests,
        bytes: (many.1 as f64 - few.1 as f64) / requests,
    }
}

fn counter() -> Result<PathBuf, Reason> {
    if !installed("cc") {
        return Err("cc is not installed".into());
    }
    let library = servers::scratch()?.join("alloc_count.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/alloc_count.c");
    let mut cc = Command::new("cc");
    // Without -fno-builtin the compiler takes these for the real malloc.
    cc.args(["-O2", "-shared", "-fPIC", "-fno-builtin", "-o"])
        .arg(&library)
        .arg(source);
    output(&mut cc, Duration::from_secs(60))?;
    Ok(library)
}

/// Allocations and bytes so far.
fn parse(file: &[u8]) -> Result<(u64, u64), Reason> {
    let (count, bytes) = file
        .split_first_chunk::<8>()
        .ok_or("the counter's file is short")?;
    let bytes = bytes
        .first_chunk::<8>()
        .ok_or("the counter's file is short")?;
    Ok((u64::from_ne_bytes(*count), u64::from_ne_bytes(*bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_counters() {
        let file = [7u64.to_ne_bytes(), 512u64.to_ne_bytes()].concat();
        assert_eq!(parse(&file).unwrap(), (7, 512));
        assert!(parse(&file[..12]).is_err());
    }
}
