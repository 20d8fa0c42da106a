//! Where the parts of an entry lie in its allocation.
//!
//! ```text
//! 0       access << 8 | flags, u32    flags: kind (2 bits), EXPIRES, RAW
//! 4       length of the key, u32
//! 8       when it expires, u64        only with EXPIRES
//! then    payload                     i64 | Vec<u8> | O | length of the inline bytes, u32
//! then    key
//! then    inline bytes                only of kind INLINE
//! ```

use alloc::vec::Vec;
use core::marker::PhantomData;
use core::mem::{self, ManuallyDrop};
use core::ptr;

use super::Entry;
use crate::base::time::UnixMs;
use crate::encodings::allocation::{Place as _, Word, allocate, free, size_class};

pub(super) const KIND: u32 = 3;
pub(super) const INT: u32 = 0;
pub(super) const HEAP: u32 = 1;
pub(super) const OBJECT: u32 = 2;
pub(super) const INLINE: u32 = 3;
/// The entry has a time at which it expires.
pub(super) const EXPIRES: u32 = 4;
/// The string was changed in place, so its encoding is `raw` however short it is.
pub(super) const RAW: u32 = 8;
/// The bits below the access bits.
pub(super) const FLAGS: u32 = 0xFF;

pub(super) const HEADER_BYTES: usize = 8;
pub(super) const EXPIRE_BYTES: usize = 8;
pub(super) const ALIGNMENT: usize = 8;

/// A value on its way into an entry.
pub(super) enum Payload<'a, O> {
    Int(i64),
    Heap(Vec<u8>),
    Object(O),
    Inline(&'a [u8]),
}

impl<O> Entry<O> {
    /// Makes an entry of its parts.
    #[inline]
    pub(super) fn new(
        key: &[u8],
        expire: Option<UnixMs>,
        access: u32,
        payload: Payload<'_, O>,
    ) -> Self {
        let (kind, inline) = match &payload {
            Payload::Int(_) => (INT, &[][..]),
            Payload::Heap(_) => (HEAP, &[][..]),
            Payload::Object(_) => (OBJECT, &[][..]),
            Payload::Inline(bytes) => (INLINE, *bytes),
        };
        let meta = access << 8 | if expire.is_some() { EXPIRES } else { 0 } | kind;
        let key_at = Self::key_at(meta);
        let entry = Self::allocate(key_at + key.len() + inline.len());
        let payload_at = entry.at(Self::payload_at(meta));
        // SAFETY: the allocation has room for all parts as `key_at` and the lengths say, and all
        // are aligned: the payload begins at a multiple of 8.
        unsafe {
            entry.at(0).cast::<u32>().write(meta);
            entry.at(4).cast::<u32>().write(length_u32(key));
            if let Some(at) = expire {
                entry.at(HEADER_BYTES).cast::<u64>().write(at.0);
            }
            match payload {
                Payload::Int(number) => payload_at.cast::<i64>().write(number),
                Payload::Heap(buffer) => payload_at.cast::<Vec<u8>>().write(buffer),
                Payload::Object(object) => payload_at.cast::<O>().write(object),
                Payload::Inline(bytes) => payload_at.cast::<u32>().write(length_u32(bytes)),
            }
            ptr::copy_nonoverlapping(key.as_ptr(), entry.at(key_at), key.len());
            let to = entry.at(key_at + key.len());
            ptr::copy_nonoverlapping(inline.as_ptr(), to, inline.len());
        }
        ManuallyDrop::into_inner(entry)
    }

    /// Takes another value in a new allocation.
    #[inline]
    pub(super) fn replace(&mut self, payload: Payload<'_, O>) {
        *self = Self::new(self.key(), self.expire(), self.access(), payload);
    }

    /// The same parts but the key in another allocation.
    pub(super) fn move_to(self, key: &[u8]) -> Self {
        let old = ManuallyDrop::new(self);
        let (key_at, inline) = (Self::key_at(old.meta()), old.inline());
        let new = Self::allocate(key_at + key.len() + inline.len());
        // SAFETY: `new` has room for all three. The old entry's payload is moved, not copied:
        // its memory is freed without dropping it, and it is not used again.
        unsafe {
            ptr::copy_nonoverlapping(old.at(0), new.at(0), key_at);
            new.at(4).cast::<u32>().write(length_u32(key));
            ptr::copy_nonoverlapping(key.as_ptr(), new.at(key_at), key.len());
            let to = new.at(key_at + key.len());
            ptr::copy_nonoverlapping(inline.as_ptr(), to, inline.len());
            free(old.at(0), old.whole());
        }
        ManuallyDrop::into_inner(new)
    }

