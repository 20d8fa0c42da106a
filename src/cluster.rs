//! A node of the cluster as a machine: events in, actions out. No socket, no file, no clock and no
//! chance: what time it is comes in as an argument, and chance as a seed.
//!
//! Nodes talk by frames ([`frame`]). What a node knows of others is a table ([`nodes`]), which it
//! remembers as a text ([`file`]). The [`machine`] hands each event to the table of cases that
//! decides about it; these have a file each. Shards have a copy of who owns what ([`ownership`]),
//! by which they decide where a command runs ([`redirect`]).

pub mod ids;
pub mod moment;
pub mod slot_set;
pub mod frame;
pub mod nodes;
pub mod report;
pub mod file;
pub mod machine;
pub mod links;
mod members;
mod gossip;
pub mod failure;
pub mod health;
mod claims;
pub mod votes;
pub mod election;
pub mod manual;
mod orphans;
pub mod ownership;
pub mod redirect;
