//! `/stats`: the loop's own figures as JSON, and the page that draws them live.

use std::time::Duration;

use serde::Serialize;
use squall::client::PoolStats;
use squall::{AppHandle, Html, IoLoop, Json, Redirect, State};
use squall_loop::Frame;

use super::service::Demo;

/// Everything at one moment. The names are an interface.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    lanes: Vec<Lane>,
    handoffs: u64,
    threads: Threads,
    learned: Vec<Learned>,
    blocked_now: Vec<Blocked>,
    blamed: Vec<Blamed>,
    requests: u64,
    late: u64,
    shed: u64,
    client: PoolStats,
    uptime_ms: u64,
}

#[derive(Debug, Serialize)]
struct Lane {
    id: usize,
    connections: usize,
    polls: u64,
    handoffs: u64,
    stuck_ms: f64,
}

#[derive(Debug, Serialize)]
struct Threads {
    carriers: usize,
    spares: usize,
    executor: usize,
    cap: usize,
}

#[derive(Debug, Serialize)]
struct Learned {
    route: String,
    polls_blocked: u64,
    longest_ms: f64,
}

#[derive(Debug, Serialize)]
struct Blocked {
    route: String,
    ms: f64,
    syscall: Option<&'static str>,
    on_cpu: bool,
}

/// Where a route blocked. Only with `--blame`.
#[derive(Debug, Serialize)]
struct Blamed {
    route: String,
    syscall: Option<&'static str>,
    on_cpu: bool,
    at: Option<String>,
    function: Option<String>,
    /// Innermost first.
    stack: Vec<String>,
}

pub(super) async fn stats(State(demo): State<Demo>, app: AppHandle) -> Json<Figures> {
    let io_loop = IoLoop::current().stats();
    let app = app.stats();
    Json(Figures {
        handoffs: io_loop.handoffs(),
        lanes: (io_loop.lanes.iter())
            .map(|lane| Lane {
                id: lane.id,
                connections: lane.connections,
                polls: lane.polls,
                handoffs: lane.handoffs,
                stuck_ms: ms(lane.stuck),
            })
            .collect(),
        threads: Threads {
            carriers: io_loop.threads.carriers,
            spares: io_loop.threads.spares,
            executor: io_loop.threads.executor,
            cap: io_loop.threads.cap,
        },
        learned: (app.learned.into_iter())
            .map(|learned| Learned {
                route: learned.route,
                polls_blocked: learned.polls_blocked,
                longest_ms: ms(learned.longest),
            })
            .collect(),
        blocked_now: (io_loop.blocked_now.into_iter())
            .map(|blocked| Blocked {
                route: blocked.label,
                ms: ms(blocked.lasts),
                syscall: blocked.syscall,
                on_cpu: blocked.on_cpu,
            })
            .collect(),
        blamed: (io_loop.blamed.into_iter())
            .map(|blamed| Blamed {
                route: blamed.label,
                syscall: blamed.syscall,
                on_cpu: blamed.on_cpu,
                at: blamed.stack.own().and_then(Frame::at),
                function: blamed.stack.own().map(|frame| frame.function.clone()),
                stack: (blamed.stack.frames.iter())
                    .map(ToString::to_string)
                    .collect(),
            })
            .collect(),
        requests: app.requests,
        late: app.late,
        shed: app.shed,
        client: demo.client.stats(),
        uptime_ms: u64::try_from(io_loop.uptime.as_millis()).unwrap_or(u64::MAX),
    })
}

/// The address without its slash, as people type it.
pub(super) async fn console_slash() -> Redirect {
    Redirect::permanent("/console/")
}

pub(super) async fn console() -> Html<&'static str> {
    Html(include_str!("console.html"))
}

/// Milliseconds, to the microsecond.
fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
