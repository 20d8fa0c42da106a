//! The server: everything with I/O, threads and time. Modules stand in building order.

pub mod version;
pub mod config;
pub mod shutdown;
pub mod pubsub;
pub mod tracking;
pub mod reactor;
pub mod log;
pub mod process;
pub mod persistence;
pub mod coordination;
pub mod commands;
pub mod metrics;
pub mod serve;
pub mod start;
