//! RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]

use crate::base::number::{DIGITS_MAX, format_u64, parse_i64};
use crate::base::time::UnixMs;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::keyspace::db::Keyspace;
use crate::keyspace::evict::Usage;
use crate::keyspace::garbage::Removal;
use crate::rdb::dump::{Dump, Takes};
use crate::rdb::value::Rules;
use crate::resp::error::Error;

pub(super) const RESTORE: Command = Command {
    spec: Spec {
        name: "restore",
        group: Group::Generic,
        since: "2.6.0",
        summary: "Makes a key of what DUMP returned, here or elsewhere.",
        complexity: "O(N), N being the number of bytes; O(N*log(N)) for what is sorted.",
        syntax: "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] \
                 [FREQ frequency]",
        arity: Arity::AtLeast(4),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        categories: &["keyspace", "dangerous"],
        keys: &[KeySpec::nth(1, &["OW", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: restore,
};

pub(super) const RESTORE_ASKING: Command = Command {
    spec: Spec {
        name: "restore-asking",
        group: Group::Server,
        since: "3.0.0",
        summary: "Makes a key of what DUMP returned, also in a slot that is on its way here.",
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Asking]),
        ..RESTORE.spec
    },
    run: restore,
};

const TTL: Error = Error::Text("ERR Invalid TTL value, must be >= 0");
const IDLE_TIME: Error = Error::Text("ERR Invalid IDLETIME value, must be >= 0");
const FREQUENCY: Error = Error::Text("ERR Invalid FREQ value, must be >= 0 and <= 255");
const NO_DUMP: Error = Error::Text("ERR DUMP payload version or checksum are wrong");
const BAD_VALUE: Error = Error::Text("ERR Bad data format");

#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    usage: Option<Usage>,
}

fn restore(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let options = options(&ctx.args[4..])?;
    let (key, now, gone_by) = (ctx.key(1), ctx.db.now(), ctx.db.gone_by());
    if !options.replace && ctx.db.write(key).is_some() {
        return Err(Error::BusyKey);
    }
    let ttl = parse_i64(ctx.args[2]).ok_or(Error::NotInteger)?;
    let ttl = u64::try_from(ttl).map_err(|_| TTL)?;
    let takes = if ctx.db.keyspace.settings.takes_any_dump { Takes::All } else { Takes::Known };
    let dump = Dump::open(ctx.args[3], takes).map_err(|_| NO_DUMP)?;
    let Keyspace { settings, seed, .. } = &*ctx.db.keyspace;
    let rules = Rules { limits: settings.limits, seed: *seed };
    let value = dump.value(&rules).map_err(|_| BAD_VALUE)?;

    let was_there = ctx.db.discard(key, Removal::Replaced);
    // A time that takes more than 63 bits has passed already, says Valkey.
    let at = if options.absolute { ttl } else { ttl.saturating_add(now.0) };
    let expire = (ttl != 0).then_some(UnixMs(at));
    let has_passed = |at: UnixMs| at <= gone_by || i64::try_from(at.0).is_err();
    if expire.is_some_and(has_passed) {
        if was_there {
            ctx.db.changed(key, Class::Generic, "del");
            ctx.db.effects.log_instead(&[b"UNLINK", key.bytes]);
        }
        ctx.replies.ok();
        return Ok(());
    }
    let mut entry = value.into_entry(key.bytes);
    entry.set_expire(expire);
    ctx.db.insert(key, entry);
    if let Some(usage) = options.usage {
        ctx.db.set_usage(key, usage);
    }
    ctx.db.changed(key, Class::Generic, "restore");
    if expire.is_some() && !options.absolute {
        let mut text = [0; DIGITS_MAX];
        let mut args = ctx.args.to_vec();
        args[2] = format_u64(&mut text, at);
        args.push(b"ABSTTL");
        ctx.db.effects.log_instead(&args);
    }
    ctx.replies.ok();
    Ok(())
}

fn options(args: &[&[u8]]) -> Result<Options, Error> {
    let (mut options, mut rest) = (Options::default(), args);
    while let [name, behind @ ..] = rest {
        let is = |token: &str| name.eq_ignore_ascii_case(token.as_bytes());
        rest = behind;
        if is("REPLACE") {
            options.replace = true;
        } else if is("ABSTTL") {
            options.absolute = true;
        } else if let [seconds, behind @ ..] = rest
            && is("IDLETIME")
            && !matches!(options.usage, Some(Usage::Frequency(_)))
        {
            let seconds = parse_i64(seconds).ok_or(Error::NotInteger)?;
            let seconds = u64::try_from(seconds).map_err(|_| IDLE_TIME)?;
            options.usage = Some(Usage::Idle(seconds));
            rest = behind;
        } else if let [counter, behind @ ..] = rest
            && is("FREQ")
            && !matches!(options.usage, Some(Usage::Idle(_)))
        {
            let counter = parse_i64(counter).ok_or(Error::NotInteger)?;
            let counter = u8::try_from(counter).map_err(|_| FREQUENCY)?;
            options.usage = Some(Usage::Frequency(counter));
            rest = behind;
        } else {
            return Err(Error::Syntax);
        }
    }
    Ok(options)
}
