//! How the handlers of a path are run, as its author said.

use std::time::Duration;

/// Where a handler is polled: on its connection's lane or on the loop's executor.
///
/// Given to [`MethodRoutes::offload`](crate::MethodRoutes::offload), or to the whole
/// application as [`Settings::offload`](crate::Settings::offload).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Offload {
    /// On the lane, until the route was caught blocking it more than once; then on the
    /// executor, until it has proved fast again. The default.
    #[default]
    Auto,
    /// On the executor from the first request on, for handlers that are known to block.
    Always,
    /// On the lane, whatever happens there. A handler that blocks is handed over each
    /// time.
    Never,
}

/// What was said about the handlers of one `MethodRoutes`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Policy {
    /// `None`: as the application's settings say.
    pub(crate) offload: Option<Offload>,
    /// `None`: as the server's settings say.
    pub(crate) timeout: Option<Duration>,
    /// `None`: as the settings say.
    pub(crate) max_collected_body: Option<u64>,
    pub(crate) never_shed: bool,
    pub(crate) completes: bool,
    pub(crate) cross_origin: bool,
}
