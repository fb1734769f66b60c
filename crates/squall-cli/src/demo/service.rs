//! The service: every route of the tutorial, each in a few lines.
//!
//! Handlers that block do so **on purpose**: that is what the demo shows. What a
//! well-behaved service would do instead is the route beside it.

use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use squall::forward::{Forward, forward};
use squall::{
    Application, AsyncHttpClient, Error, Exchange, Executor, Html, IoLoop, Json, Offload, Path,
    Query, Request, Response, Result, State, any, get, post, sleep, with_timeout,
};

use super::job::{Done, Job, millis};
use super::jobs::Jobs;
use super::upstream::Upstream;
use super::{Options, blocking_client, bounded, settings, stats, upload};

/// Eight bytes, for benchmarks.
const IT_WORKS: &str = "It works";
/// What begins a certificate in a PEM file.
const PEM_BEGINS: &[u8] = b"-----BEGIN CERTIFICATE-----";
/// The workers of the pool that `/future` hands its jobs to.
const POOL_WORKERS: usize = 10;
/// Connections to the third party in use at a time.
const CONNECTIONS: usize = 512;
/// How long `/async` lets its job wait.
const LATER: Duration = Duration::from_millis(10);
/// The third party's `/slow` says nothing for ten minutes at most.
pub(super) const SILENCE: Duration = Duration::from_secs(660);

/// What the handlers share.
pub(super) struct Demo {
    pub(super) client: AsyncHttpClient,
    pub(super) third_party: Upstream,
    pub(super) api_key: String,
    pub(super) api_secret: String,
    job: Job,
    jobs: Arc<Jobs>,
    pool: Executor,
    forward: Forward,
    lock: Mutex<()>,
    offload: Offload,
}

impl Demo {
    pub(super) fn new(options: Options, third_party: Upstream) -> Result<Self> {
        let mut client = AsyncHttpClient::builder()
            .max_per_origin(CONNECTIONS)
            .max_connections(CONNECTIONS)
            .validate_cert(!options.insecure);
        if let Some(file) = &options.third_party_ca {
            let pem = std::fs::read(file).map_err(|error| {
                Error::internal(error).show(format!("cannot read {}", file.display()))
            })?;
            if !pem.windows(PEM_BEGINS.len()).any(|part| part == PEM_BEGINS) {
                return Err(Error::internal(format!(
                    "{} contains no certificate (--third-party-ca)",
                    file.display()
                )));
            }
            client = client.ca_certs(pem);
        }
        let client = client.build();
        Ok(Self {
            forward: Forward::to(third_party.url().as_str())
                .strip_prefix("/forward")
                .idle_timeout(SILENCE)
                .client(&client),
            client,
            third_party,
            api_key: options.api_key,
            api_secret: options.api_secret,
            job: Job::new(options.job),
            jobs: Arc::default(),
            pool: Executor::new(POOL_WORKERS),
            lock: Mutex::new(()),
            offload: options.offload.into(),
        })
    }
}

/// The service's routes.
pub(super) fn application(demo: Demo) -> Application {
    let mut settings = settings();
    settings.offload = demo.offload;
    Application::new()
        .settings(settings)
        .state(demo)
        .route("/", page)
        .route("/console", stats::console_slash)
        .route("/console/", stats::console)
        .route(
            "/stats",
            get(stats::stats).offload(Offload::Never).never_shed(),
        )
        .route("/health", get(health).offload(Offload::Never).never_shed())
        .route("/plaintext", plaintext)
        .route("/sync", sync)
        .route("/async", later)
        .route("/async/task", task)
        .route("/future", future)
        .route("/future/response", future_response)
        .route("/client/sync", client_sync)
        .route("/client/async", client_async)
        .route("/client/response", client_response)
        .route("/forward/{*path}", any(relay))
        .route("/api/v2/account/upload", post(upload::upload))
        .route("/jobs", jobs)
        .route("/block/{ms}", block)
        .route("/spin/{ms}", spin)
        .route("/sleep/{ms}", sleeps)
        .route("/deadline/{ms}", get(deadline))
        .route("/lock/{ms}", lock)
}

async fn page() -> Html<&'static str> {
    Html(include_str!("page.html"))
}

/// Answered also when threads are short and everything else is refused.
async fn health() -> &'static str {
    "ok"
}

async fn plaintext() -> &'static str {
    IT_WORKS
}

/// The trap of every other framework: a blocking job in the handler.
async fn sync(State(demo): State<Demo>) -> Result<&'static str> {
    demo.job.run()?;
    Ok(IT_WORKS)
}

