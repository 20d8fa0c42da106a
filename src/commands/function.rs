//! FUNCTION: the container, LIST and HELP. There are no scripts and no functions yet.

use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::help;
use crate::commands::own::{Own, OwnRun};

/// The container.
pub const FUNCTION: Own = Own {
    spec: Spec {
        name: "function",
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Commands about functions that clients define; there are none yet.",
        complexity: "Depends on the subcommand.",
        arity: Arity::AtLeast(2),
        subcommands: &[&LIST.spec],
        ..Spec::EMPTY
    },
    run: OwnRun::Container,
};

/// Its subcommands.
pub const SUBCOMMANDS: &[Own] = &[HELP, LIST];

const HELP: Own = Own {
    spec: Spec { name: "function|help", group: Group::Scripting, since: "7.0.0", ..help::HELP },
    run: OwnRun::Client(write_help),
};

const LIST: Own = Own {
    spec: Spec {
        name: "function|list",
        group: Group::Scripting,
        since: "7.0.0",
        summary: "Returns a list of libraries of functions: an empty one.",
        complexity: "O(N), N being the number of functions.",
        syntax: "[LIBRARYNAME library-name-pattern] [WITHCODE]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::NoScript]),
        tips: &["nondeterministic_output_order"],
        ..Spec::EMPTY
    },
    run: OwnRun::Client(list),
};

const LINES: &[&str] = &[
    "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
    "    Libraries of functions: there are none yet.",
    "HELP",
    "    These lines.",
];

const NO_NAME: Error = Error::Text("ERR library name argument was not given");

fn write_help(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    help::write(&mut ctx.replies, LINES);
    Ok(())
}

fn list(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let (mut named, mut with_code) = (false, false);
    let mut words = &ctx.args[2..];
    while let [word, rest @ ..] = words {
        words = rest;
        if !with_code && word.eq_ignore_ascii_case(b"WITHCODE") {
            with_code = true;
        } else if !named && word.eq_ignore_ascii_case(b"LIBRARYNAME") {
            named = true;
            words = rest.split_first().ok_or(NO_NAME)?.1;
        } else {
            return Err(Error::naming("ERR Unknown argument ", word, ""));
        }
    }
    ctx.replies.array(0);
    Ok(())
}
