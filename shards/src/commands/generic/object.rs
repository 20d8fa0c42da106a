//! OBJECT ENCODING | FREQ | IDLETIME | REFCOUNT key, OBJECT HELP

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec, Spread};
use crate::keyspace::db::Entry;
use crate::keyspace::evict;
use crate::resp::error::Error;

/// The container.
pub const OBJECT: Spec = Spec {
    name: "object",
    group: Group::Generic,
    since: "2.2.3",
    summary: "Tells how values are kept.",
    complexity: "Depends on the subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[&ENCODING.spec, &FREQ.spec, &HELP.spec, &IDLETIME.spec, &REFCOUNT.spec],
    ..Spec::EMPTY
};

/// Its subcommands.
pub const SUBCOMMANDS: &[Command] = &[ENCODING, FREQ, HELP, IDLETIME, REFCOUNT];

const EACH: Spec = Spec {
    group: Group::Generic,
    since: "2.2.3",
    syntax: "key",
    arity: Arity::Exactly(3),
    flags: Flags::of(&[Flag::ReadOnly]),
    categories: &["keyspace"],
    tips: &["nondeterministic_output"],
    keys: &[KeySpec::nth(2, &["RO"])],
    ..Spec::EMPTY
};

const ENCODING: Command = Command {
    spec: Spec { name: "object|encoding", summary: "Names the encoding of a key's value.", ..EACH },
    run: encoding,
};

const FREQ: Command = Command {
    spec: Spec {
        name: "object|freq",
        since: "4.0.0",
        summary: "Returns the logarithmic counter of how often a key is used.",
        ..EACH
    },
    run: freq,
};

const IDLETIME: Command = Command {
    spec: Spec {
        name: "object|idletime",
        summary: "Returns for how many seconds a key was not used.",
        ..EACH
    },
    run: idletime,
};

const REFCOUNT: Command = Command {
    spec: Spec {
        name: "object|refcount",
        summary: "Returns how many references a key's value has: 1, as values are not shared.",
        ..EACH
    },
    run: refcount,
};

const HELP: Command = Command {
    spec: Spec {
        name: "object|help",
        group: Group::Generic,
        since: "6.2.0",
        summary: "Tells about the subcommands.",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::Loading, Flag::Stale]),
        categories: &["keyspace"],
        spread: Spread::Anywhere,
        ..Spec::EMPTY
    },
    run: help,
};

const HELP_LINES: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    How the value of <key> is kept in memory.",
    "FREQ <key>",
    "    How often <key> is used, on a logarithmic scale. Needs an LFU maxmemory-policy.",
    "IDLETIME <key>",
    "    Seconds since <key> was last used. Needs a maxmemory-policy other than LFU.",
    "REFCOUNT <key>",
    "    References to the value of <key>: always 1.",
    "HELP",
    "    These lines.",
];

const NOT_LFU: Error = Error::Text(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. \
     Please note that when switching between policies at runtime LRU and LFU data \
     will take some time to adjust.",
);
const LFU: Error = Error::Text(
    "ERR An LFU maxmemory policy is selected, idle time not tracked. \
     Please note that when switching between policies at runtime LRU and LFU data \
     will take some time to adjust.",
);

fn encoding(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    match look(ctx) {
        Some(entry) => {
            let name = entry.encoding();
            ctx.replies.bulk(name.as_bytes());
        }
        None => ctx.replies.null(),
    }
    Ok(())
}

fn freq(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let settings = ctx.db.keyspace.settings.clone();
    let now = ctx.db.now();
    match look(ctx) {
        Some(_) if !settings.policy.is_lfu() => return Err(NOT_LFU),
        Some(entry) => {
            let frequency = evict::frequency(entry, &settings, now);
            ctx.replies.integer(frequency.into());
        }
        None => ctx.replies.null(),
    }
    Ok(())
}

fn idletime(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let is_lfu = ctx.db.keyspace.settings.policy.is_lfu();
    let now = ctx.db.now();
    match look(ctx) {
        Some(_) if is_lfu => return Err(LFU),
        Some(entry) => {
            let idle = evict::idle_seconds(entry, now);
            ctx.replies.integer(i64::try_from(idle).unwrap_or(i64::MAX));
        }
        None => ctx.replies.null(),
    }
    Ok(())
}

fn refcount(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    match look(ctx) {
        Some(_) => ctx.replies.integer(1),
        None => ctx.replies.null(),
    }
    Ok(())
}

fn help(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    ctx.replies.array(HELP_LINES.len());
    for line in HELP_LINES {
        ctx.replies.simple(line);
    }
    Ok(())
}

/// Looks the key up so that it counts, but is not marked as used; a miss is no event.
fn look<'a>(ctx: &'a mut Ctx<'_>) -> Option<&'a Entry> {
    let key = ctx.key(2);
    let found = ctx.db.peek(key).is_some();
    let stats = &mut ctx.db.keyspace.stats;
    if found {
        stats.hits += 1;
    } else {
        stats.misses += 1;
    }
    ctx.db.find(key)
}
