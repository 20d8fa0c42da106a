//! BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout, BRPOPLPUSH source destination timeout

use super::lmove::move_one;
use super::parse_end;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::commands::waiting::Timeout;
use crate::effects::Awaited;
use crate::encodings::quicklist::End;
use crate::resp::error::Error;

pub(super) const BLMOVE: Command = Command {
    spec: Spec {
        name: "blmove",
        since: "6.2.0",
        summary: "Moves an element from one end of a list to one end of another, and returns it; \
                  waits for one if there is none.",
        syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
        arity: Arity::Exactly(6),
        ..SPEC
    },
    run: blmove,
};

pub(super) const BRPOPLPUSH: Command = Command {
    spec: Spec {
        name: "brpoplpush",
        since: "2.2.0",
        summary: "Moves the last element of a list before the first of another, and returns it; \
                  waits for one if there is none.",
        syntax: "source destination timeout",
        arity: Arity::Exactly(4),
        ..SPEC
    },
    run: brpoplpush,
};

const SPEC: Spec = Spec {
    group: Group::List,
    complexity: "O(1)",
    flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Blocking]),
    keys: &[KeySpec::nth(1, &["RW", "ACCESS", "DELETE"]), KeySpec::nth(2, &["RW", "INSERT"])],
    ..Spec::EMPTY
};

fn blmove(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (from, to) = (parse_end(ctx.args[3])?, parse_end(ctx.args[4])?);
    let timeout = Timeout::of_seconds(ctx.args[5], ctx.db.now())?;
    run(ctx, from, to, timeout)
}

fn brpoplpush(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let timeout = Timeout::of_seconds(ctx.args[3], ctx.db.now())?;
    run(ctx, End::Right, End::Left, timeout)
}

fn run(ctx: &mut Ctx<'_>, from: End, to: End, timeout: Timeout) -> Result<(), Error> {
    let (source, destination) = (ctx.key(1), ctx.key(2));
    if move_one(&mut ctx.db, &mut ctx.replies, (source, from), (destination, to))? {
        if ctx.db.effects.by_key && source.bytes != ctx.args[2] {
            // It is logged already.
            return Ok(());
        }
        // What is done does not wait any more.
        let name: &[u8] = if ctx.args.len() == 4 { b"RPOPLPUSH" } else { b"LMOVE" };
        let rest = &ctx.args[1..ctx.args.len() - 1];
        let mut args = alloc::vec![name];
        args.extend_from_slice(rest);
        ctx.db.effects.log_instead(&args);
    } else {
        ctx.replies.null();
        ctx.wait(timeout, [(source, Awaited::List)]);
    }
    Ok(())
}
