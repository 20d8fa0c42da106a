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
/// Bytes that [`Aside`] sets aside.
static ASIDE: AtomicI64 = AtomicI64::new(0);

thread_local! {
    /// This thread's index into `COUNTERS`, or `usize::MAX` before its first allocation.
    static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The allocator of the server, and of its tests.
#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// jemalloc's settings: pages that are empty go back to the system after five seconds; memory is
/// asked for in huge pages, which spare lookups of far-apart keys a walk through page tables
/// (measured with two million keys: 3 to 6 % of the CPU time per request at 16 in a pipeline);
/// large blocks have an arena of their own (see `heap::give_large_blocks_back`).
// SAFETY: the name is jemalloc's for just this, and nothing else defines it.
#[unsafe(export_name = "_rjem_malloc_conf")]
static SETTINGS: Option<&'static libc::c_char> = {
    let text = c"dirty_decay_ms:5000,thp:always,oversize_threshold:4194304";
    // SAFETY: a C string literal lives for ever; jemalloc only reads it.
    Some(unsafe { &*text.as_ptr() })
};

/// jemalloc that knows how many bytes are in use: what Valkey calls `used_memory`.
#[derive(Debug)]
pub struct Counting;

/// Bytes that do not count as used while this lives: those of answers to a question about memory.
/// Else asking would change the answer, and evict keys where memory is short.
#[derive(Debug)]
pub struct Aside(i64);

impl Aside {
    /// Sets aside what this thread has taken since [`thread_bytes`] was `before`.
    pub fn since(before: i64) -> Self {
        let bytes = thread_bytes() - before;
        ASIDE.fetch_add(bytes, Ordering::Relaxed);
        Self(bytes)
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        ASIDE.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// Bytes in use by the whole process, rounded up to the allocator's size classes. A sum of
/// counters that go on changing, each exact.
pub fn used_memory() -> u64 {
    let own = THREADS.load(Ordering::Relaxed).min(THREADS_MAX - 1);
    let counters = COUNTERS[..own].iter().chain(&COUNTERS[THREADS_MAX - 1..]);
    let sum: i64 = counters.map(|counter| counter.0.load(Ordering::Relaxed)).sum();
    u64::try_from(sum - ASIDE.load(Ordering::Relaxed)).unwrap_or(0)
}

/// Bytes that this thread has taken, less those that it has given back: it may have given back
/// what others took.
#[inline]
pub fn thread_bytes() -> i64 {
    COUNTERS.get(MINE.get()).map_or(0, |counter| counter.0.load(Ordering::Relaxed))
}

/// Has this thread count together with all others that come and go: the counter of one that has
/// ended is not used again.
pub fn share_counter() {
    MINE.set(THREADS_MAX - 1);
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

/// Bytes of the largest small class, and of the smallest large one.
const SMALL_MAX: usize = 14 << 10;
const LARGE_MIN: usize = 16 << 10;
/// Large ones above this are whole pages since jemalloc 5.3.1.
const CLASSES_MAX: usize = 32 << 10;

/// The size class jemalloc serves `layout` from.
#[inline]
fn rounded(layout: Layout) -> i64 {
    let (size, align) = (layout.size(), layout.align());
    // Small ones fill up their alignment. Large ones can begin wherever a page does.
    let aligned = (size + (align - 1)) & !(align - 1);
    let is_small = aligned <= SMALL_MAX && align < PAGE;
    let size = if is_small { aligned } else { size.max(LARGE_MIN) };
    let rounded = if CLASSES_MAX < size {
        (size + (PAGE - 1)) & !(PAGE - 1)
    } else if size <= 128 {
        // Classes up to 128 are the multiples of 16 (and 8).
        if size <= 8 { 8 } else { (size + 15) & !15 }
    } else {
        // Four classes per doubling.
        let step = 1usize << ((size - 1).ilog2() - 2);
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
        for align in [1, 8, 16, 32, 64, 128, 1024, 2 * PAGE, 16 * PAGE, 64 * PAGE] {
            let small = 1..70_000_usize;
            let large = (17..28).flat_map(|bit| [0, 1, 5000].map(|more| (1 << bit) + more));
            for size in small.chain(large) {
                let layout = Layout::from_size_align(size, align).expect("a valid layout");
                // As jemalloc is asked: the alignment is named where a size does not bring it.
                let named = if align <= 16 && align <= size { 0 } else { align.ilog2() };
                let flags = libc::c_int::try_from(named).expect("it is below 64");
                // SAFETY: no pointer is involved.
                let real = unsafe { tikv_jemalloc_sys::nallocx(size, flags) };
                let real = i64::try_from(real).expect("it is below 2^63");
                assert_eq!(rounded(layout), real, "{size} bytes at {align}");
            }
        }
    }
}
