//! `[start [end [BYTE | BIT]]]`: which bits BITCOUNT and BITPOS look at.

use crate::base::number::parse_i64;
use crate::resp::error::Error;

/// A range as the arguments give it, before it meets a string.
#[derive(Clone, Copy, Debug)]
pub(super) struct BitRange {
    pub start: i64,
    /// `None` is the end of the string.
    pub end: Option<i64>,
    unit: u64,
}

impl BitRange {
    /// Everything.
    pub const ALL: Self = Self { start: 0, end: None, unit: 8 };

    pub fn parse(args: &[&[u8]]) -> Result<Self, Error> {
        let number = |text: &[u8]| parse_i64(text).ok_or(Error::NotInteger);
        match args {
            [] => Ok(Self::ALL),
            // What is too much is seen before any number is.
            [_, _, _, _, ..] => Err(Error::Syntax),
            [start] => Ok(Self { start: number(start)?, ..Self::ALL }),
            [start, end, unit @ ..] => {
                let start = number(start)?;
                let unit = match unit {
                    [] => 8,
                    [unit] if unit.eq_ignore_ascii_case(b"BYTE") => 8,
                    [unit] if unit.eq_ignore_ascii_case(b"BIT") => 1,
                    _ => return Err(Error::Syntax),
                };
                Ok(Self { start, end: Some(number(end)?), unit })
            }
        }
    }

    /// The first and last bit in a string of `len` bytes; `None` if there is none. As in Valkey,
    /// an end before the string is its first byte or bit.
    pub fn of(self, len: usize) -> Option<(u64, u64)> {
        let units = (len as u64) * (8 / self.unit);
        let index = |at: i64| {
            if at < 0 { units.saturating_sub(at.unsigned_abs()) } else { at.cast_unsigned() }
        };
        let last = units.checked_sub(1)?;
        let start = index(self.start);
        let end = self.end.map_or(last, index).min(last);
        (start <= end).then(|| (start * self.unit, end * self.unit + (self.unit - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_included_and_clamped() {
        let of = |args: &[&[u8]]| BitRange::parse(args).unwrap().of(3);
        assert_eq!(of(&[]), Some((0, 23)));
        assert_eq!(of(&[b"1"]), Some((8, 23)));
        assert_eq!(of(&[b"-1"]), Some((16, 23)));
        assert_eq!(of(&[b"1", b"1", b"byte"]), Some((8, 15)));
        assert_eq!(of(&[b"1", b"1", b"BIT"]), Some((1, 1)));
        assert_eq!(of(&[b"-100", b"-50"]), Some((0, 7)));
        assert_eq!(of(&[b"2", b"1"]), None);
        assert_eq!(of(&[b"3"]), None);
        assert_eq!(of(&[b"-9223372036854775808", b"9223372036854775807", b"BIT"]), Some((0, 23)));
        assert_eq!(BitRange::ALL.of(0), None);
    }
}
