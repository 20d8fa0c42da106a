//! Memory in whole cache lines, counted; and starting to load it.

use alloc::alloc::{alloc_zeroed, dealloc, handle_alloc_error};
use core::alloc::Layout;

/// Bytes of a cache line, and of a bucket.
pub(super) const LINE_BYTES: usize = 64;

/// Counts what a table has allocated.
#[derive(Debug)]
pub(super) struct Memory {
    /// Bytes allocated and not freed.
    pub(super) bytes: usize,
}

impl Memory {
    /// Allocates `lines` cache lines, aligned to one, all zero.
    pub(super) fn allocate(&mut self, lines: usize) -> *mut u8 {
        assert!(0 < lines, "an allocation has a line at least");
        let layout = layout(lines);
        self.bytes += layout.size();
        // SAFETY: the size is not 0.
        let memory = unsafe { alloc_zeroed(layout) };
        if memory.is_null() {
            handle_alloc_error(layout);
        }
        memory
    }

    /// Frees what [`Self::allocate`] returned for as many `lines`.
    ///
    /// # Safety
    /// `memory` came from `allocate(lines)`, is freed once and not used afterwards.
    pub(super) unsafe fn free(&mut self, memory: *mut u8, lines: usize) {
        let layout = layout(lines);
        self.bytes -= layout.size();
        // SAFETY: the caller's promise; the layout depends on `lines` alone.
        unsafe { dealloc(memory, layout) };
    }
}

fn layout(lines: usize) -> Layout {
    Layout::from_size_align(lines * LINE_BYTES, LINE_BYTES).expect("directories are small")
}

/// Starts loading the cache line at `address`, which need not be valid.
#[inline]
pub(super) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address is harmless, and every x86_64 has the instruction.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a prefetch of any address is harmless and touches neither memory nor flags.
    unsafe {
        core::arch::asm!(
            "prfm pldl1keep, [{0}]",
            in(reg) address,
            options(nostack, preserves_flags, readonly),
        );
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}
