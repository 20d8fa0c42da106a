//! All commands of the engine.

use alloc::vec::Vec;

use crate::commands::spec::{Command, Flag, Spec};
use crate::commands::{
    bitmap, connection, generic, geo, hash, hyperloglog, list, server, set, sorted_set, stream,
    string,
};

/// The groups' lists.
pub const GROUPS: &[&[Command]] = &[
    string::COMMANDS,
    bitmap::COMMANDS,
    hash::COMMANDS,
    list::COMMANDS,
    set::COMMANDS,
    sorted_set::COMMANDS,
    geo::COMMANDS,
    hyperloglog::COMMANDS,
    generic::COMMANDS,
    stream::COMMANDS,
    server::COMMANDS,
    connection::COMMANDS,
];

/// Containers and their subcommands. What is not here of CLUSTER, DEBUG and MEMORY is the server's:
/// see `server::CLUSTER_SUBCOMMANDS`, `server::DEBUG_SUBCOMMANDS`, `server::MEMORY_SUBCOMMANDS`.
pub const CONTAINERS: &[(&Spec, &[Command])] = &[
    (&generic::object::OBJECT, generic::object::SUBCOMMANDS),
    (&stream::xgroup::XGROUP, stream::xgroup::SUBCOMMANDS),
    (&stream::xinfo::XINFO, stream::xinfo::SUBCOMMANDS),
];

/// All ACL categories, in the order in which Valkey names them.
pub const CATEGORIES: &[&str] = &[
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// The ACL categories of a command: those that its specification names, and those that follow
/// from its flags and its group.
pub fn categories(spec: &Spec) -> Vec<&'static str> {
    let implied = |name: &str| match name {
        "read" => spec.flags.has(Flag::ReadOnly),
        "write" => spec.flags.has(Flag::Write),
        "pubsub" => spec.flags.has(Flag::PubSub),
        "admin" | "dangerous" => spec.flags.has(Flag::Admin),
        "blocking" => spec.flags.has(Flag::Blocking),
        "fast" => spec.flags.has(Flag::Fast),
        "slow" => !spec.flags.has(Flag::Fast),
        // A container does nothing by itself.
        other => spec.subcommands.is_empty() && spec.group.category() == Some(other),
    };
    let has = |name: &&str| implied(name) || spec.categories.contains(name);
    CATEGORIES.iter().copied().filter(has).collect()
}
