//! Some neighbouring nodes of a quicklist.

use alloc::collections::VecDeque;

use super::End;
use super::node::Node;
use crate::encodings::listpack::Wanted;
use crate::encodings::listpack::run::Run;

/// Nodes in a block: the most that are moved when one comes between others.
pub(super) const BLOCK_NODES_MAX: usize = 128;

/// Neighbouring nodes: at least one, each with at least one element.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    pub nodes: VecDeque<Node>,
    /// Elements in all of them.
    pub len: usize,
}

impl Block {
    #[inline]
    pub fn node_mut(&mut self, end: End) -> Option<&mut Node> {
        match end {
            End::Left => self.nodes.front_mut(),
            End::Right => self.nodes.back_mut(),
        }
    }

    pub fn insert(&mut self, at: usize, node: Node) {
        self.len += node.len();
        self.nodes.insert(at, node);
    }

    pub fn split_off(&mut self, at: usize) -> Self {
        let nodes = self.nodes.split_off(at);
        let len = nodes.iter().map(Node::len).sum();
        self.len -= len;
        Self { nodes, len }
    }

    /// As that of the list; empty nodes go.
    pub fn remove_wanted(&mut self, wanted: &Wanted<'_>, from: End, most: usize) -> usize {
        let (mut removed, nodes) = (0, self.nodes.len());
        for at in 0..nodes {
            if removed == most {
                break;
            }
            let at = if from == End::Left { at } else { nodes - 1 - at };
            let left = most - removed;
            removed += match &mut self.nodes[at] {
                Node::Packed(run) => {
                    let found = match from {
                        End::Left => 0,
                        End::Right => run.iter().filter(|it| wanted.is(*it)).count(),
                    };
                    run.remove_wanted(wanted, found.saturating_sub(left), left)
                }
                node @ Node::Plain(_) => {
                    let found = node.iter().any(|it| wanted.is(it));
                    if found {
                        *node = Node::Packed(Run::default());
                    }
                    usize::from(found)
                }
            };
        }
        if 0 < removed {
            self.nodes.retain(|node| !node.is_empty());
            self.len -= removed;
        }
        removed
    }
}
