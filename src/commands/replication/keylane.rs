//! KEYLANE FLOW name log offset | KEYLANE SNAPSHOT name connection

use shards::base::number::parse_u64;
use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::clients::leaving::{Errand, FlowRequest, SnapshotRequest};
use crate::commands::own::{Own, OwnRun};
use crate::commands::replication::psync::EACH;
use crate::replication::replid::ReplId;

pub(super) const KEYLANE: Own = Own {
    spec: Spec {
        name: "keylane",
        since: "1.0.0",
        summary: "Asks for a log or a part of a snapshot; what replicas do that are Keylane.",
        syntax: "<FLOW name log offset | SNAPSHOT name connection>",
        arity: Arity::AtLeast(4),
        ..EACH
    },
    run: OwnRun::Client(keylane),
};

/// Has the client's socket leave for something that a session was told of.
fn keylane(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let name = |name: &[u8]| ReplId::parse(name).ok_or(Error::Syntax);
    let small = |number: &[u8]| {
        let number = parse_u64(number).and_then(|number| u16::try_from(number).ok());
        number.ok_or(Error::NotInteger)
    };
    let errand = match *ctx.args {
        [_, word, of, flow, offset] if word.eq_ignore_ascii_case(b"flow") => {
            let (name, flow) = (name(of)?, small(flow)?);
            let offset = parse_u64(offset).ok_or(Error::NotInteger)?;
            Errand::Flow(FlowRequest { name, flow, offset })
        }
        [_, word, of, connection] if word.eq_ignore_ascii_case(b"snapshot") => {
            let (name, connection) = (name(of)?, small(connection)?);
            Errand::Snapshot(SnapshotRequest { name, connection })
        }
        _ => return Err(Error::Syntax),
    };
    ctx.client.leave(errand);
    Ok(())
}
