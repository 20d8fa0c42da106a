//! COPY source destination [DB destination-db] [REPLACE]

use super::db_index;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::keyspace::garbage::Removal;
use crate::resp::error::Error;

pub(super) const COPY: Command = Command {
    spec: Spec {
        name: "copy",
        group: Group::Generic,
        since: "6.2.0",
        summary: "Copies the value of a key, with its expiry, to another key.",
        complexity: "O(1) for a string; O(N) for a collection of N elements.",
        syntax: "source destination [DB destination-db] [REPLACE]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        categories: &["keyspace"],
        keys: &[KeySpec::nth(1, &["RO", "ACCESS"]), KeySpec::nth(2, &["OW", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: copy,
};

fn copy(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (from, to) = (ctx.key(1), ctx.key(2));
    let mut target = ctx.db.index;
    let mut replace = false;
    let mut options = &ctx.args[3..];
    loop {
        options = match options {
            [] => break,
            [name, rest @ ..] if name.eq_ignore_ascii_case(b"REPLACE") => {
                replace = true;
                rest
            }
            [name, index, rest @ ..] if name.eq_ignore_ascii_case(b"DB") => {
                target = db_index(&ctx.db, index)?;
                rest
            }
            _ => return Err(Error::Syntax),
        };
    }
    if target == ctx.db.index && from.bytes == to.bytes {
        return Err(Error::SameObject);
    }
    let Some(copy) = ctx.db.read(from).map(|entry| entry.duplicate(to.bytes)) else {
        ctx.replies.integer(0);
        return Ok(());
    };
    let mut target = ctx.db.in_db(target);
    if replace {
        target.discard(to, Removal::Replaced);
    } else if target.write(to).is_some() {
        ctx.replies.integer(0);
        return Ok(());
    }
    target.insert(to, copy);
    target.changed(to, Class::Generic, "copy_to");
    ctx.replies.integer(1);
    Ok(())
}
