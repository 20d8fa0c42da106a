//! Eventfds: how one thread wakes another out of its ring.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// An eventfd that any thread may ring.
#[derive(Debug)]
pub struct Wake(OwnedFd);

impl Wake {
    /// A new eventfd, not inherited by programs we start. It blocks: a ring would otherwise answer
    /// a read of an empty one with EAGAIN instead of waiting.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor that nobody else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Wakes whoever reads the eventfd. The write could block only at 2^64 unread rings.
    pub fn ring(&self) {
        let one = 1u64;
        // SAFETY: eight bytes of a local variable.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Its number.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// A second descriptor of the same eventfd.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }
}

impl From<OwnedFd> for Wake {
    /// A descriptor of an eventfd.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}
