//! A panic in a handler: caught, and logged with where it happened.
//!
//! A backtrace can only be taken while the panic unwinds, so the process's panic hook
//! takes it, for panics inside of a handler; all others go to the hook that was there.

use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use squall_loop::say;

thread_local! {
    static IN_HANDLER: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<Panicked>> = const { RefCell::new(None) };
}

/// What is known about a panic.
pub(super) struct Panicked {
    pub(super) message: String,
    location: String,
    backtrace: String,
}

impl Panicked {
    pub(super) fn log(&self, route: &str) {
        say(|| {
            tracing::error!(
                target: "squall::web",
                route,
                message = %self.message,
                location = %self.location,
                backtrace = %self.backtrace,
                "a handler panicked; its lane goes on"
            );
        });
    }
}

/// Runs a piece of a handler.
pub(super) fn contain<T>(poll: impl FnOnce() -> T) -> Result<T, Panicked> {
    let outer = IN_HANDLER.replace(true);
    let result = catch_unwind(AssertUnwindSafe(poll));
    IN_HANDLER.set(outer);
    result.map_err(|_| {
        LAST.take().unwrap_or_else(|| Panicked {
            message: "a panic without a message".to_owned(),
            location: String::new(),
            backtrace: String::new(),
        })
    })
}

/// Installs the hook, once per process.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if IN_HANDLER.get() {
                remember(info);
            } else {
                before(info);
            }
        }));
    });
}

fn remember(info: &PanicHookInfo<'_>) {
    let panicked = Panicked {
        message: (info.payload_as_str())
            .unwrap_or("a panic without a message")
            .to_owned(),
        location: (info.location()).map_or_else(String::new, ToString::to_string),
        backtrace: Backtrace::force_capture().to_string(),
    };
    LAST.replace(Some(panicked));
}
