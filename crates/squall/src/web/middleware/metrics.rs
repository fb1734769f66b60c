//! `Metrics`: figures of the application and its loop, in Prometheus' text format.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use parking_lot::RwLock;
use squall_http::server::ResponseFuture;
use squall_loop::{IoLoop, LaneStats};

use super::{Middleware, Next};
use crate::web::app::{App, AppHandle};
use crate::web::request::Request;
use crate::web::routing::{MethodRoutes, get};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper ends of the histogram's buckets, in seconds.
const BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// Counts requests by route, method and status, and shows it together with the loop's own
/// figures. Add it as the first middleware, so that it sees every answer.
///
/// ```
/// use squall::middleware::Metrics;
/// use squall::{Application, AsyncHttpClient};
///
/// let client = AsyncHttpClient::new();
/// let pool = client.clone();
/// let metrics = Metrics::new()
///     .gauge("client_connections", "Connections of the client.", move || pool.stats().open as f64);
/// let application = Application::new()
///     .route("/metrics", metrics.route())
///     .middleware(metrics);
/// ```
///
/// | name | labels |
/// |---|---|
/// | `squall_requests_total` | `route`, `method`, `status` |
/// | `squall_request_duration_seconds` (histogram: until the handler has answered) | `route`, `method` |
/// | `squall_requests_in_flight`, `squall_requests_shed_total`, `squall_late_answers_total` | |
/// | `squall_lane_connections`, `squall_lane_queued`, `squall_lane_polls_total`, `squall_lane_handoffs_total`, `squall_lane_stuck_seconds_total`, `squall_lane_spliced_bytes_total` | `lane` |
/// | `squall_threads` | `kind` |
/// | `squall_threads_cap`, `squall_blocked_now`, `squall_learned_routes`, `squall_uptime_seconds` | |
///
/// `route` is the route's path as it was registered, and empty where none fits, so that
/// no client can make series. `status` is `none` where nobody waited for the answer any
/// more: the client had gone, or the deadline was answered.
#[derive(Clone, Default)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    counts: RwLock<HashMap<(Series, u16), Arc<AtomicU64>>>,
    durations: RwLock<HashMap<Series, Arc<Histogram>>>,
    in_flight: AtomicI64,
    gauges: RwLock<Vec<Gauge>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Series {
    /// The route's tag; 0 where none fits.
    route: u32,
    /// An index of [`METHODS`], or its length.
    method: usize,
}

impl Series {
    fn labels<'a>(&self, app: &'a App) -> [(&'static str, &'a str); 2] {
        let label = app.routes.tagged(self.route).map(|route| &*route.label);
        let path = label
            .and_then(|label| label.split_once(' '))
            .map_or("", |(_, path)| path);
        let method = METHODS.get(self.method).map_or("other", method_name);
        [("route", path), ("method", method)]
    }
}

