//! The relay: where the logs of N shards meet the streams of stock replicas.
//!
//! Segments of logs come in by letter; bytes of one stream go out to sockets. The thread has no
//! keys, sleeps when there is nothing to do, and is started with the first replica. Shards do not
//! wait for it, and it waits for no replica: a replica that takes too little is cut.

pub mod core;
pub mod deciding;
pub mod dial;
pub mod flows;
pub mod inchunks;
pub mod inflows;
pub mod intake;
pub mod logs;
pub mod opening;
pub mod peer;
pub mod roles;
pub mod snapshots;
pub mod stream;
pub mod thread;
pub mod upstream;
