//! MOVE key db

use super::db_index;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::resp::error::Error;

pub(super) const MOVE: Command = Command {
    spec: Spec {
        name: "move",
        group: Group::Generic,
        since: "1.0.0",
        summary: "Moves a key to another database unless that has such a key.",
        syntax: "key db",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        categories: &["keyspace"],
        keys: &[KeySpec::first(&["RW", "ACCESS", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: move_to,
};

fn move_to(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let (from, to) = (ctx.db.index, db_index(&ctx.db, ctx.args[2])?);
    if from == to {
        return Err(Error::SameObject);
    }
    let there = ctx.db.write(key).is_some();
    if !there || ctx.db.in_db(to).write(key).is_some() {
        ctx.replies.integer(0);
        return Ok(());
    }
    let entry = ctx.db.remove(key).expect("it was found just now");
    ctx.db.in_db(to).insert(key, entry);
    ctx.db.touch(from, key);
    ctx.db.touch(to, key);
    ctx.db.effects.dirty += 1;
    ctx.db.effects.event(Class::Generic, "move_from", from, key.bytes);
    ctx.db.effects.event(Class::Generic, "move_to", to, key.bytes);
    ctx.replies.integer(1);
    Ok(())
}
