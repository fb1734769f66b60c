//! Sockets and names.

mod resolve;
mod tcp;

pub use resolve::resolve;
pub use tcp::{TcpListener, TcpStream};
