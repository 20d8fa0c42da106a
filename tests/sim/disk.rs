//! What a node has on its disk: the last snapshot that was written as a whole, and what its file of
//! settings says of its primary. Whatever else it knew is gone when it ends.

use keylane::replication::address::Address;
use keylane::replication::link::events::Position;

use crate::checks::SnapshotId;

/// A disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub saved: Option<Saved>,
    /// Whom it is to follow when it begins to run.
    pub primary: Option<Address>,
}

/// A snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Saved {
    pub snapshot: SnapshotId,
    /// What its keys are of, if of anything.
    pub position: Option<Position>,
}
