//! How the beginning of a block tells the block's length.
//!
//! ```text
//! Prefixed   bytes << 1               1 byte,  up to 127 bytes behind it
//!            bytes << 2 | 1           2 bytes, up to 16383
//!            bytes << 2 | 3           8 bytes, more
//! Fields     see `field.rs`
//! Packed     bytes of the whole       4 bytes
//! Counted    bytes of an item, items  4 bytes each
//! ```
//! All numbers are little-endian.

#![expect(clippy::cast_possible_truncation, reason = "lengths of what lies in memory")]

/// How a beginning tells the length. Nothing else implements this: memory is trusted to it.
pub(in crate::encodings) trait Form {
    /// What the first eight bytes tell; where there are fewer, anything follows them.
    fn extent(beginning: u64) -> Extent;
}

/// What a beginning tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::encodings) struct Extent {
    /// How many bytes tell it.
    pub(super) told_by: usize,
    /// Bytes in all.
    pub(super) whole: usize,
}

/// The number of bytes that follow, in one, two or eight bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::encodings) struct Prefixed;

impl Prefixed {
    /// What stands before so many bytes, and how much of it.
    #[inline]
    pub(super) const fn prefix(bytes: usize) -> ([u8; 8], usize) {
        let number = bytes as u64;
        match number {
            0..0x80 => ((number << 1).to_le_bytes(), 1),
            0x80..0x4000 => ((number << 2 | 1).to_le_bytes(), 2),
            _ => ((number << 2 | 3).to_le_bytes(), 8),
        }
    }
}

impl Form for Prefixed {
    #[inline]
    fn extent(beginning: u64) -> Extent {
        if beginning & 1 == 0 {
            return Extent { told_by: 1, whole: 1 + (beginning as u8 >> 1) as usize };
        }
        if beginning & 2 == 0 {
            return Extent { told_by: 2, whole: 2 + (beginning as u16 >> 2) as usize };
        }
        Extent { told_by: 8, whole: 8 + (beginning >> 2) as usize }
    }
}

/// A field of a hash with its value.
#[derive(Clone, Copy, Debug)]
pub(in crate::encodings) struct Fields;

impl Fields {
    /// The flag of lengths in four bytes.
    pub(in crate::encodings) const WIDE: u8 = 1;
    /// The flag of a time behind the lengths.
    pub(in crate::encodings) const EXPIRES: u8 = 2;
    /// Bytes of the time.
    pub(in crate::encodings) const EXPIRE_BYTES: usize = 8;
    /// Bytes before the time, or before the name if there is none.
    pub(in crate::encodings) const NARROW_BYTES: usize = 3;
    /// The same of a wide one.
    pub(in crate::encodings) const WIDE_BYTES: usize = 12;

    #[inline]
    pub(in crate::encodings) const fn expire_bytes(flags: u8) -> usize {
        (flags & Self::EXPIRES) as usize * (Self::EXPIRE_BYTES / Self::EXPIRES as usize)
    }

    /// Where the name of one that is not wide begins.
    #[inline]
    pub(super) const fn narrow_name_at(flags: u8) -> usize {
        Self::NARROW_BYTES + Self::expire_bytes(flags)
    }
}

impl Form for Fields {
    #[inline]
    fn extent(beginning: u64) -> Extent {
        let [flags, name, value, ..] = beginning.to_le_bytes();
        if flags & Self::WIDE != 0 {
            return Extent { told_by: 8, whole: (beginning >> 8) as usize };
        }
        let whole = Self::narrow_name_at(flags) + usize::from(name) + usize::from(value);
        Extent { told_by: Self::NARROW_BYTES, whole }
    }
}

/// The number of all bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::encodings) struct Packed;

impl Form for Packed {
    #[inline]
    fn extent(beginning: u64) -> Extent {
        Extent { told_by: 4, whole: beginning as u32 as usize }
    }
}

/// The bytes of an item, then how many items follow.
#[derive(Clone, Copy, Debug)]
pub(in crate::encodings) struct Counted;

impl Form for Counted {
    #[inline]
    fn extent(beginning: u64) -> Extent {
        let (bytes, items) = (beginning as u32 as usize, (beginning >> 32) as usize);
        Extent { told_by: 8, whole: 8 + bytes * items }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_takes_the_fewest_bytes() {
        let cases = [
            (0, 1),
            (127, 1),
            (128, 2),
            (16_383, 2),
            (16_384, 8),
            (u32::MAX as usize + 1, 8),
            ((1 << 62) - 9, 8),
        ];
        for (bytes, told_by) in cases {
            let (prefix, taken) = Prefixed::prefix(bytes);
            assert_eq!(taken, told_by);
            // What follows does not matter.
            for rest in [0, u8::MAX] {
                let mut beginning = [rest; 8];
                beginning[..taken].copy_from_slice(&prefix[..taken]);
                let extent = Prefixed::extent(u64::from_le_bytes(beginning));
                assert_eq!(extent, Extent { told_by, whole: told_by + bytes });
            }
        }
    }
}
