//! XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]

use crate::base::number::parse_i64;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::commands::stream::ids::parse_id;
use crate::effects::Class;
use crate::resp::error::Error;
use crate::types::stream::id::StreamId;

pub(super) const XSETID: Command = Command {
    spec: Spec {
        name: "xsetid",
        group: Group::Stream,
        since: "5.0.0",
        summary: "Sets what a stream knows of its past; meant for replication.",
        syntax: "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: xsetid,
};

const ADDED_NEGATIVE: Error = Error::Text("ERR entries_added must be positive");
const BELOW_GIVEN_DELETED: Error =
    Error::Text("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
const BELOW_DELETED: Error =
    Error::Text("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id");
const BELOW_LAST: Error =
    Error::Text("ERR The ID specified in XSETID is smaller than the target stream top item");
const ADDED_BELOW_LEN: Error = Error::Text(
    "ERR The entries_added specified in XSETID is smaller than the target stream length",
);

fn xsetid(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, args) = (ctx.key(1), ctx.args);
    let id = parse_id(args[2])?;
    let (added, deleted) = parse_options(id, &args[3..])?;
    let log = ctx.db.write_stream(key)?.ok_or(Error::NoSuchKey)?.log_mut();
    if id < log.max_deleted_id() {
        return Err(BELOW_DELETED);
    }
    if log.last_entry_id().is_some_and(|last| id < last) {
        return Err(BELOW_LAST);
    }
    if added.is_some_and(|added| added < log.len()) {
        return Err(ADDED_BELOW_LEN);
    }
    log.set_last_id(id, added, deleted.filter(|id| *id != StreamId::MIN));
    ctx.db.effects.dirty += 1;
    ctx.db.event(key, Class::Stream, "xsetid");
    ctx.replies.ok();
    Ok(())
}

fn parse_options(
    id: StreamId,
    mut options: &[&[u8]],
) -> Result<(Option<u64>, Option<StreamId>), Error> {
    let (mut added, mut deleted) = (None, None);
    while let [name, rest @ ..] = options {
        let [value, rest @ ..] = rest else { return Err(Error::Syntax) };
        if name.eq_ignore_ascii_case(b"ENTRIESADDED") {
            let number = parse_i64(value).ok_or(Error::NotInteger)?;
            added = Some(u64::try_from(number).map_err(|_| ADDED_NEGATIVE)?);
        } else if name.eq_ignore_ascii_case(b"MAXDELETEDID") {
            let max = parse_id(value)?;
            if id < max {
                return Err(BELOW_GIVEN_DELETED);
            }
            deleted = Some(max);
        } else {
            return Err(Error::Syntax);
        }
        options = rest;
    }
    Ok((added, deleted))
}
