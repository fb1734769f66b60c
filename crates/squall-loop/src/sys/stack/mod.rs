//! The stack of another thread of this process, and the names in it.
//!
//! With the feature `blame`, where the registers and the compiler's tables are known;
//! elsewhere nothing is captured.

#[cfg(any(
    all(test, loom),
    all(
        feature = "blame",
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64"),
        not(loom)
    )
))]
mod request;

#[cfg(all(
    feature = "blame",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(loom)
))]
mod signal;
#[cfg(all(
    feature = "blame",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(loom)
))]
mod unwind;
#[cfg(all(
    feature = "blame",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(loom)
))]
pub(crate) use {signal::capture, unwind::symbols};

#[cfg(not(all(
    feature = "blame",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(loom)
)))]
mod nowhere;
#[cfg(not(all(
    feature = "blame",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(loom)
)))]
pub(crate) use nowhere::{capture, symbols};

/// One call in a stack, inlined ones too, as the debug information tells it.
#[derive(Debug, Clone)]
pub(crate) struct Symbol {
    /// As it was written in the source, with its path where that is known.
    pub(crate) function: String,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
}
