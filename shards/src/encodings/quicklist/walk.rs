//! Walking a quicklist, from any element on or from the end back.

use alloc::collections::{VecDeque, vec_deque};

use super::Place;
use super::block::Block;
use super::node::{Iter, Node};
use crate::encodings::listpack::Element;

/// The elements of a quicklist from one on.
#[derive(Clone, Debug)]
pub struct Forward<'a> {
    elements: Iter<'a>,
    nodes: vec_deque::Iter<'a, Node>,
    blocks: vec_deque::Iter<'a, Block>,
}

impl Default for Forward<'_> {
    fn default() -> Self {
        let (nodes, blocks) = (vec_deque::Iter::default(), vec_deque::Iter::default());
        Self { elements: Iter::Plain(None), nodes, blocks }
    }
}

impl<'a> Forward<'a> {
    pub(super) fn from(blocks: &'a VecDeque<Block>, at: Place, index: usize) -> Self {
        let mut nodes = blocks[at.block].nodes.range(at.node..);
        let elements = nodes.next().map_or(Iter::Plain(None), |node| node.iter_from(index));
        Self { elements, nodes, blocks: blocks.range(at.block + 1..) }
    }

    #[cold]
    fn next_node(&mut self) -> Option<Element<'a>> {
        loop {
            if let Some(node) = self.nodes.next() {
                self.elements = node.iter();
                return self.elements.next();
            }
            self.nodes = self.blocks.next()?.nodes.iter();
        }
    }
}

impl<'a> Iterator for Forward<'a> {
    type Item = Element<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Element<'a>> {
        self.elements.next().or_else(|| self.next_node())
    }
}

/// The elements of a quicklist, the last one first.
#[derive(Clone, Debug)]
pub struct Backward<'a> {
    elements: Iter<'a>,
    nodes: vec_deque::Iter<'a, Node>,
    blocks: vec_deque::Iter<'a, Block>,
}

impl<'a> Backward<'a> {
    pub(super) fn of(blocks: &'a VecDeque<Block>) -> Self {
        let nodes = vec_deque::Iter::default();
        Self { elements: Iter::Plain(None), nodes, blocks: blocks.iter() }
    }

    #[cold]
    fn next_node(&mut self) -> Option<Element<'a>> {
        loop {
            if let Some(node) = self.nodes.next_back() {
                self.elements = node.iter();
                return self.elements.next_back();
            }
            self.nodes = self.blocks.next_back()?.nodes.iter();
        }
    }
}

impl<'a> Iterator for Backward<'a> {
    type Item = Element<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Element<'a>> {
        self.elements.next_back().or_else(|| self.next_node())
    }
}
