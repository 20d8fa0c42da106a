//! What shards write each other about memory.

/// A shard cannot make room for a write by itself, because what may go lives on others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomWord {
    /// To a shard with something that may go: free so many bytes, garbage first.
    Wanted(u64),
    /// The answer: how many bytes were freed.
    Freed(u64),
}
