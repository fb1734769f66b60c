//! The chunked transfer coding, decoded without copying and encoded into a buffer.
//!
//! A body in chunks is where request smuggling lives, so the grammar is followed to the
//! byte (RFC 9112 section 7.1): hexadecimal sizes without sign or prefix, CRLF and nothing
//! else between the parts, extensions checked, bounded and dropped. The decoder looks at
//! whatever bytes there are, works at every split point, and never holds body bytes: it
//! says which part of the caller's buffer is data.
//!
//! ```
//! use squall_http::wire::chunked::{ChunkedDecoder, Decoded};
//!
//! let mut decoder = ChunkedDecoder::default();
//! let wire = b"5\r\nhello\r\n0\r\n\r\n";
//! assert_eq!(decoder.decode(wire)?, Decoded::Data { skip: 3, data: 5 });
//! assert_eq!(decoder.decode(&wire[8..])?, Decoded::Done { consumed: 7 });
//! # Ok::<(), squall_http::wire::chunked::ChunkError>(())
//! ```

use std::fmt;

use super::field::{is_token_byte, is_value_byte};
use super::headers::Headers;

/// The end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What a peer may spend on the parts of a chunked body that are not data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Longest chunk-size line with its extensions, in bytes. Default 4 KiB.
    pub max_chunk_line: usize,
    /// Extension bytes over the whole body. Default 16 KiB.
    pub max_chunk_extensions: usize,
    /// Size of the trailer section, in bytes. Default 16 KiB.
    pub max_trailer_size: usize,
    /// Number of trailer fields. Default 100, at most 256.
    pub max_trailers: usize,
}

impl Default for ChunkLimits {
    fn default() -> Self {
        Self {
            max_chunk_line: 4 << 10,
            max_chunk_extensions: 16 << 10,
            max_trailer_size: 16 << 10,
            max_trailers: 100,
        }
    }
}

/// What the bytes at the front of the buffer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded {
    /// Drop `skip` bytes; the `data` bytes behind them are body. Consume both.
    Data {
        /// Framing bytes before the data.
        skip: usize,
        /// Body bytes, never zero.
        data: usize,
    },
    /// Drop `consumed` bytes and come back with more.
    More {
        /// Framing bytes that were understood.
        consumed: usize,
    },
    /// The body ended after `consumed` bytes; what follows is the next message.
    Done {
        /// Framing bytes up to the end of the body.
        consumed: usize,
    },
}

/// Decodes one chunked body. Make a new one for the next body.
///
/// ```text
///   Size -- CRLF --> Data --(size bytes)--> DataEnd -- CRLF --> Size
///     |  ';'  `-- CRLF, size 0 --> Trailers -- empty line --> Done
///     `--> Extension -- CRLF --> as above
/// ```
#[derive(Debug, Default)]
pub struct ChunkedDecoder {
    state: State,
    limits: ChunkLimits,
    /// The size being read, then the bytes left in the chunk.
    remaining: u64,
    digits: u8,
    /// Bytes of the current size line.
    line: usize,
    /// Extension bytes so far, over all chunks.
    extensions: usize,
    /// The raw trailer section while it arrives.
    section: Vec<u8>,
    trailers: Headers,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    /// Whitespace between the size and its first extension.
    SizeEnd,
    Extension(Ext),
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    Done,
}

/// Inside `BWS ";" BWS name [ BWS "=" BWS value ]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ext {
    BeforeName,
    Name,
    AfterName,
    BeforeValue,
    Token,
    Quoted,
    Escaped,
    AfterValue,
    /// Whitespace behind a value: another extension has to follow.
    AfterSpace,
}

