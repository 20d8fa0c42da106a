//! The index of a ranking: a B+ tree that counts, so that it knows every member's rank.
//!
//! ```text
//! inner   [first item of the child, items below it, child] x 1..36
//! leaf    [score, member's record] x 1..64, in ascending order
//! ```
//! No change moves more than a node's elements at each level. Filled in order, nodes are full.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::Range;

use crate::encodings::allocation::size_class;
use crate::encodings::scored::Shared;

/// Items in a leaf: 1024 bytes. The only leaf of a small tree is smaller.
const LEAF_MAX: usize = 64;
/// Children in an inner node: 2016 bytes.
const INNER_MAX: usize = 36;
/// Items in the first leaf, before it doubles.
const FIRST_LEAF_MAX: usize = 4;

/// A member in its order. Its record lives as long as the item is in a tree, or is just put in or
/// taken out: that is the ranking's promise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) score: f64,
    pub(super) record: Shared,
}

impl Item {
    /// The member.
    #[inline]
    pub(super) fn member<'a>(self) -> &'a [u8] {
        // SAFETY: the ranking promises that the record lives as long as its item is in the tree,
        // and hands out members no longer than it is borrowed itself.
        unsafe { self.record.member() }
    }

    #[inline]
    pub(super) fn compare(self, score: f64, member: &[u8]) -> Ordering {
        // Zeros of either sign are equal, and no score is NaN.
        match self.score.partial_cmp(&score) {
            Some(Ordering::Less) => Ordering::Less,
            Some(Ordering::Greater) => Ordering::Greater,
            Some(Ordering::Equal) | None => self.member().cmp(member),
        }
    }

    /// Searches run on scores, inline; where they are all the same the members' bytes are what
    /// takes time.
    #[inline(always)]
    fn is_before(self, other: Self) -> bool {
        self.score < other.score || self.score == other.score && self.member_is_before(other)
    }

    #[inline(never)]
    fn member_is_before(self, other: Self) -> bool {
        self.record != other.record && self.member() < other.member()
    }
}

#[derive(Debug)]
enum Node {
    Leaf(Vec<Item>),
    Inner(Vec<Child>),
}

#[derive(Debug)]
struct Child {
    /// The first item below.
    first: Item,
    /// Items below.
    count: usize,
    node: Node,
}

/// Whether a node holds the very first or last items of its tree.
#[derive(Clone, Copy)]
struct Edges {
    first: bool,
    last: bool,
}

/// Items in ascending order.
#[derive(Debug)]
pub(super) struct Tree {
    root: Node,
    len: usize,
    bytes: usize,
}

