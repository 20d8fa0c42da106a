//! What CLUSTER shows of the table of nodes.

pub mod endpoint;
pub mod nodes;
pub mod slots;
pub mod shards;
pub mod info;
pub mod links;
pub mod slot_stats;