impl ChunkedDecoder {
    /// Makes a decoder for one body.
    pub fn new(limits: ChunkLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Says what the bytes at the front of `buf` are.
    ///
    /// The caller drops what it was told to before the next call. `Done` is repeated with
    /// nothing consumed if it is asked again.
    pub fn decode(&mut self, buf: &[u8]) -> Result<Decoded, ChunkError> {
        let mut at = 0;
        loop {
            match self.state {
                State::Data => {
                    let rest = (buf.len() - at) as u64;
                    if rest == 0 {
                        return Ok(Decoded::More { consumed: at });
                    }
                    let data = rest.min(self.remaining);
                    self.remaining -= data;
                    if self.remaining == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(Decoded::Data {
                        skip: at,
                        data: data as usize,
                    });
                }
                State::Trailers => {
                    let rest = buf.get(at..).unwrap_or_default();
                    return Ok(match self.take_trailers_from(rest)? {
                        (used, true) => Decoded::Done {
                            consumed: at + used,
                        },
                        (used, false) => Decoded::More {
                            consumed: at + used,
                        },
                    });
                }
                State::Done => return Ok(Decoded::Done { consumed: at }),
                _ => {}
            }
            let Some(byte) = buf.get(at) else {
                return Ok(Decoded::More { consumed: at });
            };
            at += 1;
            self.framing_byte(*byte)?;
        }
    }

    /// Whether the last byte of the body has been seen.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Data bytes of the current chunk that have not been handed out.
    ///
    /// A caller with a body limit can refuse a huge chunk before its bytes arrive.
    pub fn chunk_remaining(&self) -> u64 {
        if self.state == State::Data {
            self.remaining
        } else {
            0
        }
    }

    /// The trailer fields; empty before `Done`. Forbidden ones are left out.
    pub fn trailers(&self) -> &Headers {
        &self.trailers
    }

    /// Takes the trailer fields out.
    pub fn take_trailers(&mut self) -> Headers {
        std::mem::take(&mut self.trailers)
    }

    fn framing_byte(&mut self, byte: u8) -> Result<(), ChunkError> {
        match self.state {
            State::Size => return self.size_byte(byte),
            State::SizeEnd => match byte {
                b' ' | b'\t' => {}
                b';' => self.state = State::Extension(Ext::BeforeName),
                _ => return Err(ChunkError::Size),
            },
            State::Extension(ext) => {
                self.extensions += 1;
                if self.extensions > self.limits.max_chunk_extensions {
                    return Err(ChunkError::ExtensionsTooLong {
                        limit: self.limits.max_chunk_extensions,
                    });
                }
                self.state = extension_byte(ext, byte).ok_or(ChunkError::Extension)?;
            }
            State::SizeLf if byte == b'\n' => {
                self.state = if self.remaining == 0 {
                    State::Trailers
                } else {
                    State::Data
                };
                self.line = 0;
                return Ok(());
            }
            State::SizeLf => return Err(ChunkError::LineEnd),
            State::DataCr if byte == b'\r' => self.state = State::DataLf,
            State::DataLf if byte == b'\n' => {
                self.state = State::Size;
                self.digits = 0;
                return Ok(());
            }
            _ => return Err(ChunkError::DataEnd),
        }
        self.count_line_byte()
    }

    fn size_byte(&mut self, byte: u8) -> Result<(), ChunkError> {
        if let Some(digit) = (byte as char).to_digit(16) {
            // 16 digits are 64 bits: the shift cannot lose anything.
            if self.digits == 16 {
                return Err(ChunkError::SizeTooLarge);
            }
            self.digits += 1;
            self.remaining = self.remaining << 4 | u64::from(digit);
            return Ok(());
        }
        if self.digits == 0 {
            return Err(ChunkError::Size);
        }
        self.state = match byte {
            b'\r' => State::SizeLf,
            b';' => State::Extension(Ext::BeforeName),
            b' ' | b'\t' => State::SizeEnd,
            _ => return Err(ChunkError::Size),
        };
        self.count_line_byte()
    }

    fn count_line_byte(&mut self) -> Result<(), ChunkError> {
        self.line += 1;
        if self.line > self.limits.max_chunk_line {
            return Err(ChunkError::LineTooLong {
                limit: self.limits.max_chunk_line,
            });
        }
        Ok(())
    }

    /// Collects the trailer section; says how many bytes it took and whether it ended.
    fn take_trailers_from(&mut self, buf: &[u8]) -> Result<(usize, bool), ChunkError> {
        let mut used = 0;
        for at in memchr::memchr_iter(b'\n', buf) {
            let line = buf.get(used..=at).unwrap_or_default();
            self.collect(line)?;
            used = at + 1;
            if !self.section.ends_with(b"\r\n") {
                return Err(ChunkError::LineEnd);
            }
            if self.section == b"\r\n" || self.section.ends_with(b"\r\n\r\n") {
                self.parse_trailers()?;
                self.state = State::Done;
                return Ok((used, true));
            }
        }
        self.collect(buf.get(used..).unwrap_or_default())?;
        Ok((buf.len(), false))
    }

    fn collect(&mut self, bytes: &[u8]) -> Result<(), ChunkError> {
        if self.section.len() + bytes.len() > self.limits.max_trailer_size.saturating_add(2) {
            return Err(ChunkError::TrailersTooLong {
                limit: self.limits.max_trailer_size,
            });
        }
        self.section.extend_from_slice(bytes);
        Ok(())
    }

    fn parse_trailers(&mut self) -> Result<(), ChunkError> {
        let mut section = std::mem::take(&mut self.section);
        section.truncate(section.len().saturating_sub(2));
        for (count, line) in section.split_inclusive(|byte| *byte == b'\n').enumerate() {
            if count >= self.limits.max_trailers {
                return Err(ChunkError::TooManyTrailers {
                    limit: self.limits.max_trailers,
                });
            }
            let line = line.strip_suffix(b"\r\n").ok_or(ChunkError::LineEnd)?;
            let colon = memchr::memchr(b':', line).ok_or(ChunkError::Trailer)?;
            let (name, value) = line.split_at_checked(colon).ok_or(ChunkError::Trailer)?;
            let value = value.get(1..).unwrap_or_default();
            let name = std::str::from_utf8(name).map_err(|_| ChunkError::Trailer)?;
            // `append` checks again; it is asked first because a forbidden name must be well-formed too.
            if name.is_empty()
                || !name.bytes().all(is_token_byte)
                || !value.iter().all(|byte| is_value_byte(*byte))
            {
                return Err(ChunkError::Trailer);
            }
            if !is_forbidden(name) {
                self.trailers
                    .append(name, value)
                    .map_err(|_| ChunkError::Trailer)?;
            }
        }
        Ok(())
    }
}

fn extension_byte(ext: Ext, byte: u8) -> Option<State> {
    let next = match (ext, byte) {
        (Ext::BeforeName, b' ' | b'\t') => Ext::BeforeName,
        (Ext::BeforeName | Ext::Name, byte) if is_token_byte(byte) => Ext::Name,
        (Ext::Name | Ext::Token | Ext::AfterValue, b'\r') => return Some(State::SizeLf),
        (Ext::Name | Ext::AfterName, b'=') => Ext::BeforeValue,
        (Ext::Name | Ext::AfterName | Ext::Token | Ext::AfterValue | Ext::AfterSpace, b';') => {
            Ext::BeforeName
        }
        (Ext::Token | Ext::AfterValue | Ext::AfterSpace, b' ' | b'\t') => Ext::AfterSpace,
        (Ext::Name | Ext::AfterName, b' ' | b'\t') => Ext::AfterName,
        (Ext::BeforeValue, b' ' | b'\t') => Ext::BeforeValue,
        (Ext::BeforeValue, b'"') => Ext::Quoted,
        (Ext::BeforeValue | Ext::Token, byte) if is_token_byte(byte) => Ext::Token,
        (Ext::Quoted, b'"') => Ext::AfterValue,
        (Ext::Quoted, b'\\') => Ext::Escaped,
        (Ext::Quoted | Ext::Escaped, byte) if is_value_byte(byte) => Ext::Quoted,
        _ => return None,
    };
    Some(State::Extension(next))
}

/// Fields that frame, route, authenticate or describe the content (RFC 9110 section 6.5.1),
/// also with an underscore for a dash, as some programs read them.
fn is_forbidden(name: &str) -> bool {
    const FORBIDDEN: [&str; 35] = [
        "age",
        "alt-svc",
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expect",
        "expires",
        "forwarded",
        "host",
        "keep-alive",
        "location",
        "max-forwards",
        "origin",
        "pragma",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "retry-after",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "vary",
        "via",
        "warning",
        "www-authenticate",
        "x-real-ip",
    ];
    let name = name.to_ascii_lowercase().replace('_', "-");
    name.starts_with("x-forwarded") || name.starts_with("if-") || FORBIDDEN.contains(&&*name)
}

/// Why a chunked body cannot be read on. The connection cannot be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChunkError {
    /// A chunk size is not hexadecimal digits only. 400.
    Size,
    /// A chunk size has more than 16 digits. 400.
    SizeTooLarge,
    /// A chunk extension is malformed. 400.
    Extension,
    /// A line does not end with CRLF. 400.
    LineEnd,
    /// The data of a chunk is not followed by CRLF. 400.
    DataEnd,
    /// A trailer field is malformed. 400.
    Trailer,
    /// A chunk-size line is longer than `max_chunk_line`. 400.
    LineTooLong {
        /// The limit that was passed.
        limit: usize,
    },
    /// The extensions are longer than `max_chunk_extensions`. 400.
    ExtensionsTooLong {
        /// The limit that was passed.
        limit: usize,
    },
    /// The trailer section is longer than `max_trailer_size`. 431.
    TrailersTooLong {
        /// The limit that was passed.
        limit: usize,
    },
    /// There are more trailer fields than `max_trailers`. 431.
    TooManyTrailers {
        /// The limit that was passed.
        limit: usize,
    },
}

