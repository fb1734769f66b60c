//! One file per room of the house.

mod handoff;
mod ioloop;
