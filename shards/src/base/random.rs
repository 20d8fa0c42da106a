//! Chance from a seed: the same seed gives the same run.

/// A small fast generator (xoshiro-like quality is not needed: SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts from a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits (SplitMix64, Steele, Lea and Flood 2014).
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which must not be 0.
    #[inline]
    pub fn below(&mut self, limit: u64) -> u64 {
        assert!(0 < limit, "there is a number below the limit");
        ((u128::from(self.bits()) * u128::from(limit)) >> 64) as u64
    }
}
