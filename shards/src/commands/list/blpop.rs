//! BLPOP and BRPOP key [key ...] timeout

use super::pop::pop_one;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Begin, Command, Find, Flag, Flags, Group, KeySpec, Spec};
use crate::commands::waiting::Timeout;
use crate::effects::Awaited;
use crate::encodings::quicklist::End;
use crate::resp::error::Error;

pub(super) const BLPOP: Command = Command {
    spec: Spec {
        name: "blpop",
        summary: "Removes the first element of the first list that is there, or waits for one.",
        ..SPEC
    },
    run: |ctx| pop(ctx, End::Left),
};

pub(super) const BRPOP: Command = Command {
    spec: Spec {
        name: "brpop",
        summary: "Removes the last element of the first list that is there, or waits for one.",
        ..SPEC
    },
    run: |ctx| pop(ctx, End::Right),
};

const SPEC: Spec = Spec {
    group: Group::List,
    since: "2.0.0",
    complexity: "O(N), N being the number of keys.",
    syntax: "key [key ...] timeout",
    arity: Arity::AtLeast(3),
    flags: Flags::of(&[Flag::Write, Flag::Blocking]),
    keys: &[KeySpec {
        begin: Begin::Index(1),
        find: Find::Range { last: -2, step: 1, limit: 0 },
        flags: &["RW", "ACCESS", "DELETE"],
    }],
    ..Spec::EMPTY
};

fn pop(ctx: &mut Ctx<'_>, end: End) -> Result<(), Error> {
    let last = ctx.args.len() - 1;
    let timeout = Timeout::of_seconds(ctx.args[last], ctx.db.now())?;
    for at in 1..last {
        let (key, written) = (ctx.key(at), ctx.replies.out.len());
        ctx.replies.array(2);
        ctx.replies.bulk(key.bytes);
        if pop_one(&mut ctx.db, &mut ctx.replies, key, end)? {
            let name: &[u8] = if end == End::Left { b"LPOP" } else { b"RPOP" };
            ctx.db.effects.log_instead(&[name, key.bytes]);
            return Ok(());
        }
        ctx.replies.out.truncate(written);
    }
    ctx.replies.null_array();
    let keys: alloc::vec::Vec<_> = (1..last).map(|at| (ctx.key(at), Awaited::List)).collect();
    ctx.wait(timeout, keys);
    Ok(())
}
