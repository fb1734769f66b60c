//! What the tests share: servers on free ports, raw sockets, outside programs.

pub mod polling;
mod turned;

pub use turned::{finished, turned, turned_until_finished};
