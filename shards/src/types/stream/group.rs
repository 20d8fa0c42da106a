//! A consumer group: how far it has read, and what was delivered to whom and not acknowledged.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::base::time::UnixMs;
use crate::types::stream::id::StreamId;

/// A consumer group.
#[derive(Clone, Debug)]
pub struct Group {
    /// The last ID that was delivered.
    pub last_id: StreamId,
    /// How many entries were ever added up to `last_id`; `None` if that cannot be told.
    pub entries_read: Option<i64>,
    pending: BTreeMap<StreamId, Pending>,
    by_name: BTreeMap<Box<[u8]>, ConsumerId>,
    consumers: Vec<Option<Consumer>>,
    /// Places of `consumers` that are empty.
    free: Vec<ConsumerId>,
}

/// Stands for a consumer of a group, as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerId(usize);

/// A consumer.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Its name.
    pub name: Box<[u8]>,
    /// When it last asked for anything.
    pub seen: UnixMs,
    /// When it last got anything.
    pub active: Option<UnixMs>,
    pending: BTreeSet<StreamId>,
}

impl Consumer {
    /// How many entries it has not acknowledged.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The IDs it has not acknowledged, from this one on.
    pub fn pending_from(&self, from: StreamId) -> impl Iterator<Item = StreamId> {
        self.pending.range(from..).copied()
    }
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// To whom.
    pub consumer: ConsumerId,
    /// When, the last time.
    pub delivered: UnixMs,
    /// How often.
    pub deliveries: u64,
}

impl Pending {
    /// Milliseconds since it was delivered; below zero if that is still to come.
    #[inline]
    pub fn idle(&self, now: UnixMs) -> i64 {
        now.0.wrapping_sub(self.delivered.0).cast_signed()
    }
}

impl Group {
    /// One that has read up to this ID.
    pub fn new(last_id: StreamId, entries_read: Option<i64>) -> Self {
        Self {
            last_id,
            entries_read,
            pending: BTreeMap::new(),
            by_name: BTreeMap::new(),
            consumers: Vec::new(),
            free: Vec::new(),
        }
    }

    /// How many entries are not acknowledged.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// What is not acknowledged, from this ID on.
    pub fn pending_from(
        &self,
        from: StreamId,
    ) -> impl DoubleEndedIterator<Item = (StreamId, &Pending)> {
        self.pending.range(from..).map(|(id, pending)| (*id, pending))
    }

    /// The last ID that is not acknowledged.
    pub fn last_pending(&self) -> Option<StreamId> {
        self.pending.last_key_value().map(|(id, _)| *id)
    }

    /// Whether and how this entry is pending.
    pub fn pending(&self, id: StreamId) -> Option<&Pending> {
        self.pending.get(&id)
    }

    /// As [`Self::pending`], to say that it was delivered again, to the same consumer.
    pub fn pending_mut(&mut self, id: StreamId) -> Option<&mut Pending> {
        self.pending.get_mut(&id)
    }

    /// Makes an entry pending, whether it was or not.
    pub fn deliver(&mut self, id: StreamId, pending: Pending) {
        let to = pending.consumer;
        match self.pending.insert(id, pending) {
            Some(before) if before.consumer == to => return,
            Some(before) => {
                self.consumer_mut(before.consumer).pending.remove(&id);
            }
            None => {}
        }
        self.consumer_mut(to).pending.insert(id);
    }

