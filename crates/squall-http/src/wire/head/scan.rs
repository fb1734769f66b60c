//! `Scan`: the way through a head that drips in, one look per byte.
//!
//! Parsing from the start at each read would cost a slow sender nothing and us the square
//! of the head's size. So an incomplete head is only searched for its empty line, from
//! where the search stopped; limits and bare line feeds are noticed on the way.

use super::{HeadError, HeadLimits, METHOD_BYTES};

/// How far an incomplete head has been looked at, so that no byte is looked at twice.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scan {
    pub(super) seen: usize,
    line_start: usize,
}

impl Scan {
    /// A head seen for the first time is parsed at once; later ones when they are complete.
    #[inline]
    pub(super) fn is_worth_parsing(
        &mut self,
        head: &[u8],
        limits: &HeadLimits,
        request: bool,
    ) -> Result<bool, HeadError> {
        if self.seen == 0 {
            Ok(true)
        } else {
            self.advance(head, limits, request)
        }
    }

    /// The head without what follows it, if its empty line is there.
    pub(super) fn whole_head<'a>(
        &mut self,
        head: &'a [u8],
        limits: &HeadLimits,
        request: bool,
    ) -> Result<Option<&'a [u8]>, HeadError> {
        let complete = self.advance(head, limits, request)?;
        Ok(head.get(..=self.seen).filter(|_| complete))
    }

    /// The parser wants more: notes how far the head was looked at.
    pub(super) fn wait(
        &mut self,
        head: &[u8],
        limits: &HeadLimits,
        request: bool,
    ) -> Result<(), HeadError> {
        // Waiting for more of a head that has ended would be waiting forever.
        if self.advance(head, limits, request)? {
            Err(HeadError::LineEnd)
        } else {
            Ok(())
        }
    }

    /// The head took `used` bytes: is that allowed? The next head starts over.
    #[inline]
    pub(super) fn end(&mut self, used: usize, limits: &HeadLimits) -> Result<usize, HeadError> {
        *self = Self::default();
        if used > limits.max_header_size {
            return Err(HeadError::TooLarge {
                limit: limits.max_header_size,
            });
        }
        Ok(used)
    }

    /// Looks at the new bytes: is the empty line there, is every line end a CRLF?
    fn advance(
        &mut self,
        head: &[u8],
        limits: &HeadLimits,
        request: bool,
    ) -> Result<bool, HeadError> {
        if head.len() < self.seen {
            *self = Self::default();
        }
        let from = self.seen;
        for at in
            memchr::memchr_iter(b'\n', head.get(from..).unwrap_or_default()).map(|at| at + from)
        {
            let line = head.get(self.line_start..at).unwrap_or_default();
            if line.last() != Some(&b'\r') {
                return Err(HeadError::LineEnd);
            }
            if line.len() == 1 {
                // Stay in front of this line, so that asking again gives the same answer.
                self.seen = at;
                return Ok(true);
            }
            if request && self.line_start == 0 {
                check_open_request_line(line, limits)?;
            }
            self.line_start = at + 1;
        }
        self.seen = head.len();
        if request && self.line_start == 0 {
            check_open_request_line(head, limits)?;
        }
        if head.len() > limits.max_header_size {
            return Err(HeadError::TooLarge {
                limit: limits.max_header_size,
            });
        }
        Ok(false)
    }
}

/// Bounds a request line whose end may not have come yet.
fn check_open_request_line(head: &[u8], limits: &HeadLimits) -> Result<(), HeadError> {
    const VERSION_BYTES: usize = " HTTP/1.1\r".len();
    let method = head.get(..=METHOD_BYTES).unwrap_or(head);
    match memchr::memchr(b' ', method) {
        None if head.len() > METHOD_BYTES => Err(HeadError::Method),
        Some(space)
            if head.len() - space - 1 > limits.max_target_size.saturating_add(VERSION_BYTES) =>
        {
            Err(HeadError::TargetTooLong {
                limit: limits.max_target_size,
            })
        }
        _ => Ok(()),
    }
}
