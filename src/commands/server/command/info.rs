//! COMMAND INFO [command-name ...]

use shards::commands::spec::{Arity, Begin, Find, KeySpec, Spec};
use shards::commands::table::categories;
use shards::resp::error::Error;
use shards::resp::reply::Replies;

use crate::clients::ctx::ClientCtx;
use crate::commands::own::{Own, OwnRun};
use crate::commands::server::command::{EACH, named};
use crate::routing::call::Call;

pub(super) const INFO: Own = Own {
    spec: Spec {
        name: "command|info",
        since: "2.8.13",
        summary: "Tells how to call commands.",
        complexity: "O(N), N being the number of commands that are asked for.",
        syntax: "[command-name ...]",
        arity: Arity::AtLeast(2),
        tips: &["nondeterministic_output_order"],
        ..EACH
    },
    run: OwnRun::Client(info),
};

fn info(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let names = &ctx.args[2..];
    if names.is_empty() {
        all(ctx);
        return Ok(());
    }
    ctx.replies.array(names.len());
    for name in names {
        match named(ctx.node.table, name) {
            Some(call) => write(call, &mut ctx.replies),
            None => ctx.replies.null(),
        }
    }
    Ok(())
}

/// Every command.
pub(super) fn all(ctx: &mut ClientCtx<'_>) {
    ctx.replies.array(ctx.node.table.len());
    for call in ctx.node.table.callable() {
        write(call, &mut ctx.replies);
    }
}

/// One command, with its subcommands.
fn write(call: &Call, replies: &mut Replies<'_>) {
    let spec = call.spec;
    replies.array(10);
    replies.bulk(spec.name.as_bytes());
    replies.integer(spec.arity.number());
    let flags: Vec<&str> = spec.flags.names().collect();
    write_flags(&flags, replies);
    let (first, last, step) = range(spec.keys);
    replies.integer(first);
    replies.integer(last);
    replies.integer(step);
    let categories = categories(spec);
    replies.set(categories.len());
    for category in categories {
        replies.simple(&format!("@{category}"));
    }
    replies.set(spec.tips.len());
    for tip in spec.tips {
        replies.bulk(tip.as_bytes());
    }
    replies.set(spec.keys.len());
    for keys in spec.keys {
        write_keys(keys, replies);
    }
    replies.array(call.subcommands.len());
    for subcommand in &call.subcommands {
        write(subcommand, replies);
    }
}

/// Flags of a command or of a key.
pub(super) fn write_flags(flags: &[&str], replies: &mut Replies<'_>) {
    replies.set(flags.len());
    for flag in flags {
        replies.simple(flag);
    }
}

/// The flags of a key as Valkey shows them: `RW`, `access`.
pub(super) fn key_flags(keys: &KeySpec) -> Vec<String> {
    let shown = |flag: &&str| match flag.len() {
        2 => (*flag).to_owned(),
        _ => flag.to_ascii_lowercase(),
    };
    keys.flags.iter().map(shown).collect()
}

fn write_keys(keys: &KeySpec, replies: &mut Replies<'_>) {
    replies.map(3);
    replies.bulk(b"flags");
    let flags = key_flags(keys);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    write_flags(&flags, replies);
    replies.bulk(b"begin_search");
    match keys.begin {
        Begin::Index(index) | Begin::IndexIf(index, _) => {
            write_kind("index", 1, replies);
            write_number("index", number(index), replies);
        }
        Begin::Keyword(keyword, start) | Begin::Option(keyword, start, _) => {
            write_kind("keyword", 2, replies);
            replies.bulk(b"keyword");
            replies.bulk(keyword.as_bytes());
            write_number("startfrom", start, replies);
        }
        Begin::Unknown => write_kind("unknown", 0, replies),
    }
    replies.bulk(b"find_keys");
    match keys.find {
        Find::Range { last, step, limit } => {
            write_kind("range", 3, replies);
            write_number("lastkey", last, replies);
            write_number("keystep", number(step), replies);
            write_number("limit", number(limit), replies);
        }
        Find::Number { at, first, step } => {
            write_kind("keynum", 3, replies);
            write_number("keynumidx", number(at), replies);
            write_number("firstkey", number(first), replies);
            write_number("keystep", number(step), replies);
        }
        Find::Place(_) | Find::Anywhere(_) => write_kind("unknown", 0, replies),
    }
}

/// The kind of a search; its so many figures follow.
fn write_kind(kind: &str, figures: usize, replies: &mut Replies<'_>) {
    replies.map(2);
    replies.bulk(b"type");
    replies.bulk(kind.as_bytes());
    replies.bulk(b"spec");
    replies.map(figures);
}

fn write_number(name: &str, number: i64, replies: &mut Replies<'_>) {
    replies.bulk(name.as_bytes());
    replies.integer(number);
}

fn number(n: usize) -> i64 {
    i64::try_from(n).expect("places of keys are small")
}

/// First key, last key and step, for clients that know no key specifications: one range that
/// covers all keys whose places are fixed and follow each other.
fn range(keys: &[KeySpec]) -> (i64, i64, i64) {
    let fixed = |keys: &KeySpec| match (keys.begin, keys.find) {
        (Begin::Index(first) | Begin::IndexIf(first, _), Find::Range { last, step, .. }) => {
            let first = number(first);
            let last = if last < 0 { last } else { first + last };
            Some((first, last, number(step)))
        }
        _ => None,
    };
    if let [only] = keys {
        return fixed(only).unwrap_or((0, 0, 0));
    }
    let mut ranges = keys.iter().filter_map(fixed).filter(|(_, _, step)| *step == 1);
    let Some((first, mut last, _)) = ranges.next() else { return (0, 0, 0) };
    for (next, next_last, _) in ranges {
        if next == last + 1 {
            last = next_last;
        }
    }
    (first, last, 1)
}
