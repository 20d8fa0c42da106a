//! The 80-bit floats in which INCRBYFLOAT computes, so that sums print as Valkey prints them.
//!
//! A number is `mantissa * 2^exponent`. The mantissa has its top bit set, unless the number is
//! zero or so small that the exponent is at its lower end. No processor is asked: the same text
//! comes out on every machine.

use crate::base::natural::{Natural, power_of_five};
use crate::base::number::write_u64;
use alloc::vec::Vec;

/// A number, an infinity or what their difference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongDouble {
    /// `mantissa * 2^exponent`, negated if so.
    Finite {
        /// Whether it is below zero.
        negative: bool,
        /// 64 bits.
        mantissa: u64,
        /// From -16445 to 16320.
        exponent: i32,
    },
    /// Too large, or infinite from the beginning.
    Infinite {
        /// Whether it is below zero.
        negative: bool,
    },
    /// The sum of two opposite infinities.
    NotANumber,
}

/// The exponent of the smallest number above zero.
const EXPONENT_MIN: i32 = -16445;
/// The exponent of the largest number.
const EXPONENT_MAX: i32 = 16320;
/// Texts are shorter than this, as in Valkey; it bounds the work below.
const TEXT_BYTES_MAX: usize = 5 * 1024;
/// No number of more than this many digits before the point is finite.
const WHOLE_DIGITS_MAX: i64 = 4933;
/// No number that begins further than this behind the point is above zero.
const LEADING_ZEROS_MAX: i64 = 4951;
/// So many digits fit 64 bits,
const SHORT_DIGITS_MAX: i64 = 19;
/// and 128 bits divided by so many fives have 66 left.
const SHORT_FIVES_MAX: u32 = 26;
/// How many digits behind the point are printed.
const DECIMALS: u32 = 17;
const TEN_TO_DECIMALS: u128 = 10u128.pow(DECIMALS);

impl LongDouble {
    /// The number `text` spells: decimal, hexadecimal as in C, or an infinity. A finite text that
    /// is too large, or rounds to zero without being zero, is refused, and so is anything besides
    /// the number, even a space.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if TEXT_BYTES_MAX <= text.len() {
            return None;
        }
        let (negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] | digits => (false, digits),
        };
        if digits.eq_ignore_ascii_case(b"inf") || digits.eq_ignore_ascii_case(b"infinity") {
            return Some(Self::Infinite { negative });
        }
        let (number, is_zero) = match digits {
            [b'0', b'x' | b'X', digits @ ..] => {
                let written = Written::read(digits, 16)?;
                (written.hexadecimal(negative), written.is_zero())
            }
            digits => {
                let written = Written::read(digits, 10)?;
                (written.decimal(negative), written.is_zero())
            }
        };
        match number {
            Self::Finite { mantissa, .. } if mantissa != 0 || is_zero => Some(number),
            Self::Finite { .. } | Self::Infinite { .. } | Self::NotANumber => None,
        }
    }

    /// Whether it is a number that can be stored.
    pub fn is_finite(self) -> bool {
        matches!(self, Self::Finite { .. })
    }

    /// A thousand times the number, rounded to a long double and then up to a whole one; the
    /// nearest that 64 bits hold if it is beyond them.
    pub fn thousandfold_up(self) -> i64 {
        let number = match self {
            Self::Finite { negative, mantissa, exponent } => {
                round(negative, u128::from(mantissa) * 1000, exponent, false)
            }
            Self::Infinite { .. } | Self::NotANumber => self,
        };
        match number {
            Self::Finite { negative, mantissa, exponent: exponent @ ..0 } => {
                let places = exponent.unsigned_abs();
                let whole = mantissa.checked_shr(places).unwrap_or(0);
                let rest = whole.checked_shl(places).unwrap_or(0) != mantissa;
                let up = u64::from(rest && !negative);
                let whole = i64::try_from(whole + up).unwrap_or(i64::MAX);
                if negative { -whole } else { whole }
            }
            Self::Finite { mantissa: 0, .. } => 0,
            Self::Finite { negative: true, .. } | Self::Infinite { negative: true } => i64::MIN,
            Self::Finite { .. } | Self::Infinite { .. } | Self::NotANumber => i64::MAX,
        }
    }

    /// Appends the number with 17 decimals, rounded, without the zeros at its end. It must be
    /// finite.
    pub fn write(self, out: &mut Vec<u8>) {
        let Self::Finite { negative, mantissa, exponent } = self else {
            panic!("only finite numbers are stored");
        };
        let (whole, decimals) = if exponent < 0 {
            split(mantissa, exponent.unsigned_abs())
        } else {
            (u128::from(mantissa), 0)
        };
        if negative && (whole, decimals) != (0, 0) {
            out.push(b'-'); // A zero has no sign, nor what is rounded to one.
        }
        match u32::try_from(exponent) {
            Ok(exponent @ 1..) => {
                let mut whole = Natural::from(mantissa);
                whole.shift_left(exponent);
                whole.write(out);
            }
            _ => write_u64(out, u64::try_from(whole).expect("a mantissa has 64 bits")),
        }
        if decimals != 0 {
            out.push(b'.');
            let start = out.len();
            // A leading one keeps the zeros behind the point; its place is the point's.
            write_u64(out, u64::try_from(TEN_TO_DECIMALS + decimals).expect("18 digits"));
            out.remove(start);
            while out.last() == Some(&b'0') {
                out.pop();
            }
        }
    }
}

