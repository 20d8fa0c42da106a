//! IDs of stream entries: a time in milliseconds and a number within it.

use crate::base::number::{DIGITS_MAX, format_u64};
use crate::base::time::UnixMs;

/// The most bytes an ID takes in text.
pub const ID_BYTES_MAX: usize = 2 * DIGITS_MAX + 1;

/// An entry's ID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId {
    /// Milliseconds, as a rule since the epoch.
    pub ms: u64,
    /// Which of the entries of this millisecond.
    pub seq: u64,
}

impl StreamId {
    /// `0-0`, which no entry has.
    pub const MIN: Self = Self { ms: 0, seq: 0 };
    /// The last one there is.
    pub const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    /// The one behind it, if there is one.
    #[inline]
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The one before it, if there is one.
    pub fn prev(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// The ID that an entry added at `now` gets behind this one.
    #[inline]
    pub fn following(self, now: UnixMs) -> Option<Self> {
        if self.ms < now.0 { Some(Self { ms: now.0, seq: 0 }) } else { self.next() }
    }

    /// The number as which it is kept beside `base`: how far each part lies behind the other's.
    #[inline]
    pub(super) fn distance_from(self, base: Self) -> (i64, i64) {
        let far = |part: u64, base: u64| part.wrapping_sub(base).cast_signed();
        (far(self.ms, base.ms), far(self.seq, base.seq))
    }

    /// The ID at this distance: see [`Self::distance_from`].
    #[inline]
    pub(super) fn at_distance(self, ms: i64, seq: i64) -> Self {
        let ms = self.ms.wrapping_add(ms.cast_unsigned());
        Self { ms, seq: self.seq.wrapping_add(seq.cast_unsigned()) }
    }

    /// Prints it at the end of `text` and returns that part.
    #[inline]
    pub fn format(self, text: &mut [u8; ID_BYTES_MAX]) -> &[u8] {
        let mut digits = [0; DIGITS_MAX];
        let mut start = ID_BYTES_MAX;
        for (part, mark) in [(self.seq, Some(b'-')), (self.ms, None)] {
            let digits = format_u64(&mut digits, part);
            text[start - digits.len()..start].copy_from_slice(digits);
            start -= digits.len();
            if let Some(mark) = mark {
                start -= 1;
                text[start] = mark;
            }
        }
        &text[start..]
    }

    /// The sixteen bytes that sort as the IDs do.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    /// The ID of these sixteen bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let [ms, seq] = [&bytes[..8], &bytes[8..]]
            .map(|half| u64::from_be_bytes(*half.first_chunk().expect("half of sixteen is eight")));
        Self { ms, seq }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn id(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    #[test]
    fn neighbours_carry_over_milliseconds() {
        let cases = [
            (id(0, 0), Some(id(0, 1))),
            (id(5, u64::MAX), Some(id(6, 0))),
            (id(u64::MAX, u64::MAX - 1), Some(StreamId::MAX)),
            (StreamId::MAX, None),
        ];
        for (before, after) in cases {
            assert_eq!(before.next(), after);
            assert_eq!(after.map_or(Some(before), StreamId::prev), Some(before));
        }
        assert_eq!(StreamId::MIN.prev(), None);
        assert_eq!(id(5, 3).following(UnixMs(5)), Some(id(5, 4)));
        assert_eq!(id(5, 3).following(UnixMs(6)), Some(id(6, 0)));
    }

    #[test]
    fn is_printed_with_a_dash_and_sorts_as_bytes() {
        let mut text = [0; ID_BYTES_MAX];
        assert_eq!(id(0, 0).format(&mut text), b"0-0");
        assert_eq!(id(1234, 56).format(&mut text), b"1234-56");
        let longest = b"18446744073709551615-18446744073709551615";
        assert_eq!(StreamId::MAX.format(&mut text), longest);
        assert!(id(1, u64::MAX).to_bytes() < id(256, 0).to_bytes());
        assert_eq!(StreamId::from_bytes(id(256, 7).to_bytes()), id(256, 7));
    }

    #[test]
    fn distances_lead_back_even_when_they_wrap() {
        for (a, b) in [(id(5, 9), id(7, 1)), (id(0, 1), StreamId::MAX), (id(3, 3), id(3, 4))] {
            let (ms, seq) = b.distance_from(a);
            assert_eq!(a.at_distance(ms, seq), b);
        }
    }
}
