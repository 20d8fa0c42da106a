//! HPERSIST key FIELDS numfields field \[field ...]

use alloc::vec::Vec;

use super::fields;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

pub(super) const HPERSIST: Command = Command {
    spec: Spec {
        name: "hpersist",
        group: Group::Hash,
        since: "9.0.0",
        summary: "Lets fields of a hash not expire any more.",
        complexity: "O(N), N being the number of fields.",
        syntax: "key FIELDS numfields field [field ...]",
        arity: Arity::AtLeast(5),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: hpersist,
};

/// What is answered for each field.
const NO_FIELD: i64 = -2;
const NO_EXPIRY: i64 = -1;
const CLEARED: i64 = 1;

fn hpersist(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let fields = fields::only(&ctx.args[2..], None)?;
    let (key, rules) = (ctx.key(1), ctx.db.hash_rules());
    let mut hash = ctx.db.write_hash(key)?;
    ctx.replies.array(fields.len());
    let mut changed: Vec<&[u8]> = Vec::new();
    for field in fields {
        let answer = match hash.as_mut().map(|hash| (hash.expiry(field, rules.due_by), hash)) {
            None | Some((None, _)) => NO_FIELD,
            Some((Some(None), _)) => NO_EXPIRY,
            Some((Some(Some(_)), hash)) => {
                hash.set_expiry(field, None, rules.seed);
                changed.push(field);
                CLEARED
            }
        };
        ctx.replies.integer(answer);
    }
    fields::persisted(&mut ctx.db, key, &changed);
    Ok(())
}
