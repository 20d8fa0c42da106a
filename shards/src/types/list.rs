//! Lists: one listpack while they are small, a quicklist of nodes when they are not.

use crate::encodings::allocation::Boxed;
use crate::encodings::listpack::{self, Element, Listpack, Wanted};
use crate::encodings::quicklist::node::Fill;
use crate::encodings::quicklist::{Backward, End, Forward, Quicklist};
use crate::types::limits::ListLimits;

/// A list.
#[derive(Clone, Debug)]
pub enum List {
    /// All elements in one listpack.
    Listpack(Listpack),
    /// Nodes of elements.
    Quicklist(Boxed<Quicklist>),
}

impl Default for List {
    fn default() -> Self {
        Self::Listpack(Listpack::new())
    }
}

impl List {
    /// The elements of a quicklist in the encoding that is right for them.
    pub fn of_quicklist(list: Quicklist, limits: ListLimits) -> Self {
        let fill = Fill::of(limits.listpack_size);
        match list.as_run() {
            Some(run) if !fill.is_exceeded(run.listpack_bytes(), run.len()) => {
                Self::Listpack(run.to_listpack())
            }
            _ => Self::Quicklist(Boxed::new(list)),
        }
    }

    /// Elements in it.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Self::Listpack(elements) => elements.len(),
            Self::Quicklist(list) => list.len(),
        }
    }

    /// Whether it has no element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Listpack(elements) => elements.is_empty(),
            Self::Quicklist(list) => list.is_empty(),
        }
    }

    /// What OBJECT ENCODING calls it.
    pub fn encoding(&self) -> &'static str {
        match self {
            Self::Listpack(_) => "listpack",
            Self::Quicklist(_) => "quicklist",
        }
    }

    /// Bytes of its allocations.
    pub fn memory(&self) -> usize {
        match self {
            Self::Listpack(elements) => elements.memory(),
            Self::Quicklist(list) => size_of::<Quicklist>() + list.memory(),
        }
    }

    /// How many allocations there are to free.
    pub fn free_effort(&self) -> usize {
        match self {
            Self::Listpack(_) => 1,
            Self::Quicklist(list) => list.nodes_len(),
        }
    }

    /// Frees about `budget` nodes; true when nothing is left but what one free gives back.
    pub fn free_slice(&mut self, budget: usize) -> bool {
        match self {
            Self::Listpack(_) => true,
            Self::Quicklist(list) => list.free_slice(budget),
        }
    }

    /// The element of this number; negative numbers count from the end, -1 is the last.
    pub fn get(&self, index: i64) -> Option<Element<'_>> {
        let index = self.number(index)?;
        match self {
            Self::Listpack(elements) => {
                elements.seek(index.cast_signed()).map(|at| elements.get(at))
            }
            Self::Quicklist(list) => list.get(index),
        }
    }

    /// The element at one end.
    #[inline]
    pub fn end(&self, end: End) -> Option<Element<'_>> {
        match self {
            Self::Listpack(elements) => {
                let at = if end == End::Left { elements.first() } else { elements.last() };
                at.map(|at| elements.get(at))
            }
            Self::Quicklist(list) => list.end(end),
        }
    }

    /// The elements from number `start` on.
    pub fn forward(&self, start: usize) -> Elements<'_> {
        match self {
            Self::Listpack(elements) => {
                let mut all = elements.iter();
                if 0 < start {
                    let at = elements.seek(start.cast_signed());
                    all = at.map_or_else(listpack::Iter::default, |at| elements.iter_from(at));
                }
                Elements::Listpack(all)
            }
            Self::Quicklist(list) => Elements::Forward(list.forward(start)),
        }
    }

    /// All elements, the last one first.
    pub fn backward(&self) -> Elements<'_> {
        match self {
            Self::Listpack(elements) => Elements::Reversed(elements.iter()),
            Self::Quicklist(list) => Elements::Backward(list.backward()),
        }
    }

    /// Becomes a quicklist if so many more elements, of so many bytes in all, ask for one: before
    /// they are added, or might be.
    #[inline]
    pub fn prepare(&mut self, count: usize, bytes: usize, limits: ListLimits) {
        if let Self::Listpack(elements) = self {
            let fill = Fill::of(limits.listpack_size);
            let bytes = bytes.saturating_add(elements.bytes_len());
            if fill.is_exceeded(bytes, elements.len() + count) {
                self.become_quicklist(fill);
            }
        }
    }

    /// Adds elements at one end, one after the other; says how many there are then.
    #[inline]
    pub fn push_all(&mut self, end: End, elements: &[&[u8]], limits: ListLimits) -> usize {
        let bytes = elements.iter().map(|element| element.len()).sum();
        self.prepare(elements.len(), bytes, limits);
        elements.iter().for_each(|element| self.push(end, element));
        self.len()
    }

    /// Adds an element at one end; [`Self::prepare`] knows of it.
    #[inline]
    pub fn push(&mut self, end: End, bytes: &[u8]) {
        match self {
            Self::Listpack(elements) if end == End::Left => elements.push_front(bytes),
            Self::Listpack(elements) => elements.push_back(bytes),
            Self::Quicklist(list) => list.push(end, bytes),
        }
    }

    /// Puts an element beside the first one that is `pivot`; false if there is none.
    pub fn insert(&mut self, pivot: &[u8], side: End, bytes: &[u8], limits: ListLimits) -> bool {
        // As in Valkey, what would not fit makes a quicklist of it even if it does not come in.
        self.prepare(1, bytes.len(), limits);
        match self {
            Self::Listpack(elements) => {
                let at = elements.first().and_then(|first| elements.find(pivot, first, 0));
                let Some(at) = at else { return false };
                match side {
                    End::Left => elements.insert_before(at, bytes),
                    End::Right => elements.insert_after(at, bytes),
                };
            }
            Self::Quicklist(list) => {
                let wanted = Wanted::of(pivot);
                let index = list.forward(0).position(|element| wanted.is(element));
                let Some(index) = index else { return false };
                list.insert(index, side, bytes);
            }
        }
        true
    }

    /// Puts an element in the place of the one of this number; false if there is none.
    pub fn set(&mut self, index: i64, bytes: &[u8], limits: ListLimits) -> bool {
        self.prepare(1, bytes.len(), limits);
        let Some(index) = self.number(index) else { return false };
        match self {
            Self::Listpack(elements) => {
                if let Some(at) = elements.seek(index.cast_signed()) {
                    elements.replace(at, bytes);
                }
            }
            Self::Quicklist(list) => {
                list.replace(index, bytes);
                self.shrink(limits);
            }
        }
        true
    }

    /// Removes the element at one end; a caller that is done with the list calls [`Self::shrink`].
    #[inline]
    pub fn pop(&mut self, end: End) {
        match self {
            Self::Listpack(elements) => {
                let at = if end == End::Left { elements.first() } else { elements.last() };
                at.map(|at| elements.remove(at, 1));
            }
            Self::Quicklist(list) => list.pop(end),
        }
    }

    /// Removes up to `count` elements at one end; returns what takes long to free, if anything
    /// does.
    pub fn cut(&mut self, end: End, count: usize, limits: ListLimits) -> Option<Self> {
        match self {
            Self::Listpack(elements) => {
                let count = count.min(elements.len());
                let from = if end == End::Left { 0 } else { elements.len() - count };
                if let Some(at) = elements.seek(from.cast_signed()) {
                    elements.remove(at, count);
                }
                None
            }
            Self::Quicklist(list) => {
                let gone = list.cut(end, count);
                self.shrink(limits);
                (1 < gone.nodes_len()).then(|| Self::Quicklist(Boxed::new(gone)))
            }
        }
    }

    /// Removes up to `most` elements that are `bytes`, the first ones or the last ones; says how
    /// many.
    pub fn remove(&mut self, bytes: &[u8], from: End, most: usize, limits: ListLimits) -> usize {
        match self {
            Self::Listpack(elements) => remove_from(elements, bytes, from, most),
            Self::Quicklist(list) => {
                let removed = list.remove_wanted(&Wanted::of(bytes), from, most);
                if 0 < removed {
                    self.shrink(limits);
                }
                removed
            }
        }
    }

    /// Becomes a listpack if what is left after a removal, or after a shorter element took a
    /// longer one's place, is one node that is half empty.
    #[inline]
    pub fn shrink(&mut self, limits: ListLimits) {
        let Self::Quicklist(list) = self else { return };
        let Some(run) = list.as_run() else { return };
        if Fill::of(limits.listpack_size).is_half(run.listpack_bytes(), run.len()) {
            *self = Self::Listpack(run.to_listpack());
        }
    }

    /// Becomes a listpack if all is in one node that may be one.
    pub fn settle(&mut self) {
        let Self::Quicklist(list) = self else { return };
        if let Some(run) = list.as_run() {
            *self = Self::Listpack(run.to_listpack());
        }
    }

    /// The elements as a quicklist, whatever they were.
    pub fn become_quicklist(&mut self, fill: Fill) -> &mut Quicklist {
        if let Self::Listpack(elements) = self {
            *self = Self::Quicklist(Boxed::new(Quicklist::of(elements, fill)));
        }
        match self {
            Self::Quicklist(list) => list,
            Self::Listpack(_) => unreachable!("it was made a quicklist"),
        }
    }

    /// The number, from the front, of an element that is there.
    #[inline]
    fn number(&self, index: i64) -> Option<usize> {
        let len = self.len();
        let index = match usize::try_from(index) {
            Ok(index) => index,
            Err(_) => len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
        };
        (index < len).then_some(index)
    }
}

