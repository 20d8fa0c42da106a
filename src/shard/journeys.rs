//! Batches on their way: runs, visits, rounds, EXEC, claims and waits.

pub mod blocking;
pub mod claiming;
pub mod committing;
pub mod exec;
pub mod fencing;
pub mod gathered;
pub mod journey;
pub mod handing_over;
mod redirecting;
pub mod round;
pub mod scanning;
pub mod turned_back;
pub mod visits;
pub mod wholes;
