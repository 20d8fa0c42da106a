//! What Prometheus reads: a page of figures, and the port that serves it.

pub mod cluster;
pub mod commands;
pub mod endpoint;
pub mod fractions;
pub mod http;
pub mod node;
pub mod page;
pub mod readiness;
pub mod replication;
pub mod shards;
