//! What clients are sent unasked: messages, stale copies, lines of MONITOR.

mod lost_channels;
pub mod monitoring;
pub mod notifications;
pub(crate) mod other_nodes;
pub mod publishing;
pub mod subscribing;
pub mod tracking;
pub mod tracking_command;
