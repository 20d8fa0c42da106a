//! Between clients, shards and cores: who runs what where, and in which order.

#![expect(clippy::vec_box, reason = "batches and letters are passed on, never copied")]

pub mod background;
pub mod batch;
pub mod blocking;
pub mod call;
pub mod claims;
pub mod client;
pub mod client_ctx;
pub mod client_line;
pub mod answers;
pub mod command_log;
pub mod control;
pub mod control_ctx;
pub mod core;
pub mod counters;
pub mod ending;
pub mod exec;
pub mod filter;
pub mod histogram;
pub mod home;
pub mod journey;
pub mod leaving;
pub mod letter;
pub mod listening;
pub mod loading;
pub mod locks;
pub mod mailbox;
pub mod node;
pub mod notifications;
pub mod pausing;
pub mod pipeline;
pub mod publishing;
pub mod query;
pub mod refusals;
pub mod round;
pub mod router;
pub mod samples;
pub mod saving;
pub mod subscribing;
pub mod tracker;
pub mod tracking;
pub mod tracking_command;
pub mod transaction;
pub mod waits;