    /// Makes or closes the gap for the expiry time and flips the flag: all behind the header
    /// moves by eight bytes, within the allocation if it has that size anyway.
    pub(super) fn shift_payload(&mut self) {
        let (meta, old) = (self.meta(), self.whole());
        let from = Self::payload_at(meta);
        let tail = old - from;
        let to = Self::payload_at(meta ^ EXPIRES);
        if size_class(to + tail) == size_class(old) {
            // SAFETY: both ranges lie in the allocation: its size holds the longer form too.
            unsafe { ptr::copy(self.at(from), self.at(to), tail) };
        } else {
            let new = Self::allocate(to + tail);
            // SAFETY: `new` has room for both. The payload is moved: the old allocation is freed
            // without dropping it, and not used again.
            unsafe {
                ptr::copy_nonoverlapping(self.at(0), new.at(0), HEADER_BYTES);
                ptr::copy_nonoverlapping(self.at(from), new.at(to), tail);
                free(self.at(0), old);
            }
            mem::forget(mem::replace(self, ManuallyDrop::into_inner(new)));
        }
        self.set_meta(meta ^ EXPIRES);
    }

    /// Memory for an entry of `bytes`, nothing of it written yet.
    #[inline]
    fn allocate(bytes: usize) -> ManuallyDrop<Self> {
        ManuallyDrop::new(Self(Word::of(allocate(bytes)), PhantomData))
    }

    /// The address `offset` bytes into the allocation; using it is up to the caller.
    #[inline]
    pub(super) fn at(&self, offset: usize) -> *mut u8 {
        self.0.pointer().wrapping_add(offset)
    }

    #[inline]
    pub(super) fn meta(&self) -> u32 {
        self.header()[0]
    }

    #[inline]
    pub(super) fn set_meta(&mut self, meta: u32) {
        // SAFETY: every entry begins with these four bytes.
        unsafe { self.at(0).cast::<u32>().write(meta) };
    }

    #[inline]
    pub(super) fn key_bytes(&self) -> usize {
        self.header()[1] as usize
    }

    #[inline]
    fn header(&self) -> &[u32; 2] {
        // SAFETY: every entry begins with these eight bytes, aligned to eight.
        unsafe { &*self.at(0).cast::<[u32; 2]>() }
    }

    /// Where the payload of an entry with these flags begins.
    #[inline]
    pub(super) const fn payload_at(meta: u32) -> usize {
        HEADER_BYTES + (meta & EXPIRES) as usize * (EXPIRE_BYTES / EXPIRES as usize)
    }

    /// Where the key of an entry with these flags begins.
    #[inline]
    pub(super) fn key_at(meta: u32) -> usize {
        // A table rather than a match: the branch would be as unpredictable as the traffic.
        Self::KEY_AT[(meta & (KIND | EXPIRES)) as usize]
    }

    const KEY_AT: [usize; 8] = {
        let mut table = [0; 8];
        let payload_bytes = [8, size_of::<Vec<u8>>(), size_of::<O>(), 4];
        let mut flags = 0;
        while flags < 8 {
            table[flags as usize] =
                Self::payload_at(flags) + payload_bytes[(flags & KIND) as usize];
            flags += 1;
        }
        table
    };

    /// Where the inline bytes begin, or would begin.
    #[inline]
    pub(super) fn inline_at(&self) -> usize {
        Self::key_at(self.meta()) + self.key_bytes()
    }

    /// The inline bytes; none if the value is of another kind.
    #[inline]
    pub(super) fn inline(&self) -> &[u8] {
        let meta = self.meta();
        if meta & KIND != INLINE {
            return &[];
        }
        // SAFETY: of this kind, the payload is a length and that many bytes follow the key.
        unsafe {
            let length = self.at(Self::payload_at(meta)).cast::<u32>().read() as usize;
            core::slice::from_raw_parts(self.at(self.inline_at()), length)
        }
    }

    /// The size of the allocation.
    #[inline]
    pub(super) fn size(&self) -> usize {
        size_class(self.whole())
    }

    /// Bytes of all parts.
    #[inline]
    fn whole(&self) -> usize {
        self.inline_at() + self.inline().len()
    }
}

impl<O> Drop for Entry<O> {
    #[inline]
    fn drop(&mut self) {
        let (meta, whole) = (self.meta(), self.whole());
        let payload = self.at(Self::payload_at(meta));
        // SAFETY: the kind says what is there; no code uses it after this. The allocation was
        // made with this very layout: every change of its parts keeps the size class.
        unsafe {
            match meta & KIND {
                HEAP => payload.cast::<Vec<u8>>().drop_in_place(),
                OBJECT => payload.cast::<O>().drop_in_place(),
                _ => {}
            }
            free(self.at(0), whole);
        }
    }
}

#[inline]
pub(super) fn length_u32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("the protocol limits strings to less than 4 GiB")
}
