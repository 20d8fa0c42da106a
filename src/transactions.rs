//! Several shards as one: what is claimed, what is visited, what is queued for EXEC.

pub mod apart;
pub mod locks;
pub mod merging;
pub mod multi;
pub mod transaction;
