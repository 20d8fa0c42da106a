//! Streams: entries in the order of their IDs, in nodes of some each, and the groups that read
//! them.

pub mod group;
pub mod id;
pub mod log;
pub mod node;
pub mod trim;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use crate::encodings::allocation::Boxed;
use group::Group;
use log::Log;
use node::Node;

/// A stream.
#[derive(Clone, Debug)]
pub struct Stream(Boxed<Content>);

#[derive(Clone, Debug, Default)]
struct Content {
    log: Log,
    groups: BTreeMap<Box<[u8]>, Box<Group>>,
}

impl Default for Stream {
    fn default() -> Self {
        Self(Boxed::new(Content::default()))
    }
}

impl Stream {
    /// Entries in it.
    #[inline]
    pub fn len(&self) -> usize {
        usize::try_from(self.0.log.len()).expect("they are in memory")
    }

    /// Whether it has no entry. Such a stream stays: it has groups, or will go on.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.log.is_empty()
    }

    /// What OBJECT ENCODING calls it.
    pub fn encoding(&self) -> &'static str {
        "stream"
    }

    /// Bytes of its allocations: those of the first nodes and groups stand for the others.
    pub fn memory(&self) -> usize {
        let Content { log: Log { nodes, .. }, groups } = &*self.0;
        let node = average(nodes.values().rev().map(Node::memory));
        let group = average(groups.values().map(|it| it.memory()));
        size_of::<Content>() + nodes.len() * (node + IN_MAP_BYTES) + groups.len() * group
    }

    /// How many allocations there are to free, about.
    pub fn free_effort(&self) -> usize {
        let Content { log: Log { nodes, .. }, groups } = &*self.0;
        nodes.len() + groups.len() * average(groups.values().map(|it| it.free_effort()))
    }

    /// Frees about `budget` nodes and pending entries; true when nothing is left that takes time.
    pub fn free_slice(&mut self, mut budget: usize) -> bool {
        let Content { log: Log { nodes, .. }, groups } = &mut *self.0;
        while 0 < budget && nodes.pop_first().is_some() {
            budget -= 1;
        }
        while 0 < budget
            && let Some(mut first) = groups.first_entry()
        {
            if first.get_mut().free_slice(&mut budget) {
                first.remove();
                budget = budget.saturating_sub(1);
            }
        }
        nodes.is_empty() && groups.is_empty()
    }

    /// Its entries.
    #[inline]
    pub fn log(&self) -> &Log {
        &self.0.log
    }

    /// Its entries, to change them.
    #[inline]
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.0.log
    }

    /// The groups, by name.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.0.groups.iter().map(|(name, group)| (&**name, &**group))
    }

    /// The group of this name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.0.groups.get(name).map(|group| &**group)
    }

    /// The group of this name, to change it, and the entries beside it.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<(&Log, &mut Group)> {
        let Content { log, groups } = &mut *self.0;
        groups.get_mut(name).map(|group| (&*log, &mut **group))
    }

    /// Adds a group; false if there is one of this name.
    pub fn add_group(&mut self, name: &[u8], group: Group) -> bool {
        let is_new = !self.0.groups.contains_key(name);
        if is_new {
            self.0.groups.insert(name.into(), Box::new(group));
        }
        is_new
    }

    /// Removes the group of this name; false if there is none.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        self.0.groups.remove(name).is_some()
    }
}

/// What a map in order keeps of a node.
const IN_MAP_BYTES: usize = 40;

/// How many are looked at to tell how large all of them are.
const SAMPLES: usize = 5;

