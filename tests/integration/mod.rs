//! One file per room of the house.

mod blame;
mod client_multipart;
mod client_pool;
mod client_redirects;
mod client_script;
mod client_tls;
mod client_wire;
mod forward;
mod handoff;
mod ioloop;
mod queues;
mod stop;
mod sync;
mod web_answers;
mod web_extract;
mod web_learned;
mod web_routing;
