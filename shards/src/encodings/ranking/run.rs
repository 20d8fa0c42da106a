//! A short row of elements in one allocation: the content of a node of the index.
//!
//! ```text
//! 0   number of elements, u16, room for as many, u16
//! 8   the elements
//! ```

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut, Range};
use core::{fmt, ptr, slice};

use crate::encodings::allocation::{Thin, size_class};

const HEADER_BYTES: usize = 8;

/// A row that owns its elements: a handle of six bytes.
pub(super) struct Run<T>(Thin, PhantomData<T>);

/// What a row begins with.
#[derive(Clone, Copy)]
struct Header {
    len: u16,
    room: u16,
}

impl<T> Run<T> {
    /// An empty one that takes so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        const { assert!(align_of::<T>() <= 8, "elements begin at a multiple of eight") };
        let room = u16::try_from((bytes - HEADER_BYTES) / size_of::<T>());
        let room = room.expect("a node has few elements");
        let memory = Thin::allocate(bytes_of::<T>(room));
        let mut run = Self(memory, PhantomData);
        run.set_header(Header { len: 0, room });
        run
    }

    /// Bytes of its allocation.
    pub(super) fn bytes(&self) -> usize {
        size_class(bytes_of::<T>(self.header().room))
    }

    /// Whether no element more fits in.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        let header = self.header();
        header.len == header.room
    }

    /// How many elements fit in.
    #[inline]
    pub(super) fn room(&self) -> usize {
        self.header().room.into()
    }

    /// Puts an element in, which must fit.
    #[inline]
    pub(super) fn insert(&mut self, at: usize, element: T) {
        let (header, len) = (self.header(), self.len());
        assert!(header.len < header.room && at <= len, "there is room");
        // SAFETY: there is room for one element more; those behind `at` move up, and the gap is
        // written before the length includes it.
        unsafe {
            let gap = self.start().add(at);
            ptr::copy(gap, gap.add(1), len - at);
            gap.write(element);
        }
        self.set_len(len + 1);
    }

    /// Takes an element out.
    pub(super) fn take(&mut self, at: usize) -> T {
        let len = self.len();
        assert!(at < len, "there is such an element");
        self.set_len(len - 1);
        // SAFETY: the element is there and moves out; those behind it close the gap.
        unsafe {
            let gap = self.start().add(at);
            let element = gap.read();
            ptr::copy(gap.add(1), gap, len - at - 1);
            element
        }
    }

    /// Moves the elements from `at` on to a new row of the same size.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let mut rest = Self::new(self.bytes());
        let len = self.len();
        let moved = len.checked_sub(at).expect("it is split where it has elements");
        self.set_len(at);
        // SAFETY: the other row has as much room and is empty; the elements are moved, not copied,
        // as the length here ends before them.
        unsafe { ptr::copy_nonoverlapping(self.start().add(at), rest.start(), moved) };
        rest.set_len(moved);
        rest
    }

    /// Moves all elements of another row behind the last; they must fit.
    pub(super) fn append(&mut self, mut other: Self) {
        let (len, more) = (self.len(), other.len());
        assert!(len + more <= self.room(), "they fit");
        other.set_len(0);
        // SAFETY: there is room behind the last element; the elements are moved, not copied, as
        // the other row has none any more.
        unsafe { ptr::copy_nonoverlapping(other.start(), self.start().add(len), more) };
        self.set_len(len + more);
    }

    /// Moves to an allocation of so many bytes, which must suffice.
    pub(super) fn resize(&mut self, bytes: usize) {
        let mut larger = Self::new(bytes);
        core::mem::swap(self, &mut larger);
        self.append(larger);
    }

    #[inline]
    fn start(&self) -> *mut T {
        self.0.pointer().wrapping_add(HEADER_BYTES).cast()
    }

    #[inline]
    fn header(&self) -> Header {
        // SAFETY: a row begins with its header.
        unsafe { self.0.pointer().cast::<Header>().read() }
    }

    #[inline]
    fn set_header(&mut self, header: Header) {
        // SAFETY: as for `header`, and `self` is borrowed mutably.
        unsafe { self.0.pointer().cast::<Header>().write(header) };
    }

    #[inline]
    fn set_len(&mut self, len: usize) {
        let len = u16::try_from(len).expect("a node has few elements");
        self.set_header(Header { len, ..self.header() });
    }
}

impl<T: Copy> Run<T> {
    /// Removes elements.
    pub(super) fn remove(&mut self, range: Range<usize>) {
        let len = self.len();
        assert!(range.start <= range.end && range.end <= len, "there are such elements");
        // SAFETY: the elements behind the gap move down; those in it need no drop.
        unsafe {
            let gap = self.start().add(range.start);
            ptr::copy(self.start().add(range.end), gap, len - range.end);
        }
        self.set_len(len - range.len());
    }
}

const fn bytes_of<T>(room: u16) -> usize {
    HEADER_BYTES + room as usize * size_of::<T>()
}

impl<T> Deref for Run<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: as many elements are there.
        unsafe { slice::from_raw_parts(self.start(), self.header().len.into()) }
    }
}

impl<T> DerefMut for Run<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as many elements are there, and `self` is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.start(), self.header().len.into()) }
    }
}

impl<T> Drop for Run<T> {
    fn drop(&mut self) {
        let bytes = self.bytes();
        // SAFETY: the elements are dropped once; the memory was allocated for as many bytes and is
        // not used after this.
        unsafe {
            ptr::drop_in_place(&raw mut **self);
            self.0.free(bytes);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Run<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::rc::Rc;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn elements_are_dropped_once() {
        let value = Rc::new(1);
        let mut run = Run::new(64);
        for _ in 0..run.room() {
            run.insert(0, value.clone());
        }
        assert!(run.is_full());
        drop(run.take(1));
        let mut rest = run.split_off(4);
        assert_eq!((run.len(), rest.len(), Rc::strong_count(&value)), (4, 2, 7));
        rest.append(run);
        rest.resize(128);
        assert_eq!((rest.len(), rest.room(), Rc::strong_count(&value)), (6, 15, 7));
        drop(rest);
        assert_eq!(Rc::strong_count(&value), 1);
    }

    proptest! {
        #[test]
        fn is_a_vector(steps in prop::collection::vec((0u8..5, 0usize..100, any::<u32>()), 0..60)) {
            let (mut run, mut model) = (Run::new(128), Vec::new());
            for (kind, at, element) in steps {
                let at = at % (model.len() + 1);
                match kind {
                    0 if at < model.len() => {
                        prop_assert_eq!(run.take(at), model.remove(at));
                    }
                    1 => {
                        let range = at..model.len().min(at + 3);
                        run.remove(range.clone());
                        model.drain(range);
                    }
                    2 => {
                        let rest = run.split_off(at);
                        prop_assert_eq!(&*rest, &model[at..]);
                        run.append(rest);
                    }
                    _ if model.len() < run.room() => {
                        run.insert(at, element);
                        model.insert(at, element);
                    }
                    _ => run.resize(run.bytes() * 2),
                }
                prop_assert_eq!(&*run, &model[..]);
            }
        }
    }
}
