//! 64-bit floats as text, as Valkey reads and prints them.

use crate::base::number::write_i64;
use alloc::vec::Vec;
use core::fmt::Write as _;

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
