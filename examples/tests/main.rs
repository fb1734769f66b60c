//! The examples from outside: the real programs, and requests on the wire.

#![cfg(unix)]

mod httpbin;
mod program;
mod smoke;
