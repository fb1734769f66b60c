//! Pages of the guide whose code is tested.

macro_rules! pages {
    ($($(#[$when:meta])? $page:ident = $path:literal),* $(,)?) => {
        $($(#[$when])? #[doc = include_str!($path)] mod $page {})*
    };
}

pages! {
    blocking = "../../../docs/blocking.md",
    client = "../../../docs/client.md",
    compression = "../../../docs/compression.md",
    cookies_and_sessions = "../../../docs/cookies-and-sessions.md",
    errors = "../../../docs/errors.md",
    extractors = "../../../docs/extractors.md",
    forward = "../../../docs/forward.md",
    handlers = "../../../docs/handlers.md",
    limits = "../../../docs/limits.md",
    middleware = "../../../docs/middleware.md",
    routing = "../../../docs/routing.md",
    security = "../../../docs/security.md",
    shutdown = "../../../docs/shutdown.md",
    static_files = "../../../docs/static-files.md",
    testing = "../../../docs/testing.md",
    tls = "../../../docs/tls.md",
    #[cfg(feature = "tokio")]
    tokio = "../../../docs/tokio.md",
    uploads = "../../../docs/uploads.md",
}
