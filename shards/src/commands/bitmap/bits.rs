//! Bits of a string, eight bytes at a time. Bit 0 is the highest of the first byte.

/// Bits that are 1.
pub(super) fn count(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words: u64 =
        words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    let rest: u64 = rest.iter().map(|byte| u64::from(byte.count_ones())).sum();
    words + rest
}

/// Bits that are 1 from bit `first` to bit `last`, both included; they lie in `bytes`.
pub(super) fn count_between(bytes: &[u8], first: u64, last: u64) -> u64 {
    let (head, tail) = (byte_of(first), byte_of(last));
    let before = bytes[head] & !from_bit(first);
    let after = bytes[tail] & !to_bit(last);
    count(&bytes[head..=tail]) - u64::from(before.count_ones()) - u64::from(after.count_ones())
}

/// The first bit that is `bit` from bit `first` to bit `last`, both included; they lie in `bytes`.
pub(super) fn find_between(bytes: &[u8], bit: bool, first: u64, last: u64) -> Option<u64> {
    let (head, tail) = (byte_of(first), byte_of(last));
    // Look for a 1: in the complement if a 0 is wanted.
    let flip = if bit { 0 } else { u8::MAX };
    let position = |byte: usize, bits: u8| byte as u64 * 8 + u64::from(bits.leading_zeros());
    let head_bits = (bytes[head] ^ flip) & from_bit(first);
    let found = if head_bits != 0 {
        position(head, head_bits)
    } else {
        let from = head + 1;
        let at = from + first_set(bytes.get(from..=tail)?, flip)?;
        position(at, bytes[at] ^ flip)
    };
    (found <= last).then_some(found)
}

/// The first byte that is not `skip`.
fn first_set(bytes: &[u8], skip: u8) -> Option<usize> {
    let (words, _) = bytes.as_chunks::<8>();
    let skipped = u64::from_ne_bytes([skip; 8]);
    let start = match words.iter().position(|word| u64::from_ne_bytes(*word) != skipped) {
        Some(at) => at * 8,
        None => words.len() * 8,
    };
    bytes[start..].iter().position(|byte| *byte != skip).map(|at| start + at)
}

fn byte_of(bit: u64) -> usize {
    usize::try_from(bit / 8).expect("the bit lies in a string, which lies in memory")
}

/// The bits of a byte from this one on.
fn from_bit(bit: u64) -> u8 {
    u8::MAX >> (bit % 8)
}

/// The bits of a byte up to this one.
fn to_bit(bit: u64) -> u8 {
    !(u8::MAX >> 1 >> (bit % 8))
}

/// What to do with two words.
pub(super) fn combine(into: &mut [u8], with: &[u8], word: impl Fn(u64, u64) -> u64) {
    let len = into.len().min(with.len());
    let (into_words, into_rest) = into[..len].as_chunks_mut::<8>();
    let (with_words, with_rest) = with[..len].as_chunks::<8>();
    for (a, b) in into_words.iter_mut().zip(with_words) {
        *a = word(u64::from_ne_bytes(*a), u64::from_ne_bytes(*b)).to_ne_bytes();
    }
    for (a, b) in into_rest.iter_mut().zip(with_rest) {
        [*a, ..] = word(u64::from(*a), u64::from(*b)).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn bit(bytes: &[u8], at: u64) -> bool {
        bytes[(at / 8) as usize] >> (7 - at % 8) & 1 == 1
    }

    proptest! {
        #[test]
        fn words_say_the_same_as_bits(
            bytes in prop::collection::vec(
                prop_oneof![Just(0u8), Just(255u8), any::<u8>()], 1..70),
            ends in any::<[u64; 2]>(),
        ) {
            let bits = bytes.len() as u64 * 8;
            let (first, last) = (ends[0] % bits, ends[1] % bits);
            prop_assume!(first <= last);
            let ones = (first..=last).filter(|at| bit(&bytes, *at)).count() as u64;
            prop_assert_eq!(count_between(&bytes, first, last), ones);
            for wanted in [false, true] {
                let found = (first..=last).find(|at| bit(&bytes, *at) == wanted);
                prop_assert_eq!(find_between(&bytes, wanted, first, last), found);
            }
        }

        #[test]
        fn words_combine_as_bytes_do(
            a in prop::collection::vec(any::<u8>(), 0..40),
            b in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut into = a.clone();
            combine(&mut into, &b, |a, b| a ^ b);
            let bytewise: Vec<u8> = (0..a.len())
                .map(|at| a[at] ^ b.get(at).copied().unwrap_or(0))
                .collect();
            prop_assert_eq!(into, bytewise);
        }
    }
}
