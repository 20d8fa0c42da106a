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
    let elsewhere = Next::Elsewhere(Slot::new(slots.end).map_or(START, Position::of_slot));
    // A cursor that some client made up, or the first one, may lie outside of what lives here.
    let first = Slot::new(slots.start).map_or(from, Position::of_slot);
    let from = from.max(first);
    if slots.end <= from.slot().number() {
        return elsewhere;
    }
    match keyspace.dbs[db].table().scan(from, visit) {
        Some(next) if next.slot().number() < slots.end => Next::Here(next),
        Some(_) | None => elsewhere,
    }
}
