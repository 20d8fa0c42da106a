//! A node of a stream: some entries in a listpack, in Valkey's layout, so that a dump is a copy.
//!
//! ```text
//! entries | deleted ones | number of names | names | 0
//! then for each entry
//! flags | ms | seq | values | elements of this entry before this one         names as above
//! flags | ms | seq | number of fields | names and values in turn | elements  other names
//! ```
//! The ID of the first entry is the node's key; `ms` and `seq` are the distances from it. Deleted
//! entries stay, with a flag, until all of the node are deleted.

use crate::encodings::listpack::{Element, Iter, Listpack, Position};
use crate::types::limits::StreamLimits;
use crate::types::stream::id::StreamId;

/// Bytes beyond which a node takes no more, whatever the settings say, and which a single entry
/// may not have.
pub const NODE_BYTES_MAX: usize = 1 << 30;

const DELETED: i64 = 1;
const SAME_NAMES: i64 = 2;

/// Elements of an entry that has no field: flags and ID.
const ENTRY_ELEMENTS: usize = 3;

/// A node.
#[derive(Clone, Debug)]
pub struct Node(Listpack);

/// An entry of a node.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its ID.
    pub id: StreamId,
    fields: Fields<'a>,
    place: Position,
    is_deleted: bool,
}

impl<'a> Entry<'a> {
    /// Fields with their values, in order; a name may come up more than once.
    pub fn fields(&self) -> Fields<'a> {
        self.fields.clone()
    }
}

