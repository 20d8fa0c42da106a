//! The allocator of the engine's tests: ends them if an allocation is freed in another layout than
//! it was made in, or twice, or if something wrote before its beginning.

use alloc::alloc::{GlobalAlloc, Layout};
use std::alloc::System;
use std::io::Write as _;

extern crate std;

#[global_allocator]
static CHECKING: Checking = Checking;

struct Checking;

/// What stands right before an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
struct Note {
    size: usize,
    align: usize,
    /// The allocation's address, turned over; another once it is free.
    mark: usize,
}

impl Note {
    const BYTES: usize = size_of::<Self>();

    fn of(layout: Layout, address: usize) -> Self {
        Self { size: layout.size(), align: layout.align(), mark: !address }
    }

    /// What is wrong if an allocation of this note is freed so.
    fn complaint(self, layout: Layout, address: usize) -> Option<&'static str> {
        if self.mark != !address {
            Some("it is free, or something wrote before it")
        } else if self != Self::of(layout, address) {
            Some("it has another layout")
        } else {
            None
        }
    }
}

/// The layout with room for a note before it, and where the allocation begins in that.
fn extended(layout: Layout) -> (Layout, usize) {
    let start = Note::BYTES.next_multiple_of(layout.align());
    let whole = Layout::from_size_align(start + layout.size(), layout.align());
    (whole.expect("far below half of all memory"), start)
}

/// The allocation in `memory`, with its note.
///
/// # Safety
/// `memory` is null, or has room as [`extended`] says.
unsafe fn noted(memory: *mut u8, layout: Layout) -> *mut u8 {
    if memory.is_null() {
        return memory;
    }
    let allocation = memory.wrapping_add(extended(layout).1);
    let note = Note::of(layout, allocation.addr());
    // SAFETY: the caller's promise: the note fits before the allocation.
    unsafe { allocation.sub(Note::BYTES).cast::<Note>().write_unaligned(note) };
    allocation
}

// SAFETY: the system's allocator does all of it. A panic would be no way to say what is wrong.
unsafe impl GlobalAlloc for Checking {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the layout is not empty, as the caller's is not.
        unsafe { noted(System.alloc(extended(layout).0), layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for `alloc`.
        unsafe { noted(System.alloc_zeroed(extended(layout).0), layout) }
    }

    // `realloc` is made of `alloc` and `dealloc`: content always moves.
    unsafe fn dealloc(&self, allocation: *mut u8, layout: Layout) {
        let place = allocation.wrapping_sub(Note::BYTES).cast::<Note>();
        let (whole, start) = extended(layout);
        // SAFETY: the caller's allocation has a note before it, which is looked at first.
        unsafe {
            let note = place.read_unaligned();
            if let Some(complaint) = note.complaint(layout, allocation.addr()) {
                let mut out = std::io::stderr();
                let _ =
                    writeln!(out, "{allocation:?} is freed as {layout:?}: {complaint}: {note:?}");
                std::process::abort();
            }
            place.write_unaligned(Note { mark: 0, ..note });
            System.dealloc(allocation.sub(start), whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_layout_is_told_from_the_right_one() {
        let layout = |size, align| Layout::from_size_align(size, align).unwrap();
        let note = Note::of(layout(24, 8), 0x1000);
        let cases = [
            (layout(24, 8), 0x1000, true),
            (layout(32, 8), 0x1000, false),
            (layout(24, 16), 0x1000, false),
            (layout(24, 8), 0x1008, false),
        ];
        for (layout, address, is_right) in cases {
            assert_eq!(note.complaint(layout, address).is_none(), is_right, "{layout:?}");
        }
        assert!(Note { mark: 0, ..note }.complaint(layout(24, 8), 0x1000).is_some());
    }

    #[test]
    fn allocations_are_aligned_and_keep_their_content() {
        for align in [1, 8, 64, 4096] {
            let layout = Layout::from_size_align(100, align).unwrap();
            // SAFETY: the layout is not empty; what was allocated is written, resized and freed.
            unsafe {
                let old = CHECKING.alloc_zeroed(layout);
                assert!(old.addr().is_multiple_of(align) && *old.add(99) == 0);
                old.add(99).write(7);
                let new = CHECKING.realloc(old, layout, 300);
                assert!(new.addr().is_multiple_of(align) && *new.add(99) == 7);
                CHECKING.dealloc(new, Layout::from_size_align(300, align).unwrap());
            }
        }
    }
}