fn method_name(method: &'static Method) -> &'static str {
    method.as_str()
}

#[derive(Default)]
struct Histogram {
    /// Not cumulative; the last one has no upper end.
    buckets: [AtomicU64; BUCKETS.len() + 1],
    nanos: AtomicU64,
}

struct Gauge {
    name: String,
    help: String,
    value: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a figure of the program's own. The name is made of letters, digits, `_` and
    /// `:`; what is not becomes `_`.
    #[must_use]
    pub fn gauge(
        self,
        name: &str,
        help: &str,
        value: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Self {
        let legal = |char: char| match char {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | ':' => char,
            _ => '_',
        };
        let gauge = Gauge {
            name: name.chars().map(legal).collect(),
            help: help.replace(['\n', '\\'], " "),
            value: Box::new(value),
        };
        self.inner.gauges.write().push(gauge);
        self
    }

    /// The page of figures, to be given to [`Application::route`](crate::Application::route).
    /// It is never shed.
    pub fn route(&self) -> MethodRoutes {
        let metrics = self.clone();
        let page = move |app: AppHandle| {
            let text = metrics.text(&app);
            async move { ([("Content-Type", TEXT)], text) }
        };
        get(page).never_shed()
    }

    /// The page of figures.
    fn text(&self, app: &AppHandle) -> String {
        let mut page = Page::default();
        self.requests(app.shared(), &mut page);
        loop_figures(app, &mut page);
        let gauges = self.inner.gauges.read();
        for gauge in gauges.iter() {
            page.about(&gauge.name, "gauge", &gauge.help);
            page.line(&gauge.name, &[], (gauge.value)());
        }
        page.text
    }

    fn requests(&self, app: &App, page: &mut Page) {
        let counts = self.inner.counts.read();
        let mut series: Vec<_> = (counts.iter())
            .map(|(series, count)| (*series, count.load(Ordering::Relaxed)))
            .collect();
        drop(counts);
        series.sort_unstable();
        page.about("squall_requests_total", "counter", "Answers.");
        for ((series, status), count) in series {
            let status = match status {
                0 => "none".to_owned(),
                status => status.to_string(),
            };
            let [route, method] = series.labels(app);
            let labels = [route, method, ("status", &status)];
            page.line("squall_requests_total", &labels, count as f64);
        }
        let name = "squall_request_duration_seconds";
        page.about(name, "histogram", "Until the handler has answered.");
        let durations = self.inner.durations.read();
        let mut series: Vec<_> = durations.iter().collect();
        series.sort_unstable_by_key(|(series, _)| **series);
        for (series, histogram) in series {
            histogram.write(series.labels(app), page);
        }
        let in_flight = self.inner.in_flight.load(Ordering::Relaxed);
        let name = "squall_requests_in_flight";
        page.about(name, "gauge", "Requests that are being answered.");
        page.line(name, &[], in_flight as f64);
    }

    fn begin(&self, request: &Request) -> Counting {
        self.inner.in_flight.fetch_add(1, Ordering::Relaxed);
        let method = METHODS.iter().position(|known| known == request.method());
        Counting {
            inner: self.inner.clone(),
            series: Series {
                route: request.place.tag(),
                method: method.unwrap_or(METHODS.len()),
            },
            status: 0,
            begun: Instant::now(),
        }
    }
}

/// One request, which is counted when it is dropped.
struct Counting {
    inner: Arc<Inner>,
    series: Series,
    /// 0: none.
    status: u16,
    begun: Instant,
}

impl Counting {
    fn answered(mut self, status: StatusCode) {
        self.status = status.as_u16();
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.inner.in_flight.fetch_sub(1, Ordering::Relaxed);
        entry(&self.inner.counts, (self.series, self.status)).fetch_add(1, Ordering::Relaxed);
        entry(&self.inner.durations, self.series).add(self.begun.elapsed());
    }
}

/// The value of a key; only the first of each key locks for writing.
fn entry<K, V>(map: &RwLock<HashMap<K, Arc<V>>>, key: K) -> Arc<V>
where
    K: std::hash::Hash + Eq,
    V: Default,
{
    let known = map.read();
    if let Some(value) = known.get(&key) {
        return value.clone();
    }
    drop(known);
    let mut map = map.write();
    map.entry(key).or_default().clone()
}

impl Histogram {
    fn add(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let at = BUCKETS.iter().position(|end| seconds <= *end);
        if let Some(bucket) = self.buckets.get(at.unwrap_or(BUCKETS.len())) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    fn write(&self, labels: [(&str, &str); 2], page: &mut Page) {
        let [route, method] = labels;
        let mut total = 0;
        for (at, bucket) in self.buckets.iter().enumerate() {
            total += bucket.load(Ordering::Relaxed);
            let end = BUCKETS.get(at).map_or("+Inf".to_owned(), f64::to_string);
            let labels = [route, method, ("le", &end)];
            page.line(
                "squall_request_duration_seconds_bucket",
                &labels,
                total as f64,
            );
        }
        let seconds = Duration::from_nanos(self.nanos.load(Ordering::Relaxed)).as_secs_f64();
        page.line("squall_request_duration_seconds_sum", &labels, seconds);
        page.line(
            "squall_request_duration_seconds_count",
            &labels,
            total as f64,
        );
    }
}

fn loop_figures(app: &AppHandle, page: &mut Page) {
    let (io_loop, app) = (IoLoop::current().stats(), app.stats());
    let mut lanes = |name: &str, kind: &str, help: &str, value: &dyn Fn(usize) -> f64| {
        page.about(name, kind, help);
        for (at, lane) in io_loop.lanes.iter().enumerate() {
            page.line(name, &[("lane", &lane.id.to_string())], value(at));
        }
    };
    let lane = |at: usize| io_loop.lanes.get(at);
    let of = |at: usize, value: fn(&LaneStats) -> f64| lane(at).map_or(0.0, value);
    lanes(
        "squall_lane_connections",
        "gauge",
        "Connections on a lane.",
        &|at| of(at, |lane| lane.connections as f64),
    );
    lanes(
        "squall_lane_queued",
        "gauge",
        "Tasks that wait to be polled.",
        &|at| of(at, |lane| lane.queued as f64),
    );
    lanes("squall_lane_polls_total", "counter", "Polls.", &|at| {
        of(at, |lane| lane.polls as f64)
    });
    lanes(
        "squall_lane_handoffs_total",
        "counter",
        "How often it changed hands.",
        &|at| of(at, |lane| lane.handoffs as f64),
    );
    let stuck = "squall_lane_stuck_seconds_total";
    lanes(
        stuck,
        "counter",
        "How long it stood still before hand-offs.",
        &|at| of(at, |lane| lane.stuck.as_secs_f64()),
    );
    lanes(
        "squall_lane_spliced_bytes_total",
        "counter",
        "Bytes passed on without being copied.",
        &|at| of(at, |lane| lane.spliced as f64),
    );
    let threads = io_loop.threads;
    page.about("squall_threads", "gauge", "Threads of the loop.");
    for (kind, count) in [
        ("carrier", threads.carriers),
        ("spare", threads.spares),
        ("executor", threads.executor),
    ] {
        page.line("squall_threads", &[("kind", kind)], count as f64);
    }
    for (name, kind, help, value) in [
        (
            "squall_threads_cap",
            "gauge",
            "The most there may be.",
            threads.cap as f64,
        ),
        (
            "squall_blocked_now",
            "gauge",
            "Polls and executor work that block a thread now.",
            io_loop.blocked_now.len() as f64,
        ),
        (
            "squall_learned_routes",
            "gauge",
            "Routes that run elsewhere because they kept blocking.",
            app.learned.len() as f64,
        ),
        (
            "squall_requests_shed_total",
            "counter",
            "Requests refused for want of threads.",
            app.shed as f64,
        ),
        (
            "squall_late_answers_total",
            "counter",
            "Results that came when nobody waited any more.",
            app.late as f64,
        ),
        (
            "squall_uptime_seconds",
            "gauge",
            "Since the application was started.",
            app.uptime.as_secs_f64(),
        ),
    ] {
        page.about(name, kind, help);
        page.line(name, &[], value);
    }
}

/// The text format, version 0.0.4.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn about(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(self.text, "{label}=\"{value}\"");
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

impl Middleware for Metrics {
    fn call(&self, request: Request, next: Next) -> ResponseFuture {
        let counting = self.begin(&request);
        let answer = next.run(request);
        Box::pin(async move {
            let response = answer.await;
            counting.answered(response.status());
            response
        })
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
