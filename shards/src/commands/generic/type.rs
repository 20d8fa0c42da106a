//! TYPE key

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
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

fn type_of(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let name = ctx.db.look(key).map_or("none", Entry::type_name);
    ctx.replies.simple(name);
    Ok(())
}