/// The fields of an entry with their values.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// Where the names stand if not among the values.
    names: Option<Iter<'a>>,
    values: Iter<'a>,
    left: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Element<'a>, Element<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = self.names.as_mut().unwrap_or(&mut self.values).next()?;
        Some((name, self.values.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

impl Node {
    /// The node that begins with an entry of these names and values in turn.
    pub(super) fn new(pairs: &[&[u8]]) -> Self {
        let mut node = Self(Listpack::new());
        let head = [1, 0, signed(pairs.len() / 2)].map(Element::Int).into_iter();
        let names = pairs.iter().step_by(2).map(|name| Element::of(name));
        node.0.push_all(head.chain(names).chain([Element::Int(0)]));
        node.push_entry((0, 0), pairs, SAME_NAMES);
        node
    }

    /// A node that another program made, and its last ID, be that of a deleted entry; `None` if it
    /// is not one in every detail.
    pub(super) fn checked(base: StreamId, listpack: Listpack) -> Option<(Self, StreamId)> {
        let mut rest = listpack.iter();
        let (live, deleted) = (number(&mut rest)?, number(&mut rest)?);
        let names_len = usize::try_from(number(&mut rest)?).ok()?;
        (0..names_len).try_for_each(|_| rest.next().map(|_| ()))?;
        if number(&mut rest)? != 0 {
            return None;
        }
        let (mut counts, mut last) = ([0, 0], None);
        while let Some(flags) = rest.next() {
            let flags = as_number(flags).filter(|flags| (0..4).contains(flags))?;
            let id = base.at_distance(number(&mut rest)?, number(&mut rest)?);
            let is_above = last.map_or(base <= id, |last| last < id);
            let (head, texts) = if flags & SAME_NAMES != 0 {
                (ENTRY_ELEMENTS, names_len)
            } else {
                let fields = usize::try_from(number(&mut rest)?).ok()?;
                (ENTRY_ELEMENTS + 1, fields.checked_mul(2)?)
            };
            (0..texts).try_for_each(|_| rest.next().map(|_| ()))?;
            if !is_above || number(&mut rest)? != signed(head + texts) {
                return None;
            }
            counts[usize::from(flags & DELETED != 0)] += 1;
            last = Some(id);
        }
        let node = (counts == [live, deleted]).then_some(Self(listpack))?;
        Some((node, last?))
    }

    /// Adds an entry of these names and values in turn, whose ID is at this distance from the
    /// node's; false if the node is full.
    #[inline]
    pub(super) fn push(
        &mut self,
        distance: (i64, i64),
        pairs: &[&[u8]],
        limits: StreamLimits,
    ) -> bool {
        let head = Head::of(&self.0);
        let bytes = self.0.bytes_len() + pairs.iter().map(|it| it.len()).sum::<usize>();
        let bytes_max = match limits.node_bytes {
            0 => NODE_BYTES_MAX,
            bytes => bytes.min(NODE_BYTES_MAX),
        };
        let entries = usize::try_from(head.live + head.deleted).expect(BROKEN);
        let has_room = limits.node_entries == 0 || entries < limits.node_entries;
        if bytes_max <= bytes || !has_room {
            return false;
        }
        let is_same = head.names_len == pairs.len() / 2
            && head.names.zip(pairs.iter().step_by(2)).all(|(known, name)| known == **name);
        let live = head.live;
        self.replace_at(0, live + 1);
        self.push_entry(distance, pairs, if is_same { SAME_NAMES } else { 0 });
        true
    }

    fn push_entry(&mut self, (ms, seq): (i64, i64), pairs: &[&[u8]], flags: i64) {
        let (fields, head) = (pairs.len() / 2, [flags, ms, seq].map(Element::Int));
        if flags & SAME_NAMES != 0 {
            let values = pairs.iter().skip(1).step_by(2).map(|value| Element::of(value));
            let elements = Element::Int(signed(ENTRY_ELEMENTS + fields));
            self.0.push_all(head.into_iter().chain(values).chain([elements]));
        } else {
            let head = head.into_iter().chain([Element::Int(signed(fields))]);
            let texts = pairs.iter().map(|text| Element::of(text));
            let elements = Element::Int(signed(ENTRY_ELEMENTS + 1 + pairs.len()));
            self.0.push_all(head.chain(texts).chain([elements]));
        }
    }

    /// Entries that are not deleted.
    #[inline]
    pub(super) fn len(&self) -> u64 {
        Head::of(&self.0).live.cast_unsigned()
    }

    /// Its bytes, as Valkey would dump them.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Bytes of its allocation.
    pub(super) fn memory(&self) -> usize {
        self.0.memory()
    }

    /// All entries that are not deleted, `base` being the node's ID.
    pub(super) fn entries(&self, base: StreamId) -> Entries<'_> {
        let head = Head::of(&self.0);
        let rest = self.0.iter_from(head.first);
        Entries { base, head, rest }
    }

    /// As [`Self::entries`], the last one first.
    pub(super) fn entries_back(&self, base: StreamId) -> EntriesBack<'_> {
        EntriesBack { node: self, base, head: Head::of(&self.0), end: self.0.last() }
    }

    /// The ID of the last entry, be it deleted.
    pub(super) fn last_id(&self, base: StreamId) -> Option<StreamId> {
        self.entries_back(base).next_of_all().map(|entry| entry.id)
    }

    /// The ID of the first entry, be it deleted.
    pub(super) fn first_id(&self, base: StreamId) -> Option<StreamId> {
        self.entries(base).next_of_all().map(|entry| entry.id)
    }

    /// Marks the entry with this ID as deleted; false if there is none.
    pub(super) fn delete(&mut self, base: StreamId, id: StreamId) -> bool {
        let mut entries = self.entries(base);
        let Some(place) = entries.find(|entry| entry.id == id).map(|entry| entry.place) else {
            return false;
        };
        self.mark(place);
        self.count_deleted(1);
        true
    }

    /// Marks entries as deleted, the first ones first, until `stop` says so of one that is next,
    /// given its ID and how many it were so far; returns how many it were.
    pub(super) fn delete_first(
        &mut self,
        base: StreamId,
        stop: impl Fn(StreamId, u64) -> bool,
    ) -> u64 {
        let mut deleted = 0;
        let mut at = Head::of(&self.0).first;
        loop {
            let mut entries = Entries { rest: self.0.iter_from(at), ..self.entries(base) };
            let Some(entry) = entries.next_of_all() else { break };
            if stop(entry.id, deleted) {
                break;
            }
            let (place, was_deleted) = (entry.place, entry.is_deleted);
            at = entries.rest.place();
            if !was_deleted {
                // The mark changes no length, so that positions stay good.
                self.mark(place);
                deleted += 1;
            }
        }
        self.count_deleted(deleted);
        deleted
    }

    fn mark(&mut self, place: Position) {
        let flags = int(Some(self.0.get(place)));
        self.0.replace(place, flags | DELETED);
    }

    fn count_deleted(&mut self, more: u64) {
        let Head { live, deleted, .. } = Head::of(&self.0);
        let more = more.cast_signed();
        self.replace_at(0, live - more);
        self.replace_at(1, deleted + more);
    }

    /// Replaces one of the numbers that a node begins with.
    fn replace_at(&mut self, index: usize, number: i64) {
        let first = self.0.first();
        let place = if index == 0 { first } else { first.and_then(|it| self.0.next(it)) };
        self.0.replace(place.expect(BROKEN), number);
    }
}

