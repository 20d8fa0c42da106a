//! A long list: nodes of some elements each, in blocks of some nodes each.
//!
//! ```text
//! blocks   [ 4210 elements ] [ 5130 elements ] ...        a deque
//! nodes    [ run | run | one large element | run ] ...    a deque in each block
//! ```
//! Both ends are reached in constant time, and what grows at either end copies no more than a
//! block's worth of nodes and a few words for each block. An element is found by its number in
//! the time it takes to add up the blocks' counts, those of a block's nodes, and to walk a run.
//!
//! Which elements share a node is decided as Valkey does it (see `node.rs` and `edit.rs`).

mod block;
mod edit;
pub mod node;
mod walk;

use alloc::collections::VecDeque;

use crate::encodings::listpack::run::Run;
use crate::encodings::listpack::{Element, Listpack, Wanted};
use block::{BLOCK_NODES_MAX, Block};
use node::{Fill, Node};

pub use walk::{Backward, Forward};

/// Nodes that are looked at to tell how much memory they take.
const SAMPLES: usize = 64;

/// One of the two ends of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where the first element is.
    Left,
    /// Where the last one is.
    Right,
}

/// A list of nodes.
#[derive(Clone, Debug)]
pub struct Quicklist {
    blocks: VecDeque<Block>,
    len: usize,
    nodes: usize,
    fill: Fill,
}

/// A node by its block and its place there.
#[derive(Clone, Copy, Debug)]
struct Place {
    block: usize,
    node: usize,
}

impl Quicklist {
    /// One without elements, whose nodes will be of this size.
    pub fn new(fill: Fill) -> Self {
        Self { blocks: VecDeque::new(), len: 0, nodes: 0, fill }
    }

    /// One with the elements of a listpack, most often in one node.
    pub fn of(listpack: &Listpack, fill: Fill) -> Self {
        let mut list = Self::new(fill);
        list.append_listpack(listpack);
        list
    }

    /// Elements in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many nodes it has.
    #[inline]
    pub fn nodes_len(&self) -> usize {
        self.nodes
    }

    /// How large its nodes are.
    pub fn fill(&self) -> Fill {
        self.fill
    }

