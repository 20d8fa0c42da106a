//! What control and shards write each other about snapshots.

use shards::rdb::error::Error as RdbError;
use shards::shard::Shard;

use crate::persistence::loader::Chunk;
use crate::reactor::gate::Place;

/// What control has to say to a shard about snapshots.
#[derive(Debug)]
pub enum DiskWord {
    /// Stand still at this place of a gate.
    Stand(Place<Shard>),
    /// Take these keys in, which belong to this load.
    Load(LoadNumber, Box<Chunk>, Doubles),
}

/// Which load this is of the process: what a shard reports of an earlier one, which was broken off,
/// does not count for a later one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadNumber(pub u64);

/// What becomes of a key that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubles {
    /// The file is wrong.
    Refused,
    /// The file is right.
    Replaced,
}

/// What a shard made of a chunk.
#[derive(Clone, Debug, Default)]
pub struct LoadReport {
    /// The load that the chunk belongs to.
    pub load: LoadNumber,
    /// Keys taken in.
    pub keys: u64,
    /// Keys whose time has passed.
    pub expired: u64,
    /// Hashes whose fields' times have all passed.
    pub all_fields_expired: u64,
    /// Keys that had nothing in them.
    pub empty: u64,
    /// What was wrong with the first that was not taken in.
    pub error: Option<RdbError>,
}
