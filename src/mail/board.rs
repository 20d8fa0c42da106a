//! What each thread shows of itself to all others, without letters: figures that may be a little
//! old when they are read.

use std::sync::atomic::{AtomicU64, Ordering};

/// What [`Board::writes_until`] shows if there is no limit.
pub const ANY_TIME: u64 = 0;
/// What it shows if nothing is to be written.
pub const NO_TIME: u64 = 1;

/// The figures of one thread. Only the thread itself writes them.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Board {
    /// Turns that it has begun, if it is a shard: one that hangs begins none.
    pub turns: Figure,
    /// If it is control: until when the node may write, in milliseconds since the system was
    /// started; [`ANY_TIME`] or [`NO_TIME`].
    pub writes_until: Figure,
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
    /// What it has exchanged with replicas and the primary, if it is the relay.
    pub traffic: TrafficFigures,
}

/// Bytes that the relay has exchanged with other servers, and in how many pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes read from the primary.
    pub from_primary: u64,
    /// Bytes written to the primary: acknowledgements.
    pub to_primary: u64,
    /// Bytes read from replicas: acknowledgements.
    pub from_replicas: u64,
    /// Bytes written to replicas, without those that a child writes.
    pub to_replicas: u64,
    /// Times something was read.
    pub reads: u64,
    /// Times something was written.
    pub writes: u64,
}

/// [`Traffic`] as one thread shows it.
#[derive(Debug, Default)]
pub struct TrafficFigures([Figure; 6]);

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

impl Traffic {
    /// So many bytes were read from the primary.
    pub fn read_from_primary(&mut self, bytes: usize) {
        self.from_primary += bytes as u64;
        self.reads += 1;
    }

    /// So many bytes were written to the primary.
    pub fn written_to_primary(&mut self, bytes: usize) {
        self.to_primary += bytes as u64;
        self.writes += 1;
    }

    /// So many bytes were read from a replica.
    pub fn read_from_replica(&mut self, bytes: usize) {
        self.from_replicas += bytes as u64;
        self.reads += 1;
    }

    /// So many bytes were written to a replica.
    pub fn written_to_replica(&mut self, bytes: usize) {
        self.to_replicas += bytes as u64;
        self.writes += 1;
    }

    /// This and another together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.with(other, |one, other| one + other)
    }

    /// What is more than before.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        self.with(before, u64::saturating_sub)
    }

    fn with(self, other: Self, join: fn(u64, u64) -> u64) -> Self {
        let (mut joined, other) = (self.figures(), other.figures());
        joined.iter_mut().zip(other).for_each(|(one, other)| *one = join(*one, other));
        Self::of(joined)
    }

    fn figures(self) -> [u64; 6] {
        let Self { from_primary, to_primary, from_replicas, to_replicas, reads, writes } = self;
        [from_primary, to_primary, from_replicas, to_replicas, reads, writes]
    }

    fn of(figures: [u64; 6]) -> Self {
        let [from_primary, to_primary, from_replicas, to_replicas, reads, writes] = figures;
        Self { from_primary, to_primary, from_replicas, to_replicas, reads, writes }
    }
}

impl TrafficFigures {
    /// Shows it.
    pub fn set(&self, traffic: Traffic) {
        let figures = traffic.figures();
        self.0.iter().zip(figures).for_each(|(shown, number)| shown.set(number));
    }

    /// It as it was shown last.
    pub fn get(&self) -> Traffic {
        Traffic::of(self.0.each_ref().map(Figure::get))
    }
}
