//! Who waits for which key of this shard, and which of these keys may have what they wait for.
//!
//! A waiter is a number to the engine: what waits, and where, is known above. Those who wait for
//! one key stand in the order in which they came. Nothing here waits.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use hashbrown::HashMap;

use crate::effects::Awaited;
use crate::keyspace::db::{Entry, Keyspace};
use crate::types::list::List;
use crate::types::object::Collection;
use crate::types::sorted_set::SortedSet;
use crate::types::stream::Stream;

/// A wait: the shard that keeps the waiter, and the wait's number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitId {
    /// The shard.
    pub place: u16,
    /// Never given twice there.
    pub number: u64,
}

/// A key that is waited for: its database and its hash. Two keys of one hash have one queue; a
/// false alarm wakes no waiter, since each looks at its own key.
pub type Place = (usize, u64);

/// One who waits for a key.
#[derive(Debug)]
pub struct Waiter {
    /// Its wait.
    pub id: WaitId,
    /// For what.
    pub awaited: Awaited,
    /// It is having its turn: until that is over, no waiter behind it has one.
    pub tries: bool,
}

/// Those who wait for one key.
#[derive(Debug, Default)]
struct Queue {
    line: VecDeque<Waiter>,
    /// How many of them wait for its end, too.
    await_absence: usize,
    /// It is among those to look at.
    is_ready: bool,
}

/// All who wait for keys of this shard.
#[derive(Debug, Default)]
pub struct Waiters {
    queues: HashMap<Place, Queue>,
    /// Where each stands.
    places: HashMap<WaitId, Vec<Place>>,
    /// Keys that changed, or whose first waiter has had its turn.
    ready: Vec<Place>,
}

impl Waiters {
    /// Says that a key changed.
    #[inline]
    pub fn touch(&mut self, db: usize, hash: u64) {
        if !self.queues.is_empty() {
            self.note_ready((db, hash));
        }
    }

    /// Says that keys of this hash may have changed in any of so many databases.
    pub fn touch_hash(&mut self, databases: usize, hash: u64) {
        if !self.queues.is_empty() {
            (0..databases).for_each(|db| self.note_ready((db, hash)));
        }
    }

    /// Says that all keys may have changed.
    pub fn touch_all(&mut self) {
        let places: Vec<Place> = self.queues.keys().copied().collect();
        self.put_back(places);
    }

    fn note_ready(&mut self, place: Place) {
        if let Some(queue) = self.queues.get_mut(&place)
            && !queue.is_ready
        {
            queue.is_ready = true;
            self.ready.push(place);
        }
    }

    /// Adds a waiter for a key, behind all others of that key. A waiter that stands there already
    /// keeps its place: its turn was in vain.
    pub fn add(&mut self, id: WaitId, place: Place, awaited: Awaited) {
        let queue = self.queues.entry(place).or_default();
        match queue.line.iter_mut().find(|waiter| waiter.id == id) {
            Some(waiter) => {
                waiter.tries = false;
                self.note_ready(place);
            }
            None => {
                queue.await_absence += usize::from(awaited.ends_without_key());
                queue.line.push_back(Waiter { id, awaited, tries: false });
                self.places.entry(id).or_default().push(place);
            }
        }
    }

    /// Ends a wait. If its waiter was having its turn, the waiters behind may have theirs.
    pub fn forget(&mut self, id: WaitId) {
        for place in self.places.remove(&id).unwrap_or_default() {
            let queue = self.queues.get_mut(&place).expect("who waits stands in a queue");
            let at = queue.line.iter().position(|waiter| waiter.id == id);
            let waiter = at.and_then(|at| queue.line.remove(at)).expect("it stands there");
            queue.await_absence -= usize::from(waiter.awaited.ends_without_key());
            if queue.line.is_empty() {
                self.queues.remove(&place);
            } else if waiter.tries {
                self.note_ready(place);
            }
        }
    }

    /// Notes that a waiter is having its turn.
    pub fn give_turn(&mut self, id: WaitId) {
        for place in self.places.get(&id).into_iter().flatten() {
            let queue = self.queues.get_mut(place).expect("who waits stands in a queue");
            let mut waiters = queue.line.iter_mut();
            waiters.find(|waiter| waiter.id == id).expect("it stands there").tries = true;
        }
    }

    /// Whether there are keys to look at.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Keys to look at, in the order in which they changed.
    pub fn take_ready(&mut self) -> Vec<Place> {
        for place in &self.ready {
            if let Some(queue) = self.queues.get_mut(place) {
                queue.is_ready = false;
            }
        }
        core::mem::take(&mut self.ready)
    }

    /// Puts keys back that cannot be looked at yet.
    pub fn put_back(&mut self, places: impl IntoIterator<Item = Place>) {
        places.into_iter().for_each(|place| self.note_ready(place));
    }

    /// Who stands at number `at` of those who wait for a key.
    pub fn at(&self, place: Place, at: usize) -> Option<&Waiter> {
        self.queues.get(&place)?.line.get(at)
    }

    /// The keys that a waiter waits for.
    pub fn places_of(&self, id: WaitId) -> &[Place] {
        self.places.get(&id).map_or(&[], Vec::as_slice)
    }

    /// What a waiter awaits of a key, and the waiters before it.
    pub fn up_to(&self, place: Place, id: WaitId) -> (&Awaited, impl Iterator<Item = &Waiter>) {
        let queue = &self.queues[&place].line;
        let at = queue.iter().position(|waiter| waiter.id == id).expect("it stands there");
        (&queue[at].awaited, queue.iter().take(at))
    }

    /// Whether a waiter waits for a key to be gone, too.
    pub fn awaits_absence(&self, place: Place) -> bool {
        self.queues.get(&place).is_some_and(|queue| queue.await_absence != 0)
    }

