//! What SCAN, HSCAN, SSCAN and ZSCAN have in common: cursors, options, walking a table.

use alloc::vec::Vec;
use core::ops::Range;

use crate::base::glob;
use crate::base::number::{self, DIGITS_MAX};
use crate::effects::ScanRest;
use crate::encodings::table::{Position, Record, Table};
use crate::resp::error::Error;
use crate::resp::reply::{Protocol, Replies};

/// Elements returned per call unless COUNT says otherwise.
const COUNT: u64 = 10;

/// Buckets visited per element asked for, at most: so that a call ends when little matches.
pub const BUCKETS_PER_ELEMENT: u64 = 10;

/// The answer of all but HSCAN to its option NOVALUES.
pub const NO_VALUES: Error = Error::Text("ERR NOVALUES option can only be used in HSCAN");

/// The answer of all but ZSCAN, which takes it in before it asks here, to its option NOSCORES.
const NO_SCORES: Error = Error::Text("ERR NOSCORES option can only be used in ZSCAN");

/// The position that a cursor stands for. Valkey reads it as C does: up to a zero byte, leading
/// blanks and a sign let pass; but what is plainly a negative number is none.
pub fn parse_cursor(text: &[u8]) -> Result<Position, Error> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or(text);
    if number::parse_i64(text).is_some_and(|number| number < 0) {
        return Err(Error::InvalidCursor);
    }
    let (sign, digits) = match text.trim_ascii_start() {
        [sign @ (b'+' | b'-'), digits @ ..] => (*sign, digits),
        digits => (b'+', digits),
    };
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    // All zeros are one zero.
    let digits = &digits[zeros.min(digits.len().saturating_sub(1))..];
    let number = number::parse_u64(digits).ok_or(Error::InvalidCursor)?;
    Ok(Position(if sign == b'-' { number.wrapping_neg() } else { number }))
}

/// MATCH and COUNT: which elements are wanted, and how many at a time.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    pattern: Option<&'a [u8]>,
    /// About how many elements a call returns.
    pub count: u64,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { pattern: None, count: COUNT }
    }
}

impl<'a> Options<'a> {
    /// Takes in the option that `args` begin with and returns how many arguments it took: none if
    /// it is another one.
    pub fn take(&mut self, args: &[&'a [u8]]) -> Result<usize, Error> {
        match args {
            [name, count, ..] if name.eq_ignore_ascii_case(b"COUNT") => {
                let count = number::parse_i64(count).ok_or(Error::NotInteger)?;
                let count = u64::try_from(count).ok().filter(|count| 0 < *count);
                self.count = count.ok_or(Error::Syntax)?;
                Ok(2)
            }
            [name, pattern, ..] if name.eq_ignore_ascii_case(b"MATCH") => {
                self.pattern = Some(pattern).filter(|pattern| **pattern != b"*").copied();
                Ok(2)
            }
            [name, ..] if name.eq_ignore_ascii_case(b"NOSCORES") => Err(NO_SCORES),
            _ => Ok(0),
        }
    }

    /// Whether an element of this name is wanted.
    pub fn matches(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, name))
    }

    /// Visits records of `table` from `from` on until `visit` said of `count` of them that they
    /// are wanted; says where to go on.
    pub fn walk<R: Record>(
        &self,
        table: &Table<R>,
        from: Position,
        mut visit: impl FnMut(&R) -> bool,
    ) -> Position {
        let (mut at, mut found) = (from, 0u64);
        let mut buckets_left = self.count.saturating_mul(BUCKETS_PER_ELEMENT);
        loop {
            let next = table.scan(at, &mut |record| found += u64::from(visit(record)));
            buckets_left -= 1;
            match next {
                Some(next) if found < self.count && 0 < buckets_left => at = next,
                Some(next) => return next,
                None => return Position::default(),
            }
        }
    }
}

/// Writes `[cursor, [element ...]]`; each element is written by `write`, which says how many
/// replies that took.
pub fn reply(replies: &mut Replies<'_>, write: impl FnOnce(&mut Replies<'_>) -> (Position, usize)) {
    // The array's length is known at the end only, so its elements are written aside.
    let mut elements = Vec::new();
    let (next, count) = write(&mut Replies { out: &mut elements, ..*replies });
    replies.array(2);
    let mut text = [0; DIGITS_MAX];
    replies.bulk(number::format_u64(&mut text, next.0));
    replies.array(count);
    replies.out.extend_from_slice(&elements);
}

/// The arguments by which a SCAN goes on in the shard of the next slots.
pub fn rest_args(args: &[&[u8]], rest: ScanRest) -> Vec<Vec<u8>> {
    let mut goes_on: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
    let number = |number| number::format_u64(&mut [0; DIGITS_MAX], number).to_vec();
    goes_on[1] = number(rest.cursor);
    // Of several COUNT, the last one counts.
    goes_on.extend([b"COUNT".to_vec(), number(rest.count)]);
    goes_on
}

/// Makes one reply of two, which stand behind each other: that of a SCAN, which begins at `first`,
/// and that by which it went on, which begins at `second`.
pub fn join(replies: &mut Vec<u8>, first: usize, second: usize) {
    let before = Head::of(&replies[first..second]);
    let after = Head::of(&replies[second..]);
    let mut head = Vec::new();
    let mut joined = Replies::new(&mut head, Protocol::Resp2);
    joined.array(2);
    joined.bulk(&replies[second..][after.cursor]);
    joined.array(before.count + after.count);
    replies.drain(second..second + after.bytes);
    replies.splice(first..first + before.bytes, head);
}

/// What stands before the elements in the reply of a scan.
struct Head {
    /// Where the cursor lies.
    cursor: Range<usize>,
    /// Elements behind the head.
    count: usize,
    /// Its length.
    bytes: usize,
}

impl Head {
    fn of(reply: &[u8]) -> Self {
        let mut ends = memchr::memchr_iter(b'\n', reply).map(|end| end + 1);
        let mut end = || ends.next().expect("a scan answers with a cursor and an array");
        let (_pair, length, cursor, array) = (end(), end(), end(), end());
        let count = number::parse_u64(&reply[cursor + 1..array - 2]);
        let count = count.and_then(|count| usize::try_from(count).ok());
        let count = count.expect("an array says how many elements it has");
        Self { cursor: length..cursor - 2, count, bytes: array }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_may_have_blanks_and_a_sign_before_it() {
        for (text, cursor) in [
            ("0", Some(0)),
            ("00", Some(0)),
            ("+7", Some(7)),
            (" 7", Some(7)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("+", None),
            ("-1", None),
            ("7 ", None),
            ("x", None),
        ] {
            assert_eq!(parse_cursor(text.as_bytes()).ok(), cursor.map(Position), "{text:?}");
        }
    }
}
