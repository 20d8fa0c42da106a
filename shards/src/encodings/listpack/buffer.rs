//! The memory of a listpack: all of its `unsafe`.

use core::{ptr, slice};

use super::element::END;
use super::{HEADER_BYTES, Listpack, UNKNOWN};
use crate::encodings::allocation::Thin;

impl Listpack {
    /// All of it, as Valkey would dump it.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the first four bytes say how many there are, and all of them are written.
        unsafe { slice::from_raw_parts(self.0.pointer(), self.bytes_len()) }
    }

    /// Bytes of the whole.
    #[inline]
    pub fn bytes_len(&self) -> usize {
        // SAFETY: a listpack begins with these four bytes.
        u32::from_le_bytes(unsafe { *self.0.pointer().cast::<[u8; 4]>() }) as usize
    }

    #[inline]
    pub(super) fn count(&self) -> u16 {
        // SAFETY: a listpack begins with six bytes at least.
        u16::from_le_bytes(unsafe { *self.0.pointer().add(4).cast::<[u8; 2]>() })
    }

    pub(super) fn set_count(&mut self, count: usize) {
        let count = u16::try_from(count).unwrap_or(UNKNOWN);
        // SAFETY: as for `count`, and `self` is borrowed mutably.
        unsafe { self.0.pointer().add(4).cast::<[u8; 2]>().write(count.to_le_bytes()) };
    }

    pub(super) fn copy_of(bytes: &[u8]) -> Self {
        let memory = Thin::allocate(bytes.len());
        // SAFETY: the memory is new and has room for as many bytes.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), memory.pointer(), bytes.len()) };
        Self(memory)
    }

    /// Adds as many bytes, all zero, before the end; the count is up to the caller.
    pub(super) fn grow(&mut self, added: usize) -> &mut [u8] {
        let (old, new) = (self.bytes_len(), self.bytes_len() + added);
        let total = u32::try_from(new).expect("whoever adds asks first whether it fits");
        // SAFETY: the allocation has room for the new length. The last of the old bytes, which is
        // the end's, and all that are added are written, and the header says how many there are.
        unsafe {
            self.0 = self.0.resized(old, new);
            let start = self.0.pointer().add(old - 1);
            ptr::write_bytes(start, 0, added);
            start.add(added).write(END);
            self.0.pointer().cast::<[u8; 4]>().write(total.to_le_bytes());
            slice::from_raw_parts_mut(start, added)
        }
    }

    /// Puts `parts` in the place of `removed` bytes at `at`; the count is up to the caller.
    pub(super) fn splice(&mut self, at: usize, removed: usize, parts: &[&[u8]]) {
        let old = self.bytes_len();
        let added = parts.iter().map(|part| part.len()).sum::<usize>();
        assert!(HEADER_BYTES <= at && at + removed < old, "header and end stay");
        let new = old - removed + added;
        let total = u32::try_from(new).expect("whoever adds asks first whether it fits");
        // SAFETY: while the bytes behind `at` move, the allocation has room for the longer of
        // both lengths, as size classes do not fall; `parts` are not of this listpack, which is
        // borrowed mutably. Afterwards all `new` bytes are written, and its header says so.
        unsafe {
            if old < new {
                self.0 = self.0.resized(old, new);
            }
            let start = self.0.pointer().add(at);
            if added != removed {
                ptr::copy(start.add(removed), start.add(added), old - at - removed);
            }
            let mut to = start;
            for part in parts {
                ptr::copy_nonoverlapping(part.as_ptr(), to, part.len());
                to = to.add(part.len());
            }
            self.0.pointer().cast::<[u8; 4]>().write(total.to_le_bytes());
            if new < old {
                self.0 = self.0.resized(old, new);
            }
        }
    }
}

impl Drop for Listpack {
    fn drop(&mut self) {
        // SAFETY: it was allocated for as many bytes as it says, and is not used after this.
        unsafe { self.0.free(self.bytes_len()) };
    }
}

impl Clone for Listpack {
    fn clone(&self) -> Self {
        Self::copy_of(self.as_bytes())
    }
}
