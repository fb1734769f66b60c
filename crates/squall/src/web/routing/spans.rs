//! Where a path's parameters stand in it, without owning or borrowing the path.

/// How many parameters need no allocation.
const INLINE: usize = 3;

/// One parameter's place, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The parameter in the path it was found in.
    pub(crate) fn of(self, path: &str) -> &str {
        path.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

/// The parameters of one path in order.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    len: u32,
    inline: [Span; INLINE],
    /// All of them, when there are more than fit inline.
    #[allow(clippy::box_collection)] // A request is moved often: one word, not three.
    many: Option<Box<Vec<Span>>>,
}

impl Spans {
    pub(super) fn new(path: &str, params: &matchit::Params<'_, '_>) -> Self {
        let mut spans = Self::default();
        if params.is_empty() {
            return spans;
        }
        let base = path.as_ptr().addr();
        for (_, value) in params.iter() {
            let start = value.as_ptr().addr().wrapping_sub(base);
            spans.push(Span {
                start: u32::try_from(start).unwrap_or(u32::MAX),
                end: u32::try_from(start.wrapping_add(value.len())).unwrap_or(u32::MAX),
            });
        }
        spans
    }

    fn push(&mut self, span: Span) {
        if let Some(slot) = self.inline.get_mut(self.len as usize) {
            *slot = span;
        } else {
            let inline = self.inline;
            let many = self.many.get_or_insert_with(|| Box::new(inline.to_vec()));
            many.push(span);
        }
        self.len += 1;
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Span> + '_ {
        let all = match &self.many {
            Some(many) => many.as_slice(),
            None => self.inline.get(..self.len as usize).unwrap_or_default(),
        };
        all.iter().copied()
    }
}
