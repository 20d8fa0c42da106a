//! Replication without I/O: bytes, letters and times come in as events, and actions go out.
//!
//! A replica of a stock primary has one [`link::Link`]. It greets by [`handshake`], receives a
//! snapshot by [`payload`], and takes the stream apart by [`split`].

pub mod history;
pub mod moment;
pub mod address;
pub mod limits;
pub mod failure;
pub mod lines;
pub mod handshake;
pub mod payload;
pub mod split;
pub mod link;
