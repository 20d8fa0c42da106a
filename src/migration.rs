//! Keys on their way to other servers. What comes in are consignments of a shard, what goes out
//! are receipts. A shard never waits for a target: each connection has a thread of its own, the
//! courier, which has no keys.

pub mod couriers;
pub mod message;
mod courier;
mod connection;
