//! `MultipartParser`: splits a multipart body into parts while it arrives.
//!
//! The parser holds no data. A delimiter is CRLF, two dashes and the boundary, followed by
//! nothing but padding and a line end (RFC 2046 section 5.1.1); what only looks like one is
//! data. The search is linear, for the adversary too: a boundary cannot contain CR, so of
//! the bytes at the end of a buffer only those from the last CR on can begin a delimiter.
//!
//! ```text
//!  Start/Preamble --delimiter--> Headers --empty line--> Data --delimiter--> Headers ...
//!        `--closing delimiter--> Epilogue <--closing delimiter--'
//! ```

use memchr::memmem;

use super::super::headers::Headers;
use super::disposition::Disposition;
use super::{MultipartError, check_boundary};

/// Most spaces and tabs that may stand between a boundary and its line end.
const PADDING_BYTES: usize = 64;

/// What a peer may spend on the parts of an upload that are not data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MultipartLimits {
    /// Number of parts. Default 1000.
    pub parts: usize,
    /// Size of one part's headers, in bytes. Default 16 KiB.
    pub header_bytes: usize,
    /// Number of one part's headers. Default 32.
    pub headers: usize,
    /// Size of the text before the first part, in bytes. Default 4 KiB.
    pub preamble_bytes: usize,
}

impl Default for MultipartLimits {
    fn default() -> Self {
        Self {
            parts: 1000,
            header_bytes: 16 << 10,
            headers: 32,
            preamble_bytes: 4 << 10,
        }
    }
}

/// What stands at the front of the buffer. Drop the bytes it names before the next call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A part begins; its headers took `consumed` bytes.
    Part {
        /// Bytes to drop.
        consumed: usize,
        /// What the part's headers say.
        head: PartHead,
    },
    /// The first `len` bytes are data of the current part, never zero.
    Data {
        /// Bytes of data, to be dropped after use.
        len: usize,
    },
    /// The current part is complete.
    PartEnd {
        /// Bytes to drop.
        consumed: usize,
    },
    /// The closing boundary was read; what may follow it has no meaning.
    End {
        /// Bytes to drop.
        consumed: usize,
    },
    /// Drop `consumed` bytes, keep the others, append what arrives and ask again.
    NeedMore {
        /// Bytes to drop.
        consumed: usize,
    },
}

/// The headers of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHead {
    /// The field's name.
    pub name: String,
    /// The file's name as the peer sent it; `Some` marks a file.
    pub filename: Option<String>,
    /// The part's content type, unchecked.
    pub content_type: Option<String>,
    /// All headers of the part.
    pub headers: Headers,
}

/// Splits a multipart body into parts while it arrives.
#[derive(Debug)]
pub struct MultipartParser {
    state: State,
    limits: MultipartLimits,
    /// CRLF, two dashes and the boundary.
    delimiter: memmem::Finder<'static>,
    parts: usize,
    /// Preamble bytes dropped so far.
    preamble: usize,
    /// How much of the waiting headers has been searched for their end.
    searched: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing read: the first delimiter may come without its CRLF.
    Start,
    Preamble,
    /// The last part was reported as ended, the end was not yet.
    Ended,
    Headers,
    /// The CRLF of the empty line may belong to a delimiter: a part without a body.
    DataStart,
    Data,
    /// Behind the closing delimiter, before its line end.
    Tail,
    Epilogue,
}

/// What follows a delimiter.
enum Follows {
    /// So many bytes of padding and line end, then a part.
    Part(usize),
    /// Two dashes: the end.
    Close,
    /// Something else: it was data that looks like a delimiter.
    Data,
    /// Not enough bytes to tell.
    Unknown,
}

impl MultipartParser {
    /// Makes a parser for one body.
    ///
    /// `boundary` is what [`super::boundary_from_content_type`] found.
    pub fn new(boundary: &str, limits: MultipartLimits) -> Result<Self, MultipartError> {
        check_boundary(boundary)?;
        let delimiter = memmem::Finder::new(format!("\r\n--{boundary}").as_bytes()).into_owned();
        Ok(Self {
            state: State::Start,
            limits,
            delimiter,
            parts: 0,
            preamble: 0,
            searched: 0,
        })
    }

    /// Changes the limits, for what was not read yet.
    pub fn set_limits(&mut self, limits: MultipartLimits) {
        self.limits = limits;
    }

    /// Says what stands at the front of `buf`.
    ///
    /// `buf` begins with the first byte that was not dropped yet. No more than
    /// `header_bytes` have to be kept for the next call.
    pub fn next_event(&mut self, buf: &[u8]) -> Result<Event, MultipartError> {
        match self.state {
            State::Start => self.start(buf),
            State::Preamble => self.skip_preamble(buf),
            State::Headers => self.read_headers(buf),
            State::DataStart => self.read_data_start(buf),
            State::Data => self.read_data(buf),
            State::Ended => {
                self.state = State::Tail;
                Ok(Event::End { consumed: 0 })
            }
            State::Tail => self.skip_tail(buf),
            State::Epilogue => Ok(Event::NeedMore {
                consumed: buf.len(),
            }),
        }
    }

