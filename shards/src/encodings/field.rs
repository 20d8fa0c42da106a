//! A field of a hash, with its value and the time at which it expires, as a record of a table.
//!
//! ```text
//! 0   WIDE | EXPIRES, u8
//! 1   length of the field, u8, length of the value, u8
//!     or, if either is longer: 3 bytes of nothing, then both as u32
//! .   when it expires, u64       only with EXPIRES
//! .   the field, then the value
//! ```

use core::ptr::{self, NonNull};
use core::{fmt, slice};

use crate::base::hash::HashSeed;
use crate::base::time::UnixMs;
use crate::encodings::allocation::{Thin, size_class};
use crate::encodings::table::Record;

const WIDE: u8 = 1;
const EXPIRES: u8 = 2;
const HEADER_BYTES: usize = 3;
const WIDE_HEADER_BYTES: usize = 12;
const EXPIRE_BYTES: usize = 8;

/// A field in a table: a handle of eight bytes.
#[repr(transparent)]
pub struct Field(NonNull<u64>);

/// Where the parts of a field lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts {
    /// The flags.
    flags: u8,
    /// Where the name begins.
    name_at: usize,
    name: usize,
    value: usize,
}

impl Parts {
    fn of(name: usize, value: usize, expire: Option<UnixMs>) -> Self {
        let is_wide = u8::try_from(name.max(value)).is_err();
        let expires = if expire.is_some() { EXPIRES } else { 0 };
        Self::with(if is_wide { WIDE } else { 0 } | expires, name, value)
    }

    #[inline]
    fn with(flags: u8, name: usize, value: usize) -> Self {
        let header = if flags & WIDE == 0 { HEADER_BYTES } else { WIDE_HEADER_BYTES };
        let expire = if flags & EXPIRES == 0 { 0 } else { EXPIRE_BYTES };
        Self { flags, name_at: header + expire, name, value }
    }

    #[inline]
    fn whole(self) -> usize {
        self.name_at + self.name + self.value
    }
}

// SAFETY: a field owns what it points to, and nothing in it is shared.
unsafe impl Send for Field {}
// SAFETY: nothing in a field changes behind a shared reference.
unsafe impl Sync for Field {}

// SAFETY: the type is `repr(transparent)` over a `NonNull<u64>`; allocations are aligned to 8.
unsafe impl Record for Field {
    #[inline]
    fn key(&self) -> &[u8] {
        self.name()
    }

    #[inline]
    fn hash(&self, seed: HashSeed) -> u64 {
        seed.member_hash(self.name())
    }
}

impl Field {
    /// A field with its value.
    pub fn new(name: &[u8], value: &[u8], expire: Option<UnixMs>) -> Self {
        let parts = Parts::of(name.len(), value.len(), expire);
        let memory = Thin::allocate(parts.whole()).pointer();
        let field = Self(NonNull::new(memory.cast()).expect("an allocation is somewhere"));
        // SAFETY: the allocation has room for all parts, as `parts` says where they lie.
        unsafe {
            ptr::copy_nonoverlapping(name.as_ptr(), memory.add(parts.name_at), name.len());
            field.write_rest(parts, value, expire);
        }
        field
    }

    /// The field's name.
    #[inline]
    pub fn name(&self) -> &[u8] {
        let parts = self.parts();
        // SAFETY: the name's bytes lie there.
        unsafe { slice::from_raw_parts(self.at(parts.name_at), parts.name) }
    }

    /// Its value.
    #[inline]
    pub fn value(&self) -> &[u8] {
        let parts = self.parts();
        // SAFETY: the value's bytes lie behind the name.
        unsafe { slice::from_raw_parts(self.at(parts.name_at + parts.name), parts.value) }
    }

    /// When it expires.
    #[inline]
    pub fn expire(&self) -> Option<UnixMs> {
        let parts = self.parts();
        let at = self.at(parts.name_at.saturating_sub(EXPIRE_BYTES)).cast::<u64>();
        // SAFETY: the time lies before the name, unaligned.
        (parts.flags & EXPIRES != 0).then(|| UnixMs(unsafe { at.read_unaligned() }))
    }

    /// Whether its time has come.
    #[inline]
    pub fn is_due(&self, now: UnixMs) -> bool {
        self.expire().is_some_and(|at| at <= now)
    }