impl core::ops::Add for LongDouble {
    type Output = Self;

    /// The sum, rounded once, to the nearest, ties to even.
    fn add(self, other: Self) -> Self {
        match (self, other) {
            (
                Self::Finite { negative, mantissa, exponent },
                Self::Finite {
                    negative: other_negative,
                    mantissa: other,
                    exponent: other_exponent,
                },
            ) => {
                let left = Term { negative, mantissa, exponent };
                let right =
                    Term { negative: other_negative, mantissa: other, exponent: other_exponent };
                if left.exponent < right.exponent { sum(right, left) } else { sum(left, right) }
            }
            (Self::NotANumber, _) | (_, Self::NotANumber) => Self::NotANumber,
            (Self::Infinite { negative }, Self::Infinite { negative: other }) => {
                if negative == other { self } else { Self::NotANumber }
            }
            (Self::Infinite { .. }, Self::Finite { .. }) => self,
            (Self::Finite { .. }, Self::Infinite { .. }) => other,
        }
    }
}

/// One side of a sum.
struct Term {
    negative: bool,
    mantissa: u64,
    exponent: i32,
}

/// The sum of two terms, the first of which has the larger exponent.
fn sum(large: Term, small: Term) -> LongDouble {
    // 63 bits are kept below the mantissa. What falls out of them lies so far below that it only
    // says whether the result is exact: the sum loses one bit of its 127 at most by cancelling
    // if any bit fell out, since then the exponents are far apart.
    const KEPT: u32 = 63;
    let left = u128::from(large.mantissa) << KEPT;
    let aligned = u128::from(small.mantissa) << KEPT;
    let distance = large.exponent.abs_diff(small.exponent);
    let right = aligned.checked_shr(distance).unwrap_or(0);
    let lost = right.checked_shl(distance).unwrap_or(0) != aligned;
    let exponent = large.exponent - KEPT.cast_signed();
    if large.negative == small.negative {
        return round(large.negative, left + right, exponent, lost);
    }
    if left == right && !lost {
        return LongDouble::Finite { negative: false, mantissa: 0, exponent: EXPONENT_MIN };
    }
    if left < right {
        round(small.negative, right - left, exponent, lost)
    } else {
        // What was lost is subtracted too: the result is a little more than this.
        round(large.negative, left - right - u128::from(lost), exponent, lost)
    }
}

/// The representable number nearest to `significand * 2^exponent`, plus a little if `more`. With
/// `more`, the significand must have 66 bits at least.
fn round(negative: bool, significand: u128, exponent: i32, more: bool) -> LongDouble {
    if significand == 0 {
        return LongDouble::Finite { negative, mantissa: 0, exponent: EXPONENT_MIN };
    }
    let bits = (u128::BITS - significand.leading_zeros()).cast_signed();
    // How many bits go: what exceeds 64, and what lies below the smallest exponent. If negative,
    // the mantissa is moved up to its normal form.
    let drop = (bits - 64).max(EXPONENT_MIN.saturating_sub(exponent));
    let exponent = exponent.saturating_add(drop);
    if drop <= 0 {
        let mantissa = u64::try_from(significand << drop.unsigned_abs()).expect("64 bits are left");
        return normal(negative, mantissa, exponent);
    }
    let drop = drop.unsigned_abs();
    let kept = significand.checked_shr(drop).unwrap_or(0);
    let half = 1u128.checked_shl(drop - 1).unwrap_or(0);
    let rest = significand ^ kept.checked_shl(drop).unwrap_or(0);
    // With `half` beyond all bits, the rest lies below it.
    let up = half != 0 && (half < rest || (half == rest && (more || kept & 1 == 1)));
    match u64::try_from(kept + u128::from(up)) {
        Ok(mantissa) => normal(negative, mantissa, exponent),
        Err(_) => normal(negative, 1 << 63, exponent + 1),
    }
}