/// Removes up to `most` elements that are `bytes` from a listpack.
fn remove_from(elements: &mut Listpack, bytes: &[u8], from: End, most: usize) -> usize {
    let (wanted, mut removed) = (Wanted::of(bytes), 0);
    let mut next = if from == End::Left { elements.first() } else { elements.last() };
    while removed < most
        && let Some(at) = next
    {
        let before = if from == End::Left { None } else { elements.prev(at) };
        let is_wanted = wanted.is(elements.get(at));
        let behind = match (is_wanted, from) {
            (true, _) => elements.remove(at, 1),
            (false, End::Left) => elements.next(at),
            (false, End::Right) => None,
        };
        removed += usize::from(is_wanted);
        next = if from == End::Left { behind } else { before };
    }
    removed
}

/// Elements of a list, one after the other.
#[derive(Clone, Debug)]
pub enum Elements<'a> {
    /// Those of a listpack.
    Listpack(listpack::Iter<'a>),
    /// Those of a listpack, the last one first.
    Reversed(listpack::Iter<'a>),
    /// Those of a quicklist.
    Forward(Forward<'a>),
    /// Those of a quicklist, the last one first.
    Backward(Backward<'a>),
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Element<'a>> {
        match self {
            Self::Listpack(elements) => elements.next(),
            Self::Reversed(elements) => elements.next_back(),
            Self::Forward(elements) => elements.next(),
            Self::Backward(elements) => elements.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use alloc::{format, vec};

    fn limits(listpack_size: i32) -> ListLimits {
        ListLimits { listpack_size, compress_depth: 0 }
    }

    fn filled(count: usize, limits: ListLimits) -> List {
        let mut list = List::default();
        for number in 0..count {
            list.push_all(End::Right, &[format!("{number}").as_bytes()], limits);
        }
        list
    }

    #[test]
    fn becomes_a_quicklist_when_one_node_is_not_enough_and_shrinks_when_half_of_one_is() {
        let limits = limits(4);
        let mut list = filled(4, limits);
        assert_eq!(list.encoding(), "listpack");
        list.push_all(End::Right, &[b"4"], limits);
        assert_eq!(list.encoding(), "quicklist");
        // Nodes of four and one: popping leaves two nodes until one of them is empty.
        for (len, encoding) in
            [(4, "quicklist"), (3, "quicklist"), (2, "quicklist"), (1, "listpack")]
        {
            list.pop(End::Left);
            list.shrink(limits);
            assert_eq!((list.len(), list.encoding()), (len, encoding));
        }
        let mut list = filled(5, limits);
        assert!(list.cut(End::Right, 2, limits).is_none());
        assert_eq!((list.len(), list.encoding()), (3, "quicklist"));
        assert!(list.cut(End::Right, 1, limits).is_none());
        assert_eq!((list.len(), list.encoding()), (2, "listpack"));
    }

    #[test]
    fn what_might_not_fit_makes_a_quicklist_even_if_it_does_not_come_in() {
        let (limits, large) = (limits(-2), [b'x'; 9000]);
        let mut list = filled(3, limits);
        assert!(!list.set(3, &large, limits));
        assert_eq!(list.encoding(), "quicklist");
        assert!(list.set(0, b"x", limits));
        assert_eq!(list.encoding(), "listpack");
        assert!(!list.insert(b"none", End::Left, &large, limits));
        assert_eq!(list.encoding(), "quicklist");
        assert_eq!(list.remove(b"x", End::Left, 9, limits), 1);
        assert_eq!(list.encoding(), "listpack");
    }

    #[test]
    fn both_encodings_do_the_same() {
        let words: Vec<Vec<u8>> =
            ["a", "1", "b", "1", "", "c", "1"].iter().map(|it| it.as_bytes().to_vec()).collect();
        for limits in [limits(-2), limits(2)] {
            let mut list = List::default();
            for word in &words {
                list.push_all(End::Right, &[word], limits);
            }
            let shown = |list: &List| list.forward(0).map(Element::to_vec).collect::<Vec<_>>();
            assert_eq!(shown(&list), words);
            assert!(list.backward().map(Element::to_vec).eq(words.iter().rev().cloned()));
            for at in -8..8i64 {
                let index = if at < 0 { at + 7 } else { at };
                let expected = usize::try_from(index).ok().and_then(|at| words.get(at)).cloned();
                assert_eq!(list.get(at).map(Element::to_vec), expected, "{at}");
            }
            for start in 0..9 {
                assert_eq!(list.forward(start).count(), 7usize.saturating_sub(start));
            }
            assert_eq!(list.end(End::Left).map(Element::to_vec), Some(b"a".to_vec()));
            assert_eq!(list.end(End::Right), Some(Element::Int(1)));
            assert!(list.insert(b"1", End::Left, b"x", limits));
            assert!(list.insert(b"1", End::Right, b"y", limits));
            assert_eq!(list.remove(b"1", End::Right, 2, limits), 2);
            assert_eq!(shown(&list).concat(), b"ax1ybc");
            assert_eq!(list.remove(b"1", End::Left, 9, limits), 1);
            assert!(list.set(-1, b"z", limits) && !list.set(6, b"z", limits));
            assert_eq!(shown(&list), [&b"a"[..], b"x", b"y", b"b", b"", b"z"]);
            list.cut(End::Left, 1, limits);
            list.cut(End::Right, 2, limits);
            assert_eq!(shown(&list).concat(), b"xyb");
            assert_eq!(list.clone().cut(End::Left, 9, limits).is_some(), limits.listpack_size == 2);
        }
    }

    #[test]
    fn a_large_list_is_freed_in_slices() {
        let mut list = filled(5000, limits(1));
        assert_eq!(list.free_effort(), 5000);
        let copy = list.clone();
        let slices = (1..).find(|_| list.free_slice(1000)).unwrap();
        assert_eq!((slices, list.is_empty(), copy.len()), (5, true, 5000));
        assert!(copy.memory() < 5000 * 64, "{}", copy.memory());
        let long = vec![b'x'; 1 << 20];
        let mut list = List::default();
        list.push_all(End::Left, &[&long], limits(-2));
        assert_eq!((list.memory() >> 20, list.free_effort()), (1, 1));
    }
}
