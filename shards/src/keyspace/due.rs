//! What expires when: an index of times, for the keys of a database and for hashes with fields
//! that expire.

use alloc::collections::BTreeSet;

use crate::base::time::UnixMs;

/// When something expires, and the hash of its key.
pub type Time = (UnixMs, u64);

/// Later than every expiry time that is ever due.
const NEVER: UnixMs = UnixMs(u64::MAX);

/// Bytes that a B-tree of 16-byte elements takes for each, at its usual fill.
const TIME_BYTES: usize = 25;

/// Times in order. Two keys with the same hash and time share an element.
#[derive(Debug)]
pub struct Due {
    times: BTreeSet<Time>,
    /// Nothing is due before this. Kept beside the times because every lookup asks for it.
    next: UnixMs,
}

impl Due {
    /// Nothing expires.
    pub const fn new() -> Self {
        Self { times: BTreeSet::new(), next: NEVER }
    }

    /// How many times it knows.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether nothing expires.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// The earliest time; later than any clock if there is none.
    #[inline]
    pub fn next(&self) -> UnixMs {
        self.next
    }

    /// The times in order.
    pub fn times(&self) -> &BTreeSet<Time> {
        &self.times
    }

    /// Notes a time.
    pub fn insert(&mut self, time: Time) {
        self.times.insert(time);
        self.next = self.next.min(time.0);
    }

    /// Forgets a time.
    pub fn remove(&mut self, time: Time) {
        self.times.remove(&time);
        if time.0 == self.next {
            self.find_next();
        }
    }

    /// Forgets the earliest time; false if there was none.
    pub fn pop(&mut self) -> bool {
        let is_some = self.times.pop_first().is_some();
        self.find_next();
        is_some
    }

    /// Bytes it takes.
    pub fn memory(&self) -> usize {
        self.times.len() * TIME_BYTES
    }

    fn find_next(&mut self) {
        self.next = self.times.first().map_or(NEVER, |first| first.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_earliest_time_is_always_at_hand(
            steps in prop::collection::vec((0u8..5, 0u64..9, 0u64..3), 0..60),
        ) {
            let (mut due, mut model) = (Due::new(), BTreeSet::new());
            for (kind, at, hash) in steps {
                let time = (UnixMs(at), hash);
                match kind {
                    0 => prop_assert_eq!(due.pop(), model.pop_first().is_some()),
                    1 => {
                        due.remove(time);
                        model.remove(&time);
                    }
                    _ => {
                        due.insert(time);
                        model.insert(time);
                    }
                }
                prop_assert_eq!(due.next(), model.first().map_or(NEVER, |first| first.0));
                prop_assert_eq!(due.times(), &model);
            }
        }
    }
}
