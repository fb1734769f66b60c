//! `Known`: which fields that steer the connection a head has.

use super::Headers;
use crate::wire::names::{WellKnown, is};

/// Which fields that steer the connection, or the form of an answer, a parsed head had.
///
/// Found in the pass that reads the head, so that the common request, which has none of
/// them, is framed without another look at its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    seen: u16,
    pub(super) repeated: u16,
    pub(super) host_index: u32,
    connection_index: u32,
    length_index: u32,
}

impl Known {
    pub(super) const HOST: u16 = 1;
    pub(super) const CONTENT_LENGTH: u16 = 2;
    pub(super) const TRANSFER_ENCODING: u16 = 4;
    pub(super) const CONNECTION: u16 = 8;
    pub(super) const EXPECT: u16 = 16;
    pub(super) const UPGRADE: u16 = 32;
    pub(super) const CONTENT_TYPE: u16 = 64;
    pub(super) const ACCEPT: u16 = 128;
    pub(super) const KEEP_ALIVE: u16 = 256;

    /// Whether there was a `Host` field.
    pub fn host(self) -> bool {
        self.seen & Self::HOST != 0
    }

    /// Whether there was a `Content-Length` field.
    pub fn content_length(self) -> bool {
        self.seen & Self::CONTENT_LENGTH != 0
    }

    /// Whether there was a `Transfer-Encoding` field.
    pub fn transfer_encoding(self) -> bool {
        self.seen & Self::TRANSFER_ENCODING != 0
    }

    /// Whether there was a `Connection` field.
    pub fn connection(self) -> bool {
        self.seen & Self::CONNECTION != 0
    }

    /// Whether there was a `Keep-Alive` field.
    pub fn keep_alive(self) -> bool {
        self.seen & Self::KEEP_ALIVE != 0
    }

    /// Whether there was an `Expect` field.
    pub fn expect(self) -> bool {
        self.seen & Self::EXPECT != 0
    }

    /// Whether there was an `Upgrade` field.
    pub fn upgrade(self) -> bool {
        self.seen & Self::UPGRADE != 0
    }

    /// Whether there was an `Accept` field.
    #[inline]
    pub fn accept(self) -> bool {
        self.seen & Self::ACCEPT != 0
    }

    /// The answer of the usual `Connection` fields, which are one word, without a search.
    ///
    /// `None` asks for a full look: several words, several fields, or the fields were
    /// edited since they were parsed.
    pub(super) fn plain_connection(self, headers: &Headers) -> Option<bool> {
        if self.repeated & Self::CONNECTION != 0 {
            return None;
        }
        let value = headers.value_if(self.connection_index as usize, WellKnown::Connection)?;
        // Field values hold no controls, so `is` is exact for them too.
        match value.len() {
            5 if is(value, b"close") => Some(false),
            10 if is(value, b"keep-alive") => Some(true),
            _ => None,
        }
    }

    /// The value of the only `Content-Length`, without a search.
    ///
    /// `None` asks for a full look, as in [`plain_connection`](Self::plain_connection).
    pub(in crate::wire) fn plain_length(self, headers: &Headers) -> Option<&[u8]> {
        if self.repeated & Self::CONTENT_LENGTH != 0 {
            return None;
        }
        headers.value_if(self.length_index as usize, WellKnown::ContentLength)
    }

    /// The host, without a search, unless the fields were edited since they were parsed.
    pub(super) fn plain_host(self, headers: &Headers) -> Option<&[u8]> {
        headers.value_if(self.host_index as usize, WellKnown::Host)
    }

    /// Notes the `index`th field of the head.
    #[inline]
    pub(super) fn note(&mut self, field: WellKnown, index: usize) {
        let bit = match field {
            WellKnown::Host => {
                self.host_index = index as u32;
                Self::HOST
            }
            WellKnown::Connection => {
                self.connection_index = index as u32;
                Self::CONNECTION
            }
            WellKnown::ContentLength => {
                self.length_index = index as u32;
                Self::CONTENT_LENGTH
            }
            WellKnown::Accept => Self::ACCEPT,
            WellKnown::Expect => Self::EXPECT,
            WellKnown::KeepAlive => Self::KEEP_ALIVE,
            WellKnown::Upgrade => Self::UPGRADE,
            WellKnown::ContentType => Self::CONTENT_TYPE,
            WellKnown::TransferEncoding => Self::TRANSFER_ENCODING,
            _ => return,
        };
        self.repeated |= self.seen & bit;
        self.seen |= bit;
    }
}
