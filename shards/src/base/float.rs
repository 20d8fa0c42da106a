//! 64-bit floats as text, as Valkey reads and prints them.

use crate::base::grisu;
use core::fmt::Write as _;

use crate::base::number::{DIGITS_MAX, format_i64, parse_i64};

/// The number `text` spells, or an infinity if it spells that. A text that is too large, or
/// rounds to zero without being zero, is refused, and so is anything besides the number, even a
/// space. There is no hexadecimal here, unlike in [`LongDouble`].
///
/// [`LongDouble`]: crate::base::long_double::LongDouble
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    // `str::parse` takes what Valkey takes, and also NaN and what is out of range.
    let number: f64 = core::str::from_utf8(text).ok()?.parse().ok()?;
    if number.is_finite() && number != 0.0 {
        return Some(number);
    }
    let mantissa = text.split(|byte| matches!(byte, b'e' | b'E')).next().unwrap_or(text);
    let fits = if number == 0.0 {
        !mantissa.iter().any(|byte| matches!(byte, b'1'..=b'9'))
    } else {
        number.is_infinite() && !text.iter().any(u8::is_ascii_digit)
    };
    fits.then_some(number)
}

/// The square root, correctly rounded.
pub fn sqrt(number: f64) -> f64 {
    libm::sqrt(number)
}

/// The nearest whole number; halves go away from zero.
pub fn round(number: f64) -> f64 {
    libm::round(number)
}

/// A number as text, in a fixed place.
#[derive(Clone, Copy, Debug)]
pub struct FloatText {
    text: [u8; FLOAT_BYTES_MAX],
    len: usize,
}

/// More than any form takes: a sign, 17 digits, and a point with zeros or an exponent.
const FLOAT_BYTES_MAX: usize = 40;

impl FloatText {
    const EMPTY: Self = Self { text: [0; FLOAT_BYTES_MAX], len: 0 };

    /// The text.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        self.text[self.len..end].copy_from_slice(bytes);
        self.len = end;
    }

    fn push_zeros(&mut self, count: i32) {
        (0..count).for_each(|_| self.push(b"0"));
    }

    fn push_i64(&mut self, number: i64) {
        self.push(format_i64(&mut [0; DIGITS_MAX], number));
    }
}

impl core::fmt::Write for FloatText {
    fn write_str(&mut self, part: &str) -> core::fmt::Result {
        self.push(part.as_bytes());
        Ok(())
    }
}

/// `number` the way scores and RESP3 doubles are shown: with few digits that read back as the
/// same number, whole numbers in full, very large and small ones with an exponent.
pub fn format_f64(number: f64) -> FloatText {
    if let Some(whole) = as_whole(number) {
        let mut text = FloatText::EMPTY;
        if whole == 0 && number.is_sign_negative() {
            text.push(b"-");
        }
        text.push_i64(whole);
        text
    } else {
        format_digits(number)
    }
}

/// As [`format_f64`], but whole numbers are shown as others are: with an exponent where that is
/// shorter.
pub fn format_digits(number: f64) -> FloatText {
    let mut text = FloatText::EMPTY;
    if number == 0.0 {
        text.push(if number.is_sign_negative() { b"-0" } else { b"0" });
    } else if !push_special(&mut text, number) {
        let digits = grisu::digits(number.abs());
        let count = i32::try_from(digits.text().len()).expect("18 digits at most");
        lay_out(&mut text, digits.text(), digits.exponent + count - 1);
    }
    text
}

/// `number` with 17 digits, which always read back as the same number, in the layout of C's `%g`.
pub fn format_17_digits(number: f64) -> FloatText {
    const DIGITS: usize = 17;
    let mut text = FloatText::EMPTY;
    if push_special(&mut text, number) {
        return text;
    }
    let mut scientific = FloatText::EMPTY;
    write!(scientific, "{:.*e}", DIGITS - 1, number.abs()).expect("it fits");
    let [first, b'.', rest @ ..] = scientific.bytes() else { unreachable!("it has a point") };
    let (rest, exponent) = rest.split_at(DIGITS - 1);
    let exponent = parse_i64(&exponent[1..]).and_then(|number| i32::try_from(number).ok());
    let exponent = exponent.expect("an exponent follows the e");
    let mut digits = [*first; DIGITS];
    digits[1..].copy_from_slice(rest);
    let count = digits.iter().rposition(|digit| *digit != b'0').map_or(1, |last| last + 1);
    if (-4..17).contains(&exponent) {
        lay_out_plain(&mut text, &digits[..count], exponent);
    } else {
        lay_out_scientific(&mut text, &digits[..count], exponent);
        if exponent.abs() < 10 {
            text.push(b"0");
        }
        text.push_i64(exponent.abs().into());
    }
    text
}

