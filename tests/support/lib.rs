//! What the tests share: servers on free ports, raw sockets, outside programs.

mod answers;
mod broken_log;
mod churn;
mod identity;
mod on_lanes;
pub mod polling;
mod redis;
mod temp_dir;
mod tls_client;
mod turned;
mod until;

pub use answers::OK;
pub use broken_log::break_log;
pub use churn::times;
pub use identity::{Authority, Identity};
pub use on_lanes::{on_one_lane, on_one_lane_until_it_is_gone, on_two_lanes};
pub use redis::RedisServer;
pub use temp_dir::TempDir;
pub use tls_client::TlsClient;
pub use turned::{finished, in_order, turned, turned_until_finished};
pub use until::{PATIENCE, until};
