//! Replication on a shard: its log as the relay and replicas get it, and what a primary's stream or
//! logs have for it.

pub mod applying;
pub mod incoming;
pub mod outgoing;
pub mod showing;
