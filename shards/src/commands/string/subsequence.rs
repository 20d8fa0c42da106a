//! The longest common subsequence of two strings, 64 positions at a time.
//!
//! L(i, j) is the length for the first i bytes of `a` and the first j bytes of `b`. Along a row it
//! grows by 0 or 1 with each j, so a row is a bit string: bit j is 0 where L(i, j + 1) is one more
//! than L(i, j). The next row follows from the one before with one addition per word (Crochemore,
//! Iliopoulos, Pinzon and Reid 2001; Hyyrö 2004). These bits also tell the way back.

use alloc::vec;
use alloc::vec::Vec;

use crate::resp::error::Error;

/// A longest common subsequence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Subsequence {
    pub len: usize,
    /// Its stretches, the last one first.
    pub matches: Vec<Match>,
}

/// A stretch of bytes that are the same from `a` on in the one string and from `b` on in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub a: usize,
    pub b: usize,
    pub len: usize,
}

/// How long the longest common subsequence is. Takes no memory but for one row.
pub(super) fn common_len(a: &[u8], b: &[u8]) -> Result<usize, Error> {
    let mut row = Row::first(a, b)?;
    a.iter().for_each(|byte| row.advance(*byte));
    Ok(row.common_len())
}

impl Subsequence {
    /// Of several that are equally long, Valkey's choice: from the ends on, the bytes if they
    /// match, else on in `a` if that loses nothing that going on in `b` would keep.
    pub fn find(a: &[u8], b: &[u8]) -> Result<Self, Error> {
        let rows = Rows::fill(a, b)?;
        let mut matches: Vec<Match> = Vec::new();
        let mut open = false;
        let (mut i, mut j) = (a.len(), b.len());
        while 0 < i && 0 < j {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                match matches.last_mut() {
                    Some(last) if open => *last = Match { a: i, b: j, len: last.len + 1 },
                    _ => matches.push(Match { a: i, b: j, len: 1 }),
                }
                open = true;
            } else {
                if rows.grows(i, j) {
                    i -= 1
                } else {
                    j -= 1
                }
                open = false;
            }
        }
        let len = matches.iter().map(|found| found.len).sum();
        assert_eq!(len, rows.common_len, "the way back finds as much as the way there");
        Ok(Self { len, matches })
    }

    /// Its bytes, taken from `a`.
    pub fn text(&self, a: &[u8]) -> Result<Vec<u8>, Error> {
        let mut text = Vec::new();
        text.try_reserve_exact(self.len).map_err(|_| NO_MEMORY)?;
        for found in self.matches.iter().rev() {
            text.extend_from_slice(&a[found.a..found.a + found.len]);
        }
        Ok(text)
    }
}

const NO_MEMORY: Error =
    Error::Text("ERR Insufficient memory, failed allocating transient memory for LCS");

/// One row of the table, and what it takes to make the next one.
struct Row {
    words: Vec<u64>,
    /// For each byte that `a` has: the bits of its places in `b`.
    places: Vec<Vec<u64>>,
    /// Which of `places` belongs to a byte.
    place_of: [usize; 256],
    b_len: usize,
}

impl Row {
    /// The row of no byte of `a`.
    fn first(a: &[u8], b: &[u8]) -> Result<Self, Error> {
        let words = b.len().div_ceil(64);
        let mut places: Vec<Vec<u64>> = vec![];
        let mut place_of = [usize::MAX; 256];
        for &byte in a {
            let place = &mut place_of[usize::from(byte)];
            if *place == usize::MAX {
                *place = places.len();
                places.push(filled(words, 0)?);
            }
        }
        for (at, byte) in b.iter().enumerate() {
            if let Some(bits) = places.get_mut(place_of[usize::from(*byte)]) {
                bits[at / 64] |= 1 << (at % 64);
            }
        }
        Ok(Self { words: filled(words, u64::MAX)?, places, place_of, b_len: b.len() })
    }

    /// Goes on to the row that has `byte`, the next one of `a`, as well.
    #[inline]
    fn advance(&mut self, byte: u8) {
        let places = &self.places[self.place_of[usize::from(byte)]];
        let mut carry = false;
        for (word, places) in self.words.iter_mut().zip(places) {
            let (sum, carried) = word.overflowing_add(*word & places);
            let (sum, carried_again) = sum.overflowing_add(u64::from(carry));
            carry = carried | carried_again;
            *word = sum | (*word & !places);
        }
    }

    fn common_len(&self) -> usize {
        let grows = |at: &usize| self.words[at / 64] >> (at % 64) & 1 == 0;
        (0..self.b_len).filter(grows).count()
    }
}

/// All rows but the first, a bit per position.
struct Rows {
    bits: Vec<u8>,
    /// Bytes per row.
    stride: usize,
    common_len: usize,
}

impl Rows {
    fn fill(a: &[u8], b: &[u8]) -> Result<Self, Error> {
        let stride = b.len().div_ceil(8);
        let mut bits = Vec::new();
        let whole = a.len().checked_mul(stride).ok_or(NO_MEMORY)?;
        bits.try_reserve_exact(whole).map_err(|_| NO_MEMORY)?;
        let mut row = Row::first(a, b)?;
        for byte in a {
            row.advance(*byte);
            let (last, words) = match row.words.split_last() {
                Some(split) => split,
                None => break, // `b` is empty.
            };
            words.iter().for_each(|word| bits.extend_from_slice(&word.to_le_bytes()));
            bits.extend_from_slice(&last.to_le_bytes()[..stride - words.len() * 8]);
        }
        Ok(Self { bits, stride, common_len: row.common_len() })
    }

    /// Whether L(i, j) is one more than L(i, j - 1).
    fn grows(&self, i: usize, j: usize) -> bool {
        let at = j - 1;
        self.bits[(i - 1) * self.stride + at / 8] >> (at % 8) & 1 == 0
    }
}

fn filled(len: usize, word: u64) -> Result<Vec<u64>, Error> {
    let mut words = Vec::new();
    words.try_reserve_exact(len).map_err(|_| NO_MEMORY)?;
    words.resize(len, word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The textbook's way: the whole table as numbers.
    fn by_table(a: &[u8], b: &[u8]) -> Vec<u8> {
        let mut table = vec![vec![0usize; b.len() + 1]; a.len() + 1];
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                table[i][j] = if a[i - 1] == b[j - 1] {
                    table[i - 1][j - 1] + 1
                } else {
                    table[i - 1][j].max(table[i][j - 1])
                };
            }
        }
        let (mut i, mut j) = (a.len(), b.len());
        let mut text = vec![];
        while 0 < i && 0 < j {
            if a[i - 1] == b[j - 1] {
                text.push(a[i - 1]);
                (i, j) = (i - 1, j - 1);
            } else if table[i][j - 1] < table[i - 1][j] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        text.reverse();
        text
    }

    proptest! {
        #[test]
        fn bits_find_what_the_table_finds(
            a in prop::collection::vec(b'a'..b'e', 0..150),
            b in prop::collection::vec(b'a'..b'f', 0..150),
        ) {
            let found = Subsequence::find(&a, &b).unwrap();
            let text = by_table(&a, &b);
            prop_assert_eq!(found.len, text.len());
            prop_assert_eq!(common_len(&a, &b).unwrap(), text.len());
            prop_assert_eq!(found.text(&a).unwrap(), text);
            for m in &found.matches {
                prop_assert_eq!(&a[m.a..m.a + m.len], &b[m.b..m.b + m.len]);
            }
        }
    }
}
