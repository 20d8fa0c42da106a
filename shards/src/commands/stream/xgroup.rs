//! XGROUP CREATE | CREATECONSUMER | DELCONSUMER | DESTROY | SETID key group ..., XGROUP HELP

use crate::base::number::parse_i64;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group as Family, KeySpec, Spec, Spread};
use crate::commands::stream::ids::{parse_id, parse_id_or_edge};
use crate::commands::stream::{no_group_of_key, subcommand_error};
use crate::effects::Class;
use crate::keyspace::selected::Key;
use crate::resp::error::Error;
use crate::types::stream::Stream;
use crate::types::stream::group::Group;

/// The container.
pub const XGROUP: Spec = Spec {
    name: "xgroup",
    group: Family::Stream,
    since: "5.0.0",
    summary: "Makes and changes the groups of streams.",
    complexity: "Depends on the subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[
        &CREATE.spec,
        &CREATECONSUMER.spec,
        &DELCONSUMER.spec,
        &DESTROY.spec,
        &HELP.spec,
        &SETID.spec,
    ],
    ..Spec::EMPTY
};

/// Its subcommands.
pub const SUBCOMMANDS: &[Command] = &[CREATE, CREATECONSUMER, DELCONSUMER, DESTROY, HELP, SETID];

const EACH: Spec = Spec { group: Family::Stream, since: "5.0.0", ..Spec::EMPTY };

const CREATE: Command = Command {
    spec: Spec {
        name: "xgroup|create",
        summary: "Makes a group.",
        syntax: "key group <id | $> [MKSTREAM] [ENTRIESREAD entriesread]",
        arity: Arity::AtLeast(5),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::nth(2, &["RW", "INSERT"])],
        ..EACH
    },
    run: create,
};

const CREATECONSUMER: Command = Command {
    spec: Spec {
        name: "xgroup|createconsumer",
        since: "6.2.0",
        summary: "Makes a consumer of a group.",
        syntax: "key group consumer",
        arity: Arity::Exactly(5),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::nth(2, &["RW", "INSERT"])],
        ..EACH
    },
    run: createconsumer,
};

const DELCONSUMER: Command = Command {
    spec: Spec {
        name: "xgroup|delconsumer",
        summary: "Removes a consumer of a group, and what is pending for it.",
        complexity: "O(N log N), N being the number of entries pending.",
        syntax: "key group consumer",
        arity: Arity::Exactly(5),
        flags: Flags::of(&[Flag::Write]),
        keys: &[KeySpec::nth(2, &["RW", "DELETE"])],
        ..EACH
    },
    run: delconsumer,
};

const DESTROY: Command = Command {
    spec: Spec {
        name: "xgroup|destroy",
        summary: "Removes a group.",
        complexity: "O(N), N being the number of entries pending.",
        syntax: "key group",
        arity: Arity::Exactly(4),
        flags: Flags::of(&[Flag::Write]),
        keys: &[KeySpec::nth(2, &["RW", "DELETE"])],
        ..EACH
    },
    run: destroy,
};

const SETID: Command = Command {
    spec: Spec {
        name: "xgroup|setid",
        summary: "Sets how far a group has read.",
        syntax: "key group <id | $> [ENTRIESREAD entriesread]",
        arity: Arity::AtLeast(5),
        flags: Flags::of(&[Flag::Write]),
        keys: &[KeySpec::nth(2, &["RW", "UPDATE"])],
        ..EACH
    },
    run: setid,
};

const HELP: Command = Command {
    spec: Spec {
        name: "xgroup|help",
        summary: "Tells about the subcommands.",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::Loading, Flag::Stale]),
        spread: Spread::Anywhere,
        ..EACH
    },
    run: help,
};

const HELP_LINES: &[&str] = &[
    "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <key> <group> <id|$> [MKSTREAM] [ENTRIESREAD <count>]",
    "    A group that reads what lies behind <id>, or behind the last entry. With MKSTREAM the",
    "    stream is made if needed. ENTRIESREAD is for replication.",
    "CREATECONSUMER <key> <group> <consumer>",
    "    A new consumer.",
    "DELCONSUMER <key> <group> <consumer>",
    "    Removes a consumer and what is pending for it.",
    "DESTROY <key> <group>",
    "    Removes a group.",
    "SETID <key> <group> <id|$> [ENTRIESREAD <count>]",
    "    The group has read up to <id>.",
    "HELP",
    "    These lines.",
];

const NO_KEY: Error = Error::Text(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to \
     use the MKSTREAM option to create an empty stream automatically.",
);
const READ_NEGATIVE: Error = Error::Text("ERR value for ENTRIESREAD must be positive or -1");
const BUSY: Error = Error::Text("BUSYGROUP Consumer Group name already exists");

