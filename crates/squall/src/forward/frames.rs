//! `Frames`: where one frame of a WebSocket ends and the next begins (RFC 6455 section 5.2).
//!
//! A tunnel carries bytes and does not read them. To put a close frame of our own among
//! them it has to know a border; nothing else is looked at.

/// What is longest in front of a frame's data: two bytes, eight of length, four of mask.
const LONGEST_HEAD: usize = 14;

/// The place in a stream of frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The head as far as it has come.
    head: [u8; LONGEST_HEAD],
    known: usize,
    /// What is still to come of the frame behind its head.
    left: u64,
    /// A close frame has passed: nothing may follow it.
    closed: bool,
}

impl Frames {
    /// Bytes that go by.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let here =
                    usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.left -= here as u64;
                bytes = bytes.get(here..).unwrap_or_default();
                continue;
            }
            let Some((first, rest)) = bytes.split_first() else {
                return;
            };
            bytes = rest;
            if let Some(place) = self.head.get_mut(self.known) {
                *place = *first;
                self.known += 1;
            }
            if self.known >= 2 && self.known == self.head_len() {
                self.left = self.data_len();
                self.closed |= self.head[0] & 0x0f == 8;
                self.known = 0;
            }
        }
    }

    /// Whether a frame may be put in here.
    pub(super) fn at_border(&self) -> bool {
        self.known == 0 && self.left == 0 && !self.closed
    }

    fn head_len(&self) -> usize {
        let mask = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
        mask + match self.head[1] & 0x7f {
            126 => 4,
            127 => 10,
            _ => 2,
        }
    }

    fn data_len(&self) -> u64 {
        let bytes = match self.head[1] & 0x7f {
            126 => 2,
            127 => 8,
            short => return u64::from(short),
        };
        let bytes = self.head.iter().skip(2).take(bytes);
        bytes.fold(0, |len, byte| len << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<Vec<u8>> {
        let masked = [vec![0x81, 0x85, 1, 2, 3, 4], vec![9; 5]].concat();
        let middle = [vec![0x82, 126, 1, 0], vec![7; 256]].concat();
        let long = [vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 1], vec![7; 65_537]].concat();
        vec![masked, middle, long, vec![0x89, 0]]
    }

    #[test]
    fn borders_are_found_however_the_bytes_are_cut() {
        for step in [1, 2, 3, 7, 1000] {
            let mut place = Frames::default();
            for frame in frames() {
                assert!(place.at_border());
                for (at, piece) in frame.chunks(step).enumerate() {
                    assert!(at == 0 || !place.at_border());
                    place.pass(piece);
                }
            }
            assert!(place.at_border());
        }
    }

    #[test]
    fn several_frames_at_once_end_where_the_last_one_does() {
        let mut place = Frames::default();
        place.pass(&frames().concat());
        assert!(place.at_border());
        place.pass(&[0x81]);
        assert!(!place.at_border());
    }

    #[test]
    fn nothing_follows_a_close_frame() {
        let mut place = Frames::default();
        place.pass(&[0x88, 2, 3, 0xe8]);
        assert!(!place.at_border());
    }
}
