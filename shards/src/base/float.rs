//! 64-bit floats as text, as Valkey reads and prints them.

use crate::base::number::write_i64;
use alloc::vec::Vec;
use core::fmt::Write as _;

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

/// Appends `number` the way scores and RESP3 doubles are shown: the fewest digits that read back
/// as the same number, whole numbers in full, very large and small ones with an exponent.
pub fn write_f64(out: &mut Vec<u8>, number: f64) {
    if number.is_nan() {
        out.extend_from_slice(b"nan");
    } else if number.is_infinite() {
        out.extend_from_slice(if number < 0.0 { b"-inf" } else { b"inf" });
    } else if let Some(whole) = as_whole(number) {
        write_i64(out, whole);
    } else {
        write_shortest(out, number);
    }
}

/// `number` as an integer if it is one of at most 2^62, which is where Valkey stops too.
fn as_whole(number: f64) -> Option<i64> {
    const WHOLE_MAX: f64 = (1i64 << 62) as f64;
    if !(-WHOLE_MAX..=WHOLE_MAX).contains(&number) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a fraction is told by casting back")]
    let whole = number as i64;
    (whole as f64 == number && (whole != 0 || number.is_sign_positive())).then_some(whole)
}

/// The longest that `{:e}` writes: 17 digits, two signs, a point, `e` and three digits.
const SCIENTIFIC_BYTES_MAX: usize = 24;

/// Text in a fixed place.
struct Scientific {
    text: [u8; SCIENTIFIC_BYTES_MAX],
    len: usize,
}

impl core::fmt::Write for Scientific {
    fn write_str(&mut self, part: &str) -> core::fmt::Result {
        let end = self.len + part.len();
        self.text.get_mut(self.len..end).ok_or(core::fmt::Error)?.copy_from_slice(part.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Appends a finite number that is not written as an integer.
fn write_shortest(out: &mut Vec<u8>, number: f64) {
    // `{:e}` gives the shortest digits as `d.ddde-x`; only their layout differs from Valkey's.
    let mut scientific = Scientific { text: [0; SCIENTIFIC_BYTES_MAX], len: 0 };
    write!(scientific, "{:e}", number.abs()).expect("no float takes more bytes");
    let text = &scientific.text[..scientific.len];
    let e = text.iter().position(|&byte| byte == b'e').expect("`{:e}` writes an e");
    let exponent: i32 = core::str::from_utf8(&text[e + 1..])
        .ok()
        .and_then(|text| text.parse().ok())
        .expect("an exponent follows the e");
    let mut digits = [0; SCIENTIFIC_BYTES_MAX];
    let mut count = 0;
    for &byte in text[..e].iter().filter(|byte| byte.is_ascii_digit()) {
        digits[count] = byte;
        count += 1;
    }
    if number.is_sign_negative() {
        out.push(b'-');
    }
    lay_out(out, &digits[..count], exponent);
}

/// Appends `digits`, the first of which counts 10^`exponent`: as a plain decimal where that is
/// short, else with an exponent. Where the one ends and the other begins is as Valkey has it.
fn lay_out(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    let count = i32::try_from(digits.len()).expect("17 digits at most");
    // The last digit counts 10^last.
    let last = exponent - count + 1;
    let zeros = |n: i32| core::iter::repeat_n(b'0', usize::try_from(n).unwrap_or(0));
    if 0 <= last && exponent < count + 7 {
        out.extend_from_slice(digits);
        out.extend(zeros(last));
    } else if last < 0 && (-7 < last || exponent.abs() < 4) {
        if exponent < 0 {
            out.extend_from_slice(b"0.");
            out.extend(zeros(-exponent - 1));
            out.extend_from_slice(digits);
        } else {
            let point = usize::try_from(exponent).unwrap_or(0) + 1;
            out.extend_from_slice(&digits[..point]);
            out.push(b'.');
            out.extend_from_slice(&digits[point..]);
        }
    } else {
        out.push(digits[0]);
        if let rest @ [_, ..] = &digits[1..] {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        write_i64(out, i64::from(exponent.abs()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use proptest::prelude::*;

    fn show(number: f64) -> String {
        let mut out = Vec::new();
        write_f64(&mut out, number);
        String::from_utf8(out).unwrap()
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

    proptest! {
        #[test]
        fn what_is_printed_reads_back(bits: u64) {
            let number = f64::from_bits(bits);
            prop_assume!(!number.is_nan());
            prop_assert_eq!(parse_f64(show(number).as_bytes()), Some(number));
        }

        #[test]
        fn decimals_read_back(number in -1e6..1e6, places in 0usize..8) {
            let number: f64 = alloc::format!("{number:.places$}").parse().unwrap();
            prop_assert_eq!(parse_f64(show(number).as_bytes()), Some(number));
        }
    }
}
