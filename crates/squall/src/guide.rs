//! Pages of the guide whose code is tested.

macro_rules! pages {
    ($($page:ident = $path:literal),* $(,)?) => {
        $(#[doc = include_str!($path)] mod $page {})*
    };
}

pages! {
    shutdown = "../../../docs/shutdown.md",
    testing = "../../../docs/testing.md",
    tls = "../../../docs/tls.md",
}