/// Answers at once; the job runs later, on the loop, and blocks there.
async fn later(State(demo): State<Demo>) -> Result<&'static str> {
    let ticket = demo.jobs.enter("GET /async")?;
    IoLoop::current().call_later(LATER, move || {
        ticket.begin();
        ticket.end(demo.job.run());
    });
    Ok(IT_WORKS)
}

/// Waits for a task; the task blocks.
async fn task(State(demo): State<Demo>) -> Result<Json<Done>> {
    let job = demo.job.clone();
    let done = IoLoop::current().spawn(async move { job.run() }).await??;
    Ok(Json(done))
}

/// Answers at once; the job runs in the thread pool.
async fn future(State(demo): State<Demo>) -> Result<&'static str> {
    let ticket = demo.jobs.enter("GET /future")?;
    let job = demo.job.clone();
    // Nobody waits for this one: dropping the handle lets it go on.
    drop(demo.pool.submit(move || {
        ticket.begin();
        ticket.end(job.run());
    }));
    Ok(IT_WORKS)
}

#[derive(Deserialize)]
struct Timeout {
    #[serde(default = "ten_seconds")]
    timeout_ms: u64,
}

fn ten_seconds() -> u64 {
    10_000
}

/// Waits for the thread pool, but not for ever. At the limit the job itself goes on: a
/// blocking function cannot be stopped from outside.
async fn future_response(
    State(demo): State<Demo>,
    Query(Timeout { timeout_ms }): Query<Timeout>,
) -> Result<Json<Done>> {
    let limit = bounded("timeout_ms", timeout_ms)?;
    let job = demo.job.clone();
    let running = demo.pool.submit(move || job.run());
    let done = with_timeout(limit, running).await???;
    Ok(Json(done))
}

/// A blocking client in the handler: the trap again, this time over the network.
async fn client_sync(State(demo): State<Demo>) -> Result<Value> {
    let begun = Instant::now();
    let url = demo.third_party.path("/api").parse()?;
    let code = blocking_client::get(&url).map_err(|error| {
        Error::bad_gateway(format!("the third party gave no answer: {error}")).with_source(error)
    })?;
    Ok(json!({ "code": code, "ms": millis(begun) }))
}

/// Answers at once; the callback gets the third party's answer.
async fn client_async(State(demo): State<Demo>) -> Result<&'static str> {
    let ticket = demo.jobs.enter("GET /client/async")?;
    let begun = Instant::now();
    ticket.begin();
    demo.client
        .fetch_with(demo.third_party.path("/api"), move |answer| async move {
            let told = answer.map(|answer| json!({ "code": answer.code(), "ms": millis(begun) }));
            ticket.end(told.map_err(Error::from));
        });
    Ok(IT_WORKS)
}

/// Waits for the third party without blocking anything.
async fn client_response(State(demo): State<Demo>) -> Result<Value> {
    let mut answer = demo.client.fetch(demo.third_party.path("/api")).await?;
    let bytes = answer.bytes().await?.len();
    Ok(json!({
        "code": answer.code(),
        "bytes": bytes,
        "time_info": answer.time_info(),
    }))
}

/// Relays anything to the third party, streaming both ways.
async fn relay(State(demo): State<Demo>, request: Request) -> Result<Response> {
    Ok(forward(request, &demo.forward).await?)
}

async fn jobs(State(demo): State<Demo>) -> Value {
    demo.jobs.json()
}

async fn block(Path(ms): Path<u64>) -> Result<&'static str> {
    thread::sleep(bounded("ms", ms)?);
    Ok("blocked")
}

async fn spin(Path(ms): Path<u64>) -> Result<&'static str> {
    let end = Instant::now() + bounded("ms", ms)?;
    let mut turns: u64 = 0;
    while Instant::now() < end {
        turns = black_box(turns.wrapping_add(1));
    }
    Ok("spun")
}

async fn sleeps(Path(ms): Path<u64>) -> Result<&'static str> {
    sleep(bounded("ms", ms)?).await;
    Ok("slept")
}

#[derive(Deserialize)]
struct Limit {
    limit_ms: u64,
}

/// Blocks under a deadline. The 504 goes out although the handler is stuck.
async fn deadline(
    Path(ms): Path<u64>,
    Query(Limit { limit_ms }): Query<Limit>,
    exchange: Exchange,
) -> Result<&'static str> {
    exchange.set_deadline(bounded("limit_ms", limit_ms)?);
    thread::sleep(bounded("ms", ms)?);
    Ok("blocked")
}

/// Takes the one lock and keeps it for a while; whoever comes meanwhile blocks.
async fn lock(State(demo): State<Demo>, Path(ms): Path<u64>) -> Result<&'static str> {
    let kept = bounded("ms", ms)?;
    let guard = demo.lock.lock().unwrap_or_else(PoisonError::into_inner);
    thread::sleep(kept);
    drop(guard);
    Ok("unlocked")
}
