//! Behaviour in the language of the wire: request bytes, expected bytes.

mod conformance;
mod integration;
mod ui;
