//! The control thread: the only writer of what the whole node shares.

pub mod acknowledging;
pub mod clustering;
pub mod core;
pub mod ctx;
pub mod disk;
pub mod ending;
pub mod fences;
pub mod following;
pub mod handing_over;
pub mod holding;
pub mod histories;
pub mod loading;
pub mod replicating;
pub mod saving;
pub mod standing;
mod succession;
pub mod syncing;
