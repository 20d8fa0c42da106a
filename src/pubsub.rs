//! Channels and who listens to them. Nothing here sends: whoever owns a socket does.

pub mod kind;
pub mod interest;
pub mod messages;
pub mod registry;
pub mod subscriptions;
pub mod tracking;
