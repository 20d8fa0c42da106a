//! The elements of a listpack one by one.

use super::Position;
use super::element::{Element, decode, start_before, step};

/// The elements of a listpack, from either end.
#[derive(Clone, Debug, Default)]
pub struct Iter<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) end: usize,
}

impl Iter<'_> {
    /// Where the element lies that is next.
    #[inline]
    pub fn place(&self) -> Position {
        Position::of(self.at)
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.at == self.end {
            return None;
        }
        let (element, bytes) = step(&self.bytes[self.at..]);
        self.at += bytes;
        Some(element)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline(always)]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.at == self.end {
            return None;
        }
        self.end = start_before(self.bytes, self.end);
        Some(decode(&self.bytes[self.end..]))
    }
}
