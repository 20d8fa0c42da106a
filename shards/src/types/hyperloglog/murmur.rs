//! MurmurHash64A of Austin Appleby, which he gave to the public, with Valkey's seed.

const SEED: u64 = 0xADC8_3B19;
const MULTIPLIER: u64 = 0xC6A4_A793_5BD1_E995;
const SHIFT: u32 = 47;

/// The hash that chooses a register and its value.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let start = SEED ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = words.iter().fold(start, |hash, word| {
        let mixed = shifted(u64::from_le_bytes(*word).wrapping_mul(MULTIPLIER));
        (hash ^ mixed.wrapping_mul(MULTIPLIER)).wrapping_mul(MULTIPLIER)
    });
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
    }
    shifted(shifted(hash).wrapping_mul(MULTIPLIER))
}

const fn shifted(hash: u64) -> u64 {
    hash ^ hash >> SHIFT
}