/// Pushes the sign, and all of what is not finite; says whether it did.
fn push_special(text: &mut FloatText, number: f64) -> bool {
    if number.is_sign_negative() && !number.is_nan() {
        text.push(b"-");
    }
    if number.is_nan() {
        text.push(b"nan");
    } else if number.is_infinite() {
        text.push(b"inf");
    }
    !number.is_finite()
}

/// `number` as an integer if it is one of at most 2^62, which is where Valkey stops too. Zeros of
/// either sign are the same.
#[inline]
pub fn as_whole(number: f64) -> Option<i64> {
    const WHOLE_MAX: f64 = (1i64 << 62) as f64;
    if !(-WHOLE_MAX..=WHOLE_MAX).contains(&number) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a fraction is told by casting back")]
    let whole = number as i64;
    (whole as f64 == number).then_some(whole)
}

/// Pushes digits, the first of which counts 10^`exponent`: as a plain decimal where that is short,
/// else with an exponent. Where the one ends and the other begins is as Valkey has it.
fn lay_out(text: &mut FloatText, digits: &[u8], exponent: i32) {
    let count = i32::try_from(digits.len()).expect("18 digits at most");
    // The last digit counts 10^last.
    let last = exponent - count + 1;
    if 0 <= last && exponent < count + 7 || last < 0 && (-7 < last || exponent.abs() < 4) {
        lay_out_plain(text, digits, exponent);
    } else {
        lay_out_scientific(text, digits, exponent);
        text.push_i64(i64::from(exponent.abs()));
    }
}

/// Without an exponent.
fn lay_out_plain(text: &mut FloatText, digits: &[u8], exponent: i32) {
    match usize::try_from(exponent) {
        Ok(exponent) if exponent + 1 < digits.len() => {
            text.push(&digits[..=exponent]);
            text.push(b".");
            text.push(&digits[exponent + 1..]);
        }
        Ok(exponent) => {
            text.push(digits);
            (digits.len()..=exponent).for_each(|_| text.push(b"0"));
        }
        Err(_) => {
            text.push(b"0.");
            text.push_zeros(-exponent - 1);
            text.push(digits);
        }
    }
}

