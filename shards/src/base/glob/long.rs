//! Looking for a long part of a pattern: 64 of its tokens at a time, each with a bit of a word.
//!
//! ```text
//! state    bit n: the last n + 1 bytes of the text match the first n + 1 tokens
//! masks    of each byte: the tokens that it matches
//! ```
//! Each byte of the text shifts the state by one and takes away what its mask does not have. So
//! every start at which these tokens match is known after one pass over the text, however the
//! tokens and the text are chosen; those of the next 64 are looked for among these starts.
//!
//! A token is one byte, `?` or a class: it matches one byte of the text.

use super::{Case, for_each_range};

/// Starts that are looked at together, at most.
const STARTS_MAX: usize = 8192;
/// Starts that are looked at first.
const STARTS_MIN: usize = 256;
const WORDS: usize = STARTS_MAX / 64;

/// Where the first part of `text` begins that matches `part`, which has so many tokens, and no `*`
/// among them.
pub(super) fn find(
    part: &[u8],
    tokens: usize,
    text: &[u8],
    case: Case,
    on_step: &mut impl FnMut(),
) -> Option<usize> {
    let starts = (text.len() + 1).checked_sub(tokens)?;
    let (mut from, mut width) = (0, STARTS_MIN);
    while from < starts {
        let width_here = width.min(starts - from);
        let here = &text[from..from + width_here + tokens - 1];
        if let Some(found) = find_among(part, here, width_here, case, on_step) {
            return Some(from + found);
        }
        from += width_here;
        width = STARTS_MAX.min(2 * width);
    }
    None
}

/// The first of so many starts in `text` from which on it matches `part`.
fn find_among(
    part: &[u8],
    text: &[u8],
    starts: usize,
    case: Case,
    on_step: &mut impl FnMut(),
) -> Option<usize> {
    let (mut left, mut rest, mut before) = ([u64::MAX; WORDS], part, 0);
    while !rest.is_empty() {
        let (masks, tokens) = take_masks(&mut rest, case);
        let last = 1 << (tokens - 1);
        let (mut state, mut hits) = (0u64, [0u64; WORDS]);
        let end = before + starts + tokens - 1;
        for (at, byte) in text[before..end].iter().enumerate() {
            on_step();
            state = (state << 1 | 1) & masks[usize::from(*byte)];
            if state & last != 0 {
                let start = at + 1 - tokens;
                hits[start / 64] |= 1 << (start % 64);
            }
        }
        left.iter_mut().zip(hits).for_each(|(left, hits)| *left &= hits);
        if left.iter().all(|word| *word == 0) {
            return None;
        }
        before += tokens;
    }
    let word = left.iter().position(|word| *word != 0)?;
    Some(64 * word + left[word].trailing_zeros() as usize)
}

/// Takes up to 64 tokens off `rest`: for each byte which of them it matches, and how many they are.
fn take_masks(rest: &mut &[u8], case: Case) -> ([u64; 256], usize) {
    // By the bytes in which those of both cases are alike.
    let (mut folded, mut tokens) = ([0u64; 256], 0);
    let mut any = 0;
    while tokens < 64 && !rest.is_empty() {
        let bit = 1 << tokens;
        let behind = match **rest {
            [b'?', ..] => {
                any |= bit;
                1
            }
            [b'[', ..] => add_class(rest, case, bit, &mut folded),
            [b'\\', byte, ..] => {
                folded[usize::from(case.fold(byte))] |= bit;
                2
            }
            [byte, ..] => {
                folded[usize::from(case.fold(byte))] |= bit;
                1
            }
            [] => unreachable!("the loop ends there"),
        };
        *rest = &rest[behind..];
        tokens += 1;
    }
    let masks = core::array::from_fn(|byte| {
        let byte = u8::try_from(byte).expect("there are 256 bytes");
        folded[usize::from(case.fold(byte))] | any
    });
    (masks, tokens)
}

/// Adds `bit` to the masks of what the class matches that `pattern` begins with; says how long that
/// is. However long it is, each of its bytes is looked at once.
fn add_class(pattern: &[u8], case: Case, bit: u64, folded: &mut [u64; 256]) -> usize {
    // Where ranges begin and end, from -128 on.
    let mut edges = [0i64; 257];
    let place = |byte: u8| usize::from(byte.wrapping_add(128));
    let (is_negated, behind) = for_each_range(pattern, 1, case, |from, to| {
        edges[place(from)] += 1;
        edges[place(to) + 1] -= 1;
    });
    let mut open = 0;
    for (at, edge) in edges[..256].iter().enumerate() {
        open += edge;
        if (0 < open) != is_negated {
            let byte = u8::try_from(at).expect("there are 256 bytes");
            folded[usize::from(byte.wrapping_sub(128))] |= bit;
        }
    }
    behind
}