/// Options behind the ID.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    mkstream: bool,
    entries_read: Option<i64>,
}

/// Which subcommand the options are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    Create,
    SetId,
}

impl Options {
    fn parse(args: &[&[u8]], command: For) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut rest = &args[5..];
        while let [name, after @ ..] = rest {
            rest = after;
            if command == For::Create && name.eq_ignore_ascii_case(b"MKSTREAM") {
                options.mkstream = true;
            } else if name.eq_ignore_ascii_case(b"ENTRIESREAD")
                && let [count, after @ ..] = after
            {
                let count = parse_i64(count).ok_or(Error::NotInteger)?;
                if count < -1 {
                    return Err(READ_NEGATIVE);
                }
                options.entries_read = (count != -1).then_some(count);
                rest = after;
            } else {
                return Err(subcommand_error("XGROUP", args[1]));
            }
        }
        Ok(options)
    }
}

fn create(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, args) = (ctx.key(2), ctx.args);
    let options = Options::parse(args, For::Create)?;
    let last = match ctx.db.write_stream(key)? {
        Some(stream) => Some(stream.log().last_id()),
        None if options.mkstream => None,
        None => return Err(NO_KEY),
    };
    if 8 < args.len() {
        return Err(subcommand_error("XGROUP", args[1]));
    }
    let id = if args[4] == b"$" { last.unwrap_or_default() } else { parse_id(args[4])? };
    let stream = ctx.db.stream_or_new(key)?;
    let is_new = stream.add_group(args[3], Group::new(id, options.entries_read));
    if last.is_none() {
        ctx.db.touch(ctx.db.index, key);
    }
    if !is_new {
        return Err(BUSY);
    }
    changed(ctx, key, "xgroup-create");
    ctx.replies.ok();
    Ok(())
}

fn setid(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, args) = (ctx.key(2), ctx.args);
    let options = Options::parse(args, For::SetId)?;
    let (log, group) = stream(ctx, key)?.group_mut(args[3]).ok_or_else(|| missing(args))?;
    if !matches!(args.len(), 5 | 7) {
        return Err(subcommand_error("XGROUP", args[1]));
    }
    let is_last = args[4] == b"$";
    group.last_id = if is_last { log.last_id() } else { parse_id_or_edge(args[4], 0)? };
    group.entries_read = options.entries_read;
    changed(ctx, key, "xgroup-setid");
    ctx.replies.ok();
    Ok(())
}

fn destroy(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, args) = (ctx.key(2), ctx.args);
    let was_there = stream(ctx, key)?.remove_group(args[3]);
    if was_there {
        changed(ctx, key, "xgroup-destroy");
        // Those who wait for entries of the group wait in vain.
        ctx.db.stir(key);
    }
    ctx.replies.integer(was_there.into());
    Ok(())
}

fn createconsumer(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, args, now) = (ctx.key(2), ctx.args, ctx.db.now());
    let (_, group) = stream(ctx, key)?.group_mut(args[3]).ok_or_else(|| missing(args))?;
    let is_new = group.find(args[4]).is_none();
    if is_new {
        group.create(args[4], now);
        changed(ctx, key, "xgroup-createconsumer");
    }
    ctx.replies.integer(is_new.into());
    Ok(())
}

fn delconsumer(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, args) = (ctx.key(2), ctx.args);
    let (_, group) = stream(ctx, key)?.group_mut(args[3]).ok_or_else(|| missing(args))?;
    let pending = group.remove(args[4]);
    if pending.is_some() {
        changed(ctx, key, "xgroup-delconsumer");
    }
    let pending = pending.unwrap_or(0);
    ctx.replies.integer(i64::try_from(pending).expect("each takes more than a byte"));
    Ok(())
}

fn help(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    ctx.replies.array(HELP_LINES.len());
    for line in HELP_LINES {
        ctx.replies.simple(line);
    }
    Ok(())
}

fn stream<'c>(ctx: &'c mut Ctx<'_>, key: Key<'_>) -> Result<&'c mut Stream, Error> {
    ctx.db.write_stream(key)?.ok_or(NO_KEY)
}

fn missing(args: &[&[u8]]) -> Error {
    no_group_of_key(args[3], args[2])
}

/// Says that the groups of `key` changed. Its entries did not, so watchers hear nothing of it.
fn changed(ctx: &mut Ctx<'_>, key: Key<'_>, event: &'static str) {
    ctx.db.effects.dirty += 1;
    ctx.db.event(key, Class::Stream, event);
}
