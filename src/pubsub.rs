//! Channels and the clients that listen to them. Nothing here sends: the shard of a socket does.

pub mod kind;
pub mod interest;
pub mod messages;
pub mod registry;
pub mod subscriptions;
pub mod tracking;
