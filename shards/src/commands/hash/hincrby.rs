//! HINCRBY key field increment

use crate::base::number::{DIGITS_MAX, format_i64, parse_i64};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::resp::error::Error;
use crate::types::hash::FieldExpiry;

pub(super) const HINCRBY: Command = Command {
    spec: Spec {
        name: "hincrby",
        group: Group::Hash,
        since: "2.0.0",
        summary: "Adds a number to the integer value of a field; a missing field counts as 0.",
        syntax: "key field increment",
        arity: Arity::Exactly(4),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "ACCESS", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: hincrby,
};

fn hincrby(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, field, rules) = (ctx.key(1), ctx.args[2], ctx.db.hash_rules());
    let increment = parse_i64(ctx.args[3]).ok_or(Error::NotInteger)?;
    ctx.db.clear_due_fields(key, [field].into_iter());
    // Nothing fails in a hash that was just made or emptied, so none is left behind empty.
    let hash = ctx.db.hash_or_new(key)?;
    let before = match hash.get(field, rules.due_by) {
        Some(value) => value.int().ok_or(Error::Text("ERR hash value is not an integer"))?,
        None => 0,
    };
    let sum = before.checked_add(increment).ok_or(Error::Overflow)?;
    let mut text = [0; DIGITS_MAX];
    hash.set(field, format_i64(&mut text, sum), FieldExpiry::Keep, &rules);
    ctx.db.changed(key, Class::Hash, "hincrby");
    ctx.replies.integer(sum);
    Ok(())
}
