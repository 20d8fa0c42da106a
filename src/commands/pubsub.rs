//! The list of commands about channels: each kind of subscription has its own.

mod container;
mod publish;
mod subscribe;
mod unsubscribe;

use shards::commands::spec::{Flag, Flags, Group, Spec};

use crate::commands::own::Own;

pub use container::{PUBSUB, SUBCOMMANDS};

/// Every command about channels, but for PUBSUB.
pub const COMMANDS: &[Own] = &[
    publish::PUBLISH,
    publish::SPUBLISH,
    subscribe::PSUBSCRIBE,
    subscribe::SSUBSCRIBE,
    subscribe::SUBSCRIBE,
    unsubscribe::PUNSUBSCRIBE,
    unsubscribe::SUNSUBSCRIBE,
    unsubscribe::UNSUBSCRIBE,
];

/// What those have in common that change subscriptions.
const EACH: Spec = Spec {
    group: Group::PubSub,
    since: "2.0.0",
    flags: Flags::of(&[Flag::PubSub, Flag::NoScript, Flag::Loading, Flag::Stale]),
    ..Spec::EMPTY
};
