//! Eventfds: how one thread wakes another out of its ring.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;

/// What of a descriptor is waited for.
#[derive(Clone, Copy, Debug)]
pub enum Awaited<'fd> {
    /// That it can be read.
    Readable(BorrowedFd<'fd>),
    /// That it can be written.
    Writable(BorrowedFd<'fd>),
}

/// Waits until something of `awaited` can be done, or so long. No bell ends it.
///
/// # Errors
/// The system's.
pub fn nap<'fd>(awaited: impl IntoIterator<Item = Awaited<'fd>>, time: Duration) -> io::Result<()> {
    let mut polled: Vec<PollFd<'_>> = awaited.into_iter().map(Awaited::polled).collect();
    match ppoll(&mut polled, Some(TimeSpec::from_duration(time)), None) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl<'fd> Awaited<'fd> {
    fn polled(self) -> PollFd<'fd> {
        match self {
            Self::Readable(fd) => PollFd::new(fd, PollFlags::POLLIN),
            Self::Writable(fd) => PollFd::new(fd, PollFlags::POLLOUT),
        }
    }
}

/// An eventfd that any thread may ring.
#[derive(Debug)]
pub struct Wake(EventFd);

impl Wake {
    /// A new eventfd, not inherited by programs we start. It blocks: a ring would otherwise answer
    /// a read of an empty one with EAGAIN instead of waiting.
    pub fn new() -> io::Result<Self> {
        Ok(Self(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?))
    }

    /// Wakes the thread that reads the eventfd. The write could block only at 2^64 unread rings.
    pub fn ring(&self) {
        // It can only fail by a signal's coming between, and none has a handler that returns.
        let _ = self.0.write(1);
    }

    /// The descriptor that can be read when it was rung.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Waits until another thread has rung since the last wait, or something of `others` can be
    /// done, or the time is over. For a thread that sleeps nowhere else.
    pub fn wait<'fd>(
        &'fd self,
        others: impl IntoIterator<Item = Awaited<'fd>>,
        timeout: Duration,
    ) -> io::Result<()> {
        let mut polled = vec![PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        polled.extend(others.into_iter().map(Awaited::polled));
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        match poll(&mut polled, timeout) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) if polled[0].any() == Some(false) => {}
            // It can be read, so it does not block.
            Ok(_) => drop(self.0.read()?),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
