//! READONLY, READWRITE, ASKING, and CLUSTER: the container and the list of its subcommands. Outside
//! of cluster mode all but those that any server can answer say so.

mod absent;
mod add_slots;
mod epochs;
mod failover;
mod failure_reports;
mod forget;
mod help;
mod ids;
mod info;
mod keys;
mod keyslot;
mod links;
mod meet;
mod nodes;
mod replicate;
mod reset;
mod setslot;
mod shards;
mod slot_stats;
mod slots;

use ::shards::base::number::parse_i64;
use ::shards::base::slot::Slot;
use ::shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use ::shards::resp::error::Error;

use crate::clients::client::{Asking, Transactions};
use crate::clients::ctx::ClientCtx;
use crate::cluster::ids::NodeId;
use crate::cluster::machine::Machine;
use crate::cluster::machine::event::Command;
use crate::cluster::machine::requests::unknown_node;
use crate::cluster::nodes::Key;
use crate::cluster::report::endpoint::{Security, Viewer};
use crate::commands::clusterx;
use crate::commands::own::{Own, OwnRun};
use crate::control::clustering::Clustering;
use crate::control::clustering::asking::Request;
use crate::control::core::Control;
use crate::control::ctx::{Awaited, ControlCtx, Outcome};

/// Every command about the cluster without subcommands.
pub const COMMANDS: &[Own] = &[ASKING, clusterx::CLUSTERX, READONLY, READWRITE];

/// The container.
pub const CLUSTER: Own = Own {
    spec: Spec {
        name: "cluster",
        since: "3.0.0",
        summary: "Commands about servers that share out the slots.",
        complexity: "Depends on the subcommand.",
        arity: Arity::AtLeast(2),
        subcommands: &[&keyslot::KEYSLOT.spec],
        ..EACH
    },
    run: OwnRun::Container,
};

/// Its subcommands.
pub const SUBCOMMANDS: &[&[Own]] = &[
    &[
        add_slots::ADDSLOTS,
        add_slots::ADDSLOTSRANGE,
        add_slots::DELSLOTS,
        add_slots::DELSLOTSRANGE,
        add_slots::FLUSHSLOTS,
        epochs::BUMPEPOCH,
        epochs::SAVECONFIG,
        epochs::SET_CONFIG_EPOCH,
        failover::FAILOVER,
        failure_reports::COUNT_FAILURE_REPORTS,
        forget::FORGET,
        help::HELP,
        ids::MYID,
        ids::MYSHARDID,
        info::INFO,
        keys::COUNTKEYSINSLOT,
        keys::GETKEYSINSLOT,
        keyslot::KEYSLOT,
        links::LINKS,
        meet::MEET,
        nodes::NODES,
        nodes::REPLICAS,
        nodes::SLAVES,
        replicate::REPLICATE,
        reset::RESET,
        setslot::SETSLOT,
        shards::SHARDS,
        slot_stats::SLOT_STATS,
        slots::SLOTS,
    ],
    absent::SUBCOMMANDS,
];

/// What all of them have in common.
const EACH: Spec = Spec { group: Group::Cluster, ..Spec::EMPTY };

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

const UNSET: Error = Error::Text("CLUSTERDOWN The cluster is not initialized");

const DISABLED: Error = Error::Text("ERR This instance has cluster support disabled");

const ASKING: Own = Own {
    spec: Spec {
        name: "asking",
        since: "3.0.0",
        summary: "Lets the next command use a slot that is on its way here, in a cluster.",
        flags: Flags::of(&[Flag::Fast]),
        categories: &["connection"],
        ..EACH
    },
    run: OwnRun::Client(asking),
};

const READONLY: Own = Own {
    spec: Spec {
        name: "readonly",
        since: "3.0.0",
        summary: "Says that the client reads from a replica of a cluster.",
        flags: MODE,
        categories: &["connection"],
        ..EACH
    },
    run: OwnRun::Client(readonly),
};

const READWRITE: Own = Own {
    spec: Spec {
        name: "readwrite",
        since: "3.0.0",
        summary: "Takes READONLY back.",
        flags: MODE,
        categories: &["connection"],
        ..EACH
    },
    run: OwnRun::Client(readwrite),
};

const MODE: Flags = Flags::of(&[Flag::Loading, Flag::Stale, Flag::Fast]);

/// Outside of a cluster this makes no difference: the server has all slots.
fn readonly(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    ctx.client.session.reads_replicas = true;
    ctx.replies.ok();
    Ok(())
}

fn readwrite(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    ctx.client.session.reads_replicas = false;
    ctx.replies.ok();
    Ok(())
}

fn asking(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    if ctx.node.cluster.is_none() {
        return Err(DISABLED);
    }
    // Within EXEC there is no next command: ASKING is over with the transaction.
    if !matches!(ctx.client.transactions, Transactions::Exec(_)) {
        ctx.client.session.asking = Asking::Next;
    }
    ctx.replies.ok();
    Ok(())
}

/// The cluster.
///
/// # Errors
/// Outside of cluster mode.
fn clustering(control: &Control) -> Result<&Clustering, Error> {
    control.clustering.as_deref().ok_or(DISABLED)
}

/// The cluster, once it has a topology.
///
/// # Errors
/// Outside of cluster mode, and before the first `CLUSTERX SETNODES`.
fn formed(control: &Control) -> Result<&Clustering, Error> {
    let clustering = clustering(control)?;
    match &clustering.external {
        Some(external) if !external.desired.is_set() => Err(UNSET),
        Some(_) | None => Ok(clustering),
    }
}

/// Has the cluster answer.
fn ask(command: Command) -> Result<Outcome, Error> {
    Ok(Outcome::Wait(Awaited::Cluster(Request::Plain(command))))
}

/// How the client sees nodes.
fn viewer(ctx: &ControlCtx<'_>) -> Result<Viewer, Error> {
    let endpoint = clustering(ctx.control)?.machine.settings().endpoint;
    Ok(Viewer { endpoint, network: ctx.network, security: Security::Plain })
}

/// A slot.
fn slot(word: &[u8]) -> Result<Slot, Error> {
    let number = parse_i64(word).and_then(|number| u16::try_from(number).ok());
    number.and_then(Slot::new).ok_or(Error::Text("ERR Invalid or out of range slot"))
}

/// The id of a node. A node that gossips knows none with capitals.
fn id(word: &[u8]) -> Result<NodeId, Error> {
    NodeId::given(word).ok_or_else(|| unknown_node(word))
}

/// There is no such subcommand.
fn unknown(subcommand: &[u8]) -> Error {
    Error::naming("ERR unknown subcommand '", subcommand, "'. Try CLUSTER HELP.")
}

/// The subcommand has no such words.
fn wrong_words(subcommand: &[u8]) -> Error {
    let before = "ERR unknown subcommand or wrong number of arguments for '";
    Error::naming(before, subcommand, "'. Try CLUSTER HELP.")
}

/// A node that is known.
fn known(machine: &Machine, word: &[u8]) -> Result<Key, Error> {
    let key = machine.nodes().find(id(word)?);
    key.ok_or_else(|| unknown_node(word))
}
