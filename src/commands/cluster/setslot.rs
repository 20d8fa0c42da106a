//! CLUSTER SETSLOT slot MIGRATING node | IMPORTING node | STABLE | NODE node [TIMEOUT milliseconds]

use shards::base::number::parse_i64;
use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::cluster::machine::event::SetSlot;
use crate::commands::cluster::{CHANGES, clustering, id, slot};
use crate::commands::own::{Own, OwnRun};
use crate::control::clustering::asking::{Counted, Request, Told};
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

/// Milliseconds for replicas to acknowledge it.
const TIMEOUT_MS: u64 = 2000;
const ACTION: Error =
    Error::Text("ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP");

fn run(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let machine = &clustering(ctx.control)?.machine;
    machine.may_set_slots()?;
    let slot = slot(ctx.args[2])?;
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let (mut words, mut timeout_ms) = (&ctx.args[3..], TIMEOUT_MS);
    if let [.., option, timeout] = words
        && is(option, "timeout")
    {
        let timeout = parse_i64(timeout).ok_or(Error::TimeoutNotInteger)?;
        timeout_ms = u64::try_from(timeout).map_err(|_| Error::TimeoutNegative)?;
        words = &words[..words.len() - 2];
    } else if let [.., option] = words
        && is(option, "timeout")
    {
        return Err(Error::Text("ERR Missing timeout value"));
    }
    let id_of = |key| machine.nodes().at(key).id;
    let request = match words {
        [action, node] if is(action, "migrating") => {
            SetSlot::Migrating(id_of(machine.target(slot, node)?))
        }
        [action, node] if is(action, "importing") => {
            SetSlot::Importing(id_of(machine.source(slot, node)?))
        }
        [action, ..] if is(action, "stable") => SetSlot::Stable,
        [action, node] if is(action, "node") => {
            let request = Counted::Assign(slot, id(node)?, Told::No(timeout_ms));
            return Ok(Outcome::Wait(Awaited::Cluster(Request::Counted(request))));
        }
        _ => return Err(ACTION),
    };
    Ok(Outcome::Wait(Awaited::Cluster(Request::SetSlot(slot, request, timeout_ms))))
}
