//! What shards write each other about memory.

use crate::transactions::locks::Ticket;

/// A shard cannot make room for a write by itself, because what may go lives on others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomWord {
    /// To a shard with garbage: free some.
    Free,
    /// To a shard with keys that may go: evict so many bytes, unless there is garbage. Keys that
    /// only this ticket claims may go, too: it is of the batch that needs the memory.
    Evict(u64, Option<Ticket>),
    /// The answer: whether it is of use to look at memory again.
    Made(bool),
}
