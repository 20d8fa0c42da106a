//! The shard thread: its state, and what it does when input or mail comes.

#![expect(clippy::vec_box, reason = "batches and letters are passed on, never copied")]

pub mod accepting;
pub mod answers;
pub mod client_memory;
pub mod connections;
pub mod core;
pub mod ending;
pub mod housekeeping;
pub mod journeys;
pub mod letters;
pub mod loading;
pub mod messages;
pub mod observing;
pub mod quiesce;
pub mod requests;
pub mod room;
pub mod running;
pub mod slots;
pub mod spare;
pub mod streams;
pub mod turns;
