//! EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT key time [NX | XX | GT | LT]

use crate::base::number::{self, DIGITS_MAX};
use crate::base::time::UnixMs;
use crate::commands::ctx::Ctx;
use crate::commands::expiry::{Condition, TimeForm, remove_expired};
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::resp::error::Error;

const EACH: Spec = Spec {
    group: Group::Generic,
    arity: Arity::AtLeast(3),
    flags: Flags::of(&[Flag::Write, Flag::Fast]),
    categories: &["keyspace"],
    keys: &[KeySpec::first(&["RW", "UPDATE"])],
    ..Spec::EMPTY
};

pub(super) const EXPIRE: Command = Command {
    spec: Spec {
        name: "expire",
        since: "1.0.0",
        summary: "Lets a key expire after so many seconds.",
        syntax: "key seconds [NX | XX | GT | LT]",
        ..EACH
    },
    run: |ctx| set_expire(ctx, "expire", TimeForm::Ex),
};

pub(super) const PEXPIRE: Command = Command {
    spec: Spec {
        name: "pexpire",
        since: "2.6.0",
        summary: "Lets a key expire after so many milliseconds.",
        syntax: "key milliseconds [NX | XX | GT | LT]",
        ..EACH
    },
    run: |ctx| set_expire(ctx, "pexpire", TimeForm::Px),
};

pub(super) const EXPIREAT: Command = Command {
    spec: Spec {
        name: "expireat",
        since: "1.2.0",
        summary: "Lets a key expire at a Unix time in seconds.",
        syntax: "key unix-time-seconds [NX | XX | GT | LT]",
        ..EACH
    },
    run: |ctx| set_expire(ctx, "expireat", TimeForm::ExAt),
};

pub(super) const PEXPIREAT: Command = Command {
    spec: Spec {
        name: "pexpireat",
        since: "2.6.0",
        summary: "Lets a key expire at a Unix time in milliseconds.",
        syntax: "key unix-time-milliseconds [NX | XX | GT | LT]",
        ..EACH
    },
    run: |ctx| set_expire(ctx, "pexpireat", TimeForm::PxAt),
};

fn set_expire(ctx: &mut Ctx<'_>, name: &'static str, form: TimeForm) -> Result<(), Error> {
    let condition = Condition::parse(&ctx.args[3..])?;
    let number = number::parse_i64(ctx.args[2]).ok_or(Error::NotInteger)?;
    let now = ctx.db.now();
    let at = form.unix_ms(number, now).ok_or(Error::InvalidExpire(name))?;
    let key = ctx.key(1);
    let Some(current) = ctx.db.write(key).map(|entry| entry.expire()) else {
        ctx.replies.integer(0);
        return Ok(());
    };
    if !condition.holds(current, at) {
        ctx.replies.integer(0);
        return Ok(());
    }
    // A time before 1970 is over like the first millisecond of it, and 0 is no time of a key.
    let at = UnixMs(u64::try_from(at).unwrap_or(0).max(1));
    if ctx.db.gone_by() < at {
        ctx.db.set_expire(key, Some(at));
        ctx.db.changed(key, Class::Generic, "expire");
        let mut text = [0; DIGITS_MAX];
        let text = number::format_u64(&mut text, at.0);
        ctx.db.effects.log_instead(&[b"PEXPIREAT", key.bytes, text]);
    } else {
        remove_expired(&mut ctx.db, key);
    }
    ctx.replies.integer(1);
    Ok(())
}
