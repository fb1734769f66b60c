//! Sixteen bytes at a look: where a name ends.
//!
//! A look is a function of its own, and no part of a loop, because that is what compilers
//! make a few instructions of that compare sixteen bytes each.

/// So many bytes are looked at together.
const STEP: usize = 16;

/// How many letters and hyphens there are in front of the first other byte.
#[inline]
pub(super) fn word_len(text: &[u8]) -> usize {
    let (mut rest, mut len) = (text, 0);
    while let Some((step, behind)) = rest.split_first_chunk() {
        let marks = others(step);
        let (low, high) = (marks as u64, (marks >> 64) as u64);
        if low != 0 {
            return len + low.trailing_zeros() as usize / 8;
        }
        if high != 0 {
            return len + 8 + high.trailing_zeros() as usize / 8;
        }
        (rest, len) = (behind, len + STEP);
    }
    len + (rest.iter().position(|byte| is_other(*byte))).unwrap_or(rest.len())
}

/// All ones for each byte that is neither a letter nor a hyphen; the first is the lowest.
#[inline(never)]
fn others(step: &[u8; STEP]) -> u128 {
    let mut marks = [0; STEP];
    for (mark, byte) in marks.iter_mut().zip(step) {
        *mark = if is_other(*byte) { 0xff } else { 0 };
    }
    u128::from_le_bytes(marks)
}

#[inline(always)]
fn is_other(byte: u8) -> bool {
    (byte | 0x20).wrapping_sub(b'a') > 25 && byte != b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_wherever_another_byte_stands() {
        for byte in 0..=255_u8 {
            let is_of_words = byte.is_ascii_alphabetic() || byte == b'-';
            for len in 1..40 {
                for at in 0..len {
                    let mut text = vec![b'Z'; len];
                    text[at] = byte;
                    let expected = if is_of_words { len } else { at };
                    assert_eq!(word_len(&text), expected, "{byte:#x} at {at} of {len}");
                }
            }
        }
    }
}
