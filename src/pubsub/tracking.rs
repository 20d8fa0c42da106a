//! Client-side caching: which clients may keep copies of which keys, and how they are told that
//! these are stale.

pub mod frames;
pub mod options;
pub mod table;
