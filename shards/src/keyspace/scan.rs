//! SCAN: a walk over a shard's keys in hash order, which is slot order. Shards own ranges of
//! slots, so a cursor says by itself which shard goes on with the walk.

use crate::base::slot::Slot;
use crate::encodings::table::Position;
use crate::keyspace::db::{Entry, Keyspace};

/// Where a walk begins, and what its cursor is again when it has seen every key.
pub const START: Position = Position(0);

/// Where a walk goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// In this shard.
    Here(Position),
    /// In the shard of the next slots, or nowhere if this is [`START`].
    Elsewhere(Position),
}

/// Visits the bucket of database `db` that `from` lies in.
///
/// Every key that is there from the first step of a walk to its last is visited; one may be
/// visited twice if the table grows between two steps.
pub fn step(keyspace: &Keyspace, db: usize, from: Position, visit: &mut dyn FnMut(&Entry)) -> Next {
    let slots = &keyspace.slots;
    // Slots that end behind the last one have no position of their own: the walk ends with them.
    let end = Slot::new(slots.end).map(Position::of_slot);
    // A cursor that some client made up, or the first one, may lie before what lives here.
    let from = from.max(Slot::new(slots.start).map_or(START, Position::of_slot));
    let next = keyspace.dbs[db].table().scan_until(from, end, visit);
    next.map_or(Next::Elsewhere(end.unwrap_or(START)), Next::Here)
}