    /// Its nodes in order.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = &Node> {
        self.blocks.iter().flat_map(|block| &block.nodes)
    }

    /// Bytes of its allocations, taken from some of its nodes if they are many.
    pub fn memory(&self) -> usize {
        let step = (self.nodes / SAMPLES).max(1);
        let sampled = self.nodes.div_ceil(step);
        let bytes = (0..sampled).map(|at| self.node(at * step).memory()).sum::<usize>();
        let blocks = self.blocks.capacity() * size_of::<Block>();
        let slots = self.blocks.iter().map(|block| block.nodes.capacity()).sum::<usize>();
        let of_nodes = bytes.saturating_mul(self.nodes) / sampled.max(1);
        blocks + slots * size_of::<Node>() + of_nodes
    }

    /// The only run, if there is no other node.
    #[inline]
    pub fn as_run(&self) -> Option<&Run> {
        match (self.nodes, self.blocks.front()?.nodes.front()?) {
            (1, Node::Packed(run)) => Some(run),
            _ => None,
        }
    }

    /// Adds an element at one end.
    #[inline]
    pub fn push(&mut self, end: End, bytes: &[u8]) {
        let fill = self.fill;
        if let Some(block) = self.block_mut(end)
            && let Some(node) = block.node_mut(end)
            && node.admits(bytes.len(), fill)
            && let Node::Packed(run) = node
        {
            match end {
                End::Left => run.push_front(Element::of(bytes), fill.bytes_max()),
                End::Right => run.push_back(Element::of(bytes), fill.bytes_max()),
            }
            block.len += 1;
            self.len += 1;
        } else {
            self.push_node(end, Node::of(bytes, fill));
        }
    }

    /// Adds the elements of a listpack behind the last, as a node of their own; as several if
    /// they are very many.
    pub fn append_listpack(&mut self, listpack: &Listpack) {
        if !listpack.is_empty() {
            self.push_node(End::Right, Node::Packed(Run::of(listpack)));
            self.split_if_huge(self.nodes - 1);
        }
    }

    /// Adds an element behind the last, as a node of its own.
    pub fn append_plain(&mut self, bytes: &[u8]) {
        self.push_node(End::Right, Node::Plain(bytes.into()));
    }

    /// The element at one end.
    #[inline]
    pub fn end(&self, end: End) -> Option<Element<'_>> {
        match end {
            End::Left => self.blocks.front()?.nodes.front()?.iter().next(),
            End::Right => self.blocks.back()?.nodes.back()?.iter().next_back(),
        }
    }

    /// Removes the element at one end.
    #[inline]
    pub fn pop(&mut self, end: End) {
        if let Some(block) = self.block_mut(end)
            && let Some(Node::Packed(run)) = block.node_mut(end)
            && 1 < run.len()
        {
            match end {
                End::Left => run.remove_front(1),
                End::Right => run.remove_back(1),
            }
            block.len -= 1;
            self.len -= 1;
        } else {
            self.cut(end, 1);
        }
    }

    /// Removes up to `count` elements at one end; returns the nodes of which nothing is left, to
    /// be freed whenever there is time.
    pub fn cut(&mut self, end: End, count: usize) -> Self {
        let (mut gone, mut left) = (Self::new(self.fill), count.min(self.len));
        while let Some(block) = self.block_mut(end)
            && block.len <= left
        {
            let block = match end {
                End::Left => self.blocks.pop_front(),
                End::Right => self.blocks.pop_back(),
            };
            let block = block.expect("it was there just now");
            left -= block.len;
            self.len -= block.len;
            self.nodes -= block.nodes.len();
            gone.nodes += block.nodes.len();
            gone.len += block.len;
            gone.blocks.push_back(block);
        }
        while 0 < left
            && let Some(block) = self.block_mut(end)
            && let Some(node) = block.node_mut(end)
        {
            if node.len() <= left {
                left -= node.len();
                gone.push_node(End::Right, self.pop_node(end));
                continue;
            }
            let Node::Packed(run) = node else { break };
            match end {
                End::Left => run.remove_front(left),
                End::Right => run.remove_back(left),
            }
            block.len -= left;
            self.len -= left;
            left = 0;
        }
        gone
    }

    /// Removes up to `most` elements that are wanted, the first ones or the last ones; says how
    /// many.
    pub fn remove_wanted(&mut self, wanted: &Wanted<'_>, from: End, most: usize) -> usize {
        let mut removed = 0;
        let blocks = self.blocks.len();
        for at in 0..blocks {
            if removed == most {
                break;
            }
            let block = match from {
                End::Left => &mut self.blocks[at],
                End::Right => &mut self.blocks[blocks - 1 - at],
            };
            removed += block.remove_wanted(wanted, from, most - removed);
        }
        if 0 < removed {
            self.blocks.retain(|block| !block.nodes.is_empty());
            self.len -= removed;
            self.nodes = self.blocks.iter().map(|block| block.nodes.len()).sum();
        }
        removed
    }

    /// Frees about `budget` nodes; true when none is left.
    pub fn free_slice(&mut self, budget: usize) -> bool {
        for _ in 0..budget {
            if self.nodes == 0 {
                break;
            }
            self.pop_node(End::Right);
        }
        self.nodes == 0
    }

    /// The element of this number.
    pub fn get(&self, index: usize) -> Option<Element<'_>> {
        let (at, index) = self.seek(index)?;
        self.blocks[at.block].nodes[at.node].iter_from(index).next()
    }

    /// The elements from this number on.
    pub fn forward(&self, index: usize) -> Forward<'_> {
        match self.seek(index) {
            Some((at, index)) => Forward::from(&self.blocks, at, index),
            None => Forward::default(),
        }
    }

    /// All elements, the last one first.
    pub fn backward(&self) -> Backward<'_> {
        Backward::of(&self.blocks)
    }

    /// Which node the element of this number is in, and as which of its elements.
    fn seek(&self, index: usize) -> Option<(Place, usize)> {
        if self.len <= index {
            return None;
        }
        let blocks = self.blocks.iter().map(|block| block.len);
        let (block, index) = find(blocks, self.len, index)?;
        let nodes = self.blocks[block].nodes.iter().map(Node::len);
        let (node, index) = find(nodes, self.blocks[block].len, index)?;
        Some((Place { block, node }, index))
    }

    #[inline]
    fn block_mut(&mut self, end: End) -> Option<&mut Block> {
        match end {
            End::Left => self.blocks.front_mut(),
            End::Right => self.blocks.back_mut(),
        }
    }

    /// Adds a node at one end; the one that was there will grow no more, as a rule.
    fn push_node(&mut self, end: End, node: Node) {
        if let Some(block) = self.block_mut(end)
            && let Some(Node::Packed(run)) = block.node_mut(end)
        {
            run.trim();
        }
        self.insert_node(if end == End::Left { 0 } else { self.nodes }, node);
    }

    fn pop_node(&mut self, end: End) -> Node {
        self.remove_node(if end == End::Left { 0 } else { self.nodes - 1 })
    }

    /// Puts a node before the one of this number, or behind all.
    fn insert_node(&mut self, ordinal: usize, node: Node) {
        let mut at = match self.blocks.len().checked_sub(1) {
            Some(last) if ordinal == self.nodes => {
                Place { block: last, node: self.blocks[last].nodes.len() }
            }
            Some(_) => self.place(ordinal),
            None => Place { block: 0, node: 0 },
        };
        let is_full = self.blocks.get(at.block).is_none_or(|it| it.nodes.len() == BLOCK_NODES_MAX);
        if is_full {
            // A list that grows at an end fills its blocks.
            let half = BLOCK_NODES_MAX / 2;
            if ordinal == 0 {
                self.blocks.push_front(Block::default());
            } else if ordinal == self.nodes {
                self.blocks.push_back(Block::default());
                at = Place { block: self.blocks.len() - 1, node: 0 };
            } else {
                let tail = self.blocks[at.block].split_off(half);
                self.blocks.insert(at.block + 1, tail);
                if half < at.node {
                    at = Place { block: at.block + 1, node: at.node - half };
                }
            }
        }
        self.len += node.len();
        self.nodes += 1;
        self.blocks[at.block].insert(at.node, node);
    }

    fn remove_node(&mut self, ordinal: usize) -> Node {
        let at = self.place(ordinal);
        let block = &mut self.blocks[at.block];
        let node = block.nodes.remove(at.node).expect("a place is one of a node");
        block.len -= node.len();
        if block.nodes.is_empty() {
            self.blocks.remove(at.block);
        }
        self.len -= node.len();
        self.nodes -= 1;
        node
    }

    fn node(&self, ordinal: usize) -> &Node {
        let at = self.place(ordinal);
        &self.blocks[at.block].nodes[at.node]
    }

    /// The place of the node of this number.
    fn place(&self, ordinal: usize) -> Place {
        let blocks = self.blocks.iter().map(|block| block.nodes.len());
        let found = find(blocks, self.nodes, ordinal);
        let (block, node) = found.expect("whoever asks knows how many nodes there are");
        Place { block, node }
    }
}

