//! `squall bench`: many requests for one address, and what `ab` reports about them.
//!
//! A closed loop: each of the N connections sends its next request when it has the answer
//! to the one before. The load is Squall's own client's, so it also measures that one.

mod report;
mod tally;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{ArgGroup, Args};
use squall::{AsyncHttpClient, FetchError, HttpRequest, HttpResponse, IoLoop, Result};
use url::Url;

use self::tally::{Sample, Tally};
use crate::program::{CANNOT_CONNECT, complain, run_on, say, seconds, web_address};

/// Send many requests to one address and report how long they took, in ab's words
///
/// Status 0: each request was answered. 1: some were not. 7: no connection could be made.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("length").required(true).args(["requests", "seconds"])))]
pub(crate) struct Options {
    /// The address, http:// unless it says otherwise
    #[arg(value_name = "URL", value_parser = web_address)]
    url: Url,

    /// How many requests are under way at a time
    #[arg(short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    concurrency: u32,

    /// How many requests to send
    #[arg(short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,

    /// How long to send requests
    #[arg(short = 'z', value_name = "SECONDS", value_parser = seconds)]
    seconds: Option<Duration>,

    /// Keep connections open between requests
    #[arg(short)]
    keep_alive: bool,

    /// How long one request may take
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    timeout: Duration,

    /// Do not check the server's certificate
    #[arg(long)]
    insecure: bool,
}

impl Options {
    /// What no single option shows to be wrong.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let too_few = self
            .requests
            .is_some_and(|requests| requests < self.concurrency.into());
        too_few.then_some("-c cannot be larger than -n")
    }
}

pub(crate) fn run(options: Options) -> Result<ExitCode> {
    run_on(&IoLoop::builder().build()?, bench(options))
}

/// What every worker knows.
struct Plan {
    client: AsyncHttpClient,
    url: String,
    keep_alive: bool,
    /// How many requests are still to be sent.
    left: AtomicU64,
    end: Option<Instant>,
}

async fn bench(options: Options) -> Result<ExitCode> {
    let at_a_time = options.concurrency as usize;
    let client = AsyncHttpClient::builder()
        .max_per_origin(at_a_time)
        .max_connections(at_a_time)
        .max_idle_per_origin(at_a_time)
        .max_idle_connections(at_a_time)
        .max_waiters(at_a_time)
        .request_timeout(options.timeout)
        .max_body_size(u64::MAX)
        .validate_cert(!options.insecure)
        .build();
    let begun = Instant::now();
    let plan = Arc::new(Plan {
        client,
        url: options.url.to_string(),
        keep_alive: options.keep_alive,
        left: options.requests.unwrap_or(u64::MAX).into(),
        end: options.seconds.map(|seconds| begun + seconds),
    });
    let workers: Vec<_> = (0..at_a_time)
        .map(|_| IoLoop::current().spawn(work(plan.clone())))
        .collect();
    let mut tally = Tally::default();
    for worker in workers {
        tally.add(&worker.await?);
    }
    say(&report::report(&options, &tally, begun.elapsed()))?;
    if let Some(error) = &tally.first_error {
        complain(format_args!("the first request that failed: {error}"));
    }
    Ok(match (tally.complete(), tally.failed()) {
        (0, _) if tally.unconnected > 0 => CANNOT_CONNECT.into(),
        (_, 0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Sends requests, one after the other, while there are some to send.
async fn work(plan: Arc<Plan>) -> Tally {
    let mut tally = Tally::default();
    while plan.end.is_none_or(|end| Instant::now() < end) && plan.take() {
        match exchange(&plan).await {
            Ok(sample) => tally.record(&sample),
            Err(error) => tally.fail(&error),
        }
    }
    tally
}

impl Plan {
    fn take(&self) -> bool {
        let less = |left: u64| left.checked_sub(1);
        (self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less))
        .is_ok()
    }
}

/// One request and its whole answer.
async fn exchange(plan: &Plan) -> Result<Sample, FetchError> {
    let mut request = HttpRequest::get(&plan.url).follow_redirects(false);
    if !plan.keep_alive {
        request = request.header("Connection", "close");
    }
    let begun = Instant::now();
    let mut response = plan.client.fetch(request).await?;
    let mut body = 0;
    while let Some(chunk) = response.chunk().await? {
        body += chunk.len() as u64;
    }
    Ok(Sample::new(&response, body, begun.elapsed()))
}

impl Sample {
    fn new(response: &HttpResponse, body: u64, total: Duration) -> Self {
        let times = response.time_info();
        // As ab has it: connecting is what comes before the request.
        let connect = if response.reused() {
            0.0
        } else {
            times.appconnect - times.queue
        };
        let wait = times.starttransfer - times.pretransfer;
        let fields = (response.headers().iter()).map(|(name, value)| name.len() + value.len() + 4);
        let status_line = "HTTP/1.1 200 \r\n\r\n".len() + response.reason().len();
        Self {
            connect: Duration::from_secs_f64(connect.max(0.0)),
            wait: Duration::from_secs_f64(wait.max(0.0)),
            total,
            head: (status_line + fields.sum::<usize>()) as u64,
            body,
            reused: response.reused(),
            success: response.status().is_success(),
            server: response.headers().get("server").map(str::to_owned),
        }
    }
}
