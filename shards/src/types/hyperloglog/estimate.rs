//! From registers to a number: the estimator of Otmar Ertl (New cardinality estimation algorithms
//! for HyperLogLog sketches, 2017), in the order of operations in which Valkey does it.

use super::{INDEX_BITS, REGISTERS};
use crate::base::float::{round, sqrt};

/// Values that six bits can have.
const VALUES: usize = 64;
/// The highest value that a hash can give.
const VALUE_MAX: usize = (u64::BITS - INDEX_BITS) as usize + 1;
/// 1 / (2 ln 2)
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// How many registers have each value.
#[derive(Debug)]
pub(super) struct Counts([u32; VALUES]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; VALUES])
    }
}

impl Counts {
    #[inline]
    pub(super) fn add(&mut self, value: u8, registers: usize) {
        self.0[usize::from(value)] += u32::try_from(registers).expect("there are 16384");
    }

    /// About how many different elements there were.
    pub(super) fn estimate(&self) -> u64 {
        let all = REGISTERS as f64;
        let count = |value: usize| f64::from(self.0[value]);
        let mut z = all * tau((all - count(VALUE_MAX)) / all);
        for value in (1..VALUE_MAX).rev() {
            z += count(value);
            z *= 0.5;
        }
        z += all * sigma(count(0) / all);
        let estimate = round(ALPHA * all * all / z);
        // Registers that no hash can have give nonsense, the same as there.
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^63")]
        if estimate < OUT_OF_RANGE { estimate as u64 } else { 1 << 63 }
    }
}

/// 2^63
const OUT_OF_RANGE: f64 = 9_223_372_036_854_775_808.0;

/// x + the sum of x^(2^k) * 2^(k-1) for k from 1 on.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        let before = z;
        x *= x;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// A third of 1 - x - the sum of (1 - x^(2^-k))^2 * 2^-k for k from 1 on.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        let before = z;
        x = sqrt(x);
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}
