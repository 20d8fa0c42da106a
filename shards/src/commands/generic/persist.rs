//! PERSIST key

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::resp::error::Error;

pub(super) const PERSIST: Command = Command {
    spec: Spec {
        name: "persist",
        group: Group::Generic,
        since: "2.2.0",
        summary: "Lets a key stay for ever.",
        syntax: "key",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        categories: &["keyspace"],
        keys: &[KeySpec::first(&["RW", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: persist,
};

fn persist(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    if ctx.db.write(key).is_some_and(|entry| entry.expire().is_some()) {
        ctx.db.set_expire(key, None);
        ctx.db.changed(key, Class::Generic, "persist");
        ctx.replies.integer(1);
    } else {
        ctx.replies.integer(0);
    }
    Ok(())
}