impl Tree {
    pub(super) fn new() -> Self {
        let items = Vec::with_capacity(FIRST_LEAF_MAX);
        Self { bytes: bytes_of(&items), root: Node::Leaf(items), len: 0 }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of its allocations.
    pub(super) fn memory(&self) -> usize {
        self.bytes
    }

    /// Puts an item in that is not there.
    pub(super) fn insert(&mut self, item: Item) {
        if let Node::Leaf(items) = &mut self.root
            && items.len() == items.capacity()
            && items.len() < LEAF_MAX
        {
            self.bytes -= bytes_of(items);
            items.reserve_exact(items.len());
            self.bytes += bytes_of(items);
        }
        self.len += 1;
        let edges = Edges { first: true, last: true };
        if let Some(right) = self.root.insert(item, edges, &mut self.bytes) {
            let mut children = Vec::with_capacity(INNER_MAX);
            self.bytes += bytes_of(&children);
            let left = core::mem::replace(&mut self.root, Node::Leaf(Vec::new()));
            children.extend([Child::of(left), right]);
            self.root = Node::Inner(children);
        }
    }

    /// Takes out an item; false if it is not where its score says.
    pub(super) fn remove(&mut self, item: Item) -> bool {
        let was_there = self.root.remove(item, &mut self.bytes);
        if was_there {
            self.len -= 1;
            self.shorten();
        }
        was_there
    }

    /// Gives an item another score: in its place if its neighbours allow that.
    pub(super) fn change(&mut self, item: Item, score: f64) {
        let changed = Item { score, ..item };
        if !self.root.change(item, changed) {
            assert!(self.remove(item), "a member is where its score says");
            self.insert(changed);
        }
    }

    /// Takes out items from `rank` on, as many as lie in one leaf but no more than `max`: puts
    /// them into `taken` in place of what is there.
    pub(super) fn drain(&mut self, rank: usize, max: usize, taken: &mut Vec<Item>) {
        taken.clear();
        self.root.drain(rank, max, taken, &mut self.bytes);
        self.len -= taken.len();
        self.shorten();
    }

    /// How many items, all of those for which it is true, are `before` something: items for which
    /// it is true stand before those for which it is not.
    #[inline]
    pub(super) fn count_before(&self, before: impl Fn(Item) -> bool) -> usize {
        let (mut node, mut rank) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(items) => return rank + items.partition_point(|item| before(*item)),
                Node::Inner(children) => {
                    let behind = children.partition_point(|child| before(child.first));
                    let at = behind.saturating_sub(1);
                    rank += children[..at].iter().map(|child| child.count).sum::<usize>();
                    node = &children[at].node;
                }
            }
        }
    }

    /// The items of the leaf that has the one of number `rank`, and which of them it is.
    pub(super) fn leaf_of(&self, rank: usize) -> (&[Item], usize) {
        let (mut node, mut rank) = (&self.root, rank);
        loop {
            match node {
                Node::Leaf(items) => return (items, rank),
                Node::Inner(children) => {
                    let at = child_of_rank(children, &mut rank);
                    node = &children[at].node;
                }
            }
        }
    }

    /// All items, or those of some ranks, in either direction.
    #[inline]
    pub(super) fn iter(&self, ranks: Range<usize>, reverse: bool) -> Iter<'_> {
        debug_assert!(ranks.end <= self.len, "there are such items");
        Iter { tree: self, leaf: &[], rest: ranks, reverse }
    }

    /// A root with one child gives way to it.
    fn shorten(&mut self) {
        while let Node::Inner(children) = &mut self.root
            && children.len() == 1
        {
            self.bytes -= bytes_of(children);
            self.root = children.remove(0).node;
        }
    }
}

/// Bytes of an allocation with room for so many elements.
fn bytes_of<T>(elements: &Vec<T>) -> usize {
    size_class(elements.capacity() * size_of::<T>())
}

impl Node {
    #[inline]
    fn len(&self) -> usize {
        match self {
            Self::Leaf(items) => items.len(),
            Self::Inner(children) => children.len(),
        }
    }

    /// Items in it or below.
    fn count(&self) -> usize {
        match self {
            Self::Leaf(items) => items.len(),
            Self::Inner(children) => children.iter().map(|child| child.count).sum(),
        }
    }

    /// How many elements fit in.
    fn room(&self) -> usize {
        match self {
            Self::Leaf(items) => items.capacity(),
            Self::Inner(children) => children.capacity(),
        }
    }

    /// Bytes of its own allocation.
    fn bytes(&self) -> usize {
        match self {
            Self::Leaf(items) => bytes_of(items),
            Self::Inner(children) => bytes_of(children),
        }
    }

    /// Whether it is joined with a neighbour if possible.
    #[inline]
    fn is_sparse(&self) -> bool {
        self.len() < self.room() / 4
    }

    /// The first item in it or below.
    #[inline]
    fn first(&self) -> Option<Item> {
        match self {
            Self::Leaf(items) => items.first().copied(),
            Self::Inner(children) => children.first().map(|child| child.first),
        }
    }