/// Up to the sign of the exponent.
fn lay_out_scientific(text: &mut FloatText, digits: &[u8], exponent: i32) {
    let (first, rest) = digits.split_at(1);
    text.push(first);
    if !rest.is_empty() {
        text.push(b".");
        text.push(rest);
    }
    text.push(if exponent < 0 { b"e-" } else { b"e+" });
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use proptest::prelude::*;

    fn show(number: f64) -> String {
        String::from_utf8(format_f64(number).bytes().to_vec()).unwrap()
    }

    /// Texts, and what ZSCORE of Valkey 9.1.2 said after ZADD took them as a score.
    const CASES: &[(&str, Option<&str>)] = &[
        ("1", Some("1")),
        ("+1", Some("1")),
        ("00001", Some("1")),
        ("0e999999", Some("0")),
        (".5", Some("0.5")),
        ("-.5", Some("-0.5")),
        ("5.", Some("5")),
        ("1.e3", Some("1000")),
        ("1E5", Some("100000")),
        ("1e+5", Some("100000")),
        ("1e15", Some("1000000000000000")),
        ("123456789012345680", Some("123456789012345680")),
        ("1e18", Some("1000000000000000000")),
        ("4611686018427387904", Some("4611686018427387904")),
        ("9.2e18", Some("9.2e+18")),
        ("9223372036854775807", Some("9223372036854776000")),
        ("18446744073709551616", Some("18446744073709552000")),
        ("1e19", Some("1e+19")),
        ("1e23", Some("99999999999999990000000")),
        ("1.5e22", Some("1.5e+22")),
        ("1e100", Some("1e+100")),
        ("100000000.5", Some("100000000.5")),
        ("1234567890123.25", Some("1234567890123.25")),
        ("0.1", Some("0.1")),
        ("0.00001", Some("0.00001")),
        ("1.5e-6", Some("1.5e-6")),
        ("0.000001", Some("0.000001")),
        ("1e-7", Some("1e-7")),
        ("1.25e-10", Some("1.25e-10")),
        ("2.5e-324", Some("5e-324")),
        ("1.7976931348623157e308", Some("1.7976931348623157e+308")),
        ("1.79769313486231580793e308", Some("1.7976931348623157e+308")),
        ("inf", Some("inf")),
        ("+Inf", Some("inf")),
        ("-Infinity", Some("-inf")),
        ("1.7976931348623159e308", None),
        ("-1e309", None),
        ("2.4e-324", None),
        ("1e-400", None),
        ("nan", None),
        ("-NAN", None),
        ("infinit", None),
        ("", None),
        (".", None),
        ("+.", None),
        ("--1", None),
        ("+-1", None),
        ("1e", None),
        ("1e+", None),
        ("e5", None),
        (".e3", None),
        ("1e5.5", None),
        ("1.5.5", None),
        ("1,5", None),
        ("1_0", None),
        ("1f", None),
        ("0x10", None),
        (" 1", None),
        ("1 ", None),
        ("1\n", None),
        ("1\0", None),
    ];

    #[test]
    fn reads_and_prints_as_valkey_does() {
        for (text, expected) in CASES {
            let shown = parse_f64(text.as_bytes()).map(show);
            assert_eq!(shown.as_deref(), *expected, "{text:?}");
        }
        assert_eq!(parse_f64(b"1\xff"), None);
        assert_eq!(show(-0.0), "-0");
        assert_eq!(show(f64::NAN), "nan");
    }

    /// What DEBUG DIGEST-VALUE of Valkey 9.1.2 makes its numbers of.
    #[test]
    fn digits_have_an_exponent_where_that_is_shorter() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (1e15, "1e+15"),
            (1e16, "1e+16"),
            (4e18, "4e+18"),
            (454_025_395_438_157_312.0, "454025395438157300"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(format_digits(number).bytes(), expected.as_bytes(), "{number}");
        }
    }

    /// What ZSCAN of Valkey 9.1.2 says of members of a skiplist.
    #[test]
    fn seventeen_digits_are_those_of_c() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (0.1, "0.10000000000000001"),
            (1.5e-7, "1.4999999999999999e-07"),
            (0.00001234, "1.234e-05"),
            (0.0001, "0.0001"),
            (5e-324, "4.9406564584124654e-324"),
            (1e-320, "9.9998886718268301e-321"),
            (1e300, "1.0000000000000001e+300"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (123_456_789.123_456_79, "123456789.12345679"),
            (4_611_686_018_427_387_904.0, "4.6116860184273879e+18"),
            // Ties: 2^-25 and 3 * 2^-26.
            (1.0 / 33_554_432.0, "2.9802322387695312e-08"),
            (3.0 / 67_108_864.0, "4.4703483581542969e-08"),
            (-2.5, "-2.5"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(format_17_digits(number).bytes(), expected.as_bytes(), "{number:e}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(bits: u64) {
            let number = f64::from_bits(bits);
            prop_assume!(!number.is_nan());
            prop_assert_eq!(parse_f64(show(number).as_bytes()), Some(number));
            let shown = format_17_digits(number);
            prop_assert_eq!(core::str::from_utf8(shown.bytes()).unwrap().parse(), Ok(number));
        }

        #[test]
        fn decimals_read_back(number in -1e6..1e6, places in 0usize..8) {
            let number: f64 = alloc::format!("{number:.places$}").parse().unwrap();
            prop_assert_eq!(parse_f64(show(number).as_bytes()), Some(number));
        }
    }
}
