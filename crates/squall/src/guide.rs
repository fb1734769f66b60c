//! Pages of the guide whose code is tested.

macro_rules! pages {
    ($($page:ident = $path:literal),* $(,)?) => {
        $(#[doc = include_str!($path)] mod $page {})*
    };
}

pages! {
    client = "../../../docs/client.md",
    compression = "../../../docs/compression.md",
    cookies_and_sessions = "../../../docs/cookies-and-sessions.md",
    errors = "../../../docs/errors.md",
    extractors = "../../../docs/extractors.md",
    forward = "../../../docs/forward.md",
    handlers = "../../../docs/handlers.md",
    middleware = "../../../docs/middleware.md",
    routing = "../../../docs/routing.md",
    security = "../../../docs/security.md",
    shutdown = "../../../docs/shutdown.md",
    static_files = "../../../docs/static-files.md",
    testing = "../../../docs/testing.md",
    tls = "../../../docs/tls.md",
    uploads = "../../../docs/uploads.md",
}
