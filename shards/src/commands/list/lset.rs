//! LSET key index element

use super::limits;
use crate::base::number::parse_i64;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::resp::error::Error;

pub(super) const LSET: Command = Command {
    spec: Spec {
        name: "lset",
        group: Group::List,
        since: "1.0.0",
        summary: "Puts another element in the place of the one that has this number.",
        complexity: "O(N), N being the number of blocks of nodes up to it: hardly any.",
        syntax: "key index element",
        arity: Arity::Exactly(4),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::first(&["RW", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: lset,
};

/// Valkey cuts the index to 32 bits, so that `LSET key 4294967296 x` changes the first element.
/// Here it is out of range.
fn lset(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, limits) = (ctx.key(1), limits(&ctx.db));
    let list = ctx.db.write_list(key)?.ok_or(Error::NoSuchKey)?;
    let index = parse_i64(ctx.args[2]).ok_or(Error::NotInteger)?;
    if !list.set(index, ctx.args[3], limits) {
        return Err(Error::IndexOutOfRange);
    }
    ctx.db.changed(key, Class::List, "lset");
    ctx.replies.ok();
    Ok(())
}
