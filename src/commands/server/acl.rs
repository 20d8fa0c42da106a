//! ACL: the container, WHOAMI and HELP. For now there is one user.

use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::help;
use crate::commands::own::{Own, OwnRun};

/// The container.
pub const ACL: Own = Own {
    spec: Spec {
        name: "acl",
        group: Group::Server,
        since: "6.0.0",
        summary: "Commands about users and what they may do.",
        complexity: "Depends on the subcommand.",
        arity: Arity::AtLeast(2),
        subcommands: &[&WHOAMI.spec],
        ..Spec::EMPTY
    },
    run: OwnRun::Container,
};

/// Its subcommands.
pub const SUBCOMMANDS: &[Own] = &[HELP, WHOAMI];

const HELP: Own = Own {
    spec: Spec { name: "acl|help", since: "6.0.0", ..help::HELP },
    run: OwnRun::Client(write_help),
};

const WHOAMI: Own = Own {
    spec: Spec {
        name: "acl|whoami",
        group: Group::Server,
        since: "6.0.0",
        summary: "Returns the name of the user that the client is.",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::NoScript, Flag::Loading, Flag::Stale]),
        ..Spec::EMPTY
    },
    run: OwnRun::Client(whoami),
};

const LINES: &[&str] = &[
    "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "WHOAMI",
    "    The user that this connection is.",
    "HELP",
    "    These lines.",
];

fn write_help(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    help::write(&mut ctx.replies, LINES);
    Ok(())
}

fn whoami(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    ctx.replies.bulk(b"default");
    Ok(())
}
