//! Bytes in one allocation that begin with what tells how many they are: the memory of small
//! values. All changes but those of the beginning are safe code; the beginning changes together
//! with the allocation, and is checked before.

mod form;

use core::marker::PhantomData;
use core::{ptr, slice};

use crate::encodings::allocation::{Place, allocate, free, resized, size_class};

pub(super) use form::{Counted, Fields, Packed, Prefixed};
use form::{Extent, Form};

/// Bytes that tell in the form `F` how many they are, and lie where `P` says.
pub(super) struct Block<F: Form, P: Place>(P, PhantomData<F>);

impl<F: Form, P: Place> Block<F, P> {
    /// A block of a head and what follows it.
    #[inline]
    pub(super) fn new<const N: usize, const M: usize>(head: [u8; N], parts: [&[u8]; M]) -> Self {
        let whole = parts.iter().fold(N, |sum, part| sum + part.len());
        let memory = allocate(whole);
        // SAFETY: the allocation has room for all parts, and for eight bytes at least. It is freed
        // as it was made if it does not become a block.
        let is_told = unsafe {
            memory.cast::<u64>().write(0);
            memory.cast::<[u8; N]>().write(head);
            let mut to = memory.add(N);
            for part in parts {
                ptr::copy_nonoverlapping(part.as_ptr(), to, part.len());
                to = to.add(part.len());
            }
            let beginning = u64::from_le_bytes(memory.cast::<[u8; 8]>().read());
            let is_told = F::extent(beginning).whole == whole;
            if !is_told {
                free(memory, whole);
            }
            is_told
        };
        assert!(is_told, "a block begins with its length");
        Self(P::of(memory), PhantomData)
    }

