//! CLUSTERX: what a controller of Kvrocks says to its nodes, with `cluster-topology external`.
//!
//! ```text
//! VERSION | MYID
//! SETNODEID id
//! SETNODES text version [FORCE]
//! SETSLOT slots NODE id version
//! WAIT version milliseconds        ours
//! ```
//! Words and errors are those of Kvrocks. Only WAIT waits for replication: it is `+OK` as soon as
//! this version, or a later one, is in force here and replication is as it says.

use shards::base::number::{parse_i64, parse_u64};
use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::cluster::ids::{ID_LEN, NodeId};
use crate::commands::own::{Own, OwnRun};
use crate::control::clustering::asking::Request as Asked;
use crate::control::clustering::external::{External, Request};
use crate::control::ctx::{Awaited, ControlCtx, Outcome};
use crate::topology::desired::{Change, Force};
use crate::topology::text;

pub(super) const CLUSTERX: Own = Own {
    spec: Spec {
        name: "clusterx",
        group: Group::Cluster,
        since: "9.1.0",
        summary: "Sets the topology of this server from outside, in a cluster.",
        complexity: "O(N) with N the number of nodes and slots.",
        syntax: "<VERSION | MYID | SETNODEID id | SETNODES text version [FORCE] | SETSLOT slots \
                 NODE id version | WAIT version milliseconds>",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Stale, Flag::NoAsyncLoading]),
        ..Spec::EMPTY
    },
    run: OwnRun::Control(run),
};

const DISABLED: Error = Error::Text("ERR Cluster mode is not enabled");
const GOSSIP: Error = Error::Text(
    "ERR This node agrees on its topology with others: CLUSTERX needs cluster-topology external",
);
const USAGE: Error =
    Error::Text("ERR CLUSTERX command, CLUSTERX VERSION|MYID|SETNODEID|SETNODES|SETSLOT|MIGRATE");
const MIGRATE: Error = Error::Text(
    "ERR CLUSTERX MIGRATE is not supported: move keys by MIGRATE, then the slot by SETSLOT or \
     SETNODES",
);
const VERSION: Error = Error::Text("ERR Invalid version");
const NODES_OPTIONS: Error = Error::Text("ERR Invalid setnodes options");
const SLOT_OPTIONS: Error = Error::Text("ERR Invalid setslot options");
const NODE_ID: Error = Error::Text("ERR Invalid node id");
/// Milliseconds that WAIT may wait.
const WAIT_MS_MAX: u64 = 3_600_000;

fn run(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let clustering = ctx.control.clustering.as_deref().ok_or(DISABLED)?;
    let external = clustering.external.as_ref().ok_or(GOSSIP)?;
    let mut word = ctx.args[1].to_vec();
    word.make_ascii_lowercase();
    let request = match (word.as_slice(), &ctx.args[2..]) {
        (b"version" | b"myid", []) => {
            let told = told(&word, external);
            ctx.replies.bulk(told.as_bytes());
            return Ok(Outcome::Done);
        }
        (b"setnodeid", [id]) if id.len() == ID_LEN => {
            Request::Change(Change::Name(NodeId::given(id).ok_or(NODE_ID)?))
        }
        (b"setnodes", [nodes, version, options @ ..]) => {
            Request::Change(set_nodes(nodes, version, options)?)
        }
        (b"setslot", [slots, node, id, version]) => {
            Request::Change(set_slot(slots, node, id, version)?)
        }
        (b"migrate", [_, _, ..]) => return Err(MIGRATE),
        (b"wait", [version, millis]) => {
            let millis = parse_u64(millis).filter(|millis| *millis <= WAIT_MS_MAX);
            Request::Wait(
                parse_i64(version).ok_or(VERSION)?,
                millis.ok_or(Error::TimeoutNotInteger)?,
            )
        }
        _ => return Err(USAGE),
    };
    Ok(Outcome::Wait(Awaited::Cluster(Asked::External(request))))
}

fn told(word: &[u8], external: &External) -> String {
    match word {
        b"version" => external.desired.version().to_string(),
        _ => external.desired.id.map(|id| id.to_string()).unwrap_or_default(),
    }
}

fn set_nodes(nodes: &[u8], version: &[u8], options: &[&[u8]]) -> Result<Change, Error> {
    let version = parse_i64(version).ok_or(VERSION)?;
    let force = match options {
        [] => Force::No,
        [word] if word.eq_ignore_ascii_case(b"force") => Force::Yes,
        _ => return Err(NODES_OPTIONS),
    };
    Ok(Change::Nodes { text: nodes.to_vec(), version, force })
}

fn set_slot(slots: &[u8], node: &[u8], id: &[u8], version: &[u8]) -> Result<Change, Error> {
    let slots = text::slots(slots)?;
    if !node.eq_ignore_ascii_case(b"node") {
        return Err(SLOT_OPTIONS);
    }
    let owner = NodeId::given(id).ok_or(NODE_ID)?;
    let version = parse_i64(version).filter(|version| 0 <= *version).ok_or(VERSION)?;
    Ok(Change::Slots { slots, owner, version })
}