    /// Forgets that an entry is pending; false if it was not.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(&id) else { return false };
        self.consumer_mut(pending.consumer).pending.remove(&id);
        true
    }

    /// How many consumers there are.
    pub fn consumers_len(&self) -> usize {
        self.by_name.len()
    }

    /// All consumers, by name.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.by_name.values().map(|id| self.consumer(*id))
    }

    /// The consumer of this name.
    pub fn find(&self, name: &[u8]) -> Option<ConsumerId> {
        self.by_name.get(name).copied()
    }

    /// A consumer.
    pub fn consumer(&self, id: ConsumerId) -> &Consumer {
        self.consumers[id.0].as_ref().expect(IS_THERE)
    }

    /// A consumer, to say when it was seen.
    pub fn consumer_mut(&mut self, id: ConsumerId) -> &mut Consumer {
        self.consumers[id.0].as_mut().expect(IS_THERE)
    }

    /// Makes a consumer of this name, of which there is none.
    pub fn create(&mut self, name: &[u8], now: UnixMs) -> ConsumerId {
        let consumer =
            Consumer { name: name.into(), seen: now, active: None, pending: BTreeSet::new() };
        let id = self.free.pop().unwrap_or_else(|| {
            self.consumers.push(None);
            ConsumerId(self.consumers.len() - 1)
        });
        self.consumers[id.0] = Some(consumer);
        let before = self.by_name.insert(name.into(), id);
        assert!(before.is_none(), "the caller looked for it");
        id
    }

    /// Removes the consumer of this name with all that is pending for it; says how much it was.
    pub fn remove(&mut self, name: &[u8]) -> Option<usize> {
        let id = self.by_name.remove(name)?;
        let consumer = self.consumers[id.0].take().expect(IS_THERE);
        self.free.push(id);
        consumer.pending.iter().for_each(|id| {
            self.pending.remove(id);
        });
        Some(consumer.pending.len())
    }

    /// How many allocations there are to free, about.
    pub fn free_effort(&self) -> usize {
        1 + self.consumers.len() + self.pending.len()
    }

    /// Frees about `budget` elements, which it counts down; true when nothing is left that takes
    /// time.
    pub fn free_slice(&mut self, budget: &mut usize) -> bool {
        while 0 < *budget && self.pending.pop_first().is_some() {
            *budget -= 1;
        }
        while 0 < *budget
            && let Some(last) = self.consumers.last_mut()
        {
            *budget -= 1;
            let done = last.as_mut().is_none_or(|it| it.pending.pop_first().is_none());
            if done && let Some(Some(gone)) = self.consumers.pop() {
                self.by_name.remove(&gone.name);
            }
        }
        self.pending.is_empty() && self.consumers.is_empty()
    }

    /// Bytes it takes, about.
    pub fn memory(&self) -> usize {
        /// A map of small keys in order is two thirds full.
        const fn in_map(len: usize, bytes: usize) -> usize {
            len * bytes * 3 / 2
        }
        let ids = size_of::<StreamId>();
        let names = self.by_name.keys().take(SAMPLES).map(|name| name.len()).sum::<usize>();
        let names = names * self.by_name.len() / SAMPLES.min(self.by_name.len()).max(1);
        size_of::<Self>()
            + in_map(self.pending.len(), 2 * ids + size_of::<Pending>())
            + in_map(self.by_name.len(), 24)
            + 2 * names
            + self.consumers.len() * size_of::<Option<Consumer>>()
    }
}

const IS_THERE: &str = "consumers go with all that refers to them";

/// How many names are looked at to tell how long they are.
const SAMPLES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(50);

    fn id(ms: u64) -> StreamId {
        StreamId { ms, seq: 0 }
    }

    fn group() -> (Group, ConsumerId, ConsumerId) {
        let mut group = Group::new(StreamId::MIN, None);
        let (a, b) = (group.create(b"a", NOW), group.create(b"b", NOW));
        for ms in 1..=5 {
            let consumer = if ms < 4 { a } else { b };
            group.deliver(id(ms), Pending { consumer, delivered: NOW, deliveries: 1 });
        }
        (group, a, b)
    }

    fn pending(group: &Group, consumer: ConsumerId) -> Vec<u64> {
        group.consumer(consumer).pending_from(StreamId::MIN).map(|id| id.ms).collect()
    }

    #[test]
    fn an_entry_is_pending_for_one_consumer() {
        let (mut group, a, b) = group();
        assert_eq!((pending(&group, a), pending(&group, b)), ([1, 2, 3].into(), [4, 5].into()));
        group.deliver(id(2), Pending { consumer: b, delivered: NOW, deliveries: 7 });
        assert_eq!((pending(&group, a), pending(&group, b)), ([1, 3].into(), [2, 4, 5].into()));
        assert_eq!(group.pending(id(2)).map(|it| it.deliveries), Some(7));
        assert!(group.acknowledge(id(2)) && !group.acknowledge(id(2)));
        assert_eq!((group.pending_len(), group.last_pending()), (4, Some(id(5))));
        assert_eq!(pending(&group, b), [4, 5]);
    }

    #[test]
    fn a_consumer_takes_along_what_is_pending_for_it() {
        let (mut group, _, b) = group();
        assert_eq!((group.remove(b"a"), group.remove(b"a")), (Some(3), None));
        assert_eq!((group.pending_len(), group.consumers_len()), (2, 1));
        // Its place is taken by the next one.
        let c = group.create(b"c", NOW);
        assert_eq!((pending(&group, c), pending(&group, b)), ([].into(), [4, 5].into()));
        assert_eq!(group.consumers.len(), 2);
        assert_eq!((group.find(b"c"), group.find(b"a")), (Some(c), None));
    }

    #[test]
    fn is_freed_in_slices() {
        let (mut group, ..) = group();
        let slices = (1..).find(|_| group.free_slice(&mut 3)).unwrap();
        assert_eq!(slices, 4);
    }
}
