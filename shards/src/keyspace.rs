//! The keys of one shard: databases, lookup with expiry, eviction, scanning, watches, waits.

pub mod arriving;
pub mod chores;
pub mod collections;
pub mod db;
pub mod due;
pub mod evict;
pub mod expire;
pub mod garbage;
pub mod scan;
pub mod selected;
pub mod settings;
pub mod staging;
pub mod waiters;
pub mod watch;