/// The number, unless it is out of range.
fn normal(negative: bool, mantissa: u64, exponent: i32) -> LongDouble {
    if EXPONENT_MAX < exponent {
        LongDouble::Infinite { negative }
    } else {
        LongDouble::Finite { negative, mantissa, exponent }
    }
}

/// The whole part of `mantissa / 2^places`, and 17 decimals, rounded to the nearest, ties to even.
fn split(mantissa: u64, places: u32) -> (u128, u128) {
    // Below 2^-64 nothing is left in 17 decimals; so all fits 128 bits.
    if 127 < places {
        return (0, 0);
    }
    let mantissa = u128::from(mantissa);
    let whole = mantissa >> places;
    let scaled = (mantissa ^ (whole << places)) * TEN_TO_DECIMALS;
    let decimals = scaled >> places;
    let rest = scaled ^ (decimals << places);
    let half = 1 << (places - 1);
    let up = half < rest || (half == rest && decimals & 1 == 1);
    match decimals + u128::from(up) {
        TEN_TO_DECIMALS => (whole + 1, 0),
        decimals => (whole, decimals),
    }
}

/// A number as it was written: the digits around its point, and an exponent.
struct Written<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Written<'a> {
    /// Reads digits of `base` 10 or 16; nothing may follow.
    fn read(text: &'a [u8], base: u32) -> Option<Self> {
        let is_digit = |byte: &u8| char::from(*byte).is_digit(base);
        let digits = |text: &'a [u8]| {
            text.split_at(text.iter().position(|byte| !is_digit(byte)).unwrap_or(text.len()))
        };
        let (whole, rest) = digits(text);
        let (fraction, rest) = match rest {
            [b'.', rest @ ..] => digits(rest),
            rest => (&b""[..], rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let exponent = match rest {
            [] => 0,
            [b'e' | b'E', rest @ ..] if base == 10 => read_exponent(rest)?,
            [b'p' | b'P', rest @ ..] if base == 16 => read_exponent(rest)?,
            _ => return None,
        };
        let zeros = whole.iter().take_while(|byte| **byte == b'0').count();
        Some(Self { whole: &whole[zeros..], fraction, exponent })
    }

    fn is_zero(&self) -> bool {
        self.digits().all(|digit| digit == 0)
    }

    /// All digits, most significant first.
    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.iter().chain(self.fraction).map(|byte| match byte {
            b'0'..=b'9' => byte - b'0',
            byte => (byte | 0x20).wrapping_sub(b'a').wrapping_add(10),
        })
    }

    fn hexadecimal(&self, negative: bool) -> LongDouble {
        let places = 4 * self.fraction.len() as i64;
        let mut significand = 0u128;
        let mut exponent = self.exponent.saturating_sub(places);
        let mut more = false;
        for digit in self.digits() {
            if significand >> 124 == 0 {
                significand = significand << 4 | u128::from(digit);
            } else {
                more |= digit != 0;
                exponent = exponent.saturating_add(4);
            }
        }
        round(negative, significand, clamped(exponent), more)
    }

    fn decimal(&self, negative: bool) -> LongDouble {
        let places = self.fraction.len() as i64;
        let leading_zeros = self.digits().take_while(|digit| *digit == 0).count() as i64;
        let significant = self.whole.len() as i64 + places - leading_zeros;
        // Where the point stands from the first digit that is not zero: 0.1 * 10^point at least.
        let point = self.exponent.saturating_add(significant - places);
        if significant == 0 || point < -LEADING_ZEROS_MAX {
            return round(negative, 0, 0, false);
        }
        if WHOLE_DIGITS_MAX < point {
            return LongDouble::Infinite { negative };
        }
        let scale = self.exponent - places;
        // digits * 10^scale = digits * 5^scale * 2^scale, and the twos go to the exponent.
        let exponent = i32::try_from(scale).expect("bounded by the point");
        let fives = exponent.unsigned_abs();
        if significant <= SHORT_DIGITS_MAX && scale <= 0 && fives <= SHORT_FIVES_MAX {
            return self.short_decimal(negative, exponent);
        }
        let five = power_of_five(fives);
        let digits = Natural::from_digits(self.digits());
        if scale < 0 {
            let quotient = digits.divide(&five);
            round(negative, quotient.significand, exponent + quotient.exponent, quotient.more)
        } else {
            let top = digits.multiply(&five).top();
            round(negative, top.significand, exponent + top.exponent, top.more)
        }
    }

    /// What people write: few digits, most of them before the point. 128 bits do.
    fn short_decimal(&self, negative: bool, exponent: i32) -> LongDouble {
        let digits = self.digits().fold(0, |digits, digit| digits * 10 + u128::from(digit));
        let shift = digits.leading_zeros();
        let five = 5u128.pow(exponent.unsigned_abs());
        let (scaled, exponent) = (digits << shift, exponent - shift.cast_signed());
        round(negative, scaled / five, exponent, scaled % five != 0)
    }
}

