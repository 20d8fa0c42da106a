//! RENAME key newkey, RENAMENX key newkey

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::keyspace::garbage::Removal;
use crate::keyspace::selected::{Key, Selected};
use crate::resp::error::Error;

pub(super) const RENAME: Command = Command {
    spec: Spec {
        name: "rename",
        group: Group::Generic,
        since: "1.0.0",
        summary: "Gives a key another name; a key of that name is replaced.",
        syntax: "key newkey",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[Flag::Write]),
        categories: &["keyspace"],
        keys: &[KeySpec::nth(1, &["RW", "ACCESS", "DELETE"]), KeySpec::nth(2, &["OW", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: rename,
};

pub(super) const RENAMENX: Command = Command {
    spec: Spec {
        name: "renamenx",
        group: Group::Generic,
        since: "1.0.0",
        summary: "Gives a key another name unless there is a key of that name.",
        syntax: "key newkey",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        categories: &["keyspace"],
        keys: &[KeySpec::nth(1, &["RW", "ACCESS", "DELETE"]), KeySpec::nth(2, &["OW", "INSERT"])],
        ..Spec::EMPTY
    },
    run: renamenx,
};

fn rename(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (from, to) = (ctx.key(1), ctx.key(2));
    if ctx.db.write(from).is_none() {
        return Err(Error::NoSuchKey);
    }
    if from.bytes != to.bytes {
        ctx.db.discard(to, Removal::Replaced);
        put_under(&mut ctx.db, from, to);
    }
    ctx.replies.ok();
    Ok(())
}

fn renamenx(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (from, to) = (ctx.key(1), ctx.key(2));
    if ctx.db.write(from).is_none() {
        return Err(Error::NoSuchKey);
    }
    // A key renamed to itself is in its own way.
    if ctx.db.write(to).is_some() {
        ctx.replies.integer(0);
        return Ok(());
    }
    put_under(&mut ctx.db, from, to);
    ctx.replies.integer(1);
    Ok(())
}

/// Renames `from`, which is there, to `to`, which is not.
fn put_under(db: &mut Selected<'_>, from: Key<'_>, to: Key<'_>) {
    let entry = db.remove(from).expect("it was found just now");
    db.insert(to, entry.renamed(to.bytes));
    db.effects.dirty += 1;
    db.touch(db.index, from);
    db.touch(db.index, to);
    db.effects.event(Class::Generic, "rename_from", db.index, from.bytes);
    db.effects.event(Class::Generic, "rename_to", db.index, to.bytes);
}