/// In which of several parts with these counts, `total` in all, the one of number `index` is,
/// and its number there. The search begins at the nearer end.
fn find(
    mut counts: impl DoubleEndedIterator<Item = usize> + ExactSizeIterator,
    total: usize,
    index: usize,
) -> Option<(usize, usize)> {
    let parts = counts.len();
    if index < total / 2 {
        let mut left = index;
        for (part, count) in counts.enumerate() {
            match left.checked_sub(count) {
                Some(rest) => left = rest,
                None => return Some((part, left)),
            }
        }
        return None;
    }
    let mut start = total;
    for part in (0..parts).rev() {
        start -= counts.next_back()?;
        if start <= index {
            return Some((part, index - start));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;
    use alloc::vec::Vec;
    use alloc::{format, vec};

    fn elements(list: &Quicklist) -> Vec<Vec<u8>> {
        list.forward(0).map(Element::to_vec).collect()
    }

    /// Counts agree with what is there, and nothing is empty or too large.
    fn check(list: &Quicklist) {
        let mut all = (0, 0);
        for block in &list.blocks {
            assert!(!block.nodes.is_empty() && block.nodes.len() <= BLOCK_NODES_MAX);
            assert!(block.nodes.iter().all(|node| !node.is_empty()));
            assert_eq!(block.len, block.nodes.iter().map(Node::len).sum::<usize>());
            all = (all.0 + block.len, all.1 + block.nodes.len());
        }
        assert_eq!(all, (list.len, list.nodes));
        assert_eq!(list.nodes().count(), list.nodes);
    }

    /// The sizes of its nodes, as they are decided by what is pushed and inserted.
    fn shape(list: &Quicklist) -> Vec<usize> {
        list.nodes().map(Node::len).collect()
    }

    #[test]
    fn a_node_takes_what_the_setting_says() {
        // setting, bytes of an element, elements of the first node: of a Valkey 9.1.2
        for (setting, bytes, expected) in [
            (-1, 100, 39),
            (-2, 100, 79),
            (-5, 100, 636),
            (-9, 100, 636),
            (0, 1, 1),
            (1, 1, 1),
            (4, 1, 4),
            (40_000, 1, 2726),
            (4, 8192, 1),
        ] {
            let mut list = Quicklist::new(Fill::of(setting));
            let element = vec![b'x'; bytes];
            (0..3000).for_each(|_| list.push(End::Right, &element));
            assert_eq!(shape(&list)[0], expected, "{setting}, {bytes}");
        }
    }

    #[test]
    fn nodes_split_and_merge_as_those_of_valkey() {
        let mut list = Quicklist::new(Fill::of(4));
        for letter in b"abcdefghijkl" {
            list.push(End::Right, &[*letter]);
        }
        assert_eq!(shape(&list), [4, 4, 4]);
        list.insert(5, End::Right, b"x");
        assert_eq!(shape(&list), [4, 2, 3, 4]);
        list.insert(4, End::Left, b"x");
        assert_eq!(shape(&list), [4, 3, 3, 4]);
        list.insert(3, End::Right, b"x");
        assert_eq!(shape(&list), [4, 4, 3, 4]);
        list.insert(3, End::Right, b"x");
        assert_eq!(shape(&list), [4, 1, 4, 3, 4]);
        list.replace(5, &[b'x'; 9000]);
        assert_eq!(shape(&list), [4, 1, 1, 3, 3, 4]);
        list.replace(5, b"x");
        assert_eq!(shape(&list), [4, 1, 4, 3, 4]);
        check(&list);
    }

    #[test]
    fn many_elements_in_one_listpack_become_several_nodes() {
        let mut listpack = Listpack::new();
        (0..200_000).for_each(|_| listpack.push_back(b"x"));
        let list = Quicklist::of(&listpack, Fill::of(-2));
        assert_eq!((list.len(), list.nodes_len()), (200_000, 10));
        check(&list);
        let mut list = Quicklist::new(Fill::of(-2));
        (0..2000).for_each(|_| list.push(End::Left, b"x"));
        (0..2000).for_each(|at| assert!(list.replace(at, &[b'x'; 5000])));
        assert!(list.nodes().all(|node| node.memory() <= 160 << 10));
        check(&list);
    }

    #[test]
    fn what_is_cut_off_is_freed_by_whoever_has_it() {
        let mut list = Quicklist::new(Fill::of(1));
        (0..1000).for_each(|number| list.push(End::Right, format!("{number}").as_bytes()));
        let gone = list.cut(End::Left, 400);
        check(&gone);
        check(&list);
        assert_eq!((gone.len(), list.len(), list.nodes_len()), (400, 600, 600));
        let gone = list.cut(End::Right, 300);
        assert_eq!((gone.len(), list.end(End::Right)), (300, Some(Element::Int(699))));
        let slices = (1..).find(|_| list.free_slice(100)).unwrap();
        assert_eq!((slices, list.len()), (3, 0));
        check(&list);
    }

    #[test]
    fn memory_is_what_its_nodes_take() {
        for count in [10, 1000, 100_000] {
            let mut list = Quicklist::new(Fill::of(-2));
            (0..count).for_each(|_| list.push(End::Right, &[b'x'; 96]));
            let exact = list.nodes().map(Node::memory).sum::<usize>();
            let told = list.memory();
            assert!(exact <= told && told < exact + exact / 10 + 500, "{exact} {told}");
        }
    }

    fn element(random: &mut Random) -> Vec<u8> {
        match random.below(10) {
            0 => vec![b'x'; 9000],
            1 => vec![b'y'; 8000],
            2..5 => format!("{}", random.below(100_000)).into_bytes(),
            _ => vec![b'z'; usize::try_from(random.below(30)).unwrap()],
        }
    }

    /// One change of both.
    fn change(list: &mut Quicklist, model: &mut Vec<Vec<u8>>, random: &mut Random) {
        let bytes = element(random);
        let end = if random.below(2) == 0 { End::Left } else { End::Right };
        let index = |random: &mut Random, len: usize| {
            usize::try_from(random.below(len.max(1) as u64)).unwrap()
        };
        let at = index(random, model.len());
        let edge = |model: &Vec<_>| if end == End::Left { 0 } else { model.len() };
        match random.below(12) {
            0..5 => {
                list.push(end, &bytes);
                model.insert(edge(model), bytes);
            }
            5..8 if !model.is_empty() => {
                list.insert(at, end, &bytes);
                model.insert(at + usize::from(end == End::Right), bytes);
            }
            8 => {
                assert_eq!(list.replace(at, &bytes), at < model.len());
                if let Some(it) = model.get_mut(at) {
                    *it = bytes;
                }
            }
            9 if !model.is_empty() => {
                list.pop(end);
                model.remove(edge(model).min(model.len() - 1));
            }
            10 if random.below(200) == 0 => {
                let gone = elements(&list.cut(end, at));
                let from = if end == End::Left { 0 } else { model.len() - at };
                assert_eq!(model.drain(from..from + at).count(), at);
                assert!(gone.len() <= at);
            }
            11 if !model.is_empty() => {
                let (bytes, most) = (model[at].clone(), 1 + index(random, 3));
                let mut left = most;
                let mut keep = |it: &Vec<u8>| {
                    let goes = *it == bytes && 0 < left;
                    left -= usize::from(goes);
                    !goes
                };
                if end == End::Left {
                    model.retain(&mut keep);
                } else {
                    model.reverse();
                    model.retain(&mut keep);
                    model.reverse();
                }
                assert_eq!(list.remove_wanted(&Wanted::of(&bytes), end, most), most - left);
            }
            _ => {}
        }
    }

    #[test]
    fn is_a_list() {
        for (seed, setting) in [-1, -2, -2, 1, 1, 1, 2, 3, 5, 16].into_iter().enumerate() {
            let mut random = Random::new(seed as u64);
            let (mut list, mut model) = (Quicklist::new(Fill::of(setting)), Vec::new());
            for step in 0..1500 {
                change(&mut list, &mut model, &mut random);
                check(&list);
                if step % 50 == 0 {
                    assert_eq!(elements(&list), model, "seed {seed}, step {step}");
                    let backward: Vec<_> = list.backward().map(Element::to_vec).collect();
                    assert!(backward.iter().eq(model.iter().rev()));
                    for at in 0..=model.len() {
                        let found = list.get(at).map(Element::to_vec);
                        assert_eq!(found.as_ref(), model.get(at));
                        assert_eq!(list.forward(at).count(), model.len() - at);
                    }
                }
            }
            assert!(setting != 1 || BLOCK_NODES_MAX < list.nodes_len());
        }
    }
}
