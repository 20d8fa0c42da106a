//! The memory of a listpack: a block that begins with its length.

use super::{COUNT_AT, HEADER_BYTES, Listpack, UNKNOWN};
use crate::encodings::block::Block;

impl Listpack {
    /// All of it, as Valkey would dump it.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// Bytes of the whole.
    #[inline]
    pub fn bytes_len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    pub(super) fn count(&self) -> u16 {
        let [.., low, high, _, _] = self.0.beginning();
        u16::from_le_bytes([low, high])
    }

    #[inline]
    pub(super) fn set_count(&mut self, count: usize) {
        let count = u16::try_from(count).unwrap_or(UNKNOWN);
        self.0.body_mut()[..HEADER_BYTES - COUNT_AT].copy_from_slice(&count.to_le_bytes());
    }

    pub(super) fn copy_of(bytes: &[u8]) -> Self {
        Self(Block::new([], [bytes]))
    }

    /// Adds as many bytes, all zero, before the end; the count is up to the caller.
    pub(super) fn grow(&mut self, added: usize) -> &mut [u8] {
        let end = self.bytes_len() - 1;
        let total = self.total_with((end, 0), added);
        self.0.gap((end, 0), added, total)
    }

    /// Puts `parts` in the place of `removed` bytes at `at`; the count is up to the caller.
    #[inline]
    pub(super) fn splice<const M: usize>(&mut self, at: usize, removed: usize, parts: [&[u8]; M]) {
        let added = parts.iter().map(|part| part.len()).sum();
        let total = self.total_with((at, removed), added);
        self.0.splice((at, removed), parts, total);
    }

    /// The header's length when so many bytes take the place of some.
    #[inline]
    fn total_with(&self, (at, removed): (usize, usize), added: usize) -> [u8; COUNT_AT] {
        let old = self.bytes_len();
        assert!(HEADER_BYTES <= at && at + removed < old, "header and end stay");
        let total = u32::try_from(old - removed + added);
        total.expect("whoever adds asks first whether it fits").to_le_bytes()
    }
}
