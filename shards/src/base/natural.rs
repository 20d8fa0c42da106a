//! Natural numbers of any size, for reading and printing long doubles exactly.

use crate::base::number::{DIGITS_MAX, format_u64, write_u64};
use alloc::vec;
use alloc::vec::Vec;

/// A natural number: 64 bits per limb, the lowest first, the highest not zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Natural {
    limbs: Vec<u64>,
}

/// The top of a large number: `significand * 2^exponent`, and whether it is more than that. With
/// `more`, the significand has 66 bits or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Top {
    pub(super) significand: u128,
    pub(super) exponent: i32,
    pub(super) more: bool,
}

/// The largest power of ten in a limb, and its digits.
const TEN_POWER: u64 = 10u64.pow(TEN_POWER_DIGITS);
const TEN_POWER_DIGITS: u32 = 19;
/// The largest power of five in a limb.
const FIVE_POWER: u64 = 5u64.pow(FIVE_POWER_EXPONENT);
const FIVE_POWER_EXPONENT: u32 = 27;

/// 5^`exponent`.
pub(super) fn power_of_five(exponent: u32) -> Natural {
    let mut power = Natural::from(5u64.pow(exponent % FIVE_POWER_EXPONENT));
    for _ in 0..exponent / FIVE_POWER_EXPONENT {
        power.multiply_add(FIVE_POWER, 0);
    }
    power
}

impl From<u64> for Natural {
    fn from(number: u64) -> Self {
        Self { limbs: if number == 0 { Vec::new() } else { vec![number] } }
    }
}

impl Natural {
    /// The number with these decimal digits, most significant first.
    pub(super) fn from_digits(digits: impl Iterator<Item = u8>) -> Self {
        let mut number = Self::from(0);
        let (mut chunk, mut scale) = (0, 1);
        for digit in digits {
            chunk = chunk * 10 + u64::from(digit);
            scale *= 10;
            if scale == TEN_POWER {
                number.multiply_add(scale, chunk);
                (chunk, scale) = (0, 1);
            }
        }
        number.multiply_add(scale, chunk);
        number
    }

    /// Makes it `self * factor + term`.
    fn multiply_add(&mut self, factor: u64, term: u64) {
        let mut carry = term;
        for limb in &mut self.limbs {
            let product = u128::from(*limb) * u128::from(factor) + u128::from(carry);
            (carry, *limb) = halves(product);
        }
        if carry != 0 {
            self.limbs.push(carry);
        }
    }

    /// `self * other`.
    pub(super) fn multiply(&self, other: &Self) -> Self {
        let mut limbs = vec![0; self.limbs.len() + other.limbs.len()];
        for (start, factor) in self.limbs.iter().enumerate() {
            let mut carry = 0;
            for (limb, other) in limbs[start..].iter_mut().zip(&other.limbs) {
                let product = u128::from(*factor) * u128::from(*other);
                (carry, *limb) = halves(product + u128::from(*limb) + u128::from(carry));
            }
            limbs[start + other.limbs.len()] = carry;
        }
        let mut product = Self { limbs };
        product.trim();
        product
    }

    /// Makes it `self * 2^bits`.
    pub(super) fn shift_left(&mut self, bits: u32) {
        self.multiply_add(1 << (bits % u64::BITS), 0);
        if !self.limbs.is_empty() {
            let limbs = (bits / u64::BITS) as usize;
            self.limbs.splice(0..0, core::iter::repeat_n(0, limbs));
        }
    }

    /// The top of `self / divisor`, neither of which may be zero.
    pub(super) fn divide(mut self, divisor: &Self) -> Top {
        // Both are moved so that the quotient has 67 or 68 bits; it is then found bit by bit,
        // which costs 68 subtractions.
        let mut divisor = divisor.clone();
        let shift = 67 - (self.bits() - divisor.bits());
        if 0 <= shift {
            self.shift_left(shift.unsigned_abs());
        } else {
            divisor.shift_left(shift.unsigned_abs());
        }
        divisor.shift_left(68);
        let mut significand = 0u128;
        for _ in 0..68 {
            // Doubling what remains is the same as halving the divisor, and grows nothing.
            self.shift_left(1);
            significand <<= 1;
            if self.subtract_if_not_less(&divisor) {
                significand |= 1;
            }
        }
        Top { significand, exponent: -shift, more: !self.limbs.is_empty() }
    }

    /// Makes it `self - other` unless that is below zero; says whether it did.
    fn subtract_if_not_less(&mut self, other: &Self) -> bool {
        let order = self.limbs.len().cmp(&other.limbs.len());
        if order.then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev())).is_lt() {
            return false;
        }
        let mut borrow = false;
        for (at, limb) in self.limbs.iter_mut().enumerate() {
            let other = other.limbs.get(at).copied().unwrap_or(0);
            (*limb, borrow) = limb.borrowing_sub(other, borrow);
        }
        assert!(!borrow, "only a number that is not larger is subtracted");
        self.trim();
        true
    }

    /// Its first 128 bits.
    pub(super) fn top(&self) -> Top {
        let bits = self.bits();
        let drop = (bits - 128).max(0).unsigned_abs();
        let (limb, shift) = ((drop / u64::BITS) as usize, drop % u64::BITS);
        let at = |index: usize| u128::from(self.limbs.get(index).copied().unwrap_or(0));
        let low = at(limb) | at(limb + 1) << 64;
        let high = if shift == 0 { 0 } else { at(limb + 2) << (128 - shift) };
        let significand = low >> shift | high;
        let more = self.limbs.iter().take(limb).any(|limb| *limb != 0)
            || at(limb) & ((1 << shift) - 1) != 0;
        Top { significand, exponent: drop.cast_signed(), more }
    }

    /// How many bits it takes.
    fn bits(&self) -> i32 {
        let Some(last) = self.limbs.last() else { return 0 };
        let below = i32::try_from(self.limbs.len() - 1).expect("numbers here have 40,000 bits");
        below * 64 + (64 - last.leading_zeros()).cast_signed()
    }

    /// Appends it in decimal.
    pub(super) fn write(mut self, out: &mut Vec<u8>) {
        let mut chunks = Vec::new();
        while !self.limbs.is_empty() {
            let mut rest = 0;
            for limb in self.limbs.iter_mut().rev() {
                let dividend = u128::from(rest) << 64 | u128::from(*limb);
                *limb = halves(dividend / u128::from(TEN_POWER)).1;
                rest = halves(dividend % u128::from(TEN_POWER)).1;
            }
            self.trim();
            chunks.push(rest);
        }
        write_u64(out, chunks.pop().unwrap_or(0));
        for chunk in chunks.into_iter().rev() {
            let mut text = [0; DIGITS_MAX];
            let digits = format_u64(&mut text, chunk);
            out.extend(core::iter::repeat_n(b'0', TEN_POWER_DIGITS as usize - digits.len()));
            out.extend_from_slice(digits);
        }
    }

    /// Restores that the highest limb is not zero.
    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }
}

/// The upper and the lower half.
fn halves(number: u128) -> (u64, u64) {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
    ((number >> 64) as u64, number as u64)
}
