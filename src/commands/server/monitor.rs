//! MONITOR: what it does is coordination.

use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};

use crate::commands::own::{Own, OwnRun};
use crate::routing::call::PubSubStep;

pub(super) const MONITOR: Own = Own {
    spec: Spec {
        name: "monitor",
        group: Group::Server,
        summary: "Shows every command that runs from now on, whoever sends it.",
        arity: Arity::Exactly(1),
        flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale]),
        ..Spec::EMPTY
    },
    run: OwnRun::PubSub(PubSubStep::Monitor),
};