/// The average of the first few.
fn average(sizes: impl Iterator<Item = usize>) -> usize {
    let (count, sum) = sizes.take(SAMPLES).fold((0, 0), |(count, sum), it| (count + 1, sum + it));
    sum / usize::max(count, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::UnixMs;
    use crate::types::limits::StreamLimits;
    use crate::types::stream::group::Pending;
    use crate::types::stream::id::StreamId;
    use crate::types::stream::trim::{Keep, Precision, Trim};
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const LIMITS: StreamLimits = StreamLimits { node_bytes: 4096, node_entries: 4 };

    fn id(ms: u64) -> StreamId {
        StreamId { ms, seq: ms % 2 }
    }

    fn stream(entries: u64) -> Stream {
        let mut stream = Stream::default();
        for ms in 1..=entries {
            stream.log_mut().append(id(ms), &[b"name", b"value"], LIMITS);
        }
        stream
    }

    fn ids(stream: &Stream) -> Vec<u64> {
        stream.log().range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id.ms).collect()
    }

    #[test]
    fn a_node_ends_at_either_limit() {
        let cases = [
            (0, 0, 1, 1),
            (0, 4, 8, 2),
            (0, 4, 9, 3),
            (4096, 0, 8, 1),
            (1, 0, 8, 8),
            (60, 0, 8, 2),
            (usize::MAX, 1, 8, 8),
        ];
        for (node_bytes, node_entries, entries, nodes) in cases {
            let mut stream = Stream::default();
            for ms in 1..=entries {
                let limits = StreamLimits { node_bytes, node_entries };
                stream.log_mut().append(id(ms), &[b"n", b"v"], limits);
            }
            let case = (node_bytes, node_entries, entries);
            assert_eq!(stream.log().nodes().len(), nodes, "{case:?}");
        }
    }

    #[test]
    fn trimming_by_nodes_leaves_what_valkey_leaves() {
        // entries (in nodes of 4), what to keep, limit, entries that stay
        let cases = [
            (10, Keep::Last(5), 0, 6),
            (10, Keep::Last(6), 0, 6),
            (10, Keep::Last(7), 0, 10),
            (10, Keep::Last(0), 0, 0),
            (10, Keep::Last(0), 8, 2),
            (10, Keep::Last(0), 7, 6),
            (10, Keep::Last(0), 3, 10),
            (10, Keep::From(id(5)), 0, 6),
            (10, Keep::From(id(4)), 0, 10),
            (10, Keep::From(StreamId::MAX), 0, 0),
        ];
        for (entries, keep, limit, left) in cases {
            let mut stream = stream(entries);
            let removed = stream.log_mut().trim(Trim { keep, precision: Precision::Nodes(limit) });
            assert_eq!((stream.log().len(), removed), (left, entries - left), "{keep:?} {limit}");
            let settled = stream.log().settled(keep);
            let mut replica = self::stream(entries);
            replica.log_mut().trim(Trim { keep: settled, precision: Precision::Exact });
            assert_eq!(ids(&replica), ids(&stream), "{keep:?} {limit}");
        }
    }

    #[test]
    fn what_a_group_has_still_to_read_is_told_where_it_is_known() {
        let lag = |log: &Log, ms, read| log.lag(&Group::new(id(ms), read));
        let mut stream = stream(10);
        for (ms, read, expected) in [
            (0, None, Some(10)),
            (1, None, Some(9)),
            (5, None, None),
            (5, Some(5), Some(5)),
            (10, None, Some(0)),
            (11, None, None),
        ] {
            assert_eq!(lag(stream.log(), ms, read), expected, "{ms} {read:?}");
        }
        stream.log_mut().delete([id(7)].into_iter());
        assert_eq!(lag(stream.log(), 5, Some(5)), None);
        assert_eq!(lag(stream.log(), 8, Some(8)), Some(2));
        assert_eq!(lag(stream.log(), 0, None), None);
        stream.log_mut().trim(Trim { keep: Keep::From(id(8)), precision: Precision::Exact });
        assert_eq!(lag(stream.log(), 0, None), Some(3));
        assert_eq!(lag(&Log::default(), 0, Some(3)), Some(0));
    }

    #[test]
    fn a_large_stream_is_freed_in_slices() {
        let mut stream = stream(8000);
        let mut group = Group::new(id(8000), None);
        let consumer = group.create(b"c", UnixMs(1));
        for ms in 1..=3000 {
            let pending = Pending { consumer, delivered: UnixMs(1), deliveries: 1 };
            group.deliver(id(ms), pending);
        }
        assert!(stream.add_group(b"g", group));
        assert_eq!(stream.free_effort(), 2000 + 3002);
        let copy = stream.clone();
        assert_eq!(copy.memory(), stream.memory());
        let slices = (1..).find(|_| stream.free_slice(1000)).unwrap();
        assert_eq!(slices, 9, "nodes, and what is pending for the group and its consumer");
        assert_eq!((copy.len(), copy.group(b"g").map(Group::pending_len)), (8000, Some(3000)));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append(u64, Vec<u8>),
        Delete(u64),
        Trim(Trim),
    }

    fn step() -> impl Strategy<Value = Step> {
        let keep = prop_oneof![
            (0u64..30).prop_map(Keep::Last),
            (0u64..60).prop_map(|ms| Keep::From(id(ms))),
        ];
        let precision = prop_oneof![Just(Precision::Exact), (0u64..20).prop_map(Precision::Nodes)];
        prop_oneof![
            12 => (1u64..3, prop::collection::vec(any::<u8>(), 0..20))
                .prop_map(|(gap, bytes)| Step::Append(gap, bytes)),
            4 => (0u64..60).prop_map(Step::Delete),
            1 => (keep, precision)
                .prop_map(|(keep, precision)| Step::Trim(Trim { keep, precision })),
        ]
    }

    proptest! {
        #[test]
        fn is_a_map_in_order(steps in prop::collection::vec(step(), 0..80)) {
            let (mut stream, mut model) = (Stream::default(), BTreeMap::new());
            for step in steps {
                let log = stream.log_mut();
                match step {
                    Step::Append(gap, bytes) => {
                        let id = id(log.last_id().ms + gap);
                        // Names as those before and others in turn.
                        let names: &[&[u8]] = if gap == 1 { &[b"a"] } else { &[b"b", b"17"] };
                        let pairs: Vec<&[u8]> =
                            names.iter().flat_map(|name| [*name, &bytes]).collect();
                        log.append(id, &pairs, LIMITS);
                        let pairs = pairs.iter().map(|text| text.to_vec()).collect::<Vec<_>>();
                        model.insert(id, pairs);
                    }
                    Step::Delete(ms) => {
                        let was_there = model.remove(&id(ms)).is_some();
                        prop_assert_eq!(log.delete([id(ms)].into_iter()), u64::from(was_there));
                    }
                    Step::Trim(trim) => {
                        let removed = usize::try_from(log.trim(trim)).unwrap();
                        let wanted = match trim.keep {
                            Keep::Last(count) =>
                                model.len().saturating_sub(usize::try_from(count).unwrap()),
                            Keep::From(id) => model.range(..id).count(),
                        };
                        prop_assert!(removed <= wanted);
                        prop_assert!(trim.precision != Precision::Exact || removed == wanted);
                        for _ in 0..removed {
                            model.pop_first();
                        }
                    }
                }
                let first = model.keys().next().copied().unwrap_or_default();
                prop_assert_eq!(stream.log().first_id(), first);
                prop_assert_eq!(stream.log().last_entry_id(), model.keys().last().copied());
                prop_assert_eq!(stream.len(), model.len());
            }
            let pairs = |entry: node::Entry<'_>| {
                let fields = entry.fields().flat_map(|(name, value)| [name, value]);
                (entry.id, fields.map(|text| text.to_vec()).collect::<Vec<_>>())
            };
            for (start, end) in [(0, 100), (5, 12), (13, 40), (20, 10)] {
                let (start, end) = (id(start), id(end));
                let is_within = |it: &(StreamId, Vec<Vec<u8>>)| start <= it.0 && it.0 <= end;
                let mut wanted: Vec<_> =
                    model.clone().into_iter().filter(is_within).collect();
                let found: Vec<_> = stream.log().range(start, end).map(pairs).collect();
                prop_assert_eq!(&found, &wanted);
                wanted.reverse();
                let found: Vec<_> = stream.log().range_back(start, end).map(pairs).collect();
                prop_assert_eq!(&found, &wanted);
            }
            for ms in 0..60 {
                let found = stream.log().get(id(ms)).map(pairs).map(|it| it.1);
                prop_assert_eq!(found.as_ref(), model.get(&id(ms)));
            }
        }
    }
}
