//! What the subcommands share: how they read addresses, how they speak, and how they end.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use squall::{IoLoop, Result};
use url::Url;

/// How long requests in flight have, once a server was asked to end.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// No connection could be made, as curl says it.
pub(crate) const CANNOT_CONNECT: u8 = 7;

/// Does this on the loop, and stops the loop then.
pub(crate) fn run_on<T: Send + 'static>(
    io_loop: &IoLoop,
    what: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let outcome = io_loop.run(what);
    io_loop.stop();
    outcome?
}

/// Speaks to whoever waits for the program to be ready.
pub(crate) fn say(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Says on one line of stderr what went wrong.
pub(crate) fn complain(what: impl Display) {
    let text = what.to_string();
    let line: Vec<_> = text.lines().map(str::trim).collect();
    remark(&format!("squall: {}\n", line.join(" ")));
}

/// Writes to stderr. Where that is gone nobody reads it, which changes nothing else:
/// `eprint!` would panic.
pub(crate) fn remark(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// An address with `http://` before it, unless it says otherwise.
pub(crate) fn with_scheme(text: &str) -> String {
    // What is behind the host may hold addresses of its own.
    let has_scheme =
        (text.split_once("://")).is_some_and(|(scheme, _)| !scheme.contains(['/', '?', '#']));
    match has_scheme {
        true => text.to_owned(),
        false => format!("http://{text}"),
    }
}

/// An address of the web, `http://` unless it says otherwise.
pub(crate) fn web_address(text: &str) -> Result<Url, String> {
    let url = Url::parse(&with_scheme(text)).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("{other}:// is neither http:// nor https://")),
    }
}

pub(crate) fn seconds(text: &str) -> Result<Duration, &'static str> {
    (text.parse().ok())
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or("expected a number of seconds")
}

pub(crate) fn host_and_port(text: &str) -> Result<String, &'static str> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            Ok(text.to_owned())
        }
        _ => Err("expected HOST:PORT, such as 127.0.0.1:5000"),
    }
}

#[cfg(test)]
mod tests {
    use super::web_address;

    #[test]
    fn a_scheme_may_be_left_out() {
        for (text, expected) in [
            ("localhost:8080/a", "http://localhost:8080/a"),
            ("https://a.test", "https://a.test/"),
            (
                "a.test/?u=http://b.test/",
                "http://a.test/?u=http://b.test/",
            ),
            ("a.test?u=http://b", "http://a.test/?u=http://b"),
            ("a.test:80/http://b", "http://a.test/http://b"),
        ] {
            let read = web_address(text).map(String::from);
            assert_eq!(read.as_deref(), Ok(expected));
        }
        assert!(web_address("ftp://a.test/").is_err());
    }
}
