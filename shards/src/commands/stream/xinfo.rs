//! XINFO CONSUMERS | GROUPS | STREAM key ..., XINFO HELP

mod full;
mod radix;

use crate::base::number::parse_i64;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group as Family, KeySpec, Spec, Spread};
use crate::commands::stream::entries::{write_entry, write_id};
use crate::commands::stream::{no_group_of_key, subcommand_error};
use crate::resp::error::Error;
use crate::resp::reply::Replies;
use crate::types::stream::Stream;
use crate::types::stream::id::StreamId;
use crate::types::stream::node::Entry;

/// The container.
pub const XINFO: Spec = Spec {
    name: "xinfo",
    group: Family::Stream,
    since: "5.0.0",
    summary: "Tells about streams, their groups and consumers.",
    complexity: "Depends on the subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[&CONSUMERS.spec, &GROUPS.spec, &HELP.spec, &STREAM.spec],
    ..Spec::EMPTY
};

/// Its subcommands.
pub const SUBCOMMANDS: &[Command] = &[CONSUMERS, GROUPS, HELP, STREAM];

const EACH: Spec = Spec {
    group: Family::Stream,
    since: "5.0.0",
    flags: Flags::of(&[Flag::ReadOnly]),
    keys: &[KeySpec::nth(2, &["RO", "ACCESS"])],
    ..Spec::EMPTY
};

const CONSUMERS: Command = Command {
    spec: Spec {
        name: "xinfo|consumers",
        summary: "Lists the consumers of a group.",
        complexity: "O(N), N being the number of consumers.",
        syntax: "key group",
        arity: Arity::Exactly(4),
        tips: &["nondeterministic_output"],
        ..EACH
    },
    run: consumers,
};

const GROUPS: Command = Command {
    spec: Spec {
        name: "xinfo|groups",
        summary: "Lists the groups of a stream.",
        complexity: "O(N), N being the number of groups.",
        syntax: "key",
        arity: Arity::Exactly(3),
        ..EACH
    },
    run: groups,
};

const STREAM: Command = Command {
    spec: Spec {
        name: "xinfo|stream",
        summary: "Tells about a stream; with FULL, also its entries and groups.",
        syntax: "key [FULL [COUNT count]]",
        arity: Arity::AtLeast(3),
        ..EACH
    },
    run: stream,
};

const HELP: Command = Command {
    spec: Spec {
        name: "xinfo|help",
        group: Family::Stream,
        since: "5.0.0",
        summary: "Tells about the subcommands.",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::Loading, Flag::Stale]),
        spread: Spread::Anywhere,
        ..Spec::EMPTY
    },
    run: help,
};

const HELP_LINES: &[&str] = &[
    "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CONSUMERS <key> <group>",
    "    The consumers of a group.",
    "GROUPS <key>",
    "    The groups of a stream.",
    "STREAM <key> [FULL [COUNT <count>]]",
    "    A stream; with FULL, its first entries and all groups as well.",
    "HELP",
    "    These lines.",
];

/// Entries that FULL shows if it is not told how many.
const COUNT_DEFAULT: usize = 10;

fn consumers(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, args, now) = (ctx.key(2), ctx.args, ctx.db.now());
    let stream = ctx.db.read_stream(key)?.ok_or(Error::NoSuchKey)?;
    let group = stream.group(args[3]).ok_or_else(|| no_group_of_key(args[3], args[2]))?;
    let replies = &mut ctx.replies;
    let since = |time: u64| i64::try_from(now.0.saturating_sub(time)).unwrap_or(i64::MAX);
    replies.array(group.consumers_len());
    for consumer in group.consumers() {
        replies.map(4);
        replies.bulk(b"name");
        replies.bulk(&consumer.name);
        write_count(replies, b"pending", consumer.pending_len());
        replies.bulk(b"idle");
        replies.integer(since(consumer.seen.0));
        replies.bulk(b"inactive");
        replies.integer(consumer.active.map_or(-1, |active| since(active.0)));
    }
    Ok(())
}

fn groups(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(2);
    let stream = ctx.db.read_stream(key)?.ok_or(Error::NoSuchKey)?;
    let replies = &mut ctx.replies;
    let groups = stream.groups();
    replies.array(groups.len());
    for (name, group) in groups {
        replies.map(6);
        replies.bulk(b"name");
        replies.bulk(name);
        write_count(replies, b"consumers", group.consumers_len());
        write_count(replies, b"pending", group.pending_len());
        replies.bulk(b"last-delivered-id");
        write_id(replies, group.last_id);
        write_known(replies, b"entries-read", group.entries_read);
        write_known(replies, b"lag", stream.log().lag(group));
    }
    Ok(())
}

fn stream(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, args) = (ctx.key(2), ctx.args);
    let stream = ctx.db.read_stream(key)?.ok_or(Error::NoSuchKey)?;
    let is = |at: usize, name: &[u8]| args[at].eq_ignore_ascii_case(name);
    let replies = &mut ctx.replies;
    match args.len() {
        3 => write_stream(replies, stream),
        4 if is(3, b"FULL") => full::write(replies, stream, COUNT_DEFAULT),
        6 if is(3, b"FULL") && is(4, b"COUNT") => {
            let count = parse_i64(args[5]).ok_or(Error::NotInteger)?;
            let count = usize::try_from(count).unwrap_or(COUNT_DEFAULT);
            full::write(replies, stream, if count == 0 { usize::MAX } else { count });
        }
        _ => return Err(subcommand_error("XINFO", args[1])),
    }
    Ok(())
}

fn write_stream(replies: &mut Replies<'_>, stream: &Stream) {
    let log = stream.log();
    replies.map(10);
    write_log(replies, stream);
    write_count(replies, b"groups", stream.groups().len());
    write_edge(replies, b"first-entry", log.range(StreamId::MIN, StreamId::MAX).next());
    write_edge(replies, b"last-entry", log.range_back(StreamId::MIN, StreamId::MAX).next());
}

/// The seven pairs that a stream is told by in any case.
fn write_log(replies: &mut Replies<'_>, stream: &Stream) {
    let log = stream.log();
    write_count(replies, b"length", stream.len());
    write_count(replies, b"radix-tree-keys", log.nodes().len());
    write_count(replies, b"radix-tree-nodes", radix::nodes(log));
    for (name, id) in [
        (b"last-generated-id".as_slice(), log.last_id()),
        (b"max-deleted-entry-id", log.max_deleted_id()),
    ] {
        replies.bulk(name);
        write_id(replies, id);
    }
    replies.bulk(b"entries-added");
    replies.integer(log.entries_added().cast_signed());
    replies.bulk(b"recorded-first-entry-id");
    write_id(replies, log.first_id());
}

fn write_edge(replies: &mut Replies<'_>, name: &[u8], entry: Option<Entry<'_>>) {
    replies.bulk(name);
    match entry {
        Some(entry) => write_entry(replies, &entry),
        None => replies.null(),
    }
}

fn write_count(replies: &mut Replies<'_>, name: &[u8], count: usize) {
    replies.bulk(name);
    replies.integer(i64::try_from(count).expect("it counts what is in memory"));
}

/// A number that may be unknown.
fn write_known(replies: &mut Replies<'_>, name: &[u8], number: Option<i64>) {
    replies.bulk(name);
    match number {
        Some(number) => replies.integer(number),
        None => replies.null(),
    }
}

fn help(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    ctx.replies.array(HELP_LINES.len());
    for line in HELP_LINES {
        ctx.replies.simple(line);
    }
    Ok(())
}
