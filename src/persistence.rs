//! The dataset on the disk: snapshots are written by a copy of the process, and read at start.
//! What is to be done when is decided by the control thread (`control::saving`).

pub mod checking;
pub mod child;
pub mod chunks;
pub mod forked;
pub mod leftovers;
pub mod loader;
pub mod reading;
pub mod receiving;
pub mod repair;
pub mod report;
pub mod sending;
pub mod snapshot;
pub mod syncing;
pub mod walking;
pub mod writing;
