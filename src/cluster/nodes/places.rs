//! Nodes by their places in the table: one behind the other, in the order in which they became
//! known.

use super::Key;
use super::node::Node;

/// The nodes; their keys ascend.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<(Key, Node)>);

impl Places {
    fn index(&self, key: Key) -> Option<usize> {
        // Keys have no gap where no node was taken out, and are not nearer to each other.
        let most = usize::try_from(key.0.get()).unwrap_or(usize::MAX) - 1;
        if self.0.get(most).is_some_and(|(known, _)| *known == key) {
            return Some(most);
        }
        let before = &self.0[..most.min(self.0.len())];
        before.binary_search_by_key(&key, |(known, _)| *known).ok()
    }

    pub fn get(&self, key: Key) -> Option<&Node> {
        self.index(key).map(|index| &self.0[index].1)
    }

    pub fn get_mut(&mut self, key: Key) -> Option<&mut Node> {
        self.index(key).map(|index| &mut self.0[index].1)
    }

    /// Adds a node with a key that is greater than all others.
    pub fn push(&mut self, key: Key, node: Node) {
        debug_assert!(self.0.last().is_none_or(|(last, _)| *last < key), "keys ascend");
        self.0.push((key, node));
    }

    pub fn remove(&mut self, key: Key) -> Option<Node> {
        self.index(key).map(|index| self.0.remove(index).1)
    }

    pub fn iter(&self) -> impl Iterator<Item = (Key, &Node)> {
        self.0.iter().map(|(key, node)| (*key, node))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut Node)> {
        self.0.iter_mut().map(|(key, node)| (*key, node))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}