/// What a node begins with.
#[derive(Clone, Debug)]
struct Head<'a> {
    live: i64,
    deleted: i64,
    names: Iter<'a>,
    names_len: usize,
    /// Where the first entry begins.
    first: Position,
}

impl<'a> Head<'a> {
    #[inline]
    fn of(listpack: &'a Listpack) -> Self {
        let mut rest = listpack.iter();
        let (live, deleted) = (int(rest.next()), int(rest.next()));
        let names_len = unsigned(rest.next());
        let names = rest.clone();
        skip(&mut rest, names_len + 1);
        Self { live, deleted, names, names_len, first: rest.place() }
    }

    /// The entry that `rest` begins with, which is left behind it.
    fn read(&self, base: StreamId, rest: &mut Iter<'a>) -> Option<Entry<'a>> {
        let place = rest.place();
        let flags = int(Some(rest.next()?));
        let (ms, seq) = (int(rest.next()), int(rest.next()));
        let is_same = flags & SAME_NAMES != 0;
        let left = if is_same { self.names_len } else { unsigned(rest.next()) };
        let names = is_same.then(|| self.names.clone());
        let fields = Fields { names, values: rest.clone(), left };
        skip(rest, if is_same { left } else { 2 * left });
        skip(rest, 1);
        let (id, is_deleted) = (base.at_distance(ms, seq), flags & DELETED != 0);
        Some(Entry { id, fields, place, is_deleted })
    }
}

/// The entries of a node.
#[derive(Clone, Debug)]
pub(super) struct Entries<'a> {
    base: StreamId,
    head: Head<'a>,
    rest: Iter<'a>,
}

impl<'a> Entries<'a> {
    #[inline]
    fn next_of_all(&mut self) -> Option<Entry<'a>> {
        self.head.read(self.base, &mut self.rest)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let entry = self.next_of_all()?;
            if !entry.is_deleted {
                return Some(entry);
            }
        }
    }
}

/// The entries of a node, the last one first.
#[derive(Clone, Debug)]
pub(super) struct EntriesBack<'a> {
    node: &'a Node,
    base: StreamId,
    head: Head<'a>,
    /// The number at the end of the entry that is next, or the zero behind the names.
    end: Option<Position>,
}

impl<'a> EntriesBack<'a> {
    fn next_of_all(&mut self) -> Option<Entry<'a>> {
        let (listpack, end) = (&self.node.0, self.end?);
        let elements = unsigned(Some(listpack.get(end)));
        if elements == 0 {
            return None;
        }
        let start = (0..elements).try_fold(end, |at, _| listpack.prev(at)).expect(BROKEN);
        self.end = listpack.prev(start);
        self.head.read(self.base, &mut listpack.iter_from(start))
    }
}

impl<'a> Iterator for EntriesBack<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let entry = self.next_of_all()?;
            if !entry.is_deleted {
                return Some(entry);
            }
        }
    }
}

const BROKEN: &str = "a node is checked when it comes in";

/// The next element, if it is kept as a number.
fn number(rest: &mut Iter<'_>) -> Option<i64> {
    as_number(rest.next()?)
}

fn as_number(element: Element<'_>) -> Option<i64> {
    match element {
        Element::Int(number) => Some(number),
        Element::Bytes(_) => None,
    }
}

#[inline]
fn int(element: Option<Element<'_>>) -> i64 {
    match element {
        Some(Element::Int(number)) => number,
        Some(Element::Bytes(_)) | None => panic!("{BROKEN}"),
    }
}

#[inline]
fn unsigned(element: Option<Element<'_>>) -> usize {
    usize::try_from(int(element)).expect(BROKEN)
}

#[inline]
fn signed(count: usize) -> i64 {
    i64::try_from(count).expect("a request has fewer arguments")
}

