//! Where a request's parameters stand in it, without owning or borrowing the request.

/// How many parameters need no allocation.
const INLINE: usize = 3;

/// One parameter's place, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The parameter in the text it was found in.
    pub(crate) fn of(self, text: &str) -> &str {
        let end = (self.end as usize).min(text.len());
        text.get(self.start as usize..end).unwrap_or_default()
    }
}

/// The parameters of one request: those of its host, then those of its path.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    len: u32,
    inline: [Span; INLINE],
    /// All of them, when there are more than fit inline.
    #[allow(clippy::box_collection)] // A request is moved often: one word, not three.
    many: Option<Box<Vec<Span>>>,
}

impl Spans {
    pub(super) fn push(&mut self, start: usize, end: usize) {
        let place = |at| u32::try_from(at).unwrap_or(u32::MAX);
        let span = Span {
            start: place(start),
            end: place(end),
        };
        if let Some(slot) = self.inline.get_mut(self.len as usize) {
            *slot = span;
        } else {
            let inline = self.inline;
            let many = self.many.get_or_insert_with(|| Box::new(inline.to_vec()));
            many.push(span);
        }
        self.len += 1;
    }

    /// Takes the last one back.
    pub(super) fn pop(&mut self) {
        self.len = self.len.saturating_sub(1);
        if self.len as usize <= INLINE {
            self.many = None;
        } else if let Some(many) = &mut self.many {
            many.pop();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Span> + '_ {
        let all = match &self.many {
            Some(many) => many.as_slice(),
            None => self.inline.get(..self.len as usize).unwrap_or_default(),
        };
        all.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::Spans;

    #[test]
    fn what_is_taken_back_is_gone() {
        let mut spans = Spans::default();
        let starts = |spans: &Spans| spans.iter().map(|span| span.start).collect::<Vec<_>>();
        for at in 0..5 {
            spans.push(at, at + 1);
        }
        assert_eq!(starts(&spans), [0, 1, 2, 3, 4]);
        spans.pop();
        spans.pop();
        assert_eq!(starts(&spans), [0, 1, 2]);
        spans.pop();
        spans.push(7, 8);
        spans.push(8, 9);
        assert_eq!(starts(&spans), [0, 1, 7, 8]);
    }
}
