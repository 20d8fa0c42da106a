//! The entries of a stream, in nodes of some each.

use alloc::collections::BTreeMap;
use core::cmp::Ordering;

use crate::encodings::listpack::Listpack;
use crate::types::limits::StreamLimits;
use crate::types::stream::group::Group;
use crate::types::stream::id::StreamId;
use crate::types::stream::node::{Entry, Node};

/// Entries, and what is known of those that were there.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub(super) nodes: BTreeMap<StreamId, Node>,
    pub(super) len: u64,
    entries_added: u64,
    first_id: StreamId,
    last_id: StreamId,
    max_deleted_id: StreamId,
}

impl Log {
    /// Entries in it.
    #[inline]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many entries were ever added.
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// The ID of the first entry, `0-0` if there is none.
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The last ID that was given to an entry.
    #[inline]
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The highest ID that was deleted, by XDEL.
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// The ID of the last entry.
    pub fn last_entry_id(&self) -> Option<StreamId> {
        self.range_back(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id)
    }

    /// Sets what XSETID sets.
    pub fn set_last_id(&mut self, id: StreamId, added: Option<u64>, deleted: Option<StreamId>) {
        self.last_id = id;
        self.entries_added = added.unwrap_or(self.entries_added);
        self.max_deleted_id = deleted.unwrap_or(self.max_deleted_id);
    }

    /// Adds an entry of these names and values in turn, whose ID is above the last one.
    #[inline]
    pub fn append(&mut self, id: StreamId, pairs: &[&[u8]], limits: StreamLimits) {
        assert!(self.last_id < id, "IDs ascend");
        let has_room = self.nodes.last_entry().is_some_and(|mut last| {
            let distance = id.distance_from(*last.key());
            last.get_mut().push(distance, pairs, limits)
        });
        if !has_room {
            self.nodes.insert(id, Node::new(pairs));
        }
        if self.len == 0 {
            self.first_id = id;
        }
        self.len += 1;
        // What a dump or XSETID says of it may be any number.
        self.entries_added = self.entries_added.wrapping_add(1);
        self.last_id = id;
    }

    /// Adds a node that another program made, behind all others. False if it is none, or if its
    /// IDs are not above those that are there.
    pub fn push_node(&mut self, base: StreamId, listpack: Listpack) -> bool {
        let Some((node, last_id)) = Node::checked(base, listpack) else { return false };
        if base <= self.last_id {
            return false;
        }
        self.last_id = last_id;
        let (len, was_empty) = (node.len(), self.is_empty());
        if 0 < len {
            self.len += len;
            self.entries_added += len;
            self.nodes.insert(base, node);
        }
        if was_empty {
            self.find_first();
        }
        true
    }

    /// The entry of this ID.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        let (base, node) = self.nodes.range(..=id).next_back()?;
        node.entries(*base).find(|entry| id <= entry.id).filter(|entry| entry.id == id)
    }

    /// The entries from one ID to another, these included.
    pub fn range(&self, start: StreamId, end: StreamId) -> impl Iterator<Item = Entry<'_>> {
        self.nodes_of(start, end)
            .flat_map(|(base, node)| node.entries(*base))
            .skip_while(move |entry| entry.id < start)
            .take_while(move |entry| entry.id <= end)
    }

    /// As [`Self::range`], the last one first.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> impl Iterator<Item = Entry<'_>> {
        self.nodes_of(start, end)
            .rev()
            .flat_map(|(base, node)| node.entries_back(*base))
            .skip_while(move |entry| end < entry.id)
            .take_while(move |entry| start <= entry.id)
    }

    /// The nodes that may have entries between these IDs.
    fn nodes_of(
        &self,
        start: StreamId,
        end: StreamId,
    ) -> impl DoubleEndedIterator<Item = (&StreamId, &Node)> {
        let nodes = &self.nodes;
        let first = nodes.range(..=start).next_back().map_or(start, |(base, _)| *base);
        nodes.range(first..=end.max(first))
    }

    /// All nodes, by the IDs of their first entries.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (&StreamId, &Node)> {
        self.nodes.iter()
    }

    /// Removes entries; says how many there were.
    pub fn delete(&mut self, ids: impl Iterator<Item = StreamId>) -> u64 {
        let (mut deleted, mut first_went) = (0, false);
        for id in ids {
            if !self.delete_one(id) {
                continue;
            }
            first_went |= id == self.first_id;
            self.max_deleted_id = self.max_deleted_id.max(id);
            deleted += 1;
        }
        if first_went || self.is_empty() {
            self.find_first();
        }
        deleted
    }

    fn delete_one(&mut self, id: StreamId) -> bool {
        let Some((&base, node)) = self.nodes.range_mut(..=id).next_back() else { return false };
        if !node.delete(base, id) {
            return false;
        }
        if node.len() == 0 {
            self.nodes.remove(&base);
        }
        self.len -= 1;
        true
    }

    /// Sets the ID of the first entry, after entries went.
    pub(super) fn find_first(&mut self) {
        let first = self.range(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id);
        self.first_id = first.unwrap_or_default();
    }

    /// Whether an entry of this ID or a higher one was deleted, as far as that is known.
    pub fn has_gaps_from(&self, start: StreamId) -> bool {
        let deleted = self.max_deleted_id;
        !self.is_empty() && deleted != StreamId::MIN && start <= deleted
    }

    /// How many entries were ever added up to this one; `None` if that cannot be told.
    pub fn entries_read_at(&self, id: StreamId) -> Option<i64> {
        let Self { len, entries_added, first_id, last_id, max_deleted_id, .. } = *self;
        let count = |number: u64| Some(number.cast_signed());
        if entries_added == 0 {
            return Some(0);
        }
        if len == 0 && id <= last_id {
            return count(entries_added);
        }
        if id != StreamId::MIN && id < max_deleted_id {
            return None;
        }
        if id == last_id {
            return count(entries_added);
        }
        let has_gaps = max_deleted_id != StreamId::MIN && first_id <= max_deleted_id;
        if last_id < id || has_gaps {
            return None;
        }
        // What XSETID says need not agree with how many there are.
        match id.cmp(&first_id) {
            Ordering::Less => count(entries_added.wrapping_sub(len)),
            Ordering::Equal => count(entries_added.wrapping_sub(len).wrapping_add(1)),
            Ordering::Greater => None,
        }
    }

    /// How many entries a group has still to read; `None` if that cannot be told.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let added = self.entries_added.cast_signed();
        if added == 0 {
            return Some(0);
        }
        let read = group.entries_read.filter(|_| !self.has_gaps_from(group.last_id));
        Some(added.wrapping_sub(read.or_else(|| self.entries_read_at(group.last_id))?))
    }
}
