//! HGETEX key \[EX seconds | PX milliseconds | EXAT unix-time-seconds |
//! PXAT unix-time-milliseconds | PERSIST] FIELDS numfields field \[field ...]

use alloc::vec::Vec;

use super::{fields, hget};
use crate::commands::ctx::Ctx;
use crate::commands::expiry::Wish;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

pub(super) const HGETEX: Command = Command {
    spec: Spec {
        name: "hgetex",
        group: Group::Hash,
        since: "9.0.0",
        summary: "Returns the values of fields of a hash and sets or clears when they expire.",
        complexity: "O(N), N being the number of fields.",
        syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
                 PXAT unix-time-milliseconds | PERSIST] FIELDS numfields field [field ...]",
        arity: Arity::AtLeast(5),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "ACCESS", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: hgetex,
};

fn hgetex(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (mut options, counted) = fields::split(&ctx.args[2..])?;
    let mut wish = Wish::default();
    while !options.is_empty() {
        let taken = wish.take(options)?;
        if taken == 0 || wish == Wish::Keep {
            return Err(Error::Syntax);
        }
        options = &options[taken..];
    }
    let fields = fields::counted(counted, 1)?;
    let (key, rules, now) = (ctx.key(1), ctx.db.hash_rules(), ctx.db.now());
    let gone_by = ctx.db.gone_by();
    // Looked up to read first: that counts as a hit or a miss, and a miss is an event.
    let is_there = ctx.db.read_hash(key)?.is_some();
    let mut hash = if is_there { ctx.db.write_hash(key)? } else { None };
    let deadline = match wish {
        Wish::Time(form, text) => Some(fields::deadline(form, text, now, "hgetex")?),
        Wish::Unsaid | Wish::Keep | Wish::Persist => None,
    };
    ctx.replies.array(fields.len());
    let mut changed: Vec<&[u8]> = Vec::new();
    for field in fields {
        let value = hash.as_ref().and_then(|hash| hash.get(field, rules.due_by));
        let is_there = value.is_some();
        hget::write(&mut ctx.replies, value);
        let Some(hash) = hash.as_mut().filter(|_| is_there) else { continue };
        let is_changed = match deadline {
            Some(at) if at <= gone_by => hash.remove(field, rules.due_by),
            Some(at) => {
                hash.set_expiry(field, Some(at), rules.seed);
                true
            }
            None => {
                let expires = hash.expiry(field, rules.due_by).flatten().is_some();
                if wish == Wish::Persist && expires {
                    hash.set_expiry(field, None, rules.seed);
                }
                wish == Wish::Persist && expires
            }
        };
        if is_changed {
            changed.push(field);
        }
    }
    match deadline {
        Some(at) => fields::times_changed(&mut ctx.db, key, at, &changed),
        None => fields::persisted(&mut ctx.db, key, &changed),
    }
    Ok(())
}
