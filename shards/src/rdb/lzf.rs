//! LZF, the compression of long strings in RDB files.
//!
//! ```text
//! 000LLLLL bytes                  a run of L + 1 bytes as they are
//! LLLOOOOO OOOOOOOO               L + 2 bytes again (L is 1 to 6) that stand O + 1 before
//! 111OOOOO LLLLLLLL OOOOOOOO      the same, L + 9 bytes
//! ```

use alloc::vec::Vec;

/// The longest run of bytes as they are.
const RUN_MAX: usize = 32;
/// From how many bytes on a repetition is worth its mark.
const MATCH_MIN: usize = 3;
const MATCH_MAX: usize = 2 + 7 + 255;
const DISTANCE_MAX: usize = 1 << 13;
/// What three compressed bytes come to at most: [`MATCH_MAX`].
const EXPANSION_MAX: usize = MATCH_MAX / 3;
const TABLE_BITS: (u32, u32) = (8, 14);

/// Finds repetitions. It may be used again, which spares an allocation.
#[derive(Debug, Default)]
pub struct Compressor {
    /// The last place where three bytes of this hash were seen, from `base` on; what is below was
    /// seen in an earlier input.
    places: Vec<u32>,
    /// What stands for the beginning of the input.
    base: u32,
}

impl Compressor {
    /// Appends what `input` comes to, if that has no more than `bytes_max` bytes; else leaves
    /// `out` as it was, and says so.
    pub fn compress(&mut self, input: &[u8], out: &mut Vec<u8>, bytes_max: usize) -> bool {
        let (Ok(len), Some(log)) = (u32::try_from(input.len()), input.len().checked_ilog2()) else {
            return false;
        };
        let bits = (log + 1).clamp(TABLE_BITS.0, TABLE_BITS.1);
        // Nothing has been seen at 0.
        self.base = self.base.max(1);
        if self.base.checked_add(len).is_none() {
            self.places.clear();
            self.base = 1;
        }
        if self.places.len() < 1 << bits {
            self.places.resize(1 << bits, 0);
        }
        let start = out.len();
        let is_short = self.find(input, out, start + bytes_max, bits);
        if !is_short {
            out.truncate(start);
        }
        self.base = self.base.saturating_add(len);
        is_short
    }

    fn find(&mut self, input: &[u8], out: &mut Vec<u8>, end_max: usize, bits: u32) -> bool {
        let (mut at, mut run_start) = (0usize, 0);
        while let Some(three) = input.get(at..).and_then(<[u8]>::first_chunk) {
            let before = self.seen(*three, at, bits).filter(|before| at - before <= DISTANCE_MAX);
            let length = before.map_or(0, |before| common(input, before, at));
            let Some(before) = before.filter(|_| MATCH_MIN <= length) else {
                // Where nothing was found for long, fewer places are tried.
                at += 1 + (at - run_start) / 128;
                continue;
            };
            put_runs(&input[run_start..at], out);
            put_match(length, at - before - 1, out);
            if end_max < out.len() {
                return false;
            }
            at += length;
            run_start = at;
            // What follows may well repeat what begins in here: to note more places than these
            // takes longer than it saves.
            for inside in at - 2..at {
                if let Some(three) = input[inside..].first_chunk() {
                    self.seen(*three, inside, bits);
                }
            }
        }
        put_runs(&input[run_start..], out);
        out.len() <= end_max
    }

    /// Where these bytes were seen last, if they were; from now on that is `at`.
    #[inline]
    fn seen(&mut self, three: [u8; 3], at: usize, bits: u32) -> Option<usize> {
        let now = self.base + u32::try_from(at).expect("the input is below 4 GiB");
        let before = core::mem::replace(&mut self.places[hash(three, bits)], now);
        before.checked_sub(self.base).map(|before| before as usize)
    }
}

#[inline]
fn hash([a, b, c]: [u8; 3], bits: u32) -> usize {
    let hash = u32::from_le_bytes([a, b, c, 0]).wrapping_mul(0x9E37_79B1);
    (hash >> (u32::BITS - bits)) as usize
}

/// How many bytes, of those that a match may have, are the same from both places on.
#[inline]
fn common(input: &[u8], before: usize, now: usize) -> usize {
    let end = input.len().min(now + MATCH_MAX);
    let (now, before) = (&input[now..end], &input[before..before + (end - now)]);
    let (words, rest) = now.as_chunks::<8>();
    let (words_before, rest_before) = before.as_chunks::<8>();
    for (number, (word, word_before)) in words.iter().zip(words_before).enumerate() {
        let differs = u64::from_le_bytes(*word) ^ u64::from_le_bytes(*word_before);
        if differs != 0 {
            return 8 * number + differs.trailing_zeros() as usize / 8;
        }
    }
    8 * words.len() + rest.iter().zip(rest_before).take_while(|(a, b)| a == b).count()
}

fn put_runs(bytes: &[u8], out: &mut Vec<u8>) {
    for run in bytes.chunks(RUN_MAX) {
        out.push(u8::try_from(run.len() - 1).expect("a run is short"));
        out.extend_from_slice(run);
    }
}

fn put_match(length: usize, distance: usize, out: &mut Vec<u8>) {
    let distance = u16::try_from(distance).expect("13 bits");
    let [high, low] = distance.to_be_bytes();
    let count = length - 2;
    match count.checked_sub(7) {
        None => out.push(u8::try_from(count).expect("it is below 7") << 5 | high),
        Some(more) => {
            let more = u8::try_from(more).expect("a match is no longer than that");
            out.extend_from_slice(&[7 << 5 | high, more]);
        }
    }
    out.push(low);
}

