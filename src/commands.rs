//! Commands that touch the server, one file each, and the table of all commands.

pub mod cluster;
mod clusterx;
pub mod config;
pub mod connection;
pub mod function;
mod help;
pub mod own;
pub mod pubsub;
pub mod replication;
pub mod server;
pub mod transactions;
pub mod table;
