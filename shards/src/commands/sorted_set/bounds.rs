//! How the ends of a range are written.

use crate::base::spelling::Spelling;
use crate::resp::error::Error;
use crate::types::sorted_set::bounds::{LexBound, LexRange, ScoreBound, ScoreRange};

/// The range of scores from `min` to `max`.
pub(super) fn score_range(min: &[u8], max: &[u8], spelling: Spelling) -> Result<ScoreRange, Error> {
    let parse =
        |text| score_bound(text, spelling).ok_or(Error::Text("ERR min or max is not a float"));
    Ok(ScoreRange { min: parse(min)?, max: parse(max)? })
}

/// The range of members from `min` to `max`.
pub(super) fn lex_range<'a>(min: &'a [u8], max: &'a [u8]) -> Result<LexRange<'a>, Error> {
    let not_valid = Error::Text("ERR min or max not valid string range item");
    let parse = |text| lex_bound(text).ok_or(not_valid.clone());
    Ok(LexRange { min: parse(min)?, max: parse(max)? })
}

/// A score, behind `(` if it is not part of the range. As in Valkey, nothing is zero, what is too
/// large is infinite, and what stands behind a zero byte does not count.
fn score_bound(text: &[u8], spelling: Spelling) -> Option<ScoreBound> {
    let (is_exclusive, text) = match text {
        [b'(', text @ ..] => (true, text),
        text => (false, text),
    };
    let text = text.split(|byte| *byte == 0).next().unwrap_or(text);
    let parsed = core::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    let score: f64 = if text.is_empty() { 0.0 } else { parsed.or_else(|| spelling.read(text))? };
    (!score.is_nan()).then_some(ScoreBound { score, is_exclusive })
}

fn lex_bound(text: &[u8]) -> Option<LexBound<'_>> {
    Some(match text {
        [b'-'] | [b'-', 0, ..] => LexBound::First,
        [b'+'] | [b'+', 0, ..] => LexBound::Last,
        [b'[', member @ ..] => LexBound::Inclusive(member),
        [b'(', member @ ..] => LexBound::Exclusive(member),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a Valkey 9.1.2 takes them.
    #[test]
    fn scores_may_be_exclusive_and_written_as_c_reads_them() {
        for (text, expected) in [
            ("1", Some((1.0, false))),
            ("(1", Some((1.0, true))),
            ("", Some((0.0, false))),
            ("(", Some((0.0, true))),
            ("+2", Some((2.0, false))),
            ("-.5", Some((-0.5, false))),
            ("1.", Some((1.0, false))),
            ("1\x002", Some((1.0, false))),
            ("(2\0", Some((2.0, true))),
            ("1e400", Some((f64::INFINITY, false))),
            ("-1e400", Some((f64::NEG_INFINITY, false))),
            ("1e-400", Some((0.0, false))),
            ("(-inf", Some((f64::NEG_INFINITY, true))),
            ("infinity", Some((f64::INFINITY, false))),
            ("((1", None),
            (" 1", None),
            ("1 ", None),
            ("nan", None),
            ("(nan", None),
            ("0x2", None),
            ("1e", None),
            (".", None),
        ] {
            let bound = score_bound(text.as_bytes(), Spelling::Valkey);
            let expected = expected.map(|(score, is_exclusive)| ScoreBound { score, is_exclusive });
            assert_eq!(bound, expected, "{text:?}");
        }
    }

    #[test]
    fn members_say_whether_they_are_part_of_the_range() {
        for (text, expected) in [
            (&b"-"[..], Some(LexBound::First)),
            (b"+", Some(LexBound::Last)),
            (b"+\0x", Some(LexBound::Last)),
            (b"[", Some(LexBound::Inclusive(b""))),
            (b"(a", Some(LexBound::Exclusive(b"a"))),
            (b"++", None),
            (b"a", None),
            (b"", None),
        ] {
            assert_eq!(lex_bound(text), expected, "{text:?}");
        }
    }
}
