//! Eventfds: how one thread wakes another out of its ring.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// What of a descriptor is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// That it can be read.
    Readable(RawFd),
    /// That it can be written.
    Writable(RawFd),
}

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

    /// Waits until somebody has rung since the last wait, or something of `others` can be done, or
    /// the time is over. For a thread that sleeps nowhere else.
    pub fn wait(
        &self,
        others: impl IntoIterator<Item = Awaited>,
        timeout: Duration,
    ) -> io::Result<()> {
        let entry = |fd, events| libc::pollfd { fd, events, revents: 0 };
        let mut poll = vec![entry(self.fd(), libc::POLLIN)];
        poll.extend(others.into_iter().map(|awaited| match awaited {
            Awaited::Readable(fd) => entry(fd, libc::POLLIN),
            Awaited::Writable(fd) => entry(fd, libc::POLLOUT),
        }));
        let entries = libc::nfds_t::try_from(poll.len()).expect("descriptors are ints");
        let millis = libc::c_int::try_from(timeout.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: so many valid pollfds.
        match unsafe { libc::poll(poll.as_mut_ptr(), entries, millis) } {
            0 => return Ok(()),
            ready if ready < 0 => {
                let error = io::Error::last_os_error();
                let interrupted = error.kind() == io::ErrorKind::Interrupted;
                return if interrupted { Ok(()) } else { Err(error) };
            }
            _ if poll[0].revents == 0 => return Ok(()),
            _ => {}
        }
        let mut count = 0u64;
        // SAFETY: eight bytes of a local variable; the eventfd is readable, so it does not block.
        unsafe { libc::read(self.fd(), (&raw mut count).cast(), 8) };
        Ok(())
    }
}
