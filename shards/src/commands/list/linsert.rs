//! LINSERT key BEFORE|AFTER pivot element

use super::limits;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::encodings::quicklist::End;
use crate::resp::error::Error;

pub(super) const LINSERT: Command = Command {
    spec: Spec {
        name: "linsert",
        group: Group::List,
        since: "2.2.0",
        summary: "Adds an element before or behind the first one that is the pivot.",
        complexity: "O(N), N being the number of elements up to the pivot.",
        syntax: "key <BEFORE | AFTER> pivot element",
        arity: Arity::Exactly(5),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::first(&["RW", "INSERT"])],
        ..Spec::EMPTY
    },
    run: linsert,
};

fn linsert(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, limits) = (ctx.key(1), limits(&ctx.db));
    let side = match ctx.args[2] {
        word if word.eq_ignore_ascii_case(b"BEFORE") => End::Left,
        word if word.eq_ignore_ascii_case(b"AFTER") => End::Right,
        _ => return Err(Error::Syntax),
    };
    let Some(list) = ctx.db.write_list(key)? else {
        ctx.replies.integer(0);
        return Ok(());
    };
    if !list.insert(ctx.args[3], side, ctx.args[4], limits) {
        ctx.replies.integer(-1);
        return Ok(());
    }
    ctx.replies.integer(list.len() as i64);
    ctx.db.changed(key, Class::List, "linsert");
    Ok(())
}
