//! Which texts are floats: servers differ in that.

use crate::base::float::parse_f64;

/// Whose texts are taken as floats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spelling {
    /// Those that Valkey takes: see [`parse_f64`].
    #[default]
    Valkey,
    /// Those that Redis takes, too: what C's `strtod` reads to its end. Versions and commands of
    /// Redis refuse some of them; all that take one read the same number.
    Redis,
}

impl Spelling {
    /// The number that a text spells.
    #[inline]
    pub fn read(self, text: &[u8]) -> Option<f64> {
        parse_f64(text).or_else(|| match self {
            Self::Valkey => None,
            Self::Redis => read_as_c(text),
        })
    }
}

/// The number that `strtod` reads, if nothing is left behind it: there may be space in front of it,
/// it may be hexadecimal, nothing is zero, what is too large is infinite and what is too small is
/// zero.
#[cold]
fn read_as_c(text: &[u8]) -> Option<f64> {
    const VERTICAL_TAB: u8 = 11;
    if text.is_empty() {
        return Some(0.0);
    }
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == VERTICAL_TAB;
    let start = text.iter().position(|byte| !is_space(byte))?;
    let number: &[u8] = &text[start..];
    let (is_negative, digits) = match number {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if let [b'0', b'x' | b'X', digits @ ..] = digits {
        let size = hexadecimal(digits)?;
        return Some(if is_negative { -size } else { size });
    }
    let number: f64 = core::str::from_utf8(number).ok()?.parse().ok()?;
    (!number.is_nan()).then_some(number)
}

/// The number of these digits, with a point among them if need be, and a power of two behind.
fn hexadecimal(text: &[u8]) -> Option<f64> {
    let (digits, power) = match text.iter().position(|byte| matches!(byte, b'p' | b'P')) {
        Some(at) => (&text[..at], power(&text[at + 1..])?),
        None => (text, 0),
    };
    let (mut mantissa, mut exponent, mut count, mut has_point) = (0u64, 0i64, 0, false);
    for byte in digits {
        if *byte == b'.' && !has_point {
            has_point = true;
            continue;
        }
        let digit = char::from(*byte).to_digit(16)?;
        count += 1;
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | u64::from(digit);
            exponent -= 4 * i64::from(has_point);
        } else {
            // Of those that have no room it matters only whether one is not zero.
            mantissa |= u64::from(digit != 0);
            exponent += 4 * i64::from(!has_point);
        }
    }
    (0 < count).then(|| rounded(mantissa, exponent.saturating_add(power)))
}

/// A power of two; one with more digits than can matter is a very large or small one.
fn power(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] | digits => (1, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add =
        |size: i64, digit: &u8| size.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
    Some(sign * digits.iter().fold(0, add))
}

/// The float nearest to `mantissa * 2^exponent`; the even one of two that are as near.
fn rounded(mantissa: u64, exponent: i64) -> f64 {
    /// Bits of a float, and the exponents of the smallest and of the largest with all of them.
    const BITS: i64 = 53;
    const LOWEST: i64 = -1022;
    const HIGHEST: i64 = 1023;
    if mantissa == 0 {
        return 0.0;
    }
    let shift = mantissa.leading_zeros();
    let mantissa = u128::from(mantissa << shift);
    let exponent = exponent.saturating_sub(i64::from(shift));
    let top = exponent.saturating_add(63);
    if HIGHEST < top {
        return f64::INFINITY;
    }
    let bits = if top < LOWEST { BITS - LOWEST.saturating_sub(top).min(2 * BITS) } else { BITS };
    let Ok(dropped @ ..=65) = u32::try_from(64 - bits) else { return 0.0 };
    let (kept, rest, half) =
        (mantissa >> dropped, mantissa & ((1 << dropped) - 1), 1u128 << (dropped - 1));
    let up = half < rest || half == rest && kept & 1 == 1;
    let kept = kept + u128::from(up);
    let power = i32::try_from(exponent + i64::from(dropped)).expect("it is near what floats have");
    // Exact: there are no more bits than the float has.
    libm::scalbn(kept as f64, power)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use alloc::format;

    /// Texts, and what a Redis 8.0 or 7.0 takes them for as a score, a bound or an element to sort.
    #[test]
    fn a_redis_takes_more_texts_than_a_valkey() {
        for (text, expected) in [
            ("", Some(0.0)),
            (" 1", Some(1.0)),
            ("\t\n\u{b}\u{c}\r2", Some(2.0)),
            ("1e400", Some(f64::INFINITY)),
            ("-1e400", Some(f64::NEG_INFINITY)),
            ("1e-400", Some(0.0)),
            ("0x10", Some(16.0)),
            ("-0X1.8p1", Some(-3.0)),
            ("+0x.8P-1", Some(0.25)),
            ("0x1.p+3", Some(8.0)),
            (" ", None),
            ("1 ", None),
            ("0x", None),
            ("0x.", None),
            ("0x1p", None),
            ("0x1.2.3", None),
            ("0x-1", None),
            ("0xg", None),
            ("nan", None),
            (" -nan", None),
            ("1e", None),
            ("++1", None),
            ("x", None),
        ] {
            assert_eq!(Spelling::Redis.read(text.as_bytes()), expected, "{text:?}");
            assert_eq!(Spelling::Valkey.read(text.as_bytes()), None, "{text:?}");
        }
        for (text, expected) in [("1.5", Some(1.5)), ("inf", Some(f64::INFINITY)), ("1e", None)] {
            for spelling in [Spelling::Valkey, Spelling::Redis] {
                assert_eq!(spelling.read(text.as_bytes()), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn hexadecimal_numbers_are_rounded_once() {
        for (text, expected) in [
            ("0x1.fffffffffffff8p0", 2.0),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.0000000000000800000000001p0", 1.0 + f64::EPSILON),
            ("0x1.00000000000018p0", 1.0 + 2.0 * f64::EPSILON),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("0x1.fffffffffffff8p1023", f64::INFINITY),
            ("0x1p99999999999999999999", f64::INFINITY),
            ("0x1p-99999999999999999999", 0.0),
            ("0x1p-1074", f64::from_bits(1)),
            ("0x1p-1075", 0.0),
            ("0x1.8p-1075", f64::from_bits(1)),
            ("0x1.8p-1074", f64::from_bits(2)),
            ("0x.00000000000000000000000000001p116", 1.0),
            ("0x100000000000000000000000000000p-116", 1.0),
            ("0x0p5", 0.0),
        ] {
            assert_eq!(read_as_c(text.as_bytes()), Some(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_bits_of_a_float_come_back(bits: u64) {
            let number = f64::from_bits(bits & !(1 << 63));
            prop_assume!(number.is_finite());
            let (fraction, exponent) = (bits & ((1 << 52) - 1), bits >> 52 & 0x7ff);
            let text = match exponent {
                0 => format!("0x0.{fraction:013x}p-1022"),
                _ => format!("0x1.{fraction:013x}p{}", exponent as i64 - 1023),
            };
            prop_assert_eq!(read_as_c(text.as_bytes()), Some(number), "{}", text);
        }
    }
}
