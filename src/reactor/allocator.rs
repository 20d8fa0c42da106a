//! The allocator: jemalloc, counted per thread so that nothing is shared between cores.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use tikv_jemallocator::Jemalloc;

use crate::reactor::mapping::Mapping;

/// Threads that have a counter of their own; further ones share the last.
const THREADS_MAX: usize = 256;

#[repr(align(128))]
struct Counter(AtomicI64);

static COUNTERS: [Counter; THREADS_MAX] = [const { Counter(AtomicI64::new(0)) }; THREADS_MAX];
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread's index into `COUNTERS`, or `usize::MAX` before its first allocation.
    static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The allocator of the server, and of its tests.
#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// jemalloc's settings: pages that are empty go back to the system after five seconds; memory is
/// asked for in huge pages, which spare lookups of far-apart keys a walk through page tables
/// (measured with two million keys: 3 to 6 % of the CPU time per request at 16 in a pipeline).
// SAFETY: the name is jemalloc's for just this, and nothing else defines it.
#[unsafe(export_name = "_rjem_malloc_conf")]
static SETTINGS: Option<&'static libc::c_char> = {
    let text = c"dirty_decay_ms:5000,thp:always";
    // SAFETY: a C string literal lives for ever; jemalloc only reads it.
    Some(unsafe { &*text.as_ptr() })
};

/// jemalloc that knows how many bytes are in use: what Valkey calls `used_memory`.
#[derive(Debug)]
pub struct Counting;

/// Bytes in use by the whole process, rounded up to the allocator's size classes. A sum of
/// counters that go on changing, each exact.
pub fn used_memory() -> u64 {
    let threads = THREADS.load(Ordering::Relaxed).min(THREADS_MAX);
    let sum: i64 = COUNTERS[..threads].iter().map(|c| c.0.load(Ordering::Relaxed)).sum();
    u64::try_from(sum).unwrap_or(0)
}

/// Bytes that this thread has taken, less those that it has given back: it may have given back
/// what others took.
#[inline]
pub fn thread_bytes() -> i64 {
    COUNTERS.get(MINE.get()).map_or(0, |counter| counter.0.load(Ordering::Relaxed))
}

#[inline]
fn count(delta: i64) {
    let index = MINE.get();
    let index = if index < THREADS_MAX { index } else { claim() };
    let counter = &COUNTERS[index].0;
    if index < THREADS_MAX - 1 {
        // Only this thread writes here: a load and a store, without a locked instruction.
        counter.store(counter.load(Ordering::Relaxed) + delta, Ordering::Relaxed);
    } else {
        counter.fetch_add(delta, Ordering::Relaxed);
    }
}

#[cold]
fn claim() -> usize {
    let index = THREADS.fetch_add(1, Ordering::Relaxed).min(THREADS_MAX - 1);
    MINE.set(index);
    index
}

/// The size class jemalloc serves `layout` from.
#[inline]
fn rounded(layout: Layout) -> i64 {
    let size = layout.size();
    let align = layout.align();
    let rounded = if 64 << 10 < size.max(align) {
        // Large ones are whole pages since jemalloc 5.3.1.
        (size.max(align) + 4095) & !4095
    } else if size <= 128 && align <= 16 {
        // Classes up to 128 are the multiples of 16 (and 8).
        if size <= 8 { 8 } else { (size + 15) & !15 }
    } else {
        let size = size.max(align);
        // Four classes per doubling.
        let step = (size - 1).ilog2().saturating_sub(2);
        let step = 1usize << step;
        (size + step - 1) & !(step - 1)
    };
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

/// Who asks for just this alignment means to share the pages with the system: the executor's
/// buffers. They get a mapping of their own.
const PAGE: usize = 4096;

#[cold]
fn map(layout: Layout) -> *mut u8 {
    Mapping::new(layout.size()).map_or(ptr::null_mut(), Mapping::leave)
}

/// Puts what is in a mapping into another one.
///
/// # Safety
/// `start` was mapped by `layout`, and is given up if the result is not null.
#[cold]
unsafe fn map_again(start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
    let (Ok(moved), Some(start)) = (Mapping::new(size), NonNull::new(start)) else {
        return ptr::null_mut();
    };
    // SAFETY: both are there, apart, and at least so long; the old one is the caller's to give.
    unsafe {
        ptr::copy_nonoverlapping(start.as_ptr(), moved.start().as_ptr(), size.min(layout.size()));
        drop(Mapping::again(start, layout.size()));
    }
    moved.leave()
}

// SAFETY: every call is passed on to jemalloc unchanged, or every call for the same memory to a
// mapping; counting touches no allocation.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() == PAGE {
            return map(layout);
        }
        // SAFETY: the caller's promise about `layout` is jemalloc's.
        let start = unsafe { Jemalloc.alloc(layout) };
        if !start.is_null() {
            count(rounded(layout));
        }
        start
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() == PAGE {
            return map(layout);
        }
        // SAFETY: the caller's promise about `layout` is jemalloc's.
        let start = unsafe { Jemalloc.alloc_zeroed(layout) };
        if !start.is_null() {
            count(rounded(layout));
        }
        start
    }

    #[inline]
    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if layout.align() == PAGE {
            // SAFETY: the methods above left it there, with this length.
            let mapping =
                NonNull::new(start).map(|at| unsafe { Mapping::again(at, layout.size()) });
            return drop(mapping);
        }
        count(-rounded(layout));
        // SAFETY: `start` came from the methods above with this layout.
        unsafe { Jemalloc.dealloc(start, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() == PAGE {
            // SAFETY: the caller's promises are those that this asks for.
            return unsafe { map_again(start, layout, size) };
        }
        // SAFETY: `start` came from the methods above with this layout.
        let moved = unsafe { Jemalloc.realloc(start, layout, size) };
        if !moved.is_null() {
            let after = Layout::from_size_align(size, layout.align()).unwrap_or(layout);
            count(rounded(after) - rounded(layout));
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_to_pages_means_a_mapping() {
        let layout = Layout::from_size_align(5000, PAGE).expect("a valid layout");
        // SAFETY: what is written to is what was asked for; it is given back as it came.
        unsafe {
            let start = Counting.alloc_zeroed(layout);
            assert!(start.addr().is_multiple_of(PAGE) && *start.add(4999) == 0);
            start.write(7);
            let longer = Counting.realloc(start, layout, 20_000);
            assert_eq!((*longer, *longer.add(19_999)), (7, 0));
            let layout = Layout::from_size_align(20_000, PAGE).expect("a valid layout");
            Counting.dealloc(longer, layout);
        }
    }

    #[test]
    fn rounding_is_the_allocators() {
        for size in [1, 8, 9, 16, 17, 96, 97, 128, 129, 160, 161, 1000, 4097, 8192, 8193, 70000] {
            let layout = Layout::from_size_align(size, 8).expect("a valid layout");
            // SAFETY: no pointer is involved.
            let real = unsafe { tikv_jemalloc_sys::nallocx(size, 0) };
            assert_eq!(rounded(layout), i64::try_from(real).expect("small"), "{size}");
        }
    }
}