/// The exponent after `e` or `p`: a sign and at least one digit. What is out of all bounds stays
/// so.
fn read_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude = digits.iter().fold(0i64, |magnitude, byte| {
        magnitude.saturating_mul(10).saturating_add(i64::from(byte - b'0'))
    });
    Some(if negative { -magnitude } else { magnitude })
}

/// An exponent as far as it can matter.
fn clamped(exponent: i64) -> i32 {
    i32::try_from(exponent.clamp(-100_000, 100_000)).expect("clamped")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use proptest::prelude::*;

    /// A value, an increment, and what INCRBYFLOAT of Valkey 9.1.2 made of them.
    const CASES: &[(&str, &str, &str)] = &[
        ("0", "0.1", "0.1"),
        ("0.1", "0.2", "0.3"),
        ("3.0e3", "200", "3200"),
        ("5.0e3", "0", "5000"),
        ("10.50", "0.1", "10.6"),
        ("1", "+1", "2"),
        ("1", "-1", "0"),
        ("1.5", "-1.5", "0"),
        ("-1.5", "1.5", "0"),
        ("1", ".5", "1.5"),
        ("1", "5.", "6"),
        ("1", "1E5", "100001"),
        ("1", "00001", "2"),
        ("0", "-0", "0"),
        ("-0", "-0", "0"),
        ("0", "1e-17", "0.00000000000000001"),
        ("0", "1e-18", "0"),
        ("0", "5e-18", "0"),
        ("0", "5.0000001e-18", "0.00000000000000001"),
        ("0", "-4.9e-18", "0"),
        ("0", "3.814697265625e-6", "0.00000381469726562"),
        ("0", "0x3p-18", "0.00001144409179688"),
        ("0", "0x5p-19", "0.00000953674316406"),
        ("0", "1e-4950", "0"),
        ("0", "1e-4951", "not a float"),
        ("0", "1.8e-4951", "not a float"),
        ("0", "1.9e-4951", "0"),
        ("0", "0x1p-16446", "not a float"),
        ("0", "0x1.8p-16446", "0"),
        ("0.30000000000000004", "0", "0.30000000000000004"),
        ("17179869184", "0.1", "17179869184.09999999962747097"),
        ("9223372036854775807", "1", "9223372036854775808"),
        ("18446744073709551615", "1", "18446744073709551616"),
        ("18446744073709551616", "1", "18446744073709551616"),
        ("18446744073709551616", "-0.5", "18446744073709551616"),
        ("1e20", "0.1", "100000000000000000000"),
        ("123456789012345678901234567890", "0", "123456789012345678899921813504"),
        ("1e300", "-1e300", "0"),
        ("99999999999999999.99999", "0.00001", "100000000000000000"),
        ("0.99999999999999999", "0.00000000000000001", "1"),
        ("0.999999999999999995", "0", "1"),
        ("9.9999999999999999999", "0", "10"),
        ("1", "0x10", "17"),
        ("1", "-0X1.8p1", "-2"),
        ("0x10", "1", "17"),
        ("0", "0x1.", "1"),
        ("0", "0x.8p1", "1"),
        ("0", "0x1.ffffffffffffffff8", "2"),
        ("0", "0x.00000000000000000000000000001p120", "16"),
        ("0", "0e99999999999999999999", "0"),
        ("0", "1e00000000000000000000005", "100000"),
        ("0.1", "1234567890123456789", "1234567890123456789.125"),
        ("-3.14159", "2.71828", "-0.42331"),
        ("1e15", "1e-15", "1000000000000000"),
        ("123456.789", "-123456.788", "0.00100000000000477"),
        ("5e-5", "-4.9999e-5", "0.000000001"),
        ("36893488147419103233", "-1", "36893488147419103232"),
        ("1", "inf", "not finite"),
        ("inf", "1", "not finite"),
        ("inf", "-inf", "not finite"),
        ("1", "-Infinity", "not finite"),
        ("1.18973149535723176502e4932", "1.18973149535723176502e4932", "not finite"),
        ("1e4933", "0", "not a float"),
        ("0", "1e99999999999999999999", "not a float"),
        ("0", "1e-99999999999999999999", "not a float"),
        ("0", "0x1p16384", "not a float"),
        ("1", "nan", "not a float"),
        ("1", "infinit", "not a float"),
        ("1", "", "not a float"),
        ("", "1", "not a float"),
        ("1", ".", "not a float"),
        ("1", "+", "not a float"),
        ("1", "--1", "not a float"),
        ("1", "1e", "not a float"),
        ("1", "1e+", "not a float"),
        ("1", "e5", "not a float"),
        ("1", ".e5", "not a float"),
        ("1", "0x", "not a float"),
        ("1", "0x.p1", "not a float"),
        ("1", "0x1p", "not a float"),
        ("1", " 1", "not a float"),
        ("1", "1 ", "not a float"),
        ("1", "1\0", "not a float"),
        ("1", "1,5", "not a float"),
        ("1", "1_0", "not a float"),
        ("1", "1f", "not a float"),
        ("1", "nan(1)", "not a float"),
    ];

    fn increment(value: &[u8], by: &[u8]) -> String {
        let (Some(value), Some(by)) = (LongDouble::parse(value), LongDouble::parse(by)) else {
            return "not a float".into();
        };
        let sum = value + by;
        if !sum.is_finite() {
            return "not finite".into();
        }
        let mut out = Vec::new();
        sum.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn adds_as_valkey_does() {
        for (value, by, expected) in CASES {
            assert_eq!(increment(value.as_bytes(), by.as_bytes()), *expected, "{value} {by}");
        }
    }

    #[test]
    fn prints_the_largest_number_in_full() {
        let text = increment(b"1.18973149535723176502e4932", b"0");
        assert_eq!(text.len(), 4933);
        assert!(text.starts_with("11897314953572317650212638530309702051690633222946242004403"));
        assert!(text.ends_with("662444156604419552086811989770240"));
    }

    #[test]
    fn a_thousandfold_is_rounded_up() {
        for (text, expected) in [
            ("0", 0),
            ("1", 1000),
            ("0.1", 100),
            ("0.0015", 2),
            ("1e-5", 1),
            ("-0.0001", 0),
            ("-0.0015", -1),
            ("-1", -1000),
            ("1e-4940", 1),
            ("9223372036854775", 9_223_372_036_854_775_000),
            ("9223372036854776", i64::MAX),
            ("1e400", i64::MAX),
            ("inf", i64::MAX),
            ("-inf", i64::MIN),
            ("-1e30", i64::MIN),
        ] {
            let number = LongDouble::parse(text.as_bytes()).unwrap();
            assert_eq!(number.thousandfold_up(), expected, "{text}");
        }
    }

    #[test]
    fn refuses_texts_of_5_kib() {
        let text = |length: usize| "0".repeat(length - 1) + "1";
        assert_eq!(increment(b"1", text(5119).as_bytes()), "2");
        assert_eq!(increment(b"1", text(5120).as_bytes()), "not a float");
    }

    proptest! {
        #[test]
        fn both_ways_to_read_a_decimal_agree(digits in 0..u64::MAX / 2, places in 0u32..26) {
            let short = LongDouble::parse(format!("{digits}e-{places}").as_bytes());
            // Zeros at the end change nothing but the number of digits.
            let zeros = "0".repeat(25);
            let scale = places + 25;
            let long = LongDouble::parse(format!("{digits}{zeros}e-{scale}").as_bytes());
            prop_assert_eq!(short, long);
        }

        #[test]
        fn whole_numbers_are_exact(left in any::<i64>(), right in any::<i64>()) {
            let sum = i128::from(left) + i128::from(right);
            prop_assume!(sum.unsigned_abs() <= u128::from(u64::MAX));
            let text = increment(format!("{left}").as_bytes(), format!("{right}").as_bytes());
            prop_assert_eq!(text, format!("{sum}"));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9a-fx.ep]{0,30}") {
            increment(text.as_bytes(), b"1");
        }
    }
}
