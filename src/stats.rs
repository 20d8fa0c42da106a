//! What is counted of commands, and what is remembered of them.

pub mod command_log;
pub mod counters;
pub mod exceeded;
pub mod histogram;
pub mod hot_keys;
pub mod latency_events;
pub mod notable;
pub mod observers;
pub mod samples;
pub mod slot_stats;
