//! What HELP subcommands have in common.

use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::reply::Replies;

/// A HELP subcommand before it is named.
pub(super) const HELP: Spec = Spec {
    group: Group::Server,
    since: "5.0.0",
    summary: "Tells about the subcommands.",
    arity: Arity::Exactly(2),
    flags: Flags::of(&[Flag::Loading, Flag::Stale]),
    ..Spec::EMPTY
};

/// Answers lines.
pub(super) fn write(replies: &mut Replies<'_>, lines: &[&str]) {
    replies.array(lines.len());
    for line in lines {
        replies.simple(line);
    }
}
