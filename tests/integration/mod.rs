//! One file per room of the house.

mod asked;
mod blame;
mod chaos;
mod client_answers;
mod client_blocking;
mod client_churn;
mod client_cookies;
mod client_dial;
mod client_events;
mod client_guard;
mod client_line;
mod client_multipart;
mod client_pool;
mod client_proxy;
mod client_redirects;
mod client_requests;
mod client_responses;
mod client_retry;
mod client_script;
mod client_tls;
mod client_wire;
mod coding;
mod compress;
#[cfg(target_os = "linux")]
mod engine_descriptors;
mod engine_limits;
mod engine_timeouts;
mod engine_wire;
mod forward;
#[cfg(target_os = "linux")]
mod forward_addresses;
mod forward_bodies;
#[cfg(target_os = "linux")]
mod forward_descriptors;
mod forward_framing;
mod forward_health;
mod forward_names;
mod forward_splice;
mod forward_tls;
#[cfg(unix)]
mod forward_unix;
mod forward_upgrade;
mod forward_upstreams;
mod forward_via;
mod forward_waits;
mod handoff;
mod ioloop;
mod latch;
#[cfg(unix)]
mod listening;
mod mock_server;
mod placement;
#[cfg(unix)]
mod process;
mod proxies;
mod queues;
mod security;
mod security_client;
mod security_engine;
mod security_files;
mod security_forward;
mod security_input;
mod security_sessions;
mod server_tls;
mod shutdown;
#[cfg(unix)]
mod signal;
mod static_files;
mod stop;
mod sync;
mod testing;
#[cfg(unix)]
mod to_app;
mod tokio_clients;
mod tokio_inside;
#[cfg(unix)]
mod unix;
mod web_answers;
mod web_cookies;
mod web_deadlines;
mod web_extract;
#[cfg(target_os = "linux")]
mod web_few_threads;
mod web_learned;
mod web_middleware;
mod web_offload;
mod web_rejections;
mod web_request_handler;
mod web_request_handler_streams;
mod web_routers;
mod web_routing;
mod web_sessions;
mod web_shedding;
mod web_sse;
mod web_uploads;
mod wire_cases;
