//! Sizes of allocations, and pointers that take less room than a word.

#![expect(clippy::cast_possible_truncation, reason = "an address is cut into bytes on purpose")]

use alloc::alloc::{alloc, dealloc, handle_alloc_error, realloc};
use alloc::boxed::Box;
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};

/// The size an allocator would round `bytes` up to: 8, multiples of 16 to 128, then four classes
/// to each doubling. What is allocated in these sizes can change its length within its class
/// without moving, and needs to remember no capacity.
#[inline]
pub const fn size_class(bytes: usize) -> usize {
    if bytes <= 8 {
        return (bytes + 7) & !7;
    }
    if bytes <= 128 {
        return (bytes + 15) & !15;
    }
    let spacing = 1 << ((bytes - 1).ilog2() - 2);
    (bytes + spacing - 1) & !(spacing - 1)
}

/// Where an allocation lies. What may be done there is up to the type that holds the place.
pub(super) trait Place: Copy {
    /// The place of what was allocated.
    fn of(pointer: *mut u8) -> Self;
    /// The pointer again.
    fn pointer(self) -> *mut u8;
}

/// A place in a word, aligned to eight bytes at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Word(NonNull<u8>);

// SAFETY: an address is a number. Types that own what lies there name it in their types, so that
// they are sent or shared only where it may be.
unsafe impl Send for Word {}
// SAFETY: as above.
unsafe impl Sync for Word {}

impl Place for Word {
    #[inline]
    fn of(pointer: *mut u8) -> Self {
        Self(NonNull::new(pointer).expect("an allocation is somewhere"))
    }

    #[inline]
    fn pointer(self) -> *mut u8 {
        self.0.as_ptr()
    }
}

/// A place in six bytes that need no alignment: with the tags of two nested enums it makes one
/// word. All addresses of a process are below 2^48, on every system there is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Thin([u8; 6]);

impl Place for Thin {
    #[inline]
    fn of(pointer: *mut u8) -> Self {
        let address = pointer.expose_provenance() as u64;
        assert!(address >> 48 == 0, "addresses take 48 bits");
        let [a, b, c, d, e, f, _, _] = address.to_le_bytes();
        Self([a, b, c, d, e, f])
    }

    #[inline]
    fn pointer(self) -> *mut u8 {
        let [a, b, c, d, e, f] = self.0;
        let address = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        ptr::with_exposed_provenance_mut(address as usize)
    }
}

/// Memory for `bytes`, by size class, eight bytes at least and aligned to eight; nothing of it is
/// written yet.
#[inline]
pub(super) fn allocate(bytes: usize) -> *mut u8 {
    let layout = layout(bytes);
    // SAFETY: the size is not 0: `layout` says so.
    checked(unsafe { alloc(layout) }, layout)
}

/// The same content in an allocation for `new` bytes instead of `old`.
///
/// # Safety
/// The memory came from `allocate(old)` or `resized(_, _, old)` and is not used afterwards.
pub(super) unsafe fn resized(memory: *mut u8, old: usize, new: usize) -> *mut u8 {
    if size_class(old) == size_class(new) {
        return memory;
    }
    let layout = layout(new);
    // SAFETY: the caller's promise; the size is not 0.
    checked(unsafe { realloc(memory, self::layout(old), layout.size()) }, layout)
}

/// Gives the memory back.
///
/// # Safety
/// It came from `allocate(bytes)` or `resized(_, _, bytes)` and is not used afterwards.
#[inline]
pub(super) unsafe fn free(memory: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise; the layout depends on the size class alone.
    unsafe { dealloc(memory, layout(bytes)) };
}

fn checked(memory: *mut u8, layout: Layout) -> *mut u8 {
    if memory.is_null() {
        handle_alloc_error(layout);
    }
    memory
}

#[inline]
fn layout(bytes: usize) -> Layout {
    assert!(0 < bytes, "nothing is allocated for nothing");
    Layout::from_size_align(size_class(bytes), 8).expect("far below half of all memory")
}

/// A box of six bytes without alignment, for values that share a word with the tags of enums.
pub struct Boxed<T>(Thin, PhantomData<Box<T>>);

impl<T> Boxed<T> {
    /// Moves `value` into an allocation of its own.
    pub fn new(value: T) -> Self {
        let pointer = Box::into_raw(Box::new(value));
        Self(Thin::of(pointer.cast()), PhantomData)
    }

    /// Takes the value out.
    pub fn into_inner(self) -> T {
        let pointer = self.0.pointer().cast::<T>();
        core::mem::forget(self);
        // SAFETY: it came from a box and, forgotten, is not dropped a second time.
        *unsafe { Box::from_raw(pointer) }
    }
}

impl<T> Deref for Boxed<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: it came from a box and lives as long as `self`.
        unsafe { &*self.0.pointer().cast::<T>() }
    }
}

impl<T> DerefMut for Boxed<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as for `deref`, and `self` is borrowed mutably.
        unsafe { &mut *self.0.pointer().cast::<T>() }
    }
}

impl<T> Drop for Boxed<T> {
    fn drop(&mut self) {
        // SAFETY: it came from a box and is not used after this.
        drop(unsafe { Box::from_raw(self.0.pointer().cast::<T>()) });
    }
}

impl<T: Clone> Clone for Boxed<T> {
    fn clone(&self) -> Self {
        Self::new(T::clone(self))
    }
}

impl<T: fmt::Debug> fmt::Debug for Boxed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

const _: () = assert!(size_of::<Boxed<NonNull<u8>>>() == 6);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::rc::Rc;

    #[test]
    fn sizes_are_those_of_the_allocator() {
        let cases = [
            (0, 0),
            (1, 8),
            (8, 8),
            (9, 16),
            (17, 32),
            (128, 128),
            (129, 160),
            (160, 160),
            (257, 320),
            (1025, 1280),
            (4096, 4096),
            (4097, 5120),
        ];
        for (bytes, expected) in cases {
            assert_eq!(size_class(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn a_boxed_value_is_kept_and_dropped_once() {
        let value = Rc::new(5);
        let boxed = Boxed::new(value.clone());
        let copy = boxed.clone();
        assert_eq!((**boxed, Rc::strong_count(&value)), (5, 3));
        drop(copy);
        assert!(Rc::ptr_eq(&boxed.into_inner(), &value));
        assert_eq!(Rc::strong_count(&value), 1);
    }
}
