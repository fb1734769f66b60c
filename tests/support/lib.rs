//! What the tests share: servers on free ports, raw sockets, outside programs.

mod churn;
mod identity;
mod on_loop;
pub mod polling;
mod redis;
mod temp_dir;
mod tls_client;
mod turned;

pub use churn::times;
pub use identity::{Authority, Identity};
pub use on_loop::on_loop;
pub use redis::RedisServer;
pub use temp_dir::TempDir;
pub use tls_client::TlsClient;
pub use turned::{finished, in_order, turned, turned_until_finished};
