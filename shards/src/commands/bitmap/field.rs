//! Integers of any width at any bit of a string, and what happens when they overflow.

use crate::base::number::parse_u64;

/// `i5` or `u16`: sign and width. 64 bits hold a signed one only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldType {
    signed: bool,
    width: u32,
}

/// What becomes of a number that does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Overflow {
    /// Only its low bits are kept.
    #[default]
    Wrap,
    /// The nearest number that fits is taken.
    Saturate,
    /// Nothing is changed.
    Fail,
}

impl FieldType {
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (signed, width) = match text {
            [b'i', width @ ..] => (true, width),
            [b'u', width @ ..] => (false, width),
            _ => return None,
        };
        let width = u32::try_from(parse_u64(width)?).ok()?;
        let widest = if signed { 64 } else { 63 };
        (1..=widest).contains(&width).then_some(Self { signed, width })
    }

    pub fn width(self) -> u32 {
        self.width
    }

    /// The field at bit `offset`; what lies behind the string is zero.
    pub fn get(self, bytes: &[u8], offset: u64) -> i64 {
        let Window { word, shift, .. } = self.window(bytes, offset);
        self.wrap((word >> shift).cast_signed())
    }

    /// Writes `number`, which fits, to bit `offset`, which lies in `bytes` with all of the field.
    pub fn set(self, bytes: &mut [u8], offset: u64, number: i64) {
        let Window { word, shift, start, len } = self.window(bytes, offset);
        let mask = (u128::MAX >> (128 - self.width)) << shift;
        let number = i128::from(number).cast_unsigned() << shift;
        let word = (word & !mask) | (number & mask);
        bytes[start..start + len].copy_from_slice(&word.to_be_bytes()[..len]);
    }

    /// `number` if it fits, else what `overflow` makes of it.
    pub fn fit(self, number: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = if self.signed {
            (-(1i128 << (self.width - 1)), (1i128 << (self.width - 1)) - 1)
        } else {
            (0, (1i128 << self.width) - 1)
        };
        let fits = (min..=max).contains(&number);
        match overflow {
            Overflow::Fail if !fits => None,
            Overflow::Saturate => Some(number.clamp(min, max)),
            Overflow::Wrap | Overflow::Fail => Some(i128::from(self.wrap(number))),
        }
        .map(|number| i64::try_from(number).expect("64 bits hold every field"))
    }

    /// What SET means by `number`: to an unsigned field, negative numbers are very large. So are
    /// they, as in Valkey, to a signed field if they lie further below its largest number than 63
    /// bits can say.
    pub fn set_operand(self, number: i64) -> i128 {
        let largest = i64::MAX >> (64 - self.width);
        let far_below = self.width < 64 && largest.checked_sub(number).is_none();
        if self.signed && !far_below {
            i128::from(number)
        } else {
            i128::from(number.cast_unsigned())
        }
    }

    /// The low bits of `number`, its sign restored.
    fn wrap(self, number: i128) -> i64 {
        let high = number << (128 - self.width);
        let number = if self.signed {
            high >> (128 - self.width)
        } else {
            (high.cast_unsigned() >> (128 - self.width)).cast_signed()
        };
        i64::try_from(number).expect("64 bits hold every field")
    }

    /// The bytes around the field as one word. A field of 64 bits lies in nine bytes at most.
    fn window(self, bytes: &[u8], offset: u64) -> Window {
        let start = usize::try_from(offset / 8).unwrap_or(usize::MAX).min(bytes.len());
        let len = (bytes.len() - start).min(9);
        let mut word = [0; 16];
        word[..len].copy_from_slice(&bytes[start..start + len]);
        let shift = 128 - (offset % 8) as u32 - self.width;
        Window { word: u128::from_be_bytes(word), shift, start, len }
    }
}

/// Where a field is.
struct Window {
    /// Up to nine bytes from `start` on, in the highest bits.
    word: u128,
    /// How far the field is from the lowest bit of `word`.
    shift: u32,
    start: usize,
    len: usize,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn types_have_a_sign_and_a_width() {
        assert_eq!(FieldType::parse(b"i64"), Some(FieldType { signed: true, width: 64 }));
        assert_eq!(FieldType::parse(b"u1"), Some(FieldType { signed: false, width: 1 }));
        for wrong in ["u64", "i65", "i0", "u0", "u", "", "U8", "8", "u08", "u+8", "i-1"] {
            assert_eq!(FieldType::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_that_do_not_fit_wrap_saturate_or_fail() {
        let i8 = FieldType::parse(b"i8").unwrap();
        let u8 = FieldType::parse(b"u8").unwrap();
        for (kind, number, wrapped, saturated) in
            [(i8, 128, -128, 127), (i8, -129, 127, -128), (u8, 256, 0, 255), (u8, -1, 255, 0)]
        {
            assert_eq!(kind.fit(number, Overflow::Wrap), Some(wrapped));
            assert_eq!(kind.fit(number, Overflow::Saturate), Some(saturated));
            assert_eq!(kind.fit(number, Overflow::Fail), None);
        }
        assert_eq!(u8.fit(200, Overflow::Fail), Some(200));
    }

    proptest! {
        #[test]
        fn a_field_is_read_back_and_its_neighbours_stay(
            signed in any::<bool>(),
            width in 1u32..=64,
            offset in 0u64..100,
            number in any::<i64>(),
            bytes in any::<[u8; 21]>(),
        ) {
            prop_assume!(signed || width < 64);
            let field = FieldType { signed, width };
            let number = field.fit(i128::from(number), Overflow::Wrap).unwrap();
            let mut written = bytes;
            field.set(&mut written, offset, number);
            prop_assert_eq!(field.get(&written, offset), number);
            let bit = |bytes: &[u8], at: u64| bytes[(at / 8) as usize] >> (7 - at % 8) & 1;
            for at in 0..21 * 8 {
                if at < offset || offset + u64::from(width) <= at {
                    prop_assert_eq!(bit(&written, at), bit(&bytes, at));
                }
            }
        }
    }
}
