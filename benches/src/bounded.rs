//! Running a program to its end, or to a deadline.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Reason;

/// What the program printed to stdout.
///
/// A program that ends with another status than 0, or not within `limit`, is an
/// error; in the latter case it is killed. Its stderr goes where ours goes.
pub(crate) fn output(command: &mut Command, limit: Duration) -> Result<String, Reason> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{name} cannot be started: {e}"))?;
    let mut stdout = child.stdout.take().ok_or("no pipe to stdout")?;
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        // What could be read is what there is to parse.
        let _ = stdout.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let end = Instant::now() + limit;
    loop {
        match child.try_wait().map_err(|e| format!("{name}: {e}"))? {
            Some(status) if status.success() => {
                return reader
                    .join()
                    .map_err(|_| format!("{name}: its output cannot be read"));
            }
            Some(status) => return Err(format!("{name} ended with {status}")),
            None if Instant::now() > end => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{name} did not end within {} s", limit.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Whether a program of that name is in the search path.
pub(crate) fn installed(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_kept() {
        let text = output(
            Command::new("sh").args(["-c", "echo hi"]),
            Duration::from_secs(10),
        );
        assert_eq!(text.unwrap(), "hi\n");
    }

    #[test]
    fn a_failure_names_the_status() {
        let reason = output(
            Command::new("sh").args(["-c", "exit 3"]),
            Duration::from_secs(10),
        )
        .unwrap_err();
        assert!(reason.contains("exit status: 3"), "{reason}");
    }
}
