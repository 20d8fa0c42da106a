//! Letters between threads: what they say, and the boxes they go by.

pub mod board;
pub mod connection;
pub mod disk;
pub mod end;
pub mod flows;
pub mod kept;
pub mod mailbox;
pub mod messages;
pub mod query;
pub mod release;
pub mod replica;
pub mod room;
pub mod to_control;
pub mod to_relay;
pub mod to_shard;
pub mod upstream;
pub mod waits;
