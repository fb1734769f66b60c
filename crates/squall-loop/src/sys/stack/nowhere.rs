//! Builds and platforms where no stack is captured.

use std::time::Duration;

use super::Symbol;

/// Never made.
pub(crate) enum Captured {}

impl Captured {
    pub(crate) fn unwind(&self) -> Vec<usize> {
        match *self {}
    }
}

pub(crate) fn capture(_thread: u64, _patience: Duration) -> Option<Captured> {
    None
}

pub(crate) fn symbols(_address: usize) -> Vec<Symbol> {
    Vec::new()
}
