//! BLMPOP timeout numkeys key [key ...] LEFT|RIGHT [COUNT count]

use super::lmpop::Request;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Begin, Command, Find, Flag, Flags, Group, KeySpec, Spec};
use crate::commands::waiting::Timeout;
use crate::effects::Awaited;
use crate::resp::error::Error;

pub(super) const BLMPOP: Command = Command {
    spec: Spec {
        name: "blmpop",
        group: Group::List,
        since: "7.0.0",
        summary: "Removes elements from the first of several lists that is there, or waits for \
                  one; returns them.",
        complexity: "O(N+M), N being the number of keys, M that of the elements returned.",
        syntax: "timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
        arity: Arity::AtLeast(5),
        flags: Flags::of(&[Flag::Write, Flag::Blocking, Flag::MovableKeys]),
        keys: &[KeySpec {
            begin: Begin::Index(2),
            find: Find::Number { at: 0, first: 1, step: 1 },
            flags: &["RW", "ACCESS", "DELETE"],
        }],
        ..Spec::EMPTY
    },
    run: blmpop,
};

fn blmpop(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let request = Request::parse(&ctx.args[2..])?;
    let timeout = Timeout::of_seconds(ctx.args[1], ctx.db.now())?;
    if !request.serve(ctx, 3)? {
        let keys = (3..3 + request.keys).map(|at| (ctx.key(at), Awaited::List));
        let keys: alloc::vec::Vec<_> = keys.collect();
        ctx.wait(timeout, keys);
    }
    Ok(())
}
