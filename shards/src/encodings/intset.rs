//! A set of integers in one allocation, sorted, in Valkey's layout: a dump is a copy.
//!
//! ```text
//! 0   bytes of an integer, u32 LE: 2, 4 or 8
//! 4   number of integers, u32 LE
//! 8   the integers, LE, in ascending order
//! ```

use core::fmt;

use crate::encodings::allocation::Thin;
use crate::encodings::block::{Block, Counted};

/// Integers an intset may have: as many of eight bytes take 1 GiB.
pub const LEN_MAX: usize = 1 << 27;

const HEADER_BYTES: usize = 8;

/// An intset that owns its memory: a handle of six bytes.
#[derive(Clone)]
pub struct Intset(Block<Counted, Thin>);

impl Intset {
    /// One without integers.
    pub fn new() -> Self {
        Self::copy_of(&[2, 0, 0, 0, 0, 0, 0, 0])
    }

    /// A copy of bytes that another program made, if they are an intset in every detail.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let width = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
        let len = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?) as usize;
        if !matches!(width, 2 | 4 | 8) || LEN_MAX < len || bytes.len() != HEADER_BYTES + len * width
        {
            return None;
        }
        let set = Self::copy_of(bytes);
        set.iter().is_sorted_by(|before, after| before < after).then_some(set)
    }

    /// All of it, as Valkey would dump it.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// Bytes of its allocation.
    pub fn memory(&self) -> usize {
        self.0.memory()
    }

    /// Integers in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.header()[1] as usize
    }

    /// Whether it has none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `number` is in it.
    #[inline]
    pub fn contains(&self, number: i64) -> bool {
        self.search(number).is_ok()
    }

    /// The integer of number `index`, in ascending order.
    #[inline]
    pub fn get(&self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| self.at(index))
    }

    /// All integers in ascending order, from either end.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator {
        (0..self.len()).map(|index| self.at(index))
    }

    /// Adds `number`; false if it was there.
    pub fn insert(&mut self, number: i64) -> bool {
        let width = self.width().max(width_of(number));
        let Err(index) = self.search(number) else { return false };
        let len = self.len();
        assert!(len < LEN_MAX, "a set becomes a table long before");
        if self.width() < width {
            self.widen(width);
        }
        let at = HEADER_BYTES + index * width;
        self.0.splice((at, 0), [&number.to_le_bytes()[..width]], header_of(width, len + 1));
        true
    }

    /// Removes `number`; false if it was not there.
    pub fn remove(&mut self, number: i64) -> bool {
        let Ok(index) = self.search(number) else { return false };
        let (width, len) = (self.width(), self.len());
        let at = HEADER_BYTES + index * width;
        self.0.splice((at, width), [], header_of(width, len - 1));
        true
    }

    /// Where `number` is, or where it would be.
    fn search(&self, number: i64) -> Result<usize, usize> {
        let len = self.len();
        // As a rule sets are filled in order.
        if len == 0 || self.at(len - 1) < number {
            return Err(len);
        }
        let (mut low, mut high) = (0, len);
        while low < high {
            let middle = usize::midpoint(low, high);
            let there = self.at(middle);
            if there == number {
                return Ok(middle);
            }
            if there < number {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Err(low)
    }

    #[inline]
    fn at(&self, index: usize) -> i64 {
        read(self.0.body(), self.width(), index)
    }

    /// Makes all integers `width` bytes wide.
    fn widen(&mut self, width: usize) {
        let (len, old) = (self.len(), self.width());
        let end = HEADER_BYTES + len * old;
        self.0.gap((end, 0), len * (width - old), header_of(width, len));
        let integers = self.0.body_mut();
        // From the last on, each is read before the bytes of a wider one cover it.
        for index in (0..len).rev() {
            let number = read(integers, old, index).to_le_bytes();
            integers[index * width..][..width].copy_from_slice(&number[..width]);
        }
    }

    #[inline]
    fn width(&self) -> usize {
        self.header()[0] as usize
    }

    #[inline]
    fn header(&self) -> [u32; 2] {
        let [a, b, c, d, e, f, g, h] = self.0.beginning();
        [[a, b, c, d], [e, f, g, h]].map(u32::from_le_bytes)
    }

    fn copy_of(bytes: &[u8]) -> Self {
        Self(Block::new([], [bytes]))
    }
}

/// The integer of number `index`, all of them being of this width.
#[inline]
fn read(integers: &[u8], width: usize, index: usize) -> i64 {
    let here = &integers[index * width..];
    let there = "the index is below the length";
    match width {
        2 => i16::from_le_bytes(*here.first_chunk().expect(there)).into(),
        4 => i32::from_le_bytes(*here.first_chunk().expect(there)).into(),
        _ => i64::from_le_bytes(*here.first_chunk().expect(there)),
    }
}

fn header_of(width: usize, len: usize) -> [u8; HEADER_BYTES] {
    let number = |it: usize| u32::try_from(it).expect("widths and lengths are small");
    (u64::from(number(len)) << 32 | u64::from(number(width))).to_le_bytes()
}

/// Bytes that `number` takes.
fn width_of(number: i64) -> usize {
    if i16::try_from(number).is_ok() {
        2
    } else if i32::try_from(number).is_ok() {
        4
    } else {
        8
    }
}

impl Default for Intset {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Intset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    /// Intsets of a Valkey 9.1.2.
    #[test]
    fn bytes_are_those_of_valkey() {
        let mut set = Intset::new();
        [1, -2, 3].into_iter().for_each(|number| assert!(set.insert(number)));
        assert_eq!(set.as_bytes(), b"\x02\0\0\0\x03\0\0\0\xfe\xff\x01\0\x03\0");
        assert!(set.insert(70_000) && !set.insert(70_000));
        let of_four = b"\x04\0\0\0\x04\0\0\0\xfe\xff\xff\xff\x01\0\0\0\x03\0\0\0\x70\x11\x01\0";
        assert_eq!(set.as_bytes(), of_four);
        set.insert(i64::MIN);
        assert_eq!(set.as_bytes()[..8], *b"\x08\0\0\0\x05\0\0\0");
        assert_eq!(set.as_bytes()[8..16], i64::MIN.to_le_bytes());
        assert_eq!(set.as_bytes()[16..24], (-2i64).to_le_bytes());
        assert!(Intset::from_bytes(set.as_bytes()).unwrap().iter().eq(set.iter()));
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let cases: [&[u8]; 8] = [
            b"",
            b"\x02\0\0\0\0\0\0",
            b"\x03\0\0\0\x01\0\0\0abc",
            b"\x02\0\0\0\x01\0\0\0a",
            b"\x02\0\0\0\x01\0\0\0abc",
            b"\x02\0\0\0\x02\0\0\0\x05\0\x05\0",
            b"\x02\0\0\0\x02\0\0\0\x05\0\x04\0",
            b"\x08\0\0\0\xff\xff\xff\xff",
        ];
        for bytes in cases {
            assert!(Intset::from_bytes(bytes).is_none(), "{}", bytes.escape_ascii());
        }
        assert!(Intset::from_bytes(b"\x02\0\0\0\0\0\0\0").unwrap().is_empty());
    }

    fn number() -> impl Strategy<Value = i64> {
        let edge = [i64::MIN, i64::from(i32::MIN), i64::from(i16::MIN), 32_767, i64::MAX];
        prop_oneof![5 => -20i64..20, 1 => any::<i64>(), 1 => prop::sample::select(edge.to_vec())]
    }

    proptest! {
        #[test]
        fn is_a_sorted_set(steps in prop::collection::vec((any::<bool>(), number()), 0..80)) {
            let (mut set, mut model) = (Intset::new(), BTreeSet::new());
            for (add, number) in steps {
                if add {
                    prop_assert_eq!(set.insert(number), model.insert(number));
                } else {
                    prop_assert_eq!(set.remove(number), model.remove(&number));
                }
                prop_assert_eq!(set.contains(number), add);
                prop_assert_eq!(set.len(), model.len());
            }
            prop_assert!(set.iter().eq(model.iter().copied()));
            let last = model.last().copied();
            prop_assert_eq!(set.get(model.len().wrapping_sub(1)), last);
            prop_assert_eq!(set.get(model.len()), None);
            let copy = Intset::from_bytes(set.as_bytes()).unwrap();
            prop_assert!(copy.iter().rev().eq(model.into_iter().rev()));
        }
    }
}
