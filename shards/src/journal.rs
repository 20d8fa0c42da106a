//! The log of a shard: what its changes leave for a second keyspace, which becomes equal to it
//! without a clock and without chance.

pub mod entry;
pub mod part;
pub mod reader;
pub mod units;
