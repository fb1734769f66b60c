//! The client's side of one connection.
//!
//! [`exchange`] sends one request and reads its answer's head inside the caller's
//! future; the answer's body goes on reading when it is asked. There is no task per
//! connection. Who owns connections between exchanges is the caller's matter: see
//! [`Home`].

mod answer;
mod busy;
mod connection;
mod error;
mod h1;
mod head;
mod idle;
mod input;
mod spare_alarm;
mod upgraded;
mod upload;

pub use connection::{Connection, Home};
pub use error::ExchangeError;
pub use h1::{
    Answer, EXPECT_TIMEOUT, ExchangeLimits, OnInformational, Outgoing, Progress, RequestSent,
    exchange,
};
pub use head::{Head, OnHead};
pub use spare_alarm::SpareAlarm;
pub use upgraded::Upgraded;