impl ChunkError {
    /// The status a server answers with, if it has not answered yet.
    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::TrailersTooLong { .. } | Self::TooManyTrailers { .. } => {
                http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            _ => http::StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size => f.write_str("a chunk size is not a hexadecimal number"),
            Self::SizeTooLarge => f.write_str("a chunk size has more than 16 digits"),
            Self::Extension => f.write_str("a chunk extension is malformed"),
            Self::LineEnd => f.write_str("a line of the chunked body does not end with CRLF"),
            Self::DataEnd => f.write_str("the data of a chunk is not followed by CRLF"),
            Self::Trailer => f.write_str("a trailer field is malformed"),
            Self::LineTooLong { limit } => {
                write!(
                    f,
                    "a chunk-size line is longer than {limit} bytes (setting: max_chunk_line)"
                )
            }
            Self::ExtensionsTooLong { limit } => {
                write!(
                    f,
                    "the chunk extensions are longer than {limit} bytes (setting: max_chunk_extensions)"
                )
            }
            Self::TrailersTooLong { limit } => write!(
                f,
                "the trailers are longer than {limit} bytes (setting: max_trailer_size)"
            ),
            Self::TooManyTrailers { limit } => {
                write!(
                    f,
                    "there are more than {limit} trailer fields (setting: max_trailers)"
                )
            }
        }
    }
}

impl std::error::Error for ChunkError {}

/// Writes the line before a chunk of `len` bytes. The data and CRLF follow it.
///
/// `len` must not be zero: a chunk of no bytes ends the body.
pub fn encode_chunk_header(len: usize, out: &mut Vec<u8>) {
    debug_assert!(len > 0, "an empty chunk ends the body");
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digits = (len.checked_ilog2().unwrap_or(0) / 4) as usize + 1;
    for place in (0..digits).rev() {
        out.push(HEX[len >> (place * 4) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk with trailer fields. Forbidden fields are left out.
pub fn encode_trailers(trailers: &Headers, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.iter().filter(|(name, _)| !is_forbidden(name)) {
        super::encode::field(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
