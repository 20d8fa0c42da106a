//! The server: everything with I/O, threads and time. Modules stand in building order.

pub mod version;
pub mod config;
pub mod shutdown;
pub mod replication;
pub mod cluster;
pub mod pubsub;
pub mod reactor;
pub mod log;
pub mod process;
pub mod persistence;
pub mod journal;
pub mod routing;
pub mod transactions;
pub mod batches;
pub mod blocking;
pub mod clients;
pub mod stats;
pub mod flows;
pub mod mail;
pub mod shard;
pub mod relay;
pub mod bus;
pub mod control;
pub mod commands;
pub mod metrics;
pub mod start;
