//! DEBUG: the container, and the list of its subcommands. Those that work on keys are the
//! engine's.

mod crash;
mod error;
mod help;
mod log;
mod protocol;
mod reload;
mod replid;
mod set_active_expire;
mod sleep;

use shards::commands::server::DEBUG_SUBCOMMANDS;
use shards::commands::server::debug_object::usage_error;
use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::own::{Own, OwnRun};

/// The container.
pub const DEBUG: Own = Own {
    spec: Spec {
        name: "debug",
        summary: "Commands for those who look into the server.",
        complexity: "Depends on the subcommand.",
        subcommands: &[&DEBUG_SUBCOMMANDS[0].spec],
        ..EACH
    },
    run: OwnRun::Client(unknown),
};

/// Its subcommands that do not work on keys.
pub const SUBCOMMANDS: &[Own] = &[
    crash::ASSERT,
    replid::CHANGE_REPL_ID,
    error::ERROR,
    help::HELP,
    log::LOG,
    crash::PANIC,
    protocol::PROTOCOL,
    reload::RELOAD,
    crash::SEGFAULT,
    set_active_expire::SET_ACTIVE_EXPIRE,
    sleep::SLEEP,
];

/// What they have in common. How many arguments each takes it says itself, as Valkey's does.
const EACH: Spec = Spec {
    group: Group::Server,
    arity: Arity::AtLeast(2),
    flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale, Flag::Protected]),
    ..Spec::EMPTY
};

/// Subcommands of Valkey that make no sense here, and why.
const ABSENT: &[(&str, &str)] = &[
    ("aof-flush-sleep", "there is no append-only file"),
    ("client-enforce-reply-list", "replies are kept in one buffer"),
    ("client-eviction", "clients are not evicted"),
    ("dict-resizing", "tables grow and shrink bucket by bucket"),
    ("hashtable-can-abort-shrink", "tables grow and shrink bucket by bucket"),
    ("htstats", "tables are not Valkey's"),
    ("htstats-key", "tables are not Valkey's"),
    ("jmap", "there are no Java objects"),
    ("listpack", "encodings are not shown byte by byte"),
    ("loadaof", "there is no append-only file"),
    ("pause-cron", "each shard has work of its own in the background"),
    ("quicklist", "lists are not kept as Valkey keeps them"),
    ("quicklist-packed-threshold", "lists are not kept as Valkey keeps them"),
    ("replicate", "replicas get what commands have done"),
    ("replybuffer", "reply buffers have no fixed size"),
    ("sdslen", "strings are not Valkey's"),
    ("set-disable-deny-scripts", "there are no scripts"),
    ("set-skip-checksum-validation", "checksums are always looked at"),
    ("stringmatch-len", "the matcher has tests of its own"),
    ("stringmatch-test", "the matcher has tests of its own"),
    ("structsize", "structures are not Valkey's"),
];

/// A subcommand that is not there, for which DEBUG has words of its own.
fn unknown(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let given = ctx.args[1];
    match ABSENT.iter().find(|(name, _)| given.eq_ignore_ascii_case(name.as_bytes())) {
        Some((name, reason)) => {
            let name = name.to_ascii_uppercase();
            Err(Error::Owned(format!("ERR DEBUG {name} is not supported: {reason}")))
        }
        None => Err(usage_error(given)),
    }
}
