//! The shard thread: its state, and what it does when input or mail comes.

#![expect(clippy::vec_box, reason = "batches and letters are passed on, never copied")]

pub mod answers;
pub mod background;
pub mod core;
pub mod journeys;
pub mod leaving;
pub mod loading;
pub mod logging;
pub mod messages;
pub mod observing;
pub mod pausing;
pub mod refusals;
pub mod requests;
pub mod turns;