    /// Bytes in all.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.extent().whole
    }

    /// Bytes of the allocation.
    #[inline]
    pub(super) fn memory(&self) -> usize {
        size_class(self.len())
    }

    /// All bytes.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes are there, all of them written.
        unsafe { slice::from_raw_parts(self.0.pointer(), self.len()) }
    }

    /// The first eight bytes; zeros, or anything else, stand for those behind the end.
    #[inline]
    pub(super) fn beginning(&self) -> [u8; 8] {
        // SAFETY: an allocation has eight bytes at least, and `new` writes them.
        unsafe { self.0.pointer().cast::<[u8; 8]>().read() }
    }

    /// The bytes behind those that tell the length.
    #[inline]
    pub(super) fn body(&self) -> &[u8] {
        // SAFETY: the block lives as long as it is borrowed.
        unsafe { Self::body_at(self.0) }
    }

    /// The bytes behind those that tell the length, to change them.
    #[inline]
    pub(super) fn body_mut(&mut self) -> &mut [u8] {
        let Extent { told_by, whole } = self.extent();
        // SAFETY: so many bytes are there, all of them written, and `self` is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.0.pointer().add(told_by), whole - told_by) }
    }

    /// Puts `parts` in the place of `removed` bytes at `at`; `head` takes the place of the first
    /// bytes and tells the new length.
    #[inline]
    pub(super) fn splice<const N: usize, const M: usize>(
        &mut self,
        (at, removed): (usize, usize),
        parts: [&[u8]; M],
        head: [u8; N],
    ) {
        let added = parts.iter().map(|part| part.len()).sum();
        let mut to = self.open((at, removed), added, head);
        for part in parts {
            // SAFETY: `open` made room for all parts, which are not of this block: that is
            // borrowed mutably.
            unsafe {
                ptr::copy_nonoverlapping(part.as_ptr(), to, part.len());
                to = to.add(part.len());
            }
        }
    }

    /// Puts `added` bytes, zeros as yet, in the place of `removed` ones, as [`Self::splice`] does.
    #[inline]
    pub(super) fn gap<const N: usize>(
        &mut self,
        place: (usize, usize),
        added: usize,
        head: [u8; N],
    ) -> &mut [u8] {
        let start = self.open(place, added, head);
        // SAFETY: `open` made room for so many bytes, and they are written first.
        unsafe {
            ptr::write_bytes(start, 0, added);
            slice::from_raw_parts_mut(start, added)
        }
    }

    /// Moves what is behind the place so that `added` bytes may be written where the result says.
    /// They must be, before anything is read.
    ///
    /// Inline: what a listpack's element takes is known at compile time as a rule, and a call made
    /// XADD take 2.7 % more instructions.
    #[inline(always)]
    fn open<const N: usize>(
        &mut self,
        (at, removed): (usize, usize),
        added: usize,
        head: [u8; N],
    ) -> *mut u8 {
        let old = self.len();
        assert!(N <= at && removed <= old && at <= old - removed, "only what is there is replaced");
        let new = old - removed + added;
        let mut beginning = self.beginning();
        beginning[..N].copy_from_slice(&head);
        let extent = F::extent(u64::from_le_bytes(beginning));
        assert!(extent.whole == new && extent.told_by <= N, "a block begins with its length");
        // SAFETY: while the bytes behind `at` move, the allocation has room for the longer of both
        // lengths, as size classes do not fall.
        unsafe {
            let mut memory = self.0.pointer();
            if old < new && size_class(old) < size_class(new) {
                memory = resized(memory, old, new);
                self.0 = P::of(memory);
            }
            memory.cast::<[u8; 8]>().write(beginning);
            if old == new {
                return memory.add(at);
            }
            let gap = memory.add(at);
            ptr::copy(gap.add(removed), gap.add(added), old - at - removed);
            if new < old && size_class(new) < size_class(old) {
                memory = resized(memory, old, new);
                self.0 = P::of(memory);
            }
            memory.add(at)
        }
    }

    /// Where it lies: for a second handle.
    #[inline]
    pub(super) fn place(&self) -> P {
        self.0
    }

    /// The body of the block at `place`.
    ///
    /// # Safety
    /// `place` is that of a block of this form, which lives and keeps its length as long as the
    /// result is used, and of which nothing is changed meanwhile.
    #[inline]
    pub(super) unsafe fn body_at<'a>(place: P) -> &'a [u8] {
        // SAFETY: the caller's promise; so many bytes are there, all of them written.
        unsafe {
            let memory = place.pointer();
            let beginning = memory.cast::<[u8; 8]>().read();
            let Extent { told_by, whole } = F::extent(u64::from_le_bytes(beginning));
            slice::from_raw_parts(memory.add(told_by), whole - told_by)
        }
    }

    #[inline]
    fn extent(&self) -> Extent {
        F::extent(u64::from_le_bytes(self.beginning()))
    }
}

impl<P: Place> Block<Fields, P> {
    /// Name and value.
    #[inline]
    pub(super) fn strings(&self) -> (&[u8], &[u8]) {
        let [flags, name, value, ..] = self.beginning();
        if flags & Fields::WIDE != 0 {
            return self.wide_strings();
        }
        let (name, value) = (usize::from(name), usize::from(value));
        // SAFETY: so much is there by what the form says of it. (Checks would cost a find more than
        // all else that it does with a field.)
        unsafe {
            let start = self.0.pointer().add(Fields::narrow_name_at(flags));
            (slice::from_raw_parts(start, name), slice::from_raw_parts(start.add(name), value))
        }
    }

    fn wide_strings(&self) -> (&[u8], &[u8]) {
        let (head, rest) = self.bytes().split_at(Fields::WIDE_BYTES);
        let name = head.last_chunk().expect("the name's length stands last");
        let at = Fields::expire_bytes(head[0]);
        rest[at..].split_at(u32::from_le_bytes(*name) as usize)
    }
}

impl<P: Place> Block<Prefixed, P> {
    /// A block of these parts behind their length.
    #[inline]
    pub(super) fn prefixed<const M: usize>(parts: [&[u8]; M]) -> Self {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        match Prefixed::prefix(bytes) {
            ([one, ..], 1) => Self::new([one], parts),
            ([one, two, ..], 2) => Self::new([one, two], parts),
            (all, _) => Self::new(all, parts),
        }
    }
}

