//! Whole numbers as text: strict parsing as Valkey does it, and fast printing.

use alloc::vec::Vec;

/// The most bytes a 64-bit number takes, its sign included.
pub const DIGITS_MAX: usize = 20;

/// The integer that `text` spells, if it spells it the one way Valkey prints it: no sign but a
/// `-`, no leading zero, no space, no `-0`. So what parses can be stored as a number and printed
/// back unchanged.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let magnitude = parse_u64(digits)?;
    if negative {
        // There is no "-0": it would not print back.
        if magnitude == 0 { None } else { 0i64.checked_sub_unsigned(magnitude) }
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// The unsigned integer that `text` spells: digits only, no leading zero.
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    let (&first, rest) = text.split_first()?;
    let mut number = u64::from(digit(first)?);
    if number == 0 {
        return rest.is_empty().then_some(0);
    }
    if text.len() < DIGITS_MAX {
        // 19 digits always fit, so nothing needs to be checked on the way.
        for &byte in rest {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit(byte)?));
        }
        return Some(number);
    }
    if text.len() != DIGITS_MAX {
        return None;
    }
    for &byte in rest {
        number = number.checked_mul(10)?.checked_add(u64::from(digit(byte)?))?;
    }
    Some(number)
}

/// Appends `number` in decimal.
#[inline]
pub fn write_i64(out: &mut Vec<u8>, number: i64) {
    let mut text = [0; DIGITS_MAX];
    out.extend_from_slice(format_i64(&mut text, number));
}

/// Appends `number` in decimal.
#[inline]
pub fn write_u64(out: &mut Vec<u8>, number: u64) {
    let mut text = [0; DIGITS_MAX];
    out.extend_from_slice(format_u64(&mut text, number));
}

/// Prints `number` at the end of `text` and returns that part.
#[inline]
pub fn format_i64(text: &mut [u8; DIGITS_MAX], number: i64) -> &[u8] {
    let mut start = put_digits_before(text, DIGITS_MAX, number.unsigned_abs());
    if number < 0 {
        start -= 1; // The magnitude has 19 digits at most: there is room.
        text[start] = b'-';
    }
    &text[start..]
}

/// Prints `number` at the end of `text` and returns that part.
#[inline]
pub fn format_u64(text: &mut [u8; DIGITS_MAX], number: u64) -> &[u8] {
    let start = put_digits_before(text, DIGITS_MAX, number);
    &text[start..]
}

/// Puts the digits of `number` so that they end before `end`; returns where they begin. `text`
/// must have room for them.
#[inline]
pub(crate) fn put_digits_before(text: &mut [u8], end: usize, number: u64) -> usize {
    let mut at = end;
    let mut left = number;
    // Two digits per division: half of the divisions of the plain way.
    while left >= 100 {
        let pair = digit_pair(left % 100);
        left /= 100;
        at -= 2;
        text[at] = pair[0];
        text[at + 1] = pair[1];
    }
    let pair = digit_pair(left);
    at -= 1;
    text[at] = pair[1];
    if left >= 10 {
        at -= 1;
        text[at] = pair[0];
    }
    at
}

/// The value of a decimal digit.
#[inline]
const fn digit(byte: u8) -> Option<u8> {
    let value = byte.wrapping_sub(b'0');
    if value < 10 { Some(value) } else { None }
}

/// The two digits of a number below 100.
#[inline]
fn digit_pair(number: u64) -> [u8; 2] {
    #[expect(clippy::cast_possible_truncation, reason = "below 100")]
    PAIRS[number as usize]
}

/// `00` to `99`.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut tens = 0;
    while tens < 10 {
        let mut ones = 0;
        while ones < 10 {
            pairs[tens as usize * 10 + ones as usize] = [b'0' + tens, b'0' + ones];
            ones += 1;
        }
        tens += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn parses_only_what_prints_back() {
        let cases: &[(&str, Option<i64>)] = &[
            ("", None),
            ("-", None),
            ("0", Some(0)),
            ("-0", None),
            ("00", None),
            ("01", None),
            ("-01", None),
            ("+1", None),
            (" 1", None),
            ("1 ", None),
            ("1\n", None),
            ("--1", None),
            ("1.0", None),
            ("1e3", None),
            ("0x10", None),
            ("7", Some(7)),
            ("-7", Some(-7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN)),
            ("-9223372036854775809", None),
            ("18446744073709551615", None),
            ("18446744073709551616", None),
            ("99999999999999999999", None),
            ("-99999999999999999999", None),
            ("100000000000000000000", None),
            ("1000000000000000000", Some(1_000_000_000_000_000_000)),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_i64(text.as_bytes()), *expected, "{text:?}");
        }
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"-1"), None);
    }

    #[test]
    fn prints_the_edges() {
        for number in [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, i64::MAX, i64::MIN, -1, -10, -100]
        {
            let mut out = Vec::new();
            write_i64(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
        let mut out = Vec::new();
        write_u64(&mut out, u64::MAX);
        assert_eq!(out, u64::MAX.to_string().into_bytes());
    }

    proptest! {
        #[test]
        fn what_is_printed_parses(number: i64, shift in 0u32..64) {
            let number = number >> shift;
            let mut text = [0; DIGITS_MAX];
            let text = format_i64(&mut text, number);
            let expected = number.to_string();
            prop_assert_eq!(text, expected.as_bytes());
            prop_assert_eq!(parse_i64(text), Some(number));
        }

        #[test]
        fn what_parses_prints_back(text in "-?[0-9]{0,21}") {
            if let Some(number) = parse_i64(text.as_bytes()) {
                prop_assert_eq!(number.to_string(), text);
            } else {
                prop_assert!(text.parse::<i64>().map_or(true, |n| n.to_string() != text));
            }
        }
    }
}
