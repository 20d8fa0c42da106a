//! EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT key time [NX | XX | GT | LT]

use crate::base::number::{self, DIGITS_MAX};
use crate::base::time::UnixMs;
use crate::commands::ctx::Ctx;
use crate::commands::expiry::{TimeForm, remove_expired};
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

/// Under which condition the time is set.
#[derive(Debug, Default)]
struct Condition {
    /// NX: only a key without expiry.
    new: bool,
    /// XX: only a key with one.
    existing: bool,
    /// GT: only to a later time; no expiry is the latest.
    later: bool,
    /// LT: only to an earlier time.
    earlier: bool,
}

impl Condition {
    fn parse(options: &[&[u8]]) -> Result<Self, Error> {
        let mut condition = Self::default();
        for option in options {
            if option.eq_ignore_ascii_case(b"NX") {
                condition.new = true;
            } else if option.eq_ignore_ascii_case(b"XX") {
                condition.existing = true;
            } else if option.eq_ignore_ascii_case(b"GT") {
                condition.later = true;
            } else if option.eq_ignore_ascii_case(b"LT") {
                condition.earlier = true;
            } else {
                return Err(Error::naming("ERR Unsupported option ", option, ""));
            }
        }
        let Self { new, existing, later, earlier } = condition;
        if new && (existing || later || earlier) {
            return Err(Error::Text(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if later && earlier {
            return Err(Error::Text("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(condition)
    }

    /// Whether a key that expires at `current` may now expire at `at`.
    fn holds(&self, current: Option<UnixMs>, at: i64) -> bool {
        // Times come from an i64 and fit one.
        let current = current.map(|current| i64::try_from(current.0).unwrap_or(i64::MAX));
        match current {
            None => !self.existing && !self.later,
            Some(current) => {
                !self.new && (!self.later || current < at) && (!self.earlier || at < current)
            }
        }
    }
}

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
    match u64::try_from(at).map(UnixMs) {
        Ok(at) if now < at => {
            ctx.db.set_expire(key, Some(at));
            ctx.db.changed(key, Class::Generic, "expire");
            let mut text = [0; DIGITS_MAX];
            let text = number::format_u64(&mut text, at.0);
            ctx.db.effects.log_instead(&[b"PEXPIREAT", key.bytes, text]);
        }
        // The time is over already.
        Ok(_) | Err(_) => {
            remove_expired(&mut ctx.db, key);
        }
    }
    ctx.replies.integer(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_expiry_is_later_than_any() {
        let parse = |option: &str| Condition::parse(&[option.as_bytes()]).unwrap();
        let at = Some(UnixMs(100));
        // option, from, to, whether it may
        let cases = [
            ("nx", None, 5, true),
            ("nx", at, 500, false),
            ("xx", None, 5, false),
            ("xx", at, 5, true),
            ("gt", None, 500, false),
            ("gt", at, 100, false),
            ("gt", at, 101, true),
            ("lt", None, 500, true),
            ("lt", at, 100, false),
            ("lt", at, 99, true),
            ("lt", at, -1, true),
        ];
        for (option, current, to, may) in cases {
            assert_eq!(parse(option).holds(current, to), may, "{option} {current:?} {to}");
        }
    }
}
