//! MSETEX numkeys key value \[key value ...] \[NX | XX] \[EX seconds | PX milliseconds |
//! EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]

use crate::base::number::{DIGITS_MAX, format_u64, parse_i64};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Begin, Command, Find, Flag, Flags, Group, KeySpec, Spec};
use crate::commands::string::mset;
use crate::commands::string::set_options::{Condition, SetOptions};
use crate::effects::Class;
use crate::keyspace::selected::Expiry;
use crate::resp::error::Error;

pub(super) const MSETEX: Command = Command {
    spec: Spec {
        name: "msetex",
        group: Group::String,
        since: "9.1.0",
        summary: "Sets the string values of several keys at one moment, and when they expire.",
        complexity: "O(N), N being the number of keys.",
        syntax: "numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | \
                 EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
        arity: Arity::AtLeast(4),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::MovableKeys]),
        tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
        keys: &[KeySpec {
            begin: Begin::Index(1),
            find: Find::Number { at: 0, first: 1, step: 2 },
            flags: &["OW", "UPDATE"],
        }],
        ..Spec::EMPTY
    },
    run: msetex,
};

fn msetex(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let keys = parse_i64(ctx.args[1])
        .and_then(|keys| usize::try_from(keys).ok())
        .filter(|keys| (1..=MAX_KEYS).contains(keys))
        .ok_or(Error::NumKeys)?;
    let options_at = 2 + 2 * keys;
    let options = SetOptions::parse(ctx.args.get(options_at..).ok_or(Error::Syntax)?)?;
    if options.get || matches!(options.condition, Condition::Equal(_)) {
        return Err(Error::Syntax);
    }
    let expiry = options.expiry.resolve(ctx.db.now(), "msetex")?;

    for at in (2..options_at).step_by(2) {
        let key = ctx.key(at);
        let holds = match options.condition {
            Condition::Always | Condition::Equal(_) => break,
            Condition::Missing => ctx.db.write(key).is_none(),
            Condition::Present => ctx.db.write(key).is_some(),
        };
        if !holds {
            ctx.replies.integer(0);
            return Ok(());
        }
    }
    for at in (2..options_at).step_by(2) {
        let key = ctx.key(at);
        // A time that is past is set like any other: the keys go when next looked at.
        ctx.db.set_string(key, ctx.args[at + 1], expiry);
        ctx.db.changed(key, Class::String, "set");
        if let Expiry::At(_) = expiry {
            ctx.db.event(key, Class::Generic, "expire");
        }
    }
    log_until(ctx, options_at, expiry);
    ctx.replies.integer(1);
    Ok(())
}

/// More are refused before anything is multiplied.
const MAX_KEYS: usize = i32::MAX as usize;

/// Logs the command with the point in time at which the keys expire, so that it means the same
/// later. Without the condition: it held.
fn log_until(ctx: &mut Ctx<'_>, options_at: usize, expiry: Expiry) {
    let mut text = [0; DIGITS_MAX];
    let until;
    let options: &[&[u8]] = match expiry {
        Expiry::At(at) => {
            until = [b"PXAT".as_slice(), format_u64(&mut text, at.0)];
            &until
        }
        Expiry::Keep => &[b"KEEPTTL"],
        Expiry::Clear => &[],
    };
    if ctx.db.effects.by_key {
        mset::log_by_key(ctx, 2..options_at, options);
    } else if let Expiry::At(_) = expiry {
        let log = [&ctx.args[..options_at], options].concat();
        ctx.db.effects.log_instead(&log);
    }
}
