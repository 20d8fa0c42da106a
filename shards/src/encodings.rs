//! How values lie in memory. The only `unsafe` of this crate is below here.

pub mod entry;
pub mod table;
