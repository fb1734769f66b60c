//! One file per room of the house.

mod blame;
mod chaos;
mod client_multipart;
mod client_pool;
mod client_redirects;
mod client_script;
mod client_tls;
mod client_wire;
mod coding;
mod compress;
mod forward;
mod handoff;
mod ioloop;
mod latch;
mod placement;
#[cfg(unix)]
mod process;
mod queues;
mod security_input;
mod security_sessions;
#[cfg(unix)]
mod signal;
mod stop;
mod sync;
mod tokio_clients;
mod tokio_inside;
#[cfg(unix)]
mod unix;
mod web_answers;
mod web_cookies;
mod web_deadlines;
mod web_extract;
mod web_learned;
mod web_middleware;
mod web_offload;
mod web_rejections;
mod web_request_handler;
mod web_routers;
mod web_routing;
mod web_sessions;
mod web_shedding;
mod web_sse;
mod web_uploads;
mod wire_cases;
