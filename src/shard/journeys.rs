//! Batches on their way: runs, visits, rounds, EXEC, claims and waits.

pub mod blocking;
pub mod claims;
pub mod exec;
pub mod journey;
pub mod round;
