//! The subcommands of CLUSTER that only a cluster can answer: all say that there is none.

use shards::commands::spec::{Arity, Flag, Flags, Spec};

use crate::commands::cluster::{EACH, refuse};
use crate::commands::own::{Own, OwnRun};

/// All of them.
pub(super) const SUBCOMMANDS: &[Own] = &[
    disabled(Spec {
        name: "cluster|addslots",
        since: "3.0.0",
        summary: "Gives slots to this server, in a cluster.",
        syntax: "slot [slot ...]",
        arity: Arity::AtLeast(3),
        ..CHANGES
    }),
    disabled(Spec {
        name: "cluster|addslotsrange",
        since: "7.0.0",
        summary: "Gives ranges of slots to this server, in a cluster.",
        syntax: "start-slot end-slot [start-slot end-slot ...]",
        arity: Arity::AtLeast(4),
        ..CHANGES
    }),
    disabled(Spec {
        name: "cluster|bumpepoch",
        since: "3.0.0",
        summary: "Raises the epoch of the cluster.",
        arity: Arity::Exactly(2),
        tips: VARIES,
        ..CHANGES
    }),
    disabled(Spec {
        name: "cluster|cancelslotmigrations",
        since: "9.0.0",
        summary: "Ends moves of slots to other servers that are under way, in a cluster.",
        arity: Arity::Exactly(2),
        ..CHANGES
    }),
    disabled(Spec {
        name: "cluster|count-failure-reports",
        since: "3.0.0",
        summary: "Returns how many servers say that one of them has failed, in a cluster.",
        syntax: "node-id",
        arity: Arity::Exactly(3),
        tips: VARIES,
        ..ASKS
    }),
    disabled(Spec {
        name: "cluster|countkeysinslot",
        since: "3.0.0",
        summary: "Returns how many keys a slot has, in a cluster.",
        syntax: "slot",
        arity: Arity::Exactly(3),
        ..LOOKS
    }),
    disabled(Spec {
        name: "cluster|delslots",
        since: "3.0.0",
        summary: "Takes slots away from the server that has them, in a cluster.",
        syntax: "slot [slot ...]",
        arity: Arity::AtLeast(3),
        ..CHANGES
    }),
    disabled(Spec {
        name: "cluster|delslotsrange",
        since: "7.0.0",
        summary: "Takes ranges of slots away from the server that has them, in a cluster.",
        syntax: "start-slot end-slot [start-slot end-slot ...]",
        arity: Arity::AtLeast(4),
        ..CHANGES
    }),
    disabled(Spec {
        name: "cluster|failover",
        since: "3.0.0",
        summary: "Makes a replica of a cluster the primary of its slots.",
        syntax: "[FORCE | TAKEOVER]",
        arity: Arity::AtLeast(2),
        ..CHANGES
    }),
    disabled(Spec {
        name: "cluster|flushslot",
        since: "9.0.0",
        summary: "Removes all keys of a slot, in a cluster.",
        syntax: "slot [ASYNC | SYNC]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::Write, Flag::Admin, Flag::NoAsyncLoading]),
        categories: &["keyspace"],
        ..EACH
    }),
    disabled(Spec {
        name: "cluster|flushslots",
        since: "3.0.0",
        summary: "Takes all slots away from this server, in a cluster.",
        arity: Arity::Exactly(2),
        ..CHANGES
    }),
    disabled(Spec {
        name: "cluster|forget",
        since: "3.0.0",
        summary: "Takes a server out of the cluster.",
        syntax: "node-id",
        arity: Arity::Exactly(3),
        ..CHANGES
    }),
    disabled(Spec {
        name: "cluster|getkeysinslot",
        since: "3.0.0",
        summary: "Returns keys of a slot, in a cluster.",
        syntax: "slot count",
        arity: Arity::Exactly(4),
        tips: VARIES,
        ..LOOKS
    }),
    disabled(Spec {
        name: "cluster|getslotmigrations",
        since: "9.0.0",
        summary: "Tells about moves of slots, past and under way, in a cluster.",
        arity: Arity::Exactly(2),
        ..CHANGES
    }),
    disabled(Spec {
        name: "cluster|help",
        since: "5.0.0",
        summary: "Tells about the subcommands.",
        arity: Arity::Exactly(2),
        ..TELLS
    }),
    disabled(Spec {
        name: "cluster|info",
        since: "3.0.0",
        summary: "Tells about the state of the cluster.",
        arity: Arity::Exactly(2),
        tips: VARIES,
        ..TELLS
    }),
    disabled(Spec {
        name: "cluster|links",
        since: "7.0.0",
        summary: "Lists the connections between this server and the others, in a cluster.",
        arity: Arity::Exactly(2),
        tips: VARIES,
        ..LOOKS
    }),
    disabled(Spec {
        name: "cluster|meet",
        since: "3.0.0",
        summary: "Takes a server into the cluster.",
        syntax: "ip port [cluster-bus-port]",
        arity: Arity::AtLeast(4),
        ..CHANGES
    }),
    disabled(Spec {
        name: "cluster|migrateslots",
        since: "9.0.0",
        summary: "Moves slots to another server, in a cluster.",
        arity: Arity::AtLeast(4),
        ..CHANGES
    }),
    disabled(Spec {
        name: "cluster|myid",
        since: "3.0.0",
        summary: "Returns the id of this server, in a cluster.",
        arity: Arity::Exactly(2),
        ..TELLS
    }),
    disabled(Spec {
        name: "cluster|myshardid",
        since: "7.2.0",
        summary: "Returns the id that a primary and its replicas have in common, in a cluster.",
        arity: Arity::Exactly(2),
        tips: VARIES,
        ..TELLS
    }),
    disabled(Spec {
        name: "cluster|nodes",
        since: "3.0.0",
        summary: "Lists all servers of the cluster.",
        arity: Arity::Exactly(2),
        tips: VARIES,
        ..TELLS
    }),
    disabled(Spec {
        name: "cluster|replicas",
        since: "5.0.0",
        summary: "Lists the replicas of a primary, in a cluster.",
        syntax: "node-id",
        arity: Arity::Exactly(3),
        tips: VARIES,
        ..ASKS
    }),
    disabled(Spec {
        name: "cluster|replicate",
        since: "3.0.0",
        summary: "Makes this server a replica of another one, in a cluster.",
        syntax: "<node-id | NO ONE>",
        arity: Arity::AtLeast(3),
        ..CHANGES
    }),
    disabled(Spec {
        name: "cluster|reset",
        since: "3.0.0",
        summary: "Makes this server forget the cluster.",
        syntax: "[HARD | SOFT]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Stale]),
        ..EACH
    }),
    disabled(Spec {
        name: "cluster|saveconfig",
        since: "3.0.0",
        summary: "Writes what is known of the cluster to a file, in a cluster.",
        arity: Arity::Exactly(2),
        ..CHANGES
    }),
    disabled(Spec {
        name: "cluster|set-config-epoch",
        since: "3.0.0",
        summary: "Gives a new server its epoch, in a cluster.",
        syntax: "config-epoch",
        arity: Arity::Exactly(3),
        ..CHANGES
    }),
    disabled(Spec {
        name: "cluster|setslot",
        since: "3.0.0",
        summary: "Says on which server a slot is, or to which it is on its way, in a cluster.",
        syntax: "slot <IMPORTING importing | MIGRATING migrating | NODE node | STABLE> \
                 [TIMEOUT timeout]",
        arity: Arity::AtLeast(4),
        ..CHANGES
    }),
    disabled(Spec {
        name: "cluster|shards",
        since: "7.0.0",
        summary: "Lists primaries with their replicas and slots, in a cluster.",
        arity: Arity::Exactly(2),
        tips: VARIES,
        ..TELLS
    }),
    disabled(Spec {
        name: "cluster|slaves",
        since: "3.0.0",
        summary: "Lists the replicas of a primary, in a cluster.",
        syntax: "node-id",
        arity: Arity::Exactly(3),
        tips: VARIES,
        ..ASKS
    }),
    disabled(Spec {
        name: "cluster|slot-stats",
        since: "8.0.0",
        summary: "Returns figures of slots, in a cluster.",
        syntax: "<SLOTSRANGE start-slot end-slot | ORDERBY metric [LIMIT limit] [ASC | DESC]>",
        arity: Arity::AtLeast(4),
        tips: &["nondeterministic_output", "request_policy:all_shards"],
        ..TELLS
    }),
    disabled(Spec {
        name: "cluster|slots",
        since: "3.0.0",
        summary: "Lists slots with the servers that have them, in a cluster.",
        arity: Arity::Exactly(2),
        tips: VARIES,
        ..TELLS
    }),
    disabled(Spec {
        name: "cluster|syncslots",
        since: "9.0.0",
        summary: "Is what servers say to each other while slots move, in a cluster.",
        arity: Arity::AtLeast(3),
        ..CHANGES
    }),
];

/// What most of them have in common that change the cluster.
const CHANGES: Spec =
    Spec { flags: Flags::of(&[Flag::Admin, Flag::Stale, Flag::NoAsyncLoading]), ..EACH };

/// What those have in common that ask for what administrators want to know.
const ASKS: Spec = Spec { flags: Flags::of(&[Flag::Admin, Flag::Stale]), ..EACH };

/// What those have in common that tell clients about the cluster.
const TELLS: Spec = Spec { flags: Flags::of(&[Flag::Loading, Flag::Stale]), ..EACH };

/// What those have in common that look at keys or connections.
const LOOKS: Spec = Spec { flags: Flags::of(&[Flag::Stale]), ..EACH };

const VARIES: &[&str] = &["nondeterministic_output"];

const fn disabled(spec: Spec) -> Own {
    Own { spec, run: OwnRun::Client(refuse) }
}
