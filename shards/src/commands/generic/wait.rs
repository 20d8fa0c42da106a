//! WAIT numreplicas timeout, WAITAOF numlocal numreplicas timeout
//!
//! The floor above knows which replicas have what the client wrote, and answers: with how many they
//! are, as soon as they are enough or time is up. Within MULTI nothing waits: they are counted.
//! There is no append-only file. On a replica they are refused: its clients' writes go nowhere.

use crate::base::number::parse_i64;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Spec, Spread};
use crate::commands::waiting::Timeout;
use crate::effects::InVain;
use crate::resp::error::Error;

pub(super) const WAIT: Command = Command {
    spec: Spec {
        name: "wait",
        since: "3.0.0",
        summary: "Waits until so many replicas have what the client wrote.",
        syntax: "numreplicas timeout",
        arity: Arity::Exactly(3),
        ..EACH
    },
    run: wait,
};

pub(super) const WAITAOF: Command = Command {
    spec: Spec {
        name: "waitaof",
        since: "7.2.0",
        summary: "Waits until append-only files have what the client wrote; this server has none.",
        syntax: "numlocal numreplicas timeout",
        arity: Arity::Exactly(4),
        ..EACH
    },
    run: waitaof,
};

const EACH: Spec = Spec {
    flags: Flags::of(&[Flag::Blocking]),
    categories: &["connection"],
    tips: &["request_policy:all_shards", "response_policy:agg_min"],
    spread: Spread::Anywhere,
    ..Spec::EMPTY
};

const NUMLOCAL: Error = Error::Text("ERR value is out of range, value must between 0 and 1");
const NUMREPLICAS: Error = Error::Text("ERR value is out of range, must be positive");
const NO_FILE: Error =
    Error::Text("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");

const WAIT_ON_REPLICA: Error = Error::Text(
    "ERR WAIT cannot be used with replica instances. Please also note that if a replica is \
     configured to be writable (which is not the default) writes to replicas are just local and \
     are not propagated.",
);
const WAITAOF_ON_REPLICA: Error = Error::Text(
    "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas \
     are just local and are not propagated.",
);

fn wait(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    if ctx.db.keyspace.settings.is_replica {
        return Err(WAIT_ON_REPLICA);
    }
    let [_, replicas, timeout] = ctx.args else { return Err(Error::Syntax) };
    let replicas = parse_i64(replicas).ok_or(Error::NotInteger)?;
    let timeout = Timeout::of_millis(timeout, ctx.db.now())?;
    ctx.replies.integer(0);
    ctx.wait_for_replicas(timeout, InVain::Replicas(u64::try_from(replicas).unwrap_or(0)));
    Ok(())
}

fn waitaof(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let [_, local, replicas, timeout] = ctx.args else { return Err(Error::Syntax) };
    let local = parse_i64(local).ok_or(Error::NotInteger)?;
    let local = u64::try_from(local).ok().filter(|local| *local <= 1).ok_or(NUMLOCAL)?;
    let replicas = parse_i64(replicas).and_then(|replicas| u64::try_from(replicas).ok());
    let replicas = replicas.ok_or(NUMREPLICAS)?;
    let timeout = Timeout::of_millis(timeout, ctx.db.now())?;
    if ctx.db.keyspace.settings.is_replica {
        return Err(WAITAOF_ON_REPLICA);
    }
    if local == 1 {
        return Err(NO_FILE);
    }
    ctx.replies.array(2);
    ctx.replies.integer(0);
    ctx.replies.integer(0);
    ctx.wait_for_replicas(timeout, InVain::Disks(replicas));
    Ok(())
}
