//! What each thread shows of itself to all others, without letters: figures that may be a little
//! old when they are read.

use std::sync::atomic::{AtomicU64, Ordering};

/// The figures of one thread. Only the thread itself writes them.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Board {
    /// Connections that the thread has closed: with how many it was given, its load.
    pub closed: Figure,
    /// Changes that it has made to keys.
    pub changes: Figure,
    /// What its log weighs.
    pub logged: Figure,
    /// What that weighs which it has applied of a primary's logs, since they last began.
    pub followed: Figure,
    /// Bytes that it has stored of a primary's logs while their snapshot is on its way.
    pub stored: Figure,
    /// Keys that it may evict.
    pub evictable: Figure,
    /// Keys that it has, while the node follows a primary.
    pub keys: Figure,
    /// Values that it has still to free, while `maxmemory` limits all, or the node follows a
    /// primary.
    pub garbage: Figure,
    /// Bytes that its clients hold, where a limit asks for them.
    pub client_bytes: Figure,
    /// Bytes that none of those exceeds which may be closed for them.
    pub largest_client: Figure,
    /// Bytes that its clients hold which have not authenticated.
    pub unauthenticated: Figure,
}

/// A number that one thread writes and all read.
#[derive(Debug, Default)]
pub struct Figure(AtomicU64);

impl Figure {
    /// Shows a number.
    #[inline]
    pub fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// The number as it was shown last.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
