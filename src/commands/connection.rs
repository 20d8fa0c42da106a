//! The list of commands about a connection and its client. PING and ECHO are the engine's.

pub mod client;
mod auth;
mod credentials;
mod hello;
mod quit;
mod reset;
mod select;

use shards::commands::spec::{Flag, Flags, Group, Spec};

use crate::commands::own::Own;

/// Every connection command of the server, but for CLIENT.
pub const COMMANDS: &[Own] = &[auth::AUTH, hello::HELLO, quit::QUIT, reset::RESET, select::SELECT];

/// What commands have in common that a client may send before it has said who it is.
const BEFORE_AUTH: Spec = Spec {
    group: Group::Connection,
    flags: Flags::of(&[
        Flag::NoScript,
        Flag::Loading,
        Flag::Stale,
        Flag::Fast,
        Flag::NoAuth,
        Flag::AllowBusy,
    ]),
    ..Spec::EMPTY
};