    /// Keys of a database that have waiters.
    pub fn of_db(&self, db: usize) -> impl Iterator<Item = u64> {
        self.queues.keys().filter(move |place| place.0 == db).map(|place| place.1)
    }

    /// Whether no waiter waits for anything, and nothing is left of earlier ones.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty() && self.places.is_empty()
    }

    /// How many keys are waited for, and how many of them to be gone, too.
    pub fn keys(&self) -> (usize, usize) {
        let await_absence = self.queues.values().filter(|queue| queue.await_absence != 0);
        (self.queues.len(), await_absence.count())
    }
}

impl Keyspace {
    /// Whether a key is there.
    pub fn is_there(&self, (db, hash): Place) -> bool {
        let entry = self.dbs[db].table().find_hash(hash);
        entry.is_some_and(|entry| self.shows(entry))
    }

    /// Whether a key has what is awaited of it.
    pub fn has_awaited(&self, place: Place, awaited: &Awaited) -> bool {
        let entry = self.dbs[place.0].table().find_hash(place.1);
        let object = entry.filter(|_| self.is_there(place)).and_then(Entry::as_object);
        match awaited {
            Awaited::List => object.and_then(List::of).is_some(),
            Awaited::SortedSet => object.and_then(<SortedSet as Collection>::of).is_some(),
            Awaited::Entry(after) => {
                let last = object.and_then(Stream::of).and_then(|it| it.log().last_entry_id());
                last.is_some_and(|last| *after < (last.ms, last.seq))
            }
            Awaited::Group(name) => object.and_then(Stream::of).is_none_or(|stream| {
                let last = stream.log().last_entry_id();
                stream.group(name).is_none_or(|group| last.is_some_and(|it| group.last_id < it))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::HashSeed;
    use crate::base::random::Random;
    use crate::base::time::UnixMs;
    use crate::encodings::quicklist::End;
    use crate::keyspace::settings::OnExpiry;

    const KEY: Place = (0, 7);

    fn id(number: u64) -> WaitId {
        WaitId { place: 0, number }
    }

    fn order(waiters: &Waiters, place: Place) -> Vec<u64> {
        (0..).map_while(|at| waiters.at(place, at)).map(|waiter| waiter.id.number).collect()
    }

    #[test]
    fn those_who_wait_stand_in_the_order_in_which_they_came() {
        let mut waiters = Waiters::default();
        for number in 1..=3 {
            waiters.add(id(number), KEY, Awaited::List);
            waiters.add(id(number), (0, 8), Awaited::List);
        }
        waiters.forget(id(2));
        waiters.add(id(1), KEY, Awaited::List);
        assert_eq!(order(&waiters, KEY), [1, 3]);
        assert_eq!(order(&waiters, (0, 8)), [1, 3]);
        waiters.forget(id(2));
        waiters.forget(id(1));
        waiters.forget(id(3));
        assert!(waiters.is_empty());
    }

    #[test]
    fn only_keys_that_are_waited_for_are_looked_at_and_once() {
        let mut waiters = Waiters::default();
        waiters.touch(0, 7);
        waiters.add(id(1), KEY, Awaited::List);
        assert!(!waiters.has_ready());
        [7, 8, 7].into_iter().for_each(|hash| waiters.touch(0, hash));
        assert_eq!(waiters.take_ready(), [KEY]);
        assert!(!waiters.has_ready());
    }

    #[test]
    fn a_turn_that_is_over_lets_those_behind_have_theirs() {
        let mut waiters = Waiters::default();
        waiters.add(id(1), KEY, Awaited::List);
        waiters.add(id(2), KEY, Awaited::List);
        waiters.forget(id(1));
        assert!(!waiters.has_ready(), "it did not have its turn");
        waiters.give_turn(id(2));
        waiters.add(id(3), KEY, Awaited::List);
        waiters.add(id(2), KEY, Awaited::List);
        assert_eq!(waiters.take_ready(), [KEY], "it was in vain");
        assert_eq!(order(&waiters, KEY), [2, 3]);
        waiters.give_turn(id(2));
        waiters.forget(id(2));
        assert_eq!(waiters.take_ready(), [KEY]);
    }

    #[test]
    fn what_is_due_is_awaited_in_vain_unless_times_are_ignored() {
        let seed = HashSeed(1);
        let mut keyspace = Keyspace::new(1, seed, Random::new(1));
        let mut list = List::default();
        list.push(End::Right, b"a");
        let mut entry = Entry::object(b"k", list.into_object());
        entry.set_expire(Some(UnixMs(5)));
        let place = (0, seed.key_hash(b"k"));
        keyspace.dbs[0].insert(place.1, entry);
        for (now, expiry, expected) in [
            (4, OnExpiry::Removes, true),
            (5, OnExpiry::Removes, false),
            (5, OnExpiry::Hides, false),
            (5, OnExpiry::Ignores, true),
        ] {
            keyspace.now = UnixMs(now);
            keyspace.settings.expiry = expiry;
            assert_eq!(keyspace.is_there(place), expected, "{now} {expiry:?}");
            assert_eq!(keyspace.has_awaited(place, &Awaited::List), expected, "{now} {expiry:?}");
        }
    }

    #[test]
    fn keys_are_counted() {
        let mut waiters = Waiters::default();
        waiters.add(id(1), KEY, Awaited::List);
        waiters.add(id(1), (1, 7), Awaited::List);
        waiters.add(id(2), (1, 7), Awaited::Group(b"g".to_vec()));
        assert_eq!(waiters.keys(), (2, 1));
        assert_eq!(waiters.of_db(1).collect::<Vec<_>>(), [7]);
    }
}
