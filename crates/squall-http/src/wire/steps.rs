//! Sixteen bytes at a look: where a name or a value ends.
//!
//! Heads are mostly such text, so this is what reading one costs. A look is a function of
//! its own, and no part of a loop, because that is what compilers make a few instructions
//! of that compare sixteen bytes each.

/// So many bytes are looked at together.
const STEP: usize = 16;

/// How many bytes there are in front of the first control; a tab is one.
#[inline]
pub(super) fn text_len(text: &[u8]) -> usize {
    find(text, is_control, controls)
}

/// How many letters and hyphens there are in front of the first other byte.
#[inline]
pub(super) fn word_len(text: &[u8]) -> usize {
    find(text, is_not_of_words, not_of_words)
}

/// How many bytes there are in front of the first of a kind, which a look marks.
#[inline(always)]
fn find(text: &[u8], is: impl Fn(u8) -> bool, look: impl Fn(&[u8; STEP]) -> u128) -> usize {
    let (mut rest, mut len) = (text, 0);
    while let Some((step, behind)) = rest.split_first_chunk() {
        let marks = look(step);
        let (low, high) = (marks as u64, (marks >> 64) as u64);
        if low != 0 {
            return len + low.trailing_zeros() as usize / 8;
        }
        if high != 0 {
            return len + 8 + high.trailing_zeros() as usize / 8;
        }
        (rest, len) = (behind, len + STEP);
    }
    len + (rest.iter().position(|byte| is(*byte))).unwrap_or(rest.len())
}

#[inline(always)]
fn is_control(byte: u8) -> bool {
    byte < b' ' || byte == 0x7f
}

#[inline(always)]
fn is_not_of_words(byte: u8) -> bool {
    (byte | 0x20).wrapping_sub(b'a') > 25 && byte != b'-'
}

/// All ones for each control; the first byte is the lowest.
#[inline(never)]
fn controls(step: &[u8; STEP]) -> u128 {
    mark(step, is_control)
}

/// Likewise for what is neither a letter nor a hyphen.
#[inline(never)]
fn not_of_words(step: &[u8; STEP]) -> u128 {
    mark(step, is_not_of_words)
}

#[inline(always)]
fn mark(step: &[u8; STEP], is: impl Fn(u8) -> bool) -> u128 {
    let mut marks = [0; STEP];
    for (mark, byte) in marks.iter_mut().zip(step) {
        *mark = if is(*byte) { 0xff } else { 0 };
    }
    u128::from_le_bytes(marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_byte_is_found_wherever_it_stands() {
        for byte in 0..=255_u8 {
            let is_control = byte < b' ' || byte == 0x7f;
            let is_of_words = byte.is_ascii_alphabetic() || byte == b'-';
            for len in 1..70 {
                for at in 0..len {
                    let mut text = vec![b'~'; len];
                    text[at] = byte;
                    let expected = if is_control { at } else { len };
                    assert_eq!(text_len(&text), expected, "{byte:#x} at {at} of {len}");
                    text.fill(b'Z');
                    text[at] = byte;
                    let expected = if is_of_words { len } else { at };
                    assert_eq!(word_len(&text), expected, "{byte:#x} at {at} of {len}");
                }
            }
        }
    }
}
