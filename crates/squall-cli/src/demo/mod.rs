//! `squall demo`: the service of the classic async tutorial, and its third party.
//!
//! Two servers in one process on one loop: the service, whose handlers block on
//! purpose, and a stand-in for the third party that it calls, unless a real one is
//! named. `GET /` explains every route.

mod blocking_client;
mod image;
mod job;
mod jobs;
mod service;
mod stats;
mod third_party;
mod upload;
mod upstream;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use squall::settings::Settings;
use squall::{Error, IoLoop, Result};

use self::upstream::Upstream;
use crate::program::{GRACE, host_and_port, run_on, say};

/// What a request or an answer may stream through: 16 GiB.
const MAX_BODY_SIZE: u64 = 16 << 30;
/// How long an exchange may take: an hour, for such a body, or for a slow job.
const LONG_EXCHANGE: Duration = Duration::from_secs(3600);
/// No handler is asked to block or to sleep for longer: ten minutes.
const MAX_MS: u64 = 600_000;

/// Run the tutorial's service: handlers that block, and a server that does not mind
///
/// Prints a line per server when it is ready. Ends with status 0 on SIGTERM or SIGINT,
/// after the requests in flight were answered, at most 10 s later.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where the service listens; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5000", value_parser = host_and_port)]
    listen: String,

    /// Call this service instead of the stand-in: HOST:PORT, or an http or https address
    #[arg(long, value_name = "ADDR", value_parser = Upstream::parse)]
    third_party: Option<Upstream>,

    /// Trust the certificates in this PEM file when calling the third party
    #[arg(long, value_name = "FILE")]
    third_party_ca: Option<PathBuf>,

    /// Do not check the third party's certificate
    #[arg(long, conflicts_with = "third_party_ca")]
    insecure: bool,

    /// The slow job [default: "ping -c 2 127.0.0.1", or "sleep 1" where there is no ping]
    #[arg(long, value_name = "CMD")]
    job: Option<String>,

    /// How many lanes drive the servers [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    lanes: Option<u16>,

    /// Report which line of code blocked, once per route, in the log and in /stats
    #[arg(long)]
    blame: bool,

    /// The most threads, for handlers that block and all else; near it requests are
    /// refused with 503
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u16).range(8..))]
    thread_cap: u16,

    /// Where handlers run: on their lane until caught blocking it, always on the
    /// executor, or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    offload: Offload,

    /// The key that is sent to the third party with an image
    #[arg(long, value_name = "KEY", default_value = third_party::API_KEY)]
    api_key: String,

    /// The secret that is sent to the third party with an image
    #[arg(long, value_name = "SECRET", default_value = third_party::API_SECRET)]
    api_secret: String,

    /// Log a line for each request, also for those that went well
    #[arg(long)]
    pub(crate) access_log: bool,
}

/// The library's [`squall::Offload`] as a flag.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Offload {
    Auto,
    Always,
    Never,
}

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(options: Options) -> Result<()> {
    let mut builder = IoLoop::builder()
        .thread_cap(options.thread_cap.into())
        .blame(options.blame);
    if let Some(lanes) = options.lanes {
        builder = builder.lanes(lanes.into());
    }
    let descriptors = Settings::default().server.max_connections as u64;
    squall_loop::net::raise_descriptors(descriptors)?;
    run_on(&builder.build()?, serve(options))
}

async fn serve(options: Options) -> Result<()> {
    // From here on the signals end the program in order. They are caught before the
    // ready line, because whoever reads that may send one at once.
    let terminated = squall::signal::terminate()?;

    let (third_party, stand_in) = match options.third_party.clone() {
        Some(named) => (named, None),
        None => {
            let stand_in = third_party::application().listen("127.0.0.1:0")?;
            let address = stand_in.local_addr()?.to_string();
            let third_party = Upstream::parse(&address).map_err(Error::internal)?;
            (third_party, Some(stand_in))
        }
    };
    let listen = options.listen.clone();
    let service = service::application(service::Demo::new(options, third_party)?);
    let service = service.listen(listen.as_str())?.start().await?;
    let stand_in = match stand_in {
        Some(application) => Some(application.start().await?),
        None => None,
    };

    let mut ready = format!("squall listening on http://{}\n", service.local_addr()?);
    if let Some(stand_in) = &stand_in {
        ready += &format!(
            "third party listening on http://{}\n",
            stand_in.local_addr()?
        );
    }
    say(&ready)?;

    let signal = terminated.await;
    tracing::info!(signal, "answering what is in flight, then ending");
    let end = Instant::now() + GRACE;
    service.shutdown(GRACE).await;
    if let Some(stand_in) = stand_in {
        let left = end.saturating_duration_since(Instant::now());
        stand_in.shutdown(left).await;
    }
    Ok(())
}

/// The settings of both servers: large bodies may pass, because none is collected, and
/// handlers may be slow, because that is what is shown.
fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.server.max_body_size = MAX_BODY_SIZE;
    settings.server.handler_timeout = LONG_EXCHANGE;
    settings.grace = GRACE;
    settings
}

/// A number of milliseconds that a request asks for.
fn bounded(argument: &str, ms: u64) -> Result<Duration> {
    if ms > MAX_MS {
        return Err(Error::invalid_argument(
            argument,
            format!("at most {MAX_MS}"),
        ));
    }
    Ok(Duration::from_millis(ms))
}

impl From<Offload> for squall::Offload {
    fn from(offload: Offload) -> Self {
        match offload {
            Offload::Auto => Self::Auto,
            Offload::Always => Self::Always,
            Offload::Never => Self::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_asked_for_is_also_waited_for() {
        let longest = bounded("ms", MAX_MS).expect("it may be asked for");
        assert!(settings().server.handler_timeout > longest);
        assert!(service::SILENCE > longest);
        assert!(bounded("ms", MAX_MS + 1).is_err());
    }
}