#[inline]
fn skip(rest: &mut Iter<'_>, count: usize) {
    for _ in 0..count {
        rest.next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const BASE: StreamId = StreamId { ms: 1000, seq: 5 };

    fn node() -> Node {
        let mut node = Node::new(&[b"a", b"1", b"b", b"x"]);
        let limits = StreamLimits { node_bytes: 0, node_entries: 0 };
        assert!(node.push((0, 1), &[b"a", b"2", b"b", b"y"], limits));
        assert!(node.push((7, -5), &[b"b", b"3"], limits));
        node
    }

    fn ids<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<(u64, u64)> {
        entries.map(|entry| (entry.id.ms, entry.id.seq)).collect()
    }

    /// What DUMP of a Valkey 9.1.2 says of `XADD k 1000-5 a 1 b x`, `XADD k 1000-6 a 2 b y`,
    /// `XADD k 1007-0 b 3` and `XDEL k 1000-6`.
    #[test]
    fn bytes_are_those_of_valkey() {
        let mut node = node();
        assert!(node.delete(BASE, StreamId { ms: 1000, seq: 6 }));
        let theirs = b"?\0\0\0\x19\0\x02\x01\x01\x01\x02\x01\x81a\x02\x81b\x02\0\x01\x02\
            \x01\0\x01\0\x01\x01\x01\x81x\x02\x05\x01\x03\x01\0\x01\x01\x01\x02\x01\x81y\
            \x02\x05\x01\0\x01\x07\x01\xdf\xfb\x02\x01\x01\x81b\x02\x03\x01\x06\x01\xff";
        assert_eq!(node.as_bytes(), theirs);
    }

    #[test]
    fn entries_are_read_from_both_ends() {
        let node = node();
        let expected = [(1000, 5), (1000, 6), (1007, 0)];
        assert_eq!(ids(node.entries(BASE)), expected);
        let mut back = ids(node.entries_back(BASE));
        back.reverse();
        assert_eq!(back, expected);
        let last = node.entries(BASE).last().unwrap();
        let fields: Vec<_> = last.fields().map(|(a, b)| (a.to_vec(), b.to_vec())).collect();
        assert_eq!(fields, [(b"b".to_vec(), b"3".to_vec())]);
    }

    #[test]
    fn a_node_from_elsewhere_is_checked() {
        let mut good = node();
        assert!(good.delete(BASE, StreamId { ms: 1007, seq: 0 }));
        let checked = |base, elements: &[Element<'_>]| {
            let mut listpack = Listpack::new();
            listpack.push_all(elements.iter().copied());
            Node::checked(base, listpack)
        };
        let elements: Vec<Element<'_>> = good.0.iter().collect();
        let (again, last) = checked(BASE, &elements).unwrap();
        assert_eq!((again.as_bytes(), last), (good.as_bytes(), StreamId { ms: 1007, seq: 0 }));
        for length in 0..elements.len() {
            assert!(checked(BASE, &elements[..length]).is_none(), "{length}");
        }
        for (at, element) in elements.iter().enumerate() {
            let mut bad = elements.clone();
            bad[at] = match element {
                Element::Int(number) => Element::Int(number + 1),
                Element::Bytes(_) => Element::Int(5),
            };
            // Texts may be any, and the IDs of the last two entries somewhat higher.
            let is_free = matches!(element, Element::Bytes(_));
            let is_free = is_free || [9, 13, 14, 15, 19, 20, 23].contains(&at);
            assert_eq!(checked(BASE, &bad).is_some(), is_free, "{at} {element:?}");
        }
        assert!(checked(StreamId { ms: u64::MAX, seq: 5 }, &elements).is_none());
    }

    #[test]
    fn deleted_entries_are_counted_but_not_seen() {
        let mut node = node();
        assert!(!node.delete(BASE, StreamId { ms: 1000, seq: 7 }));
        assert!(node.delete(BASE, StreamId { ms: 1000, seq: 6 }));
        assert!(!node.delete(BASE, StreamId { ms: 1000, seq: 6 }));
        assert_eq!(node.len(), 2);
        assert_eq!(ids(node.entries(BASE)), [(1000, 5), (1007, 0)]);
        assert_eq!(ids(node.entries_back(BASE)), [(1007, 0), (1000, 5)]);
        let two = |_, deleted| deleted == 1;
        assert_eq!(node.delete_first(BASE, two), 1);
        assert_eq!(node.first_id(BASE), Some(BASE));
        assert_eq!(ids(node.entries(BASE)), [(1007, 0)]);
        assert_eq!(node.delete_first(BASE, |id, _| 2000 <= id.ms), 1);
        assert_eq!(node.len(), 0);
        assert_eq!(node.last_id(BASE), Some(StreamId { ms: 1007, seq: 0 }));
    }
}
