//! Eventfds: how one thread wakes another out of its ring.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;

/// What the system takes for sure.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// What of a descriptor is waited for.
#[derive(Clone, Copy, Debug)]
pub enum Awaited<'fd> {
    /// That it can be read.
    Readable(BorrowedFd<'fd>),
    /// That it can be written.
    Writable(BorrowedFd<'fd>),
}

/// Which of these can be done now, in their order.
///
/// # Errors
/// The system's.
pub fn ready<'fd>(awaited: impl IntoIterator<Item = Awaited<'fd>>) -> io::Result<Vec<bool>> {
    let mut polled: Vec<PollFd<'_>> = awaited.into_iter().map(Awaited::polled).collect();
    if polled.is_empty() {
        return Ok(Vec::new());
    }
    match ppoll(&mut polled, Some(TimeSpec::from_duration(Duration::ZERO)), None) {
        // No signal has a handler that returns, so the next turn is soon enough.
        Err(Errno::EINTR) => Ok(vec![false; polled.len()]),
        Err(error) => Err(error.into()),
        // What the system says that is not known here is an end, which a try shows.
        Ok(_) => Ok(polled.iter().map(|one| one.any().unwrap_or(true)).collect()),
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

/// An eventfd that any thread may ring; copies ring the same.
#[derive(Clone, Debug)]
pub struct Wake(Arc<EventFd>);

impl Wake {
    /// A new eventfd, not inherited by programs we start. It blocks: a ring would otherwise answer
    /// a read of an empty one with EAGAIN instead of waiting.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?)))
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
        match ppoll(&mut polled, Some(TimeSpec::from_duration(timeout.min(LONGEST))), None) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) if polled[0].any() == Some(false) => {}
            // It can be read, so it does not block.
            Ok(_) => drop(self.0.read()?),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
