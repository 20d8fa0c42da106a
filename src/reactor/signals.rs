//! Signals, taken in order by one thread instead of by handlers.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Blocks SIGTERM, SIGINT and SIGHUP for this thread and all it starts, ignores SIGPIPE, and
/// returns a descriptor to read signals from. Call before any thread is started.
pub fn take() -> io::Result<OwnedFd> {
    // SAFETY: an all-zero sigset_t is then made a valid empty set; all pointers are to it.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            libc::sigaddset(&mut set, signal);
        }
        let failed = libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed));
        }
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        let fd = libc::signalfd(-1, &set, libc::SFD_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Bytes of one record read from the descriptor.
pub const RECORD_BYTES: usize = size_of::<libc::signalfd_siginfo>();

/// The signal's number in a record read from the descriptor.
pub fn number(record: &[u8]) -> Option<i32> {
    let number = record.first_chunk::<4>()?;
    i32::try_from(u32::from_ne_bytes(*number)).ok()
}
