//! One file per room of the house.

mod handoff;
mod ioloop;
mod web_answers;
mod web_extract;
mod web_learned;
mod web_routing;
