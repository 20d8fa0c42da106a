//! IDs as arguments: `ms-seq`, `ms`, `-`, `+`, and what else a command takes in place of one.

use crate::base::number::{parse_i64, parse_u64};
use crate::resp::error::Error;
use crate::types::stream::id::StreamId;

/// The answer to what is no ID.
pub(super) const INVALID_ID: Error =
    Error::Text("ERR Invalid stream ID specified as stream command argument");

const INVALID_START: Error = Error::Text("ERR invalid start ID for the interval");
const INVALID_END: Error = Error::Text("ERR invalid end ID for the interval");

/// Bytes that nothing of the form of an ID exceeds.
const ID_TEXT_BYTES_MAX: usize = 127;

/// An ID that XADD may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`: the present time.
    Auto,
    /// `ms-*`: the next one of this millisecond.
    AutoSeq(u64),
    /// This one.
    Given(StreamId),
}

/// An ID proper; if only milliseconds are given it is their first.
pub(super) fn parse_id(text: &[u8]) -> Result<StreamId, Error> {
    parse_strict(text, 0)
}

/// An ID, or `-` or `+` for the first and the last one there can be.
pub(super) fn parse_id_or_edge(text: &[u8], missing_seq: u64) -> Result<StreamId, Error> {
    match until_zero(text) {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => parse_strict(text, missing_seq),
    }
}

/// The ID of an entry to add.
pub(super) fn parse_new_id(text: &[u8]) -> Result<NewId, Error> {
    if text == b"*" {
        return Ok(NewId::Auto);
    }
    if let Some((ms, Some(b"*"))) = parts(text) {
        return Ok(NewId::AutoSeq(parse_number(ms).ok_or(INVALID_ID)?));
    }
    parse_id(text).map(NewId::Given)
}

/// The first ID of an interval; `(` before it leaves out the ID itself.
pub(super) fn parse_start(text: &[u8]) -> Result<StreamId, Error> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => parse_strict(id, 0)?.next().ok_or(INVALID_START),
        _ => parse_id_or_edge(text, 0),
    }
}

/// The last ID of an interval, as [`parse_start`].
pub(super) fn parse_end(text: &[u8]) -> Result<StreamId, Error> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => parse_strict(id, u64::MAX)?.prev().ok_or(INVALID_END),
        _ => parse_id_or_edge(text, u64::MAX),
    }
}

fn parse_strict(text: &[u8], missing_seq: u64) -> Result<StreamId, Error> {
    let (ms, seq) = parts(text).ok_or(INVALID_ID)?;
    let ms = parse_number(ms).ok_or(INVALID_ID)?;
    let seq = seq.map_or(Some(missing_seq), parse_number).ok_or(INVALID_ID)?;
    Ok(StreamId { ms, seq })
}

/// What stands before and behind the first dash.
fn parts(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if ID_TEXT_BYTES_MAX < text.len() {
        return None;
    }
    let text = until_zero(text);
    Some(match text.iter().position(|byte| *byte == b'-') {
        Some(dash) => (&text[..dash], Some(&text[dash + 1..])),
        None => (text, None),
    })
}

/// Valkey reads IDs up to a zero byte.
pub(super) fn until_zero(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or(text)
}

/// A number of 64 bits. Beside the usual form, Valkey takes what its C library takes: space and a
/// sign before it, and zeros; only a plain negative number is none.
fn parse_number(text: &[u8]) -> Option<u64> {
    if let Some(number) = parse_u64(text) {
        return Some(number);
    }
    let trimmed = text.trim_ascii_start();
    let (is_negative, digits) = match trimmed {
        [b'-', ..] if parse_i64(text).is_some() => return None,
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let number = digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    });
    let number = number.filter(|_| !digits.is_empty())?;
    Some(if is_negative { number.wrapping_neg() } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64, seq: u64) -> Option<StreamId> {
        Some(StreamId { ms, seq })
    }

    #[test]
    fn ids_are_what_valkey_takes_for_ids() {
        let max = u64::MAX;
        let cases: [(&[u8], Option<StreamId>); 24] = [
            (b"0", id(0, 0)),
            (b"5", id(5, 0)),
            (b"5-7", id(5, 7)),
            (b"18446744073709551615-18446744073709551615", id(max, max)),
            (b"18446744073709551616-0", None),
            (b"", None),
            (b"-", None),
            (b"+", None),
            (b"5-", None),
            (b"-5", None),
            (b"5-6-7", None),
            (b"5-*", None),
            (b"*", None),
            (b"a-1", None),
            (b"1-a", None),
            (b"007-08", id(7, 8)),
            (b" 5- 6", id(5, 6)),
            (b"+5-+6", id(5, 6)),
            (b"5 -6", None),
            (b"5--6", None),
            (b"5--06", id(5, max - 5)),
            (b"5-6\x007", id(5, 6)),
            (&[b'0'; 127], id(0, 0)),
            (&[b'0'; 128], None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_id(text).ok(), expected, "{}", text.escape_ascii());
        }
        assert_eq!(parse_id_or_edge(b"-", 0).ok(), id(0, 0));
        assert_eq!(parse_id_or_edge(b"+", 0).ok(), id(max, max));
    }

    #[test]
    fn new_ids_may_leave_parts_open() {
        assert_eq!(parse_new_id(b"*"), Ok(NewId::Auto));
        assert_eq!(parse_new_id(b"7-*"), Ok(NewId::AutoSeq(7)));
        assert_eq!(parse_new_id(b"7-8"), Ok(NewId::Given(StreamId { ms: 7, seq: 8 })));
        for text in [b"x-*".as_slice(), b"-", b"+", b"7-**", b"-*"] {
            assert_eq!(parse_new_id(text), Err(INVALID_ID), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn intervals_may_leave_out_their_ends() {
        let max = u64::MAX;
        assert_eq!((parse_start(b"5").ok(), parse_end(b"5").ok()), (id(5, 0), id(5, max)));
        assert_eq!((parse_start(b"(5").ok(), parse_end(b"(5").ok()), (id(5, 1), id(5, max - 1)));
        assert_eq!((parse_start(b"-").ok(), parse_end(b"+").ok()), (id(0, 0), id(max, max)));
        for text in [b"(".as_slice(), b"(-", b"(+", b"((5"] {
            assert_eq!((parse_start(text), parse_end(text)), (Err(INVALID_ID), Err(INVALID_ID)));
        }
        let last = alloc::format!("({max}-{max}");
        assert_eq!(parse_start(last.as_bytes()), Err(INVALID_START));
        assert_eq!(parse_end(b"(0-0"), Err(INVALID_END));
    }
}
