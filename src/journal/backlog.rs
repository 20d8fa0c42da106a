//! The backlog of a stream: its last bytes, from which replicas resume, and the places at which it
//! is sent.
//!
//! ```text
//!             first        at least `size_bytes`, if there were as many       end
//!               |  unit  |  unit  |  unit  |  unit  |  unit  |  unit  |  unit  |  unit that is
//!   [ block ][ block ][ block ][ block ][ block ][ block ][ block ][ block ]      written
//!      |  kept for the cursor that has read least
//! ```
//! What takes effect at once is a unit; the backlog begins and ends between units. A place is the
//! number of bytes of the stream in front of it: a scalar. Bytes are kept as a log keeps them, so a
//! little more can be read than a replica may resume from.

use std::collections::VecDeque;
use std::mem;

use crate::journal::cursors::CursorId;
use crate::journal::log::{self, Log, Read, Shortened};

/// The first byte may be behind the one that `size_bytes` asks for by so much, and what is ended at
/// once: of the places at which units were ended, one in so many bytes is remembered.
pub const MARK_BYTES: u64 = 4096;

/// How much a backlog keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes from which replicas may resume: `repl-backlog-size`.
    pub size_bytes: u64,
    /// Bytes that cursors may make it keep; no less than twice the size, for
    /// the size is kept by whole units.
    pub held_bytes_max: u64,
}

/// The last bytes of a stream.
#[derive(Debug)]
pub struct Backlog {
    log: Log,
    size_bytes: u64,
    /// The place in front of the first whole unit.
    first: u64,
    /// The place behind the last whole unit.
    end: u64,
    /// Places between units, behind `first`, at least [`MARK_BYTES`] from one another.
    marks: VecDeque<u64>,
    /// Holds what is behind `first`.
    kept: CursorId,
}

impl Backlog {
    /// An empty backlog of a stream that has so many bytes already.
    ///
    /// # Panics
    /// If `start` is above [`log::START_MAX`]: what a peer sent is looked at before.
    pub fn new(start: u64, limits: Limits) -> Self {
        let mut log = Log::new(start, limits.of_log());
        let kept = log.open(start).expect("a log has its end");
        let size_bytes = limits.size_bytes;
        Self { log, size_bytes, first: start, end: start, marks: VecDeque::new(), kept }
    }

    /// Adds bytes to the unit that is written. It cannot be read yet.
    ///
    /// # Errors
    /// There was no memory: older bytes are gone, perhaps those of this unit. It must be ended all
    /// the same.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Shortened> {
        self.log.append(bytes)
    }

    /// Ends the unit that is written: it can be read.
    #[inline]
    pub fn end_unit(&mut self) {
        self.end_units(self.log.end());
    }

    /// Ends units that are written, up to this place between two of them: they can be read.
    ///
    /// # Panics
    /// If so much is not written, or that place could be read before.
    #[inline]
    pub fn end_units(&mut self, place: u64) {
        assert!(self.end <= place, "what could be read can be read");
        assert!(place <= self.log.end(), "what can be read is written");
        self.end = place;
        let last = self.marks.back().copied().unwrap_or(self.first);
        if MARK_BYTES <= self.end - last {
            self.marks.push_back(self.end);
        }
        let spare_until = self.end.saturating_sub(self.size_bytes);
        let is_spare = self.marks.front().is_some_and(|mark| *mark <= spare_until);
        if is_spare || self.first < self.log.start() {
            self.settle();
        }
    }

    /// The place in front of the first byte: the least that a replica must have to resume.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The place behind the last byte: the most that a replica can have.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The place behind the last byte that is written, of a whole unit or not.
    pub fn written(&self) -> u64 {
        self.log.end()
    }

    /// Bytes of memory that it takes.
    pub fn memory_bytes(&self) -> usize {
        self.log.memory_bytes() + self.marks.capacity() * size_of::<u64>()
    }

    /// Keeps more or less from now on. What is too much goes as [`Self::trim`] says.
    pub fn resize(&mut self, limits: Limits) {
        self.size_bytes = limits.size_bytes;
        self.log.resize(limits.of_log());
        self.settle();
    }

    /// Frees some memory that need not be kept. True if there is more of it: then it is to be
    /// called again, between other work.
    pub fn trim(&mut self) -> bool {
        self.log.trim()
    }

    /// A cursor that reads from `place` on. `None`: a replica that is there cannot resume.
    pub fn open(&mut self, place: u64) -> Option<CursorId> {
        let is_here = self.first <= place && place <= self.end;
        if is_here { self.log.open(place) } else { None }
    }

    /// The place of what a cursor reads next.
    pub fn next(&self, cursor: CursorId) -> u64 {
        self.log.next(cursor)
    }

    /// The next bytes of a cursor, at most so many, of whole units and without a copy. It is still
    /// there that it reads until [`Self::advance`].
    pub fn read(&mut self, cursor: CursorId, bytes_max: usize) -> Read<&[u8]> {
        let whole = self.end.saturating_sub(self.log.next(cursor));
        let most = usize::try_from(whole).map_or(bytes_max, |whole| whole.min(bytes_max));
        self.log.read(cursor, most)
    }

    /// A cursor has read so many bytes.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn advance(&mut self, cursor: CursorId, bytes: u64) {
        self.log.advance(cursor, bytes);
    }

    /// Ends a cursor.
    pub fn close(&mut self, cursor: CursorId) {
        self.log.close(cursor);
    }

    /// Moves `first` on to where the size is kept, or to where there are whole units at all.
    fn settle(&mut self) {
        let (start, before) = (self.log.start(), self.first);
        if self.end < start {
            return; // Of all that is whole nothing is left, and what is written has not ended.
        }
        while let Some(mark) = self.marks.front().copied() {
            let is_spare = self.size_bytes <= self.end - mark;
            if !is_spare && start <= self.first {
                break;
            }
            self.first = mark;
            self.marks.pop_front();
        }
        if self.first < start {
            // A unit is longer than all that may be held, or there is no memory.
            self.first = self.end;
        }
        if self.first == before {
            return;
        }
        if start <= before {
            self.log.advance(self.kept, self.first - before);
        } else {
            // Opened first: when a cursor is closed, the log frees what none holds.
            let kept = self.log.open(self.first);
            let fallen = mem::replace(&mut self.kept, kept.expect("the log has its whole units"));
            self.log.close(fallen);
        }
    }
}

impl Limits {
    fn of_log(self) -> log::Limits {
        let Self { size_bytes, held_bytes_max } = self;
        let held_bytes_max = held_bytes_max.max(size_bytes.saturating_mul(2));
        log::Limits { window_bytes: size_bytes, held_bytes_max }
    }
}

#[cfg(test)]
mod tests;
