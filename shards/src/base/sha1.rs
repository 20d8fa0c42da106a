//! SHA-1 (FIPS 180-4), where the protocol asks for it: scripts' names, DEBUG DIGEST. Nothing here
//! relies on it being secure.

/// Bytes of a digest.
pub const DIGEST_BYTES: usize = 20;

const BLOCK_BYTES: usize = 64;

/// The SHA-1 of `bytes`.
pub fn sha1(bytes: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut state = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
    let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
    for block in blocks {
        state = absorbed(state, block);
    }
    // A one bit, zeros, and the length in bits at the end of a block.
    let mut last = [0; 2 * BLOCK_BYTES];
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 0x80;
    let end = if rest.len() + 9 <= BLOCK_BYTES { BLOCK_BYTES } else { 2 * BLOCK_BYTES };
    let bits = (bytes.len() as u64).wrapping_mul(8);
    last[end - 8..end].copy_from_slice(&bits.to_be_bytes());
    for block in last[..end].as_chunks::<BLOCK_BYTES>().0 {
        state = absorbed(state, block);
    }
    let mut digest = [0; DIGEST_BYTES];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

/// The state after one more block.
fn absorbed(state: [u32; 5], block: &[u8; BLOCK_BYTES]) -> [u32; 5] {
    let mut words = [0; 80];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    for at in 16..words.len() {
        let mixed = words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16];
        words[at] = mixed.rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = state;
    for (at, word) in words.into_iter().enumerate() {
        let (choice, constant) = match at / 20 {
            0 => ((b & c) | (!b & d), 0x5A82_7999),
            1 => (b ^ c ^ d, 0x6ED9_EBA1),
            2 => ((b & c) | (b & d) | (c & d), 0x8F1B_BCDC),
            _ => (b ^ c ^ d, 0xCA62_C1D6),
        };
        let sum = [a.rotate_left(5), choice, e, constant, word].into_iter();
        (a, b, c, d, e) = (sum.fold(0, u32::wrapping_add), a, b.rotate_left(30), c, d);
    }
    let [s0, s1, s2, s3, s4] = state;
    [
        s0.wrapping_add(a),
        s1.wrapping_add(b),
        s2.wrapping_add(c),
        s3.wrapping_add(d),
        s4.wrapping_add(e),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &str) {
        let hex: alloc::string::String =
            sha1(bytes).iter().map(|byte| alloc::format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
    }

    #[test]
    fn matches_the_standard() {
        check(b"", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        check(b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
        check(
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
        );
        check(&[b'a'; 1_000_000], "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    }

    #[test]
    fn every_length_around_a_block_ends_right() {
        // The two ends of the padding rule: the length fits the last block, or needs another.
        check(&[b'a'; 55], "c1c8bbdc22796e28c0e15163d20899b65621d65a");
        check(&[b'a'; 56], "c2db330f6083854c99d4b5bfb6e8f29f201be699");
        check(&[b'a'; 64], "0098ba824b5c16427bd7a1122a5a442a25ec644d");
    }
}