    /// Puts an item in or below; what did not fit is returned, as a node to the right.
    fn insert(&mut self, item: Item, edges: Edges, bytes: &mut usize) -> Option<Child> {
        match self {
            Self::Leaf(items) => {
                let at = items.partition_point(|there| there.is_before(item));
                put(items, at, item, edges, bytes).map(|right| Child::of(Self::Leaf(right)))
            }
            Self::Inner(children) => {
                let at = child_of(children, item);
                let below = Edges {
                    first: edges.first && at == 0,
                    last: edges.last && at + 1 == children.len(),
                };
                let child = &mut children[at];
                let right = child.node.insert(item, below, bytes);
                child.first = child.node.first().expect("it has the new item or older ones");
                child.count += 1;
                let right = right?;
                child.count -= right.count;
                put(children, at + 1, right, edges, bytes)
                    .map(|right| Child::of(Self::Inner(right)))
            }
        }
    }

    /// Takes an item out; false if it is not there.
    fn remove(&mut self, item: Item, bytes: &mut usize) -> bool {
        match self {
            Self::Leaf(items) => {
                let at = items.partition_point(|there| there.is_before(item));
                let is_there = items.get(at).is_some_and(|there| there.record == item.record);
                if is_there {
                    items.remove(at);
                }
                is_there
            }
            Self::Inner(children) => {
                let at = child_of(children, item);
                let is_there = children[at].node.remove(item, bytes);
                if is_there {
                    settle(children, at, 1, bytes);
                }
                is_there
            }
        }
    }

    /// Puts `new` in the place of `old`; false if it would not be in order there.
    fn change(&mut self, old: Item, new: Item) -> bool {
        match self {
            Self::Leaf(items) => {
                let at = items.partition_point(|there| there.is_before(old));
                // What the neighbours in other leaves are is not known here.
                let [.., before, there, behind] = items.get_mut(..at + 2).unwrap_or_default()
                else {
                    return false;
                };
                assert!(there.record == old.record, "a member is where its score says");
                let fits = before.is_before(new) && new.is_before(*behind);
                if fits {
                    *there = new;
                }
                fits
            }
            // The first item of a leaf does not change, so nothing here does.
            Self::Inner(children) => {
                let at = child_of(children, old);
                children[at].node.change(old, new)
            }
        }
    }

    /// See [`Tree::drain`].
    fn drain(&mut self, mut rank: usize, max: usize, taken: &mut Vec<Item>, bytes: &mut usize) {
        match self {
            Self::Leaf(items) => {
                let end = items.len().min(rank.saturating_add(max));
                taken.extend(items.drain(rank..end));
            }
            Self::Inner(children) => {
                let at = child_of_rank(children, &mut rank);
                children[at].node.drain(rank, max, taken, bytes);
                settle(children, at, taken.len(), bytes);
            }
        }
    }
}

impl Child {
    fn of(node: Node) -> Self {
        let first = node.first().expect("a node is made of elements");
        Self { first, count: node.count(), node }
    }
}

/// The child below which `item` is or belongs.
#[inline]
fn child_of(children: &[Child], item: Item) -> usize {
    children.partition_point(|child| !item.is_before(child.first)).saturating_sub(1)
}

/// The child below which the item of number `rank` is; `rank` becomes its number there.
fn child_of_rank(children: &[Child], rank: &mut usize) -> usize {
    for (at, child) in children.iter().enumerate() {
        if *rank < child.count {
            return at;
        }
        *rank -= child.count;
    }
    unreachable!("a rank is below the number of items")
}

/// Puts an element into a node. A full one is split; its right part is returned.
fn put<T>(
    node: &mut Vec<T>,
    at: usize,
    element: T,
    edges: Edges,
    bytes: &mut usize,
) -> Option<Vec<T>> {
    if node.len() < node.capacity() {
        node.insert(at, element);
        return None;
    }
    // What grows at its end, or its beginning, leaves full nodes behind. At the beginning of a tree
    // it is the second child that is new.
    let is_at_start = edges.first && at <= 1;
    let middle = if is_at_start || edges.last && at == node.len() { at } else { node.len() / 2 };
    let mut right = Vec::with_capacity(node.capacity());
    right.extend(node.drain(middle..));
    *bytes += bytes_of(&right);
    if at < middle || is_at_start {
        node.insert(at, element);
    } else {
        right.insert(at - middle, element);
    }
    Some(right)
}

