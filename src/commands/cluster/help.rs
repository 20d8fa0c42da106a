//! CLUSTER HELP

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::commands::cluster::{TELLS, clustering};
use crate::commands::help;
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};

pub(super) const HELP: Own = Own {
    spec: Spec {
        name: "cluster|help",
        since: "5.0.0",
        summary: "Tells about the subcommands.",
        arity: Arity::Exactly(2),
        ..TELLS
    },
    run: OwnRun::Control(run),
};

const LINES: &[&str] = &[
    "CLUSTER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ADDSLOTS <slot> [<slot> ...]",
    "    Gives slots to this node.",
    "ADDSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
    "    Gives ranges of slots to this node.",
    "BUMPEPOCH",
    "    Raises the epoch of this node.",
    "COUNT-FAILURE-REPORTS <node-id>",
    "    How many nodes report that a node has failed.",
    "COUNTKEYSINSLOT <slot>",
    "    How many keys a slot has in this database.",
    "DELSLOTS <slot> [<slot> ...]",
    "    Takes slots away from their owner.",
    "DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
    "    Takes ranges of slots away from their owners.",
    "FAILOVER [FORCE|TAKEOVER]",
    "    Makes this replica the primary.",
    "FLUSHSLOT <slot> [ASYNC|SYNC]",
    "    Removes all keys of a slot.",
    "FLUSHSLOTS",
    "    Takes all slots away from this node.",
    "FORGET <node-id>",
    "    Takes a node out of the cluster.",
    "GETKEYSINSLOT <slot> <count>",
    "    Keys of a slot in this database.",
    "INFO",
    "    The state of the cluster.",
    "KEYSLOT <key>",
    "    The slot of a key.",
    "LINKS",
    "    The connections between this node and the others.",
    "MEET <ip> <port> [<bus-port>]",
    "    Takes a node into the cluster.",
    "MYID",
    "    The id of this node.",
    "MYSHARDID",
    "    The id that a primary and its replicas have in common.",
    "NODES",
    "    All nodes, a line each:",
    "    <id> <ip:port@bus-port[,name]> <flags> <primary> <ping> <pong> <epoch> <link> <slots>",
    "REPLICAS <node-id>",
    "    The replicas of a primary.",
    "REPLICATE <node-id>|NO ONE",
    "    Makes this node a replica, or a primary without slots.",
    "RESET [HARD|SOFT]",
    "    Makes this node forget the cluster.",
    "SAVECONFIG",
    "    Writes what is known of the cluster to the disk.",
    "SET-CONFIG-EPOCH <epoch>",
    "    Gives a new node its epoch.",
    "SETSLOT <slot> (IMPORTING <node-id>|MIGRATING <node-id>|STABLE|NODE <node-id>)",
    "    Says where a slot is, or where it is going.",
    "SHARDS",
    "    Primaries with their replicas and slots.",
    "SLOT-STATS SLOTSRANGE <start slot> <end slot>",
    "    What the slots of this node have and cost, of a range.",
    "SLOT-STATS ORDERBY <metric> [LIMIT <count>] [ASC|DESC]",
    "    The same of all of them, the greatest first.",
    "SLOTS",
    "    Ranges of slots with the nodes that have them.",
    "HELP",
    "    These lines.",
];

fn run(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    clustering(ctx.control)?;
    help::write(&mut ctx.replies, LINES);
    Ok(Outcome::Done)
}
