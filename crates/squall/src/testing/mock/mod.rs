//! Servers that are not servers: what they say, and when, is the test's.

mod peer;
mod reply;
mod request;
mod server;

pub use peer::MockPeer;
pub use reply::MockReply;
pub use request::MockRequest;
pub use server::MockServer;
