//! Squall's HTTP engine: wire formats without I/O, and one-connection drivers.

pub mod wire;
