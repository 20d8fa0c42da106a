//! Replication without I/O: histories, decisions, and machines of both sides. Bytes and time come
//! in as arguments.

pub mod history;
pub mod moment;
pub mod address;
pub mod greeting;
pub mod session;
pub mod backoff;
pub mod acks;
pub mod failover;
