//! A server's processes, their CPU time and memory, from /proc.

use std::fs;

use rustix::process::Pid;

/// `root` and all its descendants, parents first.
pub(crate) fn of(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((
                pid,
                parent(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?,
            ))
        })
        .collect();
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(&pid) = tree.get(next) {
        tree.extend(
            parents
                .iter()
                .filter(|(_, parent)| *parent == pid)
                .map(|(pid, _)| pid),
        );
        next += 1;
    }
    tree
}

/// The fourth field of /proc/PID/stat; the second one may hold spaces and brackets.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

pub(crate) fn name(pid: u32) -> Option<String> {
    Some(
        fs::read_to_string(format!("/proc/{pid}/comm"))
            .ok()?
            .trim()
            .to_owned(),
    )
}

/// Nanoseconds on a CPU, in user and kernel, of all living threads.
pub(crate) fn cpu_ns(tree: &[u32]) -> u64 {
    let threads = tree.iter().flat_map(|pid| {
        fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten()
    });
    threads
        .filter_map(|thread| {
            let schedstat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            schedstat.split_whitespace().next()?.parse::<u64>().ok()
        })
        .sum()
}

/// Resident bytes. `smaps_rollup` walks the pages; `statm` may lag by hundreds of kB.
pub(crate) fn resident_bytes(tree: &[u32]) -> u64 {
    tree.iter()
        .filter_map(|pid| rss(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?))
        .sum()
}

fn rss(rollup: &str) -> Option<u64> {
    bytes(rollup, "Rss:")
}

/// The highest resident size since the start, or since it was forgotten.
pub(crate) fn peak_bytes(tree: &[u32]) -> u64 {
    tree.iter()
        .filter_map(|pid| {
            bytes(
                &fs::read_to_string(format!("/proc/{pid}/status")).ok()?,
                "VmHWM:",
            )
        })
        .sum()
}

/// Lets the peak begin anew. Where that is not allowed, it counts what came before, too.
pub(crate) fn forget_peak(tree: &[u32]) {
    for pid in tree {
        let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
    }
}

/// The value of a line `NAME:  12 kB`.
fn bytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // A process that has ended already is what we want.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        assert_eq!(parent("12 (a) S 3) R 7 12 12 0"), Some(7));
        assert_eq!(parent("12 (sh) S"), None);
    }

    #[test]
    fn rss_is_in_bytes() {
        assert_eq!(
            rss("00400000-7ff ---p 0 [rollup]\nRss:    1204 kB\nPss:  1 kB\n"),
            Some(1204 * 1024)
        );
    }

    #[test]
    fn this_process_has_used_cpu_and_memory() {
        let tree = of(std::process::id());
        assert!(cpu_ns(&tree) > 0 && resident_bytes(&tree) > 100_000);
    }
}
