//! Subject `forward`: what it costs to pass one small request on.
//!
//! Each proxy runs in a process of its own (`proxies/`) with one lane, before one nginx.
//! What is counted is the proxy's share only.

use std::path::Path;

use serde_json::Value;

use crate::Reason;
use crate::bounded::installed;
use crate::options::Options;
use crate::server;
use crate::servers::{self, Kind, Server};
use crate::web_server::WebServer;

/// In the order of the table's rows.
pub(crate) const PROXIES: [&str; 4] = ["squall", "hyper", "nginx", "haproxy"];

pub(crate) fn run(options: &Options) -> Result<Value, Reason> {
    let upstream = WebServer::start()?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut proxies = Vec::new();
    for name in PROXIES.into_iter().filter(|name| options.wants(name)) {
        let is_stock = matches!(name, "nginx" | "haproxy");
        if is_stock && !installed(name) {
            println!("skipped {name}: it is not installed");
            continue;
        }
        let program = match is_stock {
            true => servers::peer(folder, "stock_proxies")?,
            false => servers::peer(folder, "library_proxies")?,
        };
        proxies.push(Server {
            name,
            kind: Kind::Rust,
            command: [&program, name, &upstream.addr.to_string()]
                .map(String::from)
                .into(),
        });
    }
    let title = "forward: GET of 1 KiB from nginx through a proxy";
    Ok(server::measure(title, &proxies, options))
}
