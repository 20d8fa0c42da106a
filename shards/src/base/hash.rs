//! The seeded hash of keys: folded 64 x 64 -> 128 bit multiplications over 16-byte steps, in the
//! manner of wyhash. Not a message authentication code: the seed is secret and made at start.

use crate::base::slot::Slot;

/// The secret that makes a keyspace's hash its own. The same in all shards of a process.
#[derive(Clone, Copy, Debug)]
pub struct HashSeed(pub u64);

/// Odd numbers with as many ones as zeros in each byte, as the multiplication wants them.
const MIX: [u64; 3] = [0xA076_1D64_78BD_642F, 0xE703_7ED1_A0B4_28DB, 0x8EBC_6AF0_9C88_C6E3];

impl HashSeed {
    /// A 64-bit hash of `bytes`.
    #[inline]
    pub fn hash(self, bytes: &[u8]) -> u64 {
        let mut state = self.0 ^ MIX[0];
        let length = bytes.len();
        let (low, high) = if 16 < length {
            let mut rest = bytes;
            while 16 < rest.len() {
                state = fold(read8(rest, 0) ^ MIX[1], read8(rest, 8) ^ state);
                rest = &rest[16..];
            }
            (read8(bytes, length - 16), read8(bytes, length - 8))
        } else if 8 <= length {
            (read8(bytes, 0), read8(bytes, length - 8))
        } else if 4 <= length {
            (read4(bytes, 0), read4(bytes, length - 4))
        } else if 0 < length {
            let middle = u64::from(bytes[length / 2]);
            (u64::from(bytes[0]) << 16 | middle << 8 | u64::from(bytes[length - 1]), 0)
        } else {
            (0, 0)
        };
        fold(MIX[1] ^ length as u64, fold(low ^ MIX[2], high ^ state))
    }

    /// The hash under which the keyspace files `key`: its slot in the top 14 bits, 50 bits of
    /// [`Self::hash`] below. Hash order is therefore slot order.
    #[inline]
    pub fn key_hash(self, key: &[u8]) -> u64 {
        u64::from(Slot::of(key).number()) << 50 | self.hash(key) >> 14
    }

    /// The hash under which a collection files a member or a field. All of its bits are well
    /// mixed: a table's directories go by the top ones.
    #[inline]
    pub fn member_hash(self, bytes: &[u8]) -> u64 {
        self.hash(bytes)
    }
}

/// The slot that a key hash made by [`HashSeed::key_hash`] carries.
#[inline]
pub fn slot_of_hash(hash: u64) -> Slot {
    Slot::new((hash >> 50) as u16).expect("14 bits are a slot")
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves of the product are used")]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

#[inline]
fn read8(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("eight bytes are left"))
}

#[inline]
fn read4(bytes: &[u8], at: usize) -> u64 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("four bytes are left")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_the_length_count() {
        let seed = HashSeed(7);
        for length in 0..70usize {
            let mut bytes = alloc::vec![0u8; length];
            let plain = seed.hash(&bytes);
            for at in 0..length {
                bytes[at] = 1;
                assert_ne!(seed.hash(&bytes), plain, "byte {at} of {length} is ignored");
                bytes[at] = 0;
            }
            bytes.push(0);
            assert_ne!(seed.hash(&bytes), plain, "length {length} is ignored");
        }
    }

    #[test]
    fn spreads_counters_evenly() {
        let seed = HashSeed(1);
        let mut buckets = [0u32; 256];
        for number in 0..65536u32 {
            let key = alloc::format!("key:{number:012}");
            buckets[(seed.hash(key.as_bytes()) & 255) as usize] += 1;
        }
        assert!(buckets.iter().all(|&n| (150..370).contains(&n)), "{buckets:?}");
    }

    #[test]
    fn the_top_bits_of_member_hashes_are_spread_evenly() {
        let seed = HashSeed(1);
        for shift in [56, 50, 40] {
            let mut buckets = [0u32; 256];
            for number in 0..65536u32 {
                let member = alloc::format!("{number}");
                let bits = seed.member_hash(member.as_bytes()) >> shift & 255;
                buckets[usize::try_from(bits).unwrap()] += 1;
            }
            assert!(buckets.iter().all(|&n| (150..370).contains(&n)), "{buckets:?}");
        }
    }

    #[test]
    fn key_hash_starts_with_the_slot() {
        let hash = HashSeed(3).key_hash(b"{tag}x");
        assert_eq!(slot_of_hash(hash), Slot::of(b"tag"));
    }
}
