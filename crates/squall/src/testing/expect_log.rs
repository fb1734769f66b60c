//! `ExpectLog`: what was logged while a test ran.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use squall_loop::IoLoop;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, set_global_default};
use tracing::{Event, Level, Metadata, Subscriber};

use super::TestServer;

/// How long an event is waited for: an answer may be there before its log line is.
const PATIENCE: Duration = Duration::from_secs(10);
/// Older events than so many are forgotten.
const KEPT: usize = 10_000;

/// Records what is logged through `tracing`, from its making until it is dropped.
///
/// It hears the threads of one loop, or the thread of the test, and so nothing of the
/// tests that run beside it. The first one installs the process's `tracing` subscriber,
/// so a program of tests that uses it must not install another.
///
/// ```
/// use squall::testing::{ExpectLog, TestServer};
/// use squall::{Application, Error, Result};
/// use tracing::Level;
///
/// async fn broken() -> Result<String> { Err(Error::internal("the disk is gone")) }
///
/// let server = TestServer::start(Application::new().route("/", broken));
/// let log = ExpectLog::on(&server);
/// assert_eq!(server.get("/").status, 500);
/// let event = log.expect("squall::web", "the disk is gone");
/// assert_eq!(event.level, Level::ERROR);
/// log.refute("squall::loop", "");
/// ```
#[derive(Debug)]
pub struct ExpectLog {
    ear: Arc<Ear>,
}

/// One event, as it was logged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoggedEvent {
    /// Its level.
    pub level: Level,
    /// Its target, such as `squall::access`.
    pub target: String,
    /// Its message; empty when it has none.
    pub message: String,
    /// Its other fields, in order, as text.
    pub fields: Vec<(String, String)>,
}

impl LoggedEvent {
    /// A field's value as text.
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// `WARN squall::access: path=/ status=404`
impl fmt::Display for LoggedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.level, self.target, self.message)?;
        for (name, value) in &self.fields {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

impl ExpectLog {
    /// Hears what the server's loop logs: its handlers, tasks and executor.
    ///
    /// # Panics
    /// When the process has another `tracing` subscriber.
    #[track_caller]
    pub fn on(server: &TestServer) -> Self {
        Self::on_loop(server.io_loop())
    }

    /// Hears what a loop's threads log.
    ///
    /// # Panics
    /// As [`on`](Self::on).
    #[track_caller]
    pub fn on_loop(io_loop: &IoLoop) -> Self {
        Self::hear(Whom::Loop(io_loop.clone()))
    }

    /// Hears what this thread logs.
    ///
    /// # Panics
    /// As [`on`](Self::on).
    #[track_caller]
    pub fn here() -> Self {
        Self::hear(Whom::Thread(thread::current().id()))
    }

    /// Hears every thread of the process, those of other tests included. The loop's
    /// monitor, which reports blocked lanes, is heard in no other way.
    ///
    /// # Panics
    /// As [`on`](Self::on).
    #[track_caller]
    pub fn everywhere() -> Self {
        Self::hear(Whom::Everybody)
    }

    #[track_caller]
    fn hear(whom: Whom) -> Self {
        let installed = *INSTALLED.get_or_init(|| set_global_default(Capture).is_ok());
        assert!(
            installed,
            "ExpectLog needs to be the process's tracing subscriber, and there is another"
        );
        let ear = Arc::new(Ear {
            whom,
            events: Mutex::default(),
            more: Condvar::new(),
        });
        lock(&EARS).push(Arc::downgrade(&ear));
        LISTENING.fetch_add(1, Ordering::SeqCst);
        Self { ear }
    }

    /// The events so far, in order; of more than 10,000 the latest.
    pub fn events(&self) -> Vec<LoggedEvent> {
        lock(&self.ear.events).iter().cloned().collect()
    }

    /// The first event of this target whose text holds `text`: message and fields as
    /// its `Display` shows them. Waits up to 10 s for it.
    ///
    /// # Panics
    /// When none comes; the message shows what came instead.
    #[track_caller]
    pub fn expect(&self, target: &str, text: &str) -> LoggedEvent {
        let end = Instant::now() + PATIENCE;
        let mut events = lock(&self.ear.events);
        loop {
            if let Some(event) = events.iter().find(|event| fits(event, target, text)) {
                return event.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{target} has not logged {text:?}, but:\n{}",
                shown(events.iter())
            );
            let waited = self.ear.more.wait_timeout(events, left);
            events = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Checks that no event so far is of this target and holds `text`.
    ///
    /// # Panics
    /// When one does.
    #[track_caller]
    pub fn refute(&self, target: &str, text: &str) {
        let events = lock(&self.ear.events);
        let found = events.iter().find(|event| fits(event, target, text));
        assert!(found.is_none(), "logged after all: {}", shown(found));
    }
}

impl Drop for ExpectLog {
    fn drop(&mut self) {
        LISTENING.fetch_sub(1, Ordering::SeqCst);
        let ours = Arc::as_ptr(&self.ear);
        lock(&EARS).retain(|ear| ear.as_ptr() != ours);
    }
}

fn fits(event: &LoggedEvent, target: &str, text: &str) -> bool {
    event.target == target && event.to_string().contains(text)
}

fn shown<'a>(events: impl IntoIterator<Item = &'a LoggedEvent>) -> String {
    let lines = events.into_iter().map(|event| format!("  {event}\n"));
    lines.collect()
}

// `tracing` knows one subscriber for all threads, and so its ears are global, too.
static INSTALLED: OnceLock<bool> = OnceLock::new();
static LISTENING: AtomicUsize = AtomicUsize::new(0);
static EARS: Mutex<Vec<Weak<Ear>>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Ear {
    whom: Whom,
    events: Mutex<VecDeque<LoggedEvent>>,
    more: Condvar,
}

#[derive(Debug)]
enum Whom {
    Loop(IoLoop),
    Thread(ThreadId),
    Everybody,
}

impl Whom {
    fn is_here(&self) -> bool {
        match self {
            Self::Loop(io_loop) => IoLoop::try_current().is_some_and(|here| here == *io_loop),
            Self::Thread(thread) => thread::current().id() == *thread,
            Self::Everybody => true,
        }
    }
}

/// The subscriber: gives each event to those who hear its thread.
struct Capture;

impl Subscriber for Capture {
    fn register_callsite(&self, _metadata: &'static Metadata<'static>) -> Interest {
        // Asked anew each time: somebody may begin to listen.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Whoever asks before an event is made has neither an event nor a span.
        !metadata.is_span() && LISTENING.load(Ordering::SeqCst) > 0
    }

    fn event(&self, event: &Event<'_>) {
        let ears: Vec<_> = (lock(&EARS).iter())
            .filter_map(Weak::upgrade)
            .filter(|ear| ear.whom.is_here())
            .collect();
        if ears.is_empty() {
            return;
        }
        let metadata = event.metadata();
        let mut logged = LoggedEvent {
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut Fields(&mut logged));
        for ear in ears {
            let mut events = lock(&ear.events);
            if events.len() == KEPT {
                events.pop_front();
            }
            events.push_back(logged.clone());
            ear.more.notify_all();
        }
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        // None is enabled.
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

struct Fields<'a>(&'a mut LoggedEvent);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.0.message = value,
            name => self.0.fields.push((name.to_owned(), value)),
        }
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that fails with the lock held must not fail the others.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