    /// To be called when the body is at its end: was the closing boundary there?
    pub fn finish(&self) -> Result<(), MultipartError> {
        match self.state {
            State::Ended | State::Tail | State::Epilogue => Ok(()),
            _ => Err(MultipartError::Incomplete),
        }
    }

    fn start(&mut self, buf: &[u8]) -> Result<Event, MultipartError> {
        let first = self.delimiter.needle().get(2..).unwrap_or_default();
        let len = first.len();
        if buf.len() < len && first.starts_with(buf) {
            return Ok(Event::NeedMore { consumed: 0 });
        }
        if let Some(rest) = buf.strip_prefix(first) {
            match follows(rest)? {
                Follows::Unknown => return Ok(Event::NeedMore { consumed: 0 }),
                Follows::Part(line) => return self.begin_part(buf, len + line),
                Follows::Close => return Ok(self.close(len)),
                Follows::Data => {}
            }
        }
        self.state = State::Preamble;
        self.skip_preamble(buf)
    }

    fn skip_preamble(&mut self, buf: &[u8]) -> Result<Event, MultipartError> {
        let len = self.delimiter.needle().len();
        let mut at = 0;
        while let Some(found) = buf.get(at..).and_then(|rest| self.delimiter.find(rest)) {
            at += found;
            match follows(buf.get(at + len..).unwrap_or_default())? {
                Follows::Unknown => return self.drop_preamble(at),
                Follows::Data => at += len,
                Follows::Part(line) => {
                    self.drop_preamble(at)?;
                    return self.begin_part(buf, at + len + line);
                }
                Follows::Close => {
                    self.drop_preamble(at)?;
                    return Ok(self.close(at + len));
                }
            }
        }
        self.drop_preamble(self.open_end(buf))
    }

    fn drop_preamble(&mut self, bytes: usize) -> Result<Event, MultipartError> {
        self.preamble = self.preamble.saturating_add(bytes);
        if self.preamble > self.limits.preamble_bytes {
            return Err(MultipartError::PreambleTooLong {
                limit: self.limits.preamble_bytes,
            });
        }
        Ok(Event::NeedMore { consumed: bytes })
    }

    fn read_data_start(&mut self, buf: &[u8]) -> Result<Event, MultipartError> {
        let first = self.delimiter.needle().get(2..).unwrap_or_default();
        let len = first.len();
        if buf.len() < len && first.starts_with(buf) {
            return Ok(Event::NeedMore { consumed: 0 });
        }
        if let Some(rest) = buf.strip_prefix(first) {
            match follows(rest)? {
                Follows::Unknown => return Ok(Event::NeedMore { consumed: 0 }),
                Follows::Part(line) => return Ok(self.end_part(len + line)),
                Follows::Close => return Ok(self.end_last_part(len)),
                Follows::Data => {}
            }
        }
        self.state = State::Data;
        self.read_data(buf)
    }

    fn read_data(&mut self, buf: &[u8]) -> Result<Event, MultipartError> {
        let len = self.delimiter.needle().len();
        let Some(at) = self.delimiter.find(buf) else {
            return Ok(match self.open_end(buf) {
                0 => Event::NeedMore { consumed: 0 },
                len => Event::Data { len },
            });
        };
        if at > 0 {
            return Ok(Event::Data { len: at });
        }
        match follows(buf.get(len..).unwrap_or_default())? {
            Follows::Unknown => Ok(Event::NeedMore { consumed: 0 }),
            Follows::Data => Ok(Event::Data { len }),
            Follows::Part(line) => Ok(self.end_part(len + line)),
            Follows::Close => Ok(self.end_last_part(len)),
        }
    }

    fn end_part(&mut self, consumed: usize) -> Event {
        self.state = State::Headers;
        self.searched = 0;
        Event::PartEnd { consumed }
    }

    fn end_last_part(&mut self, delimiter: usize) -> Event {
        self.state = State::Ended;
        Event::PartEnd {
            consumed: delimiter + 2,
        }
    }

    /// Goes from a delimiter that ends at `consumed` on to the headers behind it.
    fn begin_part(&mut self, buf: &[u8], consumed: usize) -> Result<Event, MultipartError> {
        self.state = State::Headers;
        self.searched = 0;
        Ok(
            match self.read_headers(buf.get(consumed..).unwrap_or_default())? {
                Event::Part {
                    consumed: headers,
                    head,
                } => Event::Part {
                    consumed: consumed + headers,
                    head,
                },
                _ => Event::NeedMore { consumed },
            },
        )
    }