impl<F: Form, P: Place> Drop for Block<F, P> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: it was allocated for as many bytes as it tells, and is not used after this.
        unsafe { free(self.0.pointer(), self.len()) };
    }
}

impl<F: Form, P: Place> Clone for Block<F, P> {
    fn clone(&self) -> Self {
        Self::new([], [self.bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encodings::allocation::{Thin, Word};
    use alloc::vec;
    use alloc::vec::Vec;
    use core::panic::AssertUnwindSafe;
    use proptest::prelude::*;
    use std::panic::catch_unwind;

    extern crate std;

    type Short = Block<Prefixed, Word>;
    type Long = Block<Packed, Thin>;

    #[test]
    fn a_length_that_is_wrong_is_not_taken() {
        // Whatever is told, what was allocated is freed as it was.
        let cases: [(&str, fn()); 6] = [
            ("long", || drop(Long::new(500u32.to_le_bytes(), [&[b'x'; 100]]))),
            ("longer", || drop(Short::new([5 << 1], [b"four"]))),
            ("shorter", || drop(Short::new([3 << 1], [b"four"]))),
            ("none", || drop(Short::new([], [b"four"]))),
            ("packed", || drop(Long::new(9u32.to_le_bytes(), [b"four"]))),
            ("cut off", || drop(Long::new([], [b"abc"]))),
        ];
        for (case, make) in cases {
            assert!(catch_unwind(make).is_err(), "{case}");
        }
    }

    #[test]
    fn a_change_that_would_make_the_length_wrong_is_none() {
        type Change = fn(&mut Short);
        let cases: [(&str, Change); 6] = [
            ("longer", |it| it.splice((1, 0), [b"x"], [6 << 1])),
            ("shorter", |it| it.splice((1, 0), [b"x"], [4 << 1])),
            ("not told", |it| it.splice((1, 0), [b"x"], [])),
            ("told by more", |it| it.splice((1, 0), [b"x"], [5 << 2 | 1])),
            ("before the body", |it| it.splice((0, 0), [b"x"], [5 << 1])),
            ("behind the end", |it| it.splice((2, 4), [], [0])),
        ];
        for (case, change) in cases {
            let mut block = Short::prefixed([b"four"]);
            assert!(catch_unwind(AssertUnwindSafe(|| change(&mut block))).is_err(), "{case}");
            assert_eq!(block.body(), b"four");
        }
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let long = prop_oneof![120usize..136, 16_376usize..16_392];
        prop_oneof![
            3 => prop::collection::vec(any::<u8>(), 0..20),
            1 => (long, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        ]
    }

    proptest! {
        #[test]
        fn holds_what_was_put_in(
            first in bytes(),
            steps in prop::collection::vec((any::<(usize, usize)>(), bytes(), bytes()), 0..8),
        ) {
            let (mut short, mut model) = (Short::prefixed([&first]), first);
            let total = |model: &[u8]| u32::try_from(4 + model.len()).unwrap().to_le_bytes();
            let mut long = Long::new(total(&model), [&model]);
            for ((at, removed), one, two) in steps {
                let at = at % (model.len() + 1);
                let removed = removed % (model.len() - at + 1);
                model.splice(at..at + removed, [&one[..], &two].concat());
                long.splice((4 + at, removed), [&one, &two], total(&model));
                prop_assert_eq!(long.body(), &model);
                let gap = long.gap((4 + at, one.len()), one.len(), total(&model));
                prop_assert!(gap.iter().all(|byte| *byte == 0));
                gap.copy_from_slice(&one);
                match (short.extent().told_by, Prefixed::prefix(model.len())) {
                    (1, ([head, ..], 1)) => short.splice((1 + at, removed), [&one, &two], [head]),
                    _ => short = Short::prefixed([&model]),
                }
                prop_assert_eq!((short.body(), long.body()), (&model[..], &model[..]));
                prop_assert_eq!(short.body_mut().len(), model.len());
                prop_assert!(short.clone().bytes() == short.bytes());
                prop_assert_eq!(short.memory(), size_class(short.len()));
            }
        }
    }
}
