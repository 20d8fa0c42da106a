//! Memory that is the system's as much as ours: whole pages that a copy of the process does not
//! get.

use std::io;
use std::ptr::NonNull;

/// An anonymous private mapping that a copy of the process does not get.
///
/// What the system has pinned, for input or output, it copies while it forks, a whole huge page for
/// a single buffer: two of them took 6 ms.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    /// Zeros, of so many bytes.
    ///
    /// # Errors
    /// The system's.
    pub fn new(len: usize) -> io::Result<Self> {
        // SAFETY: a fresh anonymous mapping; nothing else is at that address.
        let start = unsafe {
            let (protection, flags) =
                (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let start = libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0);
            if start == libc::MAP_FAILED || libc::madvise(start, len, libc::MADV_DONTFORK) != 0 {
                return Err(io::Error::last_os_error());
            }
            start
        };
        let start = NonNull::new(start.cast()).expect("mmap does not return null");
        Ok(Self { start, len })
    }

    /// Its first byte.
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Leaves it where it is, for [`Self::again`].
    pub fn leave(self) -> *mut u8 {
        let start = self.start.as_ptr();
        std::mem::forget(self);
        start
    }

    /// The mapping that was left at `start`.
    ///
    /// # Safety
    /// It was, with this length, and this is asked once.
    pub unsafe fn again(start: NonNull<u8>, len: usize) -> Self {
        Self { start, len }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `new` with this length; all that was borrowed from it is gone.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