    fn close(&mut self, consumed: usize) -> Event {
        self.state = State::Tail;
        Event::End {
            consumed: consumed + 2,
        }
    }

    fn read_headers(&mut self, buf: &[u8]) -> Result<Event, MultipartError> {
        let from = self.searched.min(buf.len());
        let fresh = buf.get(from..).unwrap_or_default();
        for at in memchr::memchr_iter(b'\n', fresh).map(|at| at + from) {
            if at.checked_sub(1).and_then(|before| buf.get(before)) != Some(&b'\r') {
                return Err(MultipartError::Line);
            }
            let empty = at == 1
                || at.checked_sub(3).and_then(|before| buf.get(before..at)) == Some(b"\r\n\r");
            if empty && at < self.limits.header_bytes {
                let head = self.part_head(buf.get(..at - 1).unwrap_or_default())?;
                self.state = State::DataStart;
                return Ok(Event::Part {
                    consumed: at + 1,
                    head,
                });
            }
        }
        self.searched = buf.len();
        if buf.len() > self.limits.header_bytes {
            return Err(MultipartError::HeadersTooLong {
                limit: self.limits.header_bytes,
            });
        }
        Ok(Event::NeedMore { consumed: 0 })
    }

    fn part_head(&mut self, section: &[u8]) -> Result<PartHead, MultipartError> {
        self.parts += 1;
        if self.parts > self.limits.parts {
            return Err(MultipartError::TooManyParts {
                limit: self.limits.parts,
            });
        }
        let mut headers = Headers::new();
        for line in section.split_inclusive(|byte| *byte == b'\n') {
            if headers.len() >= self.limits.headers {
                return Err(MultipartError::TooManyHeaders {
                    limit: self.limits.headers,
                });
            }
            let line = line.strip_suffix(b"\r\n").ok_or(MultipartError::Line)?;
            let colon = memchr::memchr(b':', line).ok_or(MultipartError::Header)?;
            let (name, value) = line.split_at_checked(colon).ok_or(MultipartError::Header)?;
            let name = std::str::from_utf8(name).map_err(|_| MultipartError::Header)?;
            headers
                .append(name, value.get(1..).unwrap_or_default())
                .map_err(|_| MultipartError::Header)?;
        }
        if headers.count("content-type") > 1 {
            return Err(MultipartError::Header);
        }
        if headers.count("content-disposition") > 1 {
            return Err(MultipartError::Disposition);
        }
        let disposition = headers
            .get_bytes("content-disposition")
            .ok_or(MultipartError::Disposition)?;
        let found = Disposition::parse(disposition)?;
        let content_type = headers.get("content-type").map(str::to_owned);
        Ok(PartHead {
            name: found.name,
            filename: found.filename,
            content_type,
            headers,
        })
    }

    fn skip_tail(&mut self, buf: &[u8]) -> Result<Event, MultipartError> {
        let padding = buf
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        match buf.get(padding..).unwrap_or_default() {
            [] | [b'\r'] => Ok(Event::NeedMore { consumed: padding }),
            [b'\r', b'\n', ..] => {
                self.state = State::Epilogue;
                Ok(Event::NeedMore {
                    consumed: buf.len(),
                })
            }
            _ => Err(MultipartError::AfterEnd),
        }
    }

    /// Up to where `buf`, which holds no delimiter, cannot be the beginning of one.
    fn open_end(&self, buf: &[u8]) -> usize {
        let needle = self.delimiter.needle();
        let window = buf.len().saturating_sub(needle.len() - 1);
        let tail = buf.get(window..).unwrap_or_default();
        match memchr::memrchr(b'\r', tail) {
            Some(at) if needle.starts_with(tail.get(at..).unwrap_or_default()) => window + at,
            _ => buf.len(),
        }
    }
}

/// Looks at what comes behind the boundary.
fn follows(rest: &[u8]) -> Result<Follows, MultipartError> {
    let padding = rest
        .iter()
        .take(PADDING_BYTES + 1)
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    if padding > PADDING_BYTES {
        return Err(MultipartError::Line);
    }
    Ok(match rest.get(padding..).unwrap_or_default() {
        [b'-', b'-', ..] if padding == 0 => Follows::Close,
        [b'\r', b'\n', ..] => Follows::Part(padding + 2),
        // Data by the letter; but a lenient reader before us would begin a part here.
        [b'\n', ..] => return Err(MultipartError::Line),
        [] | [b'\r'] => Follows::Unknown,
        [b'-'] if padding == 0 => Follows::Unknown,
        _ => Follows::Data,
    })
}

#[cfg(test)]
mod tests;
