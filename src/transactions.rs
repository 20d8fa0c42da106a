//! Several shards as one: what is claimed, what is visited.

pub mod locks;
pub mod transaction;
