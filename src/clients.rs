//! One connection: its state, its limits, and how it is shown.

pub mod admission;
pub mod all;
pub mod client;
pub mod ctx;
pub mod filter;
pub mod leaving;
pub mod limits;
pub mod line;
pub mod memory;
pub mod query;
pub mod totals;
pub mod tracker;
