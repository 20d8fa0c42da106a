//! HEXPIRE, HPEXPIRE, HEXPIREAT, HPEXPIREAT key time \[NX | XX | GT | LT]
//! FIELDS numfields field \[field ...]

use alloc::vec::Vec;

use super::fields;
use crate::commands::ctx::Ctx;
use crate::commands::expiry::{Condition, TimeForm};
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

const EACH: Spec = Spec {
    group: Group::Hash,
    since: "9.0.0",
    complexity: "O(N), N being the number of fields.",
    arity: Arity::AtLeast(6),
    flags: Flags::of(&[Flag::Write, Flag::Fast]),
    keys: &[KeySpec::first(&["RW", "UPDATE"])],
    ..Spec::EMPTY
};

pub(super) const HEXPIRE: Command = Command {
    spec: Spec {
        name: "hexpire",
        summary: "Lets fields of a hash expire after so many seconds.",
        syntax: "key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        ..EACH
    },
    run: |ctx| expire(ctx, "hexpire", TimeForm::Ex),
};

pub(super) const HPEXPIRE: Command = Command {
    spec: Spec {
        name: "hpexpire",
        summary: "Lets fields of a hash expire after so many milliseconds.",
        syntax: "key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        ..EACH
    },
    run: |ctx| expire(ctx, "hpexpire", TimeForm::Px),
};

pub(super) const HEXPIREAT: Command = Command {
    spec: Spec {
        name: "hexpireat",
        summary: "Lets fields of a hash expire at a Unix time in seconds.",
        syntax: "key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        ..EACH
    },
    run: |ctx| expire(ctx, "hexpireat", TimeForm::ExAt),
};

pub(super) const HPEXPIREAT: Command = Command {
    spec: Spec {
        name: "hpexpireat",
        summary: "Lets fields of a hash expire at a Unix time in milliseconds.",
        syntax: "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        ..EACH
    },
    run: |ctx| expire(ctx, "hpexpireat", TimeForm::PxAt),
};

/// What is answered for each field.
const NO_FIELD: i64 = -2;
const NOT_NOW: i64 = 0;
const SET: i64 = 1;
const GONE: i64 = 2;

fn expire(ctx: &mut Ctx<'_>, name: &'static str, form: TimeForm) -> Result<(), Error> {
    let (options, counted) = fields::split(&ctx.args[3..])?;
    let condition = Condition::parse(options)?;
    let fields = fields::counted(counted, 1)?;
    let (rules, gone_by) = (ctx.db.hash_rules(), ctx.db.gone_by());
    let at = fields::deadline(form, ctx.args[2], ctx.db.now(), name)?;
    let key = ctx.key(1);
    let hash = ctx.db.write_hash(key)?;
    ctx.replies.array(fields.len());
    let Some(hash) = hash else {
        fields.iter().for_each(|_| ctx.replies.integer(NO_FIELD));
        return Ok(());
    };
    let signed = i64::try_from(at.0).unwrap_or(i64::MAX);
    let mut changed: Vec<&[u8]> = Vec::new();
    for field in fields {
        let answer = match hash.expiry(field, rules.due_by) {
            None => NO_FIELD,
            Some(current) if !condition.holds(current, signed) => NOT_NOW,
            Some(_) => {
                changed.push(field);
                if gone_by < at {
                    hash.set_expiry(field, Some(at), rules.seed);
                    SET
                } else {
                    hash.remove(field, rules.due_by);
                    GONE
                }
            }
        };
        ctx.replies.integer(answer);
    }
    fields::times_changed(&mut ctx.db, key, at, &changed);
    Ok(())
}
