//! OBJECT ENCODING | FREQ | IDLETIME | REFCOUNT key, OBJECT HELP

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::encodings::entry::Value;
use crate::keyspace::db::Entry;
use crate::keyspace::evict;
use crate::resp::error::Error;

pub(super) const OBJECT: Command = Command {
    spec: Spec {
        name: "object",
        group: Group::Generic,
        since: "2.2.3",
        summary: "Tells how values are kept.",
        complexity: "Depends on the subcommand.",
        arity: Arity::AtLeast(2),
        subcommands: &[&ENCODING, &FREQ, &HELP, &IDLETIME, &REFCOUNT],
        ..Spec::EMPTY
    },
    run: object,
};

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

const ENCODING: Spec =
    Spec { name: "object|encoding", summary: "Names the encoding of a key's value.", ..EACH };

const FREQ: Spec = Spec {
    name: "object|freq",
    since: "4.0.0",
    summary: "Returns the logarithmic counter of how often a key is used.",
    ..EACH
};

const IDLETIME: Spec = Spec {
    name: "object|idletime",
    summary: "Returns for how many seconds a key was not used.",
    ..EACH
};

const REFCOUNT: Spec = Spec {
    name: "object|refcount",
    summary: "Returns how many references a key's value has: 1, as values are not shared.",
    ..EACH
};

const HELP: Spec = Spec {
    name: "object|help",
    group: Group::Generic,
    since: "6.2.0",
    summary: "Tells about the subcommands.",
    arity: Arity::Exactly(2),
    flags: Flags::of(&[Flag::Loading, Flag::Stale]),
    categories: &["keyspace"],
    ..Spec::EMPTY
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

fn object(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let name = ctx.args[1];
    let asked = [&ENCODING, &FREQ, &IDLETIME, &REFCOUNT, &HELP]
        .into_iter()
        .find(|spec| spec.name["object|".len()..].as_bytes().eq_ignore_ascii_case(name));
    let Some(asked) = asked else { return Err(Error::unknown_subcommand("OBJECT", name)) };
    if !asked.arity.accepts(ctx.args.len()) {
        return Err(Error::WrongArity(asked.name.into()));
    }
    if asked.name == HELP.name {
        ctx.replies.array(HELP_LINES.len());
        for line in HELP_LINES {
            ctx.replies.simple(line);
        }
        return Ok(());
    }
    let key = ctx.key(2);
    // Such a lookup counts, but a miss is no event and the key is not marked as used.
    let found = ctx.db.peek(key).is_some();
    let stats = &mut ctx.db.keyspace.stats;
    if !found {
        stats.misses += 1;
        ctx.replies.null();
        return Ok(());
    }
    stats.hits += 1;
    let now = ctx.db.now();
    let settings = &ctx.db.keyspace.settings;
    let entry = ctx.db.keyspace.dbs[ctx.db.index].find(key.hash, key.bytes);
    let entry = entry.expect("it was found just now");
    match asked.name {
        "object|encoding" => ctx.replies.bulk(encoding_of(entry).as_bytes()),
        "object|freq" if !settings.policy.is_lfu() => return Err(NOT_LFU),
        "object|freq" => {
            ctx.replies.integer(i64::from(evict::frequency(entry, settings, now)));
        }
        "object|idletime" if settings.policy.is_lfu() => return Err(LFU),
        "object|idletime" => {
            let idle = evict::idle_seconds(entry, now);
            ctx.replies.integer(i64::try_from(idle).unwrap_or(i64::MAX));
        }
        _ => ctx.replies.integer(1),
    }
    Ok(())
}

/// What OBJECT ENCODING calls an entry's encoding.
pub(in crate::commands) fn encoding_of(entry: &Entry) -> &'static str {
    entry.string_encoding().unwrap_or_else(|| match entry.value() {
        Value::Object(object) => match *object {},
        Value::Int(_) | Value::Bytes(_) => unreachable!("a string names its encoding"),
    })
}
