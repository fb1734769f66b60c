//! What the tests share: servers on free ports, raw sockets, outside programs.

pub mod polling;
