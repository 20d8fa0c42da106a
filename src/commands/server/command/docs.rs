//! COMMAND DOCS [command-name ...]

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;
use shards::resp::reply::Replies;

use crate::clients::ctx::ClientCtx;
use crate::commands::own::{Own, OwnRun};
use crate::commands::server::command::info::write_flags;
use crate::commands::server::command::syntax::{self, Argument};
use crate::commands::server::command::{EACH, named};
use crate::routing::call::Call;

pub(super) const DOCS: Own = Own {
    spec: Spec {
        name: "command|docs",
        since: "7.0.0",
        summary: "Tells what commands are for and what arguments they take.",
        complexity: "O(N), N being the number of commands that are asked for.",
        syntax: "[command-name ...]",
        arity: Arity::AtLeast(2),
        tips: &["nondeterministic_output_order"],
        ..EACH
    },
    run: OwnRun::Client(docs),
};

fn docs(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let (names, table) = (&ctx.args[2..], ctx.node.table);
    // A name that is none is left out.
    let calls: Vec<&Call> = match names {
        [] => table.callable().collect(),
        names => names.iter().filter_map(|name| named(table, name)).collect(),
    };
    write_all(calls.into_iter(), &mut ctx.replies);
    Ok(())
}

fn write_all<'a>(calls: impl ExactSizeIterator<Item = &'a Call>, replies: &mut Replies<'_>) {
    replies.map(calls.len());
    for call in calls {
        replies.bulk(call.spec.name.as_bytes());
        write(call, replies);
    }
}

fn write(call: &Call, replies: &mut Replies<'_>) {
    let spec = call.spec;
    let arguments = syntax::parse(spec);
    let optional = [!arguments.is_empty(), !call.subcommands.is_empty()];
    replies.map(4 + optional.into_iter().filter(|is| *is).count());
    write_text("summary", spec.summary, replies);
    write_text("since", spec.since, replies);
    write_text("group", spec.group.name(), replies);
    write_text("complexity", spec.complexity, replies);
    if !arguments.is_empty() {
        replies.bulk(b"arguments");
        write_arguments(&arguments, &mut Keys(0, spec.keys.len()), replies);
    }
    if !call.subcommands.is_empty() {
        replies.bulk(b"subcommands");
        write_all(call.subcommands.iter(), replies);
    }
}

fn write_text(name: &str, text: &str, replies: &mut Replies<'_>) {
    replies.bulk(name.as_bytes());
    replies.bulk(text.as_bytes());
}

/// The key specification of the next key, and how many there are. Arguments stand in the order
/// of the specifications; the last one is for all keys that remain.
struct Keys(usize, usize);

fn write_arguments(arguments: &[Argument], keys: &mut Keys, replies: &mut Replies<'_>) {
    replies.array(arguments.len());
    for argument in arguments {
        write_argument(argument, keys, replies);
    }
}

fn write_argument(argument: &Argument, keys: &mut Keys, replies: &mut Replies<'_>) {
    let Argument { name, kind, token, members, .. } = argument;
    let flags = argument.flags();
    let key = (*kind == "key" && keys.1 != 0).then_some(keys.0);
    let is_leaf = members.is_empty();
    let optional = [is_leaf, key.is_some(), token.is_some(), !flags.is_empty(), !is_leaf];
    replies.map(2 + optional.into_iter().filter(|is| *is).count());
    write_text("name", name, replies);
    write_text("type", kind, replies);
    if is_leaf {
        write_text("display_text", name, replies);
    }
    if let Some(key) = key {
        replies.bulk(b"key_spec_index");
        replies.integer(i64::try_from(key).expect("key specifications are few"));
        keys.0 = (key + 1).min(keys.1 - 1);
    }
    if let Some(token) = token {
        write_text("token", token, replies);
    }
    if !flags.is_empty() {
        replies.bulk(b"flags");
        write_flags(&flags, replies);
    }
    if !is_leaf {
        replies.bulk(b"arguments");
        write_arguments(members, keys, replies);
    }
}
