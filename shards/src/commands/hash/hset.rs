//! HSET key field value \[field value ...], HMSET key field value \[field value ...],
//! HSETNX key field value

use alloc::string::ToString;

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::resp::error::Error;
use crate::types::hash::FieldExpiry;

const EACH: Spec = Spec {
    group: Group::Hash,
    since: "2.0.0",
    flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
    ..Spec::EMPTY
};

pub(super) const HSET: Command = Command {
    spec: Spec {
        name: "hset",
        summary: "Sets fields of a hash; says how many of them were not there.",
        complexity: "O(N), N being the number of fields.",
        syntax: "key field value [field value ...]",
        arity: Arity::AtLeast(4),
        keys: &[KeySpec::first(&["RW", "UPDATE"])],
        ..EACH
    },
    run: |ctx| {
        let added = set(ctx, "hset")?;
        ctx.replies.integer(added);
        Ok(())
    },
};

pub(super) const HMSET: Command = Command {
    spec: Spec {
        name: "hmset",
        summary: "Sets fields of a hash.",
        complexity: "O(N), N being the number of fields.",
        syntax: "key field value [field value ...]",
        arity: Arity::AtLeast(4),
        keys: &[KeySpec::first(&["RW", "UPDATE"])],
        ..EACH
    },
    run: |ctx| {
        set(ctx, "hmset")?;
        ctx.replies.ok();
        Ok(())
    },
};

pub(super) const HSETNX: Command = Command {
    spec: Spec {
        name: "hsetnx",
        summary: "Sets a field of a hash if it is not there.",
        syntax: "key field value",
        arity: Arity::Exactly(4),
        keys: &[KeySpec::first(&["RW", "INSERT"])],
        ..EACH
    },
    run: hsetnx,
};

/// Sets all fields; returns how many were not there.
fn set(ctx: &mut Ctx<'_>, name: &str) -> Result<i64, Error> {
    let pairs = &ctx.args[2..];
    if !pairs.len().is_multiple_of(2) {
        return Err(Error::WrongArity(name.to_string()));
    }
    let (key, rules) = (ctx.key(1), ctx.db.hash_rules());
    ctx.db.clear_due_fields(key, pairs.iter().step_by(2).copied());
    let hash = ctx.db.hash_or_new(key)?;
    if 2 < pairs.len() {
        hash.prepare(pairs, &rules);
    }
    let mut added = 0;
    for pair in pairs.chunks_exact(2) {
        added += i64::from(hash.set(pair[0], pair[1], FieldExpiry::Clear, &rules));
    }
    if hash.is_filed_in_vain() {
        ctx.db.refile_fields(key);
    }
    ctx.db.changed(key, Class::Hash, "hset");
    ctx.db.effects.dirty += pairs.len() as u64 / 2 - 1;
    Ok(added)
}

fn hsetnx(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, rules) = (ctx.key(1), ctx.db.hash_rules());
    let (field, value) = (ctx.args[2], ctx.args[3]);
    ctx.db.clear_due_fields(key, [field].into_iter());
    let hash = ctx.db.hash_or_new(key)?;
    if hash.get(field, rules.due_by).is_some() {
        ctx.replies.integer(0);
        return Ok(());
    }
    hash.set(field, value, FieldExpiry::Clear, &rules);
    ctx.db.changed(key, Class::Hash, "hset");
    ctx.replies.integer(1);
    Ok(())
}
