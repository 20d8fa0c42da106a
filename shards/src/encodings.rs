//! How values lie in memory. The only `unsafe` of this crate is below here.

pub mod allocation;
mod block;
#[cfg(test)]
mod checking;
pub mod entry;
pub mod field;
pub mod intset;
pub mod listpack;
pub mod member;
pub mod quicklist;
pub mod ranking;
pub mod scored;
pub mod table;
