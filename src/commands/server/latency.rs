//! LATENCY: the container, the list of its subcommands, and HELP.

mod doctor;
mod events;
mod graph;
mod histogram;

use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::help;
use crate::commands::own::{Own, OwnRun};

/// The container.
pub const LATENCY: Own = Own {
    spec: Spec {
        name: "latency",
        group: Group::Server,
        since: "2.8.13",
        summary: "Commands about how long things take.",
        complexity: "Depends on the subcommand.",
        arity: Arity::AtLeast(2),
        subcommands: &[&histogram::HISTOGRAM.spec],
        ..Spec::EMPTY
    },
    run: OwnRun::Container,
};

/// Its subcommands.
pub const SUBCOMMANDS: &[Own] = &[
    doctor::DOCTOR,
    graph::GRAPH,
    HELP,
    histogram::HISTOGRAM,
    events::HISTORY,
    events::LATEST,
    events::RESET,
];

const EACH: Spec = Spec {
    group: Group::Server,
    arity: Arity::AtLeast(2),
    flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale]),
    ..Spec::EMPTY
};

/// What the commands about events have in common.
const EACH_EVENT: Spec = Spec {
    since: "2.8.13",
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    ..EACH
};

const HELP: Own = Own {
    spec: Spec { name: "latency|help", since: "2.8.13", ..help::HELP },
    run: OwnRun::Client(write_help),
};

const LINES: &[&str] = &[
    "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    What took long, in sentences, and what can be done about it.",
    "GRAPH <event>",
    "    A drawing of how long an event took.",
    "HISTORY <event>",
    "    The seconds in which an event took long, and how many milliseconds.",
    "LATEST",
    "    Of each event: its name, when it was last, and milliseconds: the last time, the worst,",
    "    all together; and how often it took long.",
    "HISTOGRAM [<command> ...]",
    "    How many calls of each command took at most so many microseconds.",
    "RESET [<event> ...]",
    "    Forgets these events, or all.",
    "HELP",
    "    These lines.",
];

fn write_help(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    help::write(&mut ctx.replies, LINES);
    Ok(())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
