//! HINCRBYFLOAT key field increment

use alloc::vec::Vec;

use super::fields;
use crate::base::long_double::LongDouble;
use crate::base::number::{DIGITS_MAX, format_u64};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::resp::error::Error;
use crate::types::hash::FieldExpiry;

pub(super) const HINCRBYFLOAT: Command = Command {
    spec: Spec {
        name: "hincrbyfloat",
        group: Group::Hash,
        since: "2.6.0",
        summary: "Adds a number to the floating-point value of a field; a missing one counts as 0.",
        syntax: "key field increment",
        arity: Arity::Exactly(4),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "ACCESS", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: hincrbyfloat,
};

fn hincrbyfloat(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, field, rules) = (ctx.key(1), ctx.args[2], ctx.db.hash_rules());
    let increment = LongDouble::parse(ctx.args[3]).ok_or(Error::NotFloat)?;
    if !increment.is_finite() {
        return Err(Error::Text("ERR value is NaN or Infinity"));
    }
    ctx.db.clear_due_fields(key, [field].into_iter());
    // Nothing fails in a hash that was just made or emptied, so none is left behind empty.
    let hash = ctx.db.hash_or_new(key)?;
    let mut scratch = [0; DIGITS_MAX];
    let before = match hash.get(field, rules.due_by) {
        Some(value) => value.bytes(&mut scratch),
        None => b"0",
    };
    let before = LongDouble::parse(before).ok_or(Error::Text("ERR hash value is not a float"))?;
    let sum = before + increment;
    if !sum.is_finite() {
        return Err(Error::NanOrInfinity);
    }
    let mut text = Vec::new();
    sum.write(&mut text);
    hash.set(field, &text, FieldExpiry::Keep, &rules);
    let expiry = hash.expiry(field, rules.due_by).flatten();
    ctx.db.changed(key, Class::Hash, "hincrbyfloat");
    // A replica that computes differently would drift away.
    match expiry {
        Some(at) => {
            let at = format_u64(&mut scratch, at.0);
            let start = [b"HSETEX", key.bytes, b"PXAT", at];
            fields::log_pairs(&mut ctx.db, &start, &[field, &text]);
        }
        None => ctx.db.effects.log_instead(&[b"HSET", key.bytes, field, &text]),
    }
    ctx.replies.bulk(&text);
    Ok(())
}
