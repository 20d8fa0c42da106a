//! COMMAND GETKEYS command [arg ...], COMMAND GETKEYSANDFLAGS command [arg ...]

use std::slice;

use shards::base::number::parse_i64;
use shards::commands::spec::{Arity, Begin, Find, Flag, KeySpec, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::own::{Own, OwnRun};
use crate::commands::server::command::EACH;
use crate::commands::server::command::info::{key_flags, write_flags};
use crate::routing::call::{Call, Table};
use crate::routing::keys::key_places;

pub(super) const GETKEYS: Own = Own {
    spec: Spec {
        name: "command|getkeys",
        since: "2.8.13",
        summary: "Returns the keys among the arguments of a command.",
        ..BOTH
    },
    run: OwnRun::Client(getkeys),
};

pub(super) const GETKEYSANDFLAGS: Own = Own {
    spec: Spec {
        name: "command|getkeysandflags",
        since: "7.0.0",
        summary: "Returns the keys among the arguments of a command, and how each is used.",
        ..BOTH
    },
    run: OwnRun::Client(getkeysandflags),
};

const BOTH: Spec = Spec {
    complexity: "O(N), N being the number of the command's arguments.",
    syntax: "command [arg ...]",
    arity: Arity::AtLeast(3),
    ..EACH
};

const UNKNOWN: Error = Error::Text("ERR Invalid command specified");
const NO_KEYS: Error = Error::Text("ERR The command has no key arguments");
const ARITY: Error = Error::Text("ERR Invalid number of arguments specified for command");
const ARGUMENTS: Error = Error::Text("ERR Invalid arguments specified for command");

fn getkeys(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let args = &ctx.args[2..];
    let keys = keys(ctx.node.table, args)?;
    ctx.replies.array(keys.len());
    for (place, _) in keys {
        ctx.replies.bulk(args[place]);
    }
    Ok(())
}

fn getkeysandflags(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let args = &ctx.args[2..];
    let keys = keys(ctx.node.table, args)?;
    ctx.replies.array(keys.len());
    for (place, flags) in keys {
        ctx.replies.array(2);
        ctx.replies.bulk(args[place]);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        write_flags(&flags, &mut ctx.replies);
    }
    Ok(())
}

/// The places of the keys of a request, and how each key is used.
fn keys(table: &Table, args: &[&[u8]]) -> Result<Vec<(usize, Vec<String>)>, Error> {
    let call = table.find(args).ok_or(UNKNOWN)?;
    let spec = call.spec;
    if is_unknown_subcommand(call, args) {
        return Err(UNKNOWN);
    }
    if !spec.names_keys() {
        return Err(NO_KEYS);
    }
    if !spec.arity.accepts(args.len()) {
        return Err(ARITY);
    }
    let mut keys = Vec::new();
    for one in spec.keys.iter().filter(|one| !one.flags.contains(&"not_key")) {
        if !counts_right(one, args) {
            return Err(ARGUMENTS);
        }
        let flags = used(spec.name, one, args);
        let places = key_places(slice::from_ref(one), args);
        keys.extend(places.into_iter().map(|place| (place, flags.clone())));
    }
    if keys.is_empty() && !spec.flags.has(Flag::NoMandatoryKeys) {
        return Err(ARGUMENTS);
    }
    Ok(keys)
}

/// Whether a container was found where a subcommand is named; COMMAND runs without one.
fn is_unknown_subcommand(call: &Call, args: &[&[u8]]) -> bool {
    !call.subcommands.is_empty() && 2 <= args.len()
}

/// Whether there are as many arguments as the number of keys among them demands.
fn counts_right(keys: &KeySpec, args: &[&[u8]]) -> bool {
    let (Begin::Index(begin), Find::Number { at, first, step }) = (keys.begin, keys.find) else {
        return true;
    };
    let count = args.get(begin + at).and_then(|arg| parse_i64(arg));
    let count = count.and_then(|count| usize::try_from(count).ok());
    let end = count.and_then(|count| count.checked_mul(step)?.checked_add(begin + first));
    end.is_some_and(|end| end <= args.len())
}

/// How a key is used; for some commands that depends on the other arguments.
fn used(command: &str, keys: &KeySpec, args: &[&[u8]]) -> Vec<String> {
    let listed = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect();
    let read_and_written = || listed(&["RW", "access", "update"]);
    match command {
        "set" if args[3..].iter().any(|arg| arg.eq_ignore_ascii_case(b"GET")) => read_and_written(),
        "set" => listed(&["OW", "update"]),
        "bitfield" if only_gets(&args[2..]) => listed(&["RO", "access"]),
        "bitfield" => read_and_written(),
        _ => key_flags(keys).into_iter().filter(|flag| flag != "variable_flags").collect(),
    }
}

/// Whether operations of BITFIELD leave the key as it is.
fn only_gets(operations: &[&[u8]]) -> bool {
    match operations {
        [] => true,
        [name, _, _, rest @ ..] if name.eq_ignore_ascii_case(b"GET") => only_gets(rest),
        [name, _, rest @ ..] if name.eq_ignore_ascii_case(b"OVERFLOW") => only_gets(rest),
        _ => false,
    }
}
