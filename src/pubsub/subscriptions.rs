//! What one client has subscribed to.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::pubsub::kind::{KINDS, Kind};

/// The name of a channel, or a pattern. A thread keeps each once for all who refer to it.
pub type Name = Rc<[u8]>;

/// The subscriptions of one client.
#[derive(Debug, Default)]
pub struct Subscriptions {
    names: [BTreeSet<Name>; KINDS],
}

impl Subscriptions {
    /// Adds one; false if it was there.
    pub fn add(&mut self, kind: Kind, name: Name) -> bool {
        self.names[kind.index()].insert(name)
    }

    /// Ends one; `None` if there was none.
    pub fn remove(&mut self, kind: Kind, name: &[u8]) -> Option<Name> {
        self.names[kind.index()].take(name)
    }

    /// All of a kind, in the order of their names.
    pub fn names(&self, kind: Kind) -> &BTreeSet<Name> {
        &self.names[kind.index()]
    }

    /// How many there are of a kind.
    pub fn len(&self, kind: Kind) -> usize {
        self.names[kind.index()].len()
    }

    /// How many are counted in the reply about one of this kind: shard channels are counted for
    /// themselves, all others together.
    pub fn counted_with(&self, kind: Kind) -> usize {
        match kind {
            Kind::ShardChannel | Kind::Prefix | Kind::Monitor => self.len(kind),
            Kind::Channel | Kind::Pattern => self.len(Kind::Channel) + self.len(Kind::Pattern),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.iter().all(BTreeSet::is_empty)
    }
}
