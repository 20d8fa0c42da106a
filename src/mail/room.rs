//! What shards write each other about memory.

use crate::transactions::locks::Ticket;

/// A shard cannot make room for a write by itself, because what may go lives on others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomWord {
    /// To a shard with something that may go: free so many bytes, garbage first. Keys that only
    /// this ticket claims may go, too: it is of the batch that needs the memory.
    Wanted(u64, Option<Ticket>),
    /// The answer: whether there is more room than before, or was enough already.
    Made(bool),
}
