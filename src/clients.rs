//! One connection: its state, and how it is shown.

pub mod client;
pub mod ctx;
pub mod filter;
pub mod line;
pub mod tracker;
