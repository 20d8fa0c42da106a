//! TYPE key

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::encodings::entry::Value;
use crate::keyspace::db::Entry;
use crate::resp::error::Error;

pub(super) const TYPE: Command = Command {
    spec: Spec {
        name: "type",
        group: Group::Generic,
        since: "1.0.0",
        summary: "Names the type of a key's value; `none` if there is no such key.",
        syntax: "key",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        categories: &["keyspace"],
        keys: &[KeySpec::first(&["RO"])],
        ..Spec::EMPTY
    },
    run: type_of,
};

/// The names that TYPE can answer in this family of servers.
pub(super) const TYPES: &[&str] = &["string", "list", "set", "zset", "hash", "stream"];

/// One of [`TYPES`].
pub(super) fn name_of(entry: &Entry) -> &'static str {
    match entry.value() {
        Value::Int(_) | Value::Bytes(_) => "string",
        Value::Object(object) => match *object {},
    }
}

fn type_of(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let name = ctx.db.look(key).map_or("none", name_of);
    ctx.replies.simple(name);
    Ok(())
}
