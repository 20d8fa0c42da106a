//! Where a shard sleeps when it has been idle for a while: in glommio, on the data ring's eventfd.

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use glommio::io::BufferedFile;

/// The reading end of the eventfd that the data ring signals.
#[derive(Debug)]
pub struct Park(BufferedFile);

impl Park {
    /// Wraps a descriptor of the eventfd. Must be made inside a glommio executor.
    pub fn new(eventfd: OwnedFd) -> Self {
        // SAFETY: the descriptor is owned and passed on whole.
        Self(unsafe { BufferedFile::from_raw_fd(eventfd.into_raw_fd()) })
    }

    /// Waits until the eventfd was signalled since the last wait; signals are never lost, their
    /// count stays in the eventfd.
    pub async fn wait(&self) -> io::Result<()> {
        self.0.read_at(0, 8).await?;
        Ok(())
    }
}