/// Sets right what is known of a child that lost `removed` items: an empty one goes, and a small
/// one is joined with a neighbour if both fit in one node.
fn settle(children: &mut Vec<Child>, at: usize, removed: usize, bytes: &mut usize) {
    let child = &mut children[at];
    child.count -= removed;
    let Some(first) = child.node.first() else {
        *bytes -= children.remove(at).node.bytes();
        return;
    };
    child.first = first;
    if child.node.is_sparse() && !join(children, at, bytes) {
        join(children, at.wrapping_sub(1), bytes);
    }
}

/// Joins a child with the one behind it, if there is one and both fit in one node.
fn join(children: &mut Vec<Child>, at: usize, bytes: &mut usize) -> bool {
    let Some([left, right]) = children.get(at..).and_then(|rest| rest.first_chunk()) else {
        return false;
    };
    if left.node.room() < left.node.len() + right.node.len() {
        return false;
    }
    let right = children.remove(at + 1);
    *bytes -= right.node.bytes();
    children[at].count += right.count;
    match (&mut children[at].node, right.node) {
        (Node::Leaf(items), Node::Leaf(more)) => items.extend(more),
        (Node::Inner(nodes), Node::Inner(more)) => nodes.extend(more),
        (Node::Leaf(_), Node::Inner(_)) | (Node::Inner(_), Node::Leaf(_)) => {
            unreachable!("all leaves are as deep")
        }
    }
    true
}

/// Items in one direction.
#[derive(Clone, Debug)]
pub(super) struct Iter<'a> {
    tree: &'a Tree,
    /// What is left of the leaf that is being read.
    leaf: &'a [Item],
    /// The ranks of what is left beyond it.
    rest: Range<usize>,
    reverse: bool,
}

impl Iter<'_> {
    /// Goes on to the next leaf.
    #[cold]
    fn turn(&mut self) {
        if self.reverse {
            let (items, at) = self.tree.leaf_of(self.rest.end - 1);
            self.leaf = &items[(at + 1).saturating_sub(self.rest.len())..=at];
            self.rest.end -= self.leaf.len();
        } else {
            let (items, at) = self.tree.leaf_of(self.rest.start);
            self.leaf = &items[at..items.len().min(at + self.rest.len())];
            self.rest.start += self.leaf.len();
        }
    }
}

impl Iterator for Iter<'_> {
    type Item = Item;

    #[inline]
    fn next(&mut self) -> Option<Item> {
        if self.leaf.is_empty() {
            if self.rest.is_empty() {
                return None;
            }
            self.turn();
        }
        let item =
            if self.reverse { self.leaf.split_off_last() } else { self.leaf.split_off_first() };
        item.copied()
    }
}

#[cfg(test)]
impl Tree {
    /// Whether all that nodes say of what is below them is true.
    pub(super) fn check(&self) {
        let mut bytes = 0;
        assert_eq!(self.root.check(&mut bytes), self.len);
        assert_eq!(bytes, self.bytes);
    }
}

#[cfg(test)]
impl Node {
    fn check(&self, bytes: &mut usize) -> usize {
        *bytes += self.bytes();
        match self {
            Self::Leaf(items) => {
                assert!(items.is_sorted_by(|a, b| a.is_before(*b)));
                items.len()
            }
            Self::Inner(children) => {
                for child in children.iter() {
                    assert_eq!(child.count, child.node.check(bytes));
                    assert!(
                        0 < child.count && child.node.first().unwrap().record == child.first.record
                    );
                    assert!(child.node.first().unwrap().score == child.first.score);
                }
                assert!(
                    1 < children.len() && children.is_sorted_by(|a, b| a.first.is_before(b.first))
                );
                self.count()
            }
        }
    }
}
