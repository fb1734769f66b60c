//! Sixteen bytes at a look: where a name or a value ends.
//!
//! Heads are mostly such text, so this is what reading one costs. A look is a function of
//! its own, and no part of a loop, because that is what compilers make a few instructions
//! of that compare sixteen bytes each. Less is looked at as two halves that overlap.

/// So many bytes are looked at together.
const STEP: usize = 16;

/// How many bytes there are in front of the first control; a tab is one.
#[inline]
pub(super) fn text_len(text: &[u8]) -> usize {
    find(text, is_control, to_control)
}

/// How many letters and hyphens there are in front of the first other byte.
#[inline]
pub(super) fn word_len(text: &[u8]) -> usize {
    find(text, is_not_of_words, to_not_of_words)
}

/// How many bytes there are in front of the first of a kind.
#[inline(always)]
fn find(text: &[u8], is: impl Fn(u8) -> bool, look: impl Fn(&[u8; STEP]) -> usize) -> usize {
    let (mut rest, mut len) = (text, 0);
    while let Some((step, behind)) = rest.split_first_chunk() {
        let at = look(step);
        if at < STEP {
            return len + at;
        }
        (rest, len) = (behind, len + STEP);
    }
    len + find_in_less(rest, is, look)
}

/// The same in less than a step.
#[inline(always)]
fn find_in_less(
    text: &[u8],
    is: impl Fn(u8) -> bool,
    look: impl Fn(&[u8; STEP]) -> usize,
) -> usize {
    const HALF: usize = STEP / 2;
    let (Some(first), Some(last)) = (text.first_chunk::<HALF>(), text.last_chunk::<HALF>()) else {
        return (text.iter().position(|byte| is(*byte))).unwrap_or(text.len());
    };
    let mut step = [0; STEP];
    let (low, high) = step.split_at_mut(HALF);
    low.copy_from_slice(first);
    high.copy_from_slice(last);
    match look(&step) {
        at @ ..HALF => at,
        // In the last half; or nowhere, and then this is the length of the text.
        at => text.len() - (STEP - at),
    }
}

#[inline(always)]
fn is_control(byte: u8) -> bool {
    byte < b' ' || byte == 0x7f
}

#[inline(always)]
fn is_not_of_words(byte: u8) -> bool {
    (byte | 0x20).wrapping_sub(b'a') > 25 && byte != b'-'
}

/// How many bytes of a step are in front of the first control.
#[inline(always)]
fn to_control(step: &[u8; STEP]) -> usize {
    first(controls(step))
}

/// Likewise for what is neither a letter nor a hyphen.
#[inline(always)]
fn to_not_of_words(step: &[u8; STEP]) -> usize {
    first(not_of_words(step))
}

#[inline(never)]
fn controls(step: &[u8; STEP]) -> u128 {
    mark(step, is_control)
}

#[inline(never)]
fn not_of_words(step: &[u8; STEP]) -> u128 {
    mark(step, is_not_of_words)
}

/// All ones for each byte of a kind; the first byte is the lowest.
#[inline(always)]
fn mark(step: &[u8; STEP], is: impl Fn(u8) -> bool) -> u128 {
    let mut marks = [0; STEP];
    for (mark, byte) in marks.iter_mut().zip(step) {
        *mark = if is(*byte) { 0xff } else { 0 };
    }
    u128::from_le_bytes(marks)
}

/// How many bytes are in front of the first that is marked.
#[inline(always)]
fn first(marks: u128) -> usize {
    marks.trailing_zeros() as usize / 8
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
