//! Changes in the middle of a quicklist: nodes are split, filled and merged as Valkey does it.

use super::node::Node;
use super::{End, Quicklist};
use crate::encodings::listpack::Element;

/// Bytes beyond which a run is split whatever the setting: small elements that are replaced by
/// larger ones, and what others call one listpack, would make runs that take long to change.
const RUN_BYTES_MAX: usize = 128 << 10;

impl Quicklist {
    /// Puts an element beside the one of number `index`, which is there: before it (`Left`) or
    /// behind it.
    pub fn insert(&mut self, index: usize, side: End, bytes: &[u8]) {
        let (ordinal, index) = self.seek_node(index);
        let node = self.node(ordinal);
        let (last, fill) = (node.len() - 1, self.fill);
        let is_at_edge = index == if side == End::Left { 0 } else { last };
        let behind = index + usize::from(side == End::Right);
        if node.admits(bytes.len(), fill) {
            self.insert_into(ordinal, behind, bytes);
        } else if is_at_edge {
            let neighbour = match side {
                End::Left => ordinal.checked_sub(1),
                End::Right => (ordinal + 1 < self.nodes).then_some(ordinal + 1),
            };
            let open = neighbour.filter(|at| self.node(*at).admits(bytes.len(), fill));
            match (open, side) {
                (Some(at), End::Left) => self.insert_into(at, self.node(at).len(), bytes),
                (Some(at), End::Right) => self.insert_into(at, 0, bytes),
                (None, End::Left) => self.insert_node(ordinal, Node::of(bytes, fill)),
                (None, End::Right) => self.insert_node(ordinal + 1, Node::of(bytes, fill)),
            }
        } else {
            self.split(ordinal, behind);
            if fill.is_large(bytes.len()) {
                return self.insert_node(ordinal + 1, Node::of(bytes, fill));
            }
            // The new element goes to the half without its neighbour.
            match side {
                End::Left => self.insert_into(ordinal, behind, bytes),
                End::Right => self.insert_into(ordinal + 1, 0, bytes),
            }
            self.merge_around(if side == End::Left { ordinal + 1 } else { ordinal });
        }
    }

    /// Puts an element in the place of the one of number `index`; false if there is none.
    pub fn replace(&mut self, index: usize, bytes: &[u8]) -> bool {
        if self.len <= index {
            return false;
        }
        let is_large = self.fill.is_large(bytes.len());
        let (ordinal, index) = self.seek_node(index);
        let at = self.place(ordinal);
        match (&mut self.blocks[at.block].nodes[at.node], is_large) {
            (Node::Packed(run), false) => {
                run.replace(index, Element::of(bytes));
                self.split_if_huge(ordinal);
            }
            (Node::Plain(old), true) => *old = bytes.into(),
            (Node::Plain(_), false) => {
                self.insert(self.first_of(ordinal), End::Right, bytes);
                self.remove_node(ordinal);
            }
            (Node::Packed(_), true) => {
                if index + 1 < self.node(ordinal).len() {
                    self.split(ordinal, index + 1);
                }
                self.insert_node(ordinal + 1, Node::of(bytes, self.fill));
                let Node::Packed(mut run) = self.remove_node(ordinal) else {
                    unreachable!("it was packed just now")
                };
                run.remove_back(1);
                if !run.is_empty() {
                    self.insert_node(ordinal, Node::Packed(run));
                    self.merge_around(ordinal + 1);
                }
            }
        }
        true
    }

    /// Makes several nodes of a run that is too long to work with.
    pub(super) fn split_if_huge(&mut self, ordinal: usize) {
        let node = self.node(ordinal);
        if RUN_BYTES_MAX < node.bytes_len()
            && 1 < node.len()
            && let Node::Packed(run) = self.remove_node(ordinal)
        {
            for (at, part) in run.parts(RUN_BYTES_MAX / 2).enumerate() {
                self.insert_node(ordinal + at, Node::Packed(part));
            }
        }
    }

    /// Which node, counted from the first, holds this element, and as which of its elements.
    fn seek_node(&self, index: usize) -> (usize, usize) {
        let (at, index) = self.seek(index).expect("whoever asks knows that it is there");
        let before = self.blocks.range(..at.block).map(|block| block.nodes.len()).sum::<usize>();
        (before + at.node, index)
    }

    /// The number of a node's first element.
    fn first_of(&self, ordinal: usize) -> usize {
        let at = self.place(ordinal);
        let before: usize = self.blocks.range(..at.block).map(|block| block.len).sum();
        before + self.blocks[at.block].nodes.range(..at.node).map(Node::len).sum::<usize>()
    }

    /// Puts an element into a node that admits it.
    fn insert_into(&mut self, ordinal: usize, index: usize, bytes: &[u8]) {
        let (at, room) = (self.place(ordinal), self.fill.bytes_max());
        let block = &mut self.blocks[at.block];
        let Node::Packed(run) = &mut block.nodes[at.node] else {
            unreachable!("only a run admits anything")
        };
        match index {
            0 => run.push_front(Element::of(bytes), room),
            _ if index == run.len() => run.push_back(Element::of(bytes), room),
            _ => run.insert(index, Element::of(bytes)),
        }
        block.len += 1;
        self.len += 1;
    }

    /// Makes two nodes of one: the first keeps `count` elements.
    fn split(&mut self, ordinal: usize, count: usize) {
        let Node::Packed(mut run) = self.remove_node(ordinal) else {
            unreachable!("a single element is not split")
        };
        let mut tail = run.split_off(count);
        run.trim();
        tail.trim();
        self.insert_node(ordinal, Node::Packed(run));
        self.insert_node(ordinal + 1, Node::Packed(tail));
    }

    /// Merges the two nodes before one, the two behind it, and it with its neighbours, each if
    /// they fit.
    fn merge_around(&mut self, ordinal: usize) {
        let mut center = ordinal;
        if 2 <= center && self.merge(center - 2) {
            center -= 1;
        }
        if center + 2 < self.nodes {
            self.merge(center + 1);
        }
        if 1 <= center && self.merge(center - 1) {
            center -= 1;
        }
        if center + 1 < self.nodes {
            self.merge(center);
        }
    }

    /// Makes one node of this one and the one behind it, if they fit.
    fn merge(&mut self, ordinal: usize) -> bool {
        let fits = self.node(ordinal).merges_with(self.node(ordinal + 1), self.fill);
        if fits {
            let (tail, head) = (self.remove_node(ordinal + 1), self.remove_node(ordinal));
            let (Node::Packed(mut run), Node::Packed(tail)) = (head, tail) else {
                unreachable!("only runs merge")
            };
            run.append(&tail);
            self.insert_node(ordinal, Node::Packed(run));
        }
        fits
    }
}
