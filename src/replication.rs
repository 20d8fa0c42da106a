//! Replication as machines: events in, actions out. No system call, no clock: what time it is comes
//! in as arguments.

pub mod moment;
pub mod address;
pub mod history;
pub mod merge;
pub mod psync;
pub mod greeting;
pub mod session;
pub mod backoff;
pub mod acks;
pub mod failover;
