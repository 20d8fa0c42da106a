//! Replication as machines: events in, actions out. No system call, no clock: what time it is comes
//! in as arguments.
//!
//! A primary joins the logs of its shards ([`merge`]) to the stream of a stock replica, which has
//! told what it can take ([`greeting`]), asks for a stream ([`psync`]) and has a [`session`]. A
//! replica of a stock primary has one [`link::Link`]: it greets by [`handshake`], receives a
//! snapshot by [`payload`], and takes the stream apart by [`split`]. A replica that takes each log
//! by itself goes on by [`resume`]. What INFO and ROLE show of either is a [`view`].

pub mod moment;
pub mod address;
pub mod replid;
pub mod history;
pub mod merge;
pub mod psync;
pub mod greeting;
pub mod session;
pub mod backoff;
pub mod acks;
pub mod failover;
pub mod limits;
pub mod failure;
pub mod lines;
pub mod handshake;
pub mod payload;
pub mod resume;
pub mod split;
pub mod link;
pub mod view;