/// Why compressed bytes were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// They do not come to what was said.
    Damaged,
    /// There is no memory for what they come to.
    Memory,
}

/// Appends the `length` bytes that `input` comes to. After an error, `out` holds a part of them.
///
/// # Errors
/// If it comes to anything else, or if there is no memory for it.
pub fn decompress(input: &[u8], length: usize, out: &mut Vec<u8>) -> Result<(), Refused> {
    // A few bytes that say so do not make the reader reserve much.
    if input.len().saturating_mul(EXPANSION_MAX) < length {
        return Err(Refused::Damaged);
    }
    out.try_reserve(length).map_err(|_| Refused::Memory)?;
    let start = out.len();
    let end = start + length;
    let mut rest = input;
    while let Some(mark) = rest.split_off_first() {
        let (count, high) = (usize::from(mark >> 5), usize::from(mark & 0x1F));
        if count == 0 {
            let run = rest.split_off(..=high).ok_or(Refused::Damaged)?;
            if end < out.len() + run.len() {
                return Err(Refused::Damaged);
            }
            out.extend_from_slice(run);
            continue;
        }
        let mut next = || rest.split_off_first().map(|byte| usize::from(*byte));
        let more = if count == 7 { next().ok_or(Refused::Damaged)? } else { 0 };
        let distance = (high << 8 | next().ok_or(Refused::Damaged)?) + 1;
        let mut left = 2 + count + more;
        if out.len() - start < distance || end < out.len() + left {
            return Err(Refused::Damaged);
        }
        // What is repeated may reach into its own repetition: each round there is more to copy.
        let from = out.len() - distance;
        while 0 < left {
            let part = left.min(out.len() - from);
            out.extend_from_within(from..from + part);
            left -= part;
        }
    }
    if out.len() == end { Ok(()) } else { Err(Refused::Damaged) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn compressed(input: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        Compressor::default().compress(input, &mut out, input.len()).then_some(out)
    }

    fn decompressed(input: &[u8], length: usize) -> Result<Vec<u8>, Refused> {
        let mut out = Vec::new();
        decompress(input, length, &mut out).map(|()| out)
    }

    #[test]
    fn reads_what_valkey_wrote() {
        let hundred = decompressed(b"\x01aa\xe0W\0\x01aa", 100);
        assert_eq!(hundred, Ok(vec![b'a'; 100]));
    }

    #[test]
    fn a_repetition_may_be_as_long_and_as_far_away_as_its_mark_can_say() {
        for length in [3, 8, 9, 10, 263, 264, 265, 266, 600] {
            for distance in [1, 2, 31, 32, 33, 256, 257, 8191, 8192, 8193, 9000] {
                let mut state = 1u32;
                let mut input: Vec<u8> = (0..distance)
                    .map(|_| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        state.to_be_bytes()[0]
                    })
                    .collect();
                (0..length).for_each(|at| input.push(input[at]));
                let mut out = Vec::new();
                assert!(Compressor::default().compress(&input, &mut out, usize::MAX / 2));
                assert_eq!(decompressed(&out, input.len()).as_ref(), Ok(&input));
            }
        }
    }

    #[test]
    fn damaged_input_is_refused() {
        let cases: [(&[u8], usize); 10] = [
            (b"", 1),
            (b"\x00", 1),
            (b"\x01a", 2),
            (b"\x01ab", 1),
            (b"\x01ab", 3),
            (b"\x20\x00", 3),
            (b"\x00a\x20\x01", 4),
            (b"\x00a\x20", 4),
            (b"\x00a\xe0\x00", 10),
            (b"\x00a\x20\x00", usize::MAX),
        ];
        for (input, length) in cases {
            assert_eq!(decompressed(input, length), Err(Refused::Damaged), "{input:?}");
        }
        assert_eq!(decompressed(b"\x00a\x20\x00", 4).as_deref(), Ok(&b"aaaa"[..]));
        assert_eq!(decompressed(b"", 0).as_deref(), Ok(&b""[..]));
    }

    #[test]
    fn what_does_not_become_shorter_is_left_alone() {
        let mut out = b"before".to_vec();
        let input: Vec<u8> = (0..=255).collect();
        assert!(!Compressor::default().compress(&input, &mut out, input.len()));
        assert!(!Compressor::default().compress(&[b'a'; 100], &mut out, 4));
        assert!(!Compressor::default().compress(b"", &mut out, 8));
        assert_eq!(out, b"before");
        let most = compressed(&[b'a'; 100]).unwrap().len();
        assert!(most < 12, "{most}");
    }

    fn input() -> impl Strategy<Value = Vec<u8>> {
        let words = prop::collection::vec(
            prop::sample::select(vec![&b"abc"[..], b"x", b"0123456"]),
            0..200,
        );
        prop_oneof![
            words.prop_map(|words| words.concat()),
            prop::collection::vec(any::<u8>(), 0..300),
            prop::collection::vec(0u8..3, 0..2000),
        ]
    }

    proptest! {
        #[test]
        fn comes_back_as_it_was(inputs in prop::collection::vec(input(), 1..4)) {
            let mut compressor = Compressor::default();
            for input in inputs {
                let mut out = Vec::new();
                if compressor.compress(&input, &mut out, input.len()) {
                    prop_assert!(out.len() <= input.len());
                    prop_assert_eq!(decompressed(&out, input.len()), Ok(input));
                }
            }
        }

        #[test]
        fn any_input_is_read_or_refused(
            input in prop::collection::vec(any::<u8>(), 0..60), length in 0usize..500
        ) {
            if let Ok(out) = decompressed(&input, length) {
                prop_assert_eq!(out.len(), length);
            }
        }
    }
}