    /// Takes another value and another time, in place if they fit.
    pub fn set(&mut self, value: &[u8], expire: Option<UnixMs>) {
        let (old, new) = (self.parts(), Parts::of(self.parts().name, value.len(), expire));
        if old.flags == new.flags && size_class(old.whole()) == size_class(new.whole()) {
            // SAFETY: the name stays where it is, and the allocation has room for the rest.
            unsafe { self.write_rest(new, value, expire) };
        } else {
            *self = Self::new(self.name(), value, expire);
        }
    }

    /// Takes another time; the value stays.
    pub fn set_expire(&mut self, expire: Option<UnixMs>) {
        *self = Self::new(self.name(), self.value(), expire);
    }

    /// Bytes of its allocation.
    #[inline]
    pub fn memory(&self) -> usize {
        size_class(self.parts().whole())
    }

    /// Writes all but the name.
    ///
    /// # Safety
    /// The allocation has room for `parts`, and `value` is not in it.
    unsafe fn write_rest(&self, parts: Parts, value: &[u8], expire: Option<UnixMs>) {
        let short = |length: usize| u8::try_from(length).expect("it is not wide");
        let long = |length: usize| {
            u32::try_from(length).expect("the protocol limits strings to less than 4 GiB")
        };
        // SAFETY: the caller's promise.
        unsafe {
            self.at(0).write(parts.flags);
            if parts.flags & WIDE == 0 {
                self.at(1).write(short(parts.name));
                self.at(2).write(short(parts.value));
            } else {
                self.at(4).cast::<u32>().write(long(parts.name));
                self.at(8).cast::<u32>().write(long(parts.value));
            }
            if let Some(at) = expire {
                let to = self.at(parts.name_at - EXPIRE_BYTES).cast::<u64>();
                to.write_unaligned(at.0);
            }
            let to = self.at(parts.name_at + parts.name);
            ptr::copy_nonoverlapping(value.as_ptr(), to, value.len());
        }
    }

    #[inline]
    fn parts(&self) -> Parts {
        // SAFETY: a field begins with its flags, and they say how its lengths are written.
        unsafe {
            let flags = self.at(0).read();
            if flags & WIDE == 0 {
                Parts::with(flags, self.at(1).read().into(), self.at(2).read().into())
            } else {
                let length = |at: usize| self.at(at).cast::<u32>().read() as usize;
                Parts::with(flags, length(4), length(8))
            }
        }
    }

    #[inline]
    fn at(&self, offset: usize) -> *mut u8 {
        self.0.as_ptr().cast::<u8>().wrapping_add(offset)
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        let whole = self.parts().whole();
        // SAFETY: it was allocated in this size class and is not used after this.
        unsafe { Thin::of(self.at(0)).free(whole) };
    }
}

impl Clone for Field {
    fn clone(&self) -> Self {
        Self::new(self.name(), self.value(), self.expire())
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value) = (self.name().escape_ascii(), self.value().escape_ascii());
        write!(f, "\"{name}\": \"{value}\" {:?}", self.expire())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn a_small_field_takes_three_bytes_more() {
        assert_eq!(Field::new(b"field", b"12345678", None).memory(), 16);
        assert_eq!(Field::new(b"field", b"12345678", Some(UnixMs(1))).memory(), 32);
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            (250usize..260).prop_map(|length| vec![b'x'; length]),
        ]
    }

    proptest! {
        #[test]
        fn holds_what_was_put_in(
            name in text(),
            first in text(),
            steps in prop::collection::vec((text(), any::<Option<u64>>()), 0..10),
        ) {
            let mut field = Field::new(&name, &first, None);
            let mut value = first;
            for (next, expire) in steps {
                let expire = expire.map(UnixMs);
                field.set_expire(expire);
                prop_assert_eq!(field.value(), &value);
                prop_assert_eq!(field.expire(), expire);
                field.set(&next, expire);
                value = next;
                let copy = field.clone();
                prop_assert_eq!((copy.name(), copy.value()), (&name[..], &value[..]));
                prop_assert_eq!((field.name(), field.expire()), (&name[..], expire));
                prop_assert!(name.len() + value.len() < field.memory());
            }
        }
    }
}
