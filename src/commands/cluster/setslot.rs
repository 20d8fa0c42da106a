//! CLUSTER SETSLOT slot MIGRATING node | IMPORTING node | STABLE | NODE node [TIMEOUT milliseconds]

use shards::base::number::parse_i64;
use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::cluster::ids::NodeId;
use crate::cluster::machine::event::{Command, SetSlot};
use crate::commands::cluster::{CHANGES, ask, clustering, slot};
use crate::commands::own::{Own, OwnRun};
use crate::control::clustering::asking::{Counted, Request};
use crate::control::ctx::{Awaited, ControlCtx, Outcome};

pub(super) const SETSLOT: Own = Own {
    spec: Spec {
        name: "cluster|setslot",
        since: "3.0.0",
        summary: "Says on which server a slot is, or to which it is on its way, in a cluster.",
        syntax: "slot <IMPORTING importing | MIGRATING migrating | NODE node | STABLE> \
        [TIMEOUT timeout]",
        arity: Arity::AtLeast(4),
        ..CHANGES
    },
    run: OwnRun::Control(run),
};

const ACTION: Error =
    Error::Text("ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP");

fn run(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    if clustering(ctx.control)?.machine.nodes().me().is_replica() {
        return Err(Error::Text("ERR Please use SETSLOT only with masters."));
    }
    let slot = slot(ctx.args[2])?;
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let mut words = &ctx.args[3..];
    if let [.., option, timeout] = words
        && is(option, "timeout")
    {
        let timeout = parse_i64(timeout).ok_or(Error::TimeoutNotInteger)?;
        if timeout < 0 {
            return Err(Error::TimeoutNegative);
        }
        words = &words[..words.len() - 2];
    } else if let [.., option] = words
        && is(option, "timeout")
    {
        return Err(Error::Text("ERR Missing timeout value"));
    }
    let nodes = clustering(ctx.control)?.machine.nodes();
    let is_mine = nodes.owner(slot) == Some(nodes.myself());
    let unknown = |before, word| Error::naming(before, word, "");
    let owned = |before| Error::naming(before, slot.number().to_string().as_bytes(), "");
    let stranger = |word| unknown("ERR I don't know about node ", word);
    match words {
        [action, _] if is(action, "migrating") && !is_mine => {
            Err(owned("ERR I'm not the owner of hash slot "))
        }
        [action, _] if is(action, "importing") && is_mine => {
            Err(owned("ERR I'm already the owner of hash slot "))
        }
        [action, node] if is(action, "migrating") => {
            let id = NodeId::parse(node).ok_or_else(|| stranger(node))?;
            ask(Command::SetSlot(slot, SetSlot::Migrating(id)))
        }
        [action, node] if is(action, "importing") => {
            let id = NodeId::parse(node).ok_or_else(|| stranger(node))?;
            ask(Command::SetSlot(slot, SetSlot::Importing(id)))
        }
        [action, ..] if is(action, "stable") => ask(Command::SetSlot(slot, SetSlot::Stable)),
        [action, node] if is(action, "node") => {
            let id = NodeId::parse(node).ok_or_else(|| unknown("ERR Unknown node ", node))?;
            Ok(Outcome::Wait(Awaited::Cluster(Request::Counted(Counted::Assign(slot, id)))))
        }
        _ => Err(ACTION),
    }
}
