//! GETEX key \[EX seconds | PX milliseconds | EXAT unix-time-seconds |
//! PXAT unix-time-milliseconds | PERSIST]

use crate::base::number::format_u64;
use crate::base::time::UnixMs;
use crate::commands::ctx::Ctx;
use crate::commands::expiry::{Wish, remove_expired};
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::keyspace::selected::Key;
use crate::resp::error::Error;

pub(super) const GETEX: Command = Command {
    spec: Spec {
        name: "getex",
        group: Group::String,
        since: "6.2.0",
        summary: "Returns the string value of a key and sets or clears when it expires.",
        complexity: "O(1)",
        syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
                 PXAT unix-time-milliseconds | PERSIST]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "ACCESS", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: getex,
};

fn getex(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let mut wish = Wish::default();
    let mut rest = &ctx.args[2..];
    while !rest.is_empty() {
        let taken = wish.take(rest)?;
        if taken == 0 || wish == Wish::Keep {
            return Err(Error::Syntax);
        }
        rest = &rest[taken..];
    }
    let deadline = match wish {
        Wish::Time(form, text) => Some(form.deadline(text, ctx.db.now(), "getex")?),
        Wish::Unsaid | Wish::Keep | Wish::Persist => None,
    };

    let key = ctx.key(1);
    let mut scratch = [0; 20];
    let expires = match ctx.db.read(key) {
        Some(entry) => {
            ctx.replies.bulk(entry.bytes(&mut scratch).ok_or(Error::WrongType)?);
            entry.expire().is_some()
        }
        None => {
            ctx.replies.null();
            return Ok(());
        }
    };
    if let Some(at) = deadline {
        expire_at(ctx, key, at);
    } else if wish == Wish::Persist && expires {
        ctx.db.set_expire(key, None);
        ctx.db.changed(key, Class::Generic, "persist");
        ctx.db.effects.log_instead(&[b"PERSIST", key.bytes]);
    }
    Ok(())
}

fn expire_at(ctx: &mut Ctx<'_>, key: Key<'_>, at: UnixMs) {
    if at <= ctx.db.gone_by() {
        remove_expired(&mut ctx.db, key);
        return;
    }
    ctx.db.set_expire(key, Some(at));
    ctx.db.changed(key, Class::Generic, "expire");
    let mut text = [0; 20];
    let at = format_u64(&mut text, at.0);
    ctx.db.effects.log_instead(&[b"PEXPIREAT", key.bytes, at]);
}
