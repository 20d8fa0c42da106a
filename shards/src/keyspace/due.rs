//! What expires when: an index of times, for the keys of a database and for hashes with fields
//! that expire; and a walk over those that are due.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Bound;

use crate::base::time::UnixMs;

/// When something expires, and the hash of its key.
pub type Time = (UnixMs, u64);

/// Later than every expiry time that is ever due.
const NEVER: UnixMs = UnixMs(u64::MAX);

/// Bytes that a B-tree of 16-byte elements takes for each, at its usual fill.
const TIME_BYTES: usize = 25;

/// Times of claimed keys that one look passes over at most. There may be many such keys: of a large
/// transaction, or all keys while a transaction has the whole shard.
const PASSED_MAX: usize = 1024;

/// Times in order. Two keys with the same hash and time share an element.
#[derive(Debug)]
pub struct Due {
    times: BTreeSet<Time>,
    /// Nothing is due before this. Kept beside the times because every lookup asks for it.
    next: UnixMs,
    /// The keys of all times up to this one were claimed when the walk came by: it goes on behind
    /// it, so that it does not look at them again and again. At the end it begins anew.
    passed: Option<Time>,
}

impl Default for Due {
    fn default() -> Self {
        Self::new()
    }
}

/// What a look for something that is due came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// This is due, and no batch claims its key.
    Free(Time),
    /// Nothing is due.
    Nothing,
    /// What is due is claimed, as far as this look went.
    Claimed,
}

impl Due {
    /// Nothing expires.
    pub const fn new() -> Self {
        Self { times: BTreeSet::new(), next: NEVER, passed: None }
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

    /// The earliest time not after `by` whose key no batch claims.
    pub fn look(&mut self, by: UnixMs, claimed: &dyn Fn(u64) -> bool) -> Look {
        if by < self.next {
            self.passed = None;
            return Look::Nothing;
        }
        let behind = self.passed.map_or(Bound::Unbounded, Bound::Excluded);
        let due = self.times.range((behind, Bound::Unbounded)).take_while(|time| time.0 <= by);
        for (passed, time) in due.enumerate() {
            if !claimed(time.1) {
                return Look::Free(*time);
            }
            self.passed = Some(*time);
            if passed + 1 == PASSED_MAX {
                return Look::Claimed;
            }
        }
        self.passed = None;
        Look::Claimed
    }

    /// Moves the hashes of up to `most` times that [`Self::look`] finds from here to `taken`; what
    /// it finds then.
    pub fn take(
        &mut self,
        by: UnixMs,
        claimed: &dyn Fn(u64) -> bool,
        most: usize,
        taken: &mut Vec<u64>,
    ) -> Look {
        let end = taken.len().saturating_add(most);
        loop {
            match self.look(by, claimed) {
                Look::Free(time) if taken.len() < end => {
                    self.remove(time);
                    taken.push(time.1);
                }
                look => return look,
            }
        }
    }

    /// The times that the walk comes to next, claimed or not.
    pub fn coming(&self) -> impl Iterator<Item = &Time> {
        let behind = self.passed.map_or(Bound::Unbounded, Bound::Excluded);
        self.times.range((behind, Bound::Unbounded))
    }

    /// How many milliseconds ago the next time came that the walk would look at; 0 if there is
    /// none.
    pub fn late_ms(&self, now: UnixMs) -> u64 {
        let next = match self.passed {
            None => self.next,
            Some(_) => self.coming().next().map_or(NEVER, |time| time.0),
        };
        now.0.saturating_sub(next.0)
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

    /// Times 0, 1, 2 ... of hashes 0, 1, 2 ...
    fn times(count: u64) -> Due {
        let mut due = Due::new();
        (0..count).for_each(|number| due.insert((UnixMs(number), number)));
        due
    }

    #[test]
    fn what_is_due_is_taken_in_order_and_what_is_claimed_stays() {
        let mut due = times(10);
        let mut taken = Vec::new();
        let odd = |hash: u64| hash % 2 == 1;
        let next = |number| Look::Free((UnixMs(number), number));
        assert_eq!(due.take(UnixMs(7), &odd, 2, &mut taken), next(4));
        assert_eq!(due.take(UnixMs(7), &odd, 9, &mut taken), Look::Claimed);
        assert_eq!((&*taken, due.next()), (&[0, 2, 4, 6][..], UnixMs(1)));
        assert_eq!(due.take(UnixMs(7), &|_| false, 3, &mut taken), next(7));
        assert_eq!(due.take(UnixMs(7), &|_| false, 1, &mut taken), Look::Nothing);
        assert_eq!((&taken[4..], due.next(), due.len()), (&[1, 3, 5, 7][..], UnixMs(8), 2));
    }

    #[test]
    fn claimed_keys_at_the_front_are_looked_at_once_in_a_walk() {
        let count = 10 * PASSED_MAX as u64;
        let mut due = times(count);
        let looks = core::cell::Cell::new(0u64);
        let claimed = |hash| {
            looks.set(looks.get() + 1);
            hash < count - 5
        };
        let (mut taken, mut walks) = (Vec::new(), 0);
        while taken.len() < 5 {
            let before = looks.get();
            due.take(UnixMs(count), &claimed, 64, &mut taken);
            assert!(looks.get() - before <= PASSED_MAX as u64 + 5, "a look is bounded");
            walks += 1;
        }
        assert_eq!((walks, looks.get()), (10, count));
        assert_eq!(due.late_ms(UnixMs(count + 7)), count + 7, "the walk begins anew");
        assert_eq!(due.take(UnixMs(count), &|_| false, 1, &mut taken), Look::Free((UnixMs(1), 1)));
    }

    #[test]
    fn it_is_known_how_late_the_next_one_is() {
        let mut due = times(3000);
        assert_eq!((due.late_ms(UnixMs(0)), due.late_ms(UnixMs(50))), (0, 50));
        assert_eq!(due.look(UnixMs(5000), &|hash| hash < 2000), Look::Claimed);
        assert_eq!(due.late_ms(UnixMs(5000)), 5000 - PASSED_MAX as u64);
        assert_eq!(Due::new().late_ms(UnixMs(5000)), 0);
    }
}
