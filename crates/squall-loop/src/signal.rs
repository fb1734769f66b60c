//! The signals that ask a program to end.

use std::io;

/// Waits for SIGTERM or SIGINT (Ctrl-C elsewhere) and names which came.
///
/// From the first call on the signals no longer end the process by themselves.
///
/// # Errors
/// When the handler cannot be installed.
#[cfg(unix)]
pub async fn terminate() -> io::Result<&'static str> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    // Waiting for a signal is blocking work like any other.
    let first = crate::run_on_executor(move || signals.forever().next());
    match first.await {
        Ok(Some(SIGINT)) => Ok("SIGINT"),
        Ok(_) => Ok("SIGTERM"),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Never: this platform's console events are not supported yet.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub async fn terminate() -> io::Result<&'static str> {
    std::future::pending().await
}
