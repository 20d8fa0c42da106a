//! CLIENT: the container, and the list of its subcommands.

mod capa;
mod help;
mod id;
mod import_source;
mod info;
mod filter;
mod kill;
mod list;
pub(super) mod name;
mod no_evict;
mod no_touch;
mod pause;
mod reply;
mod setinfo;
mod tracking;
mod unblock;

use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};

/// The container.
pub const CLIENT: Own = Own {
    spec: Spec {
        name: "client",
        group: Group::Connection,
        since: "2.4.0",
        summary: "Commands about the connections of clients.",
        complexity: "Depends on the subcommand.",
        arity: Arity::AtLeast(2),
        subcommands: &[&help::HELP.spec],
        ..Spec::EMPTY
    },
    run: OwnRun::Container,
};

/// Its subcommands.
pub const SUBCOMMANDS: &[Own] = &[
    tracking::CACHING,
    capa::CAPA,
    tracking::GETREDIR,
    help::HELP,
    id::ID,
    import_source::IMPORT_SOURCE,
    info::INFO,
    kill::KILL,
    list::LIST,
    name::GETNAME,
    name::SETNAME,
    no_evict::NO_EVICT,
    no_touch::NO_TOUCH,
    pause::PAUSE,
    reply::REPLY,
    setinfo::SETINFO,
    tracking::TRACKING,
    tracking::TRACKINGINFO,
    unblock::UNBLOCK,
    pause::UNPAUSE,
];

/// What most of them have in common.
const EACH: Spec = Spec {
    group: Group::Connection,
    flags: Flags::of(&[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::AllowBusy]),
    ..Spec::EMPTY
};

/// What those have in common that are about other clients: they run on the control thread.
const OF_OTHERS: Spec = Spec {
    group: Group::Connection,
    flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale]),
    ..Spec::EMPTY
};

/// Reads `ON` or `OFF`.
fn on_or_off(text: &[u8]) -> Result<bool, Error> {
    if text.eq_ignore_ascii_case(b"ON") {
        Ok(true)
    } else if text.eq_ignore_ascii_case(b"OFF") {
        Ok(false)
    } else {
        Err(Error::Syntax)
    }
}

/// Whether CLIENT LIST can show a value without breaking its line.
fn is_showable(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}
