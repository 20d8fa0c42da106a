//! SET key value \[NX | XX | IFEQ comparison-value] \[GET] \[EX seconds | PX milliseconds |
//! EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]

use crate::base::number::format_u64;
use crate::base::time::UnixMs;
use crate::commands::ctx::Ctx;
use crate::commands::expiry::remove_expired;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::commands::string::set_options::{Condition, SetOptions};
use crate::effects::Class;
use crate::keyspace::selected::{Expiry, Key};
use crate::resp::error::Error;

pub(super) const SET: Command = Command {
    spec: Spec {
        name: "set",
        group: Group::String,
        since: "1.0.0",
        summary: "Sets the string value of a key, whatever its type, making the key if needed.",
        complexity: "O(1)",
        syntax: "key value [NX | XX | IFEQ comparison-value] [GET] [EX seconds | \
                 PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::first(&["RW", "ACCESS", "UPDATE", "variable_flags"])],
        ..Spec::EMPTY
    },
    run: set,
};

fn set(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    if 3 < ctx.args.len() {
        return set_with_options(ctx);
    }
    let key = ctx.key(1);
    ctx.db.set_string(key, ctx.args[2], Expiry::Clear);
    ctx.db.changed(key, Class::String, "set");
    ctx.replies.ok();
    Ok(())
}

fn set_with_options(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let value = ctx.args[2];
    let options = SetOptions::parse(&ctx.args[3..])?;
    let expiry = options.expiry.resolve(ctx.db.now(), "set")?;
    if !look(ctx, key, &options)? {
        return Ok(());
    }
    match expiry {
        Expiry::At(at) => set_until(ctx, key, value, at),
        Expiry::Keep | Expiry::Clear => {
            ctx.db.set_string(key, value, expiry);
            ctx.db.changed(key, Class::String, "set");
            if options.get {
                // A replica has no use for the old value.
                match expiry {
                    Expiry::Keep => {
                        ctx.db.effects.log_instead(&[b"SET", key.bytes, value, b"KEEPTTL"]);
                    }
                    _ => ctx.db.effects.log_instead(&[b"SET", key.bytes, value]),
                }
            }
        }
    }
    if !options.get {
        ctx.replies.ok();
    }
    Ok(())
}

/// Looks at the value before: whether the condition holds. Answers all that it says of the reply.
fn look(ctx: &mut Ctx<'_>, key: Key<'_>, options: &SetOptions<'_>) -> Result<bool, Error> {
    // Only GET reads; the conditions alone count neither as hit nor as miss.
    let entry = if options.get { ctx.db.read(key) } else { ctx.db.write(key).map(|entry| &*entry) };
    let mut scratch = [0; 20];
    let before = entry.map(|entry| entry.bytes(&mut scratch).ok_or(Error::WrongType));
    let holds = match options.condition {
        Condition::Always => true,
        Condition::Missing => before.is_none(),
        Condition::Present => before.is_some(),
        Condition::Equal(value) => match &before {
            Some(before) => before.clone()? == value,
            None => false,
        },
    };
    match before {
        Some(before) if options.get => ctx.replies.bulk(before?),
        None if options.get => ctx.replies.null(),
        _ if !holds => ctx.replies.null(),
        _ => {}
    }
    Ok(holds)
}

/// Sets `key` to `value` until `at`; if that is past, the key goes at once, as it would with the
/// next command. Logged with the point in time, so that it means the same later.
pub(super) fn set_until(ctx: &mut Ctx<'_>, key: Key<'_>, value: &[u8], at: UnixMs) {
    if at <= ctx.db.gone_by() {
        if ctx.db.write(key).is_some() {
            remove_expired(&mut ctx.db, key);
        }
        return;
    }
    ctx.db.set_string(key, value, Expiry::At(at));
    ctx.db.changed(key, Class::String, "set");
    ctx.db.event(key, Class::Generic, "expire");
    let mut text = [0; 20];
    let at = format_u64(&mut text, at.0);
    ctx.db.effects.log_instead(&[b"SET", key.bytes, value, b"PXAT", at]);
}
