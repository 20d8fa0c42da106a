//! FLUSHDB [ASYNC | SYNC], FLUSHALL [ASYNC | SYNC]

use core::mem;
use core::ops::Range;

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, Merge, Spec, Spread};
use crate::effects::Note;
use crate::keyspace::db::Db;
use crate::resp::error::Error;

const EACH: Spec = Spec {
    group: Group::Server,
    syntax: "[ASYNC | SYNC]",
    arity: Arity::AtLeast(1),
    flags: Flags::of(&[Flag::Write]),
    categories: &["keyspace", "dangerous"],
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    spread: Spread::Everywhere(Merge::Same),
    ..Spec::EMPTY
};

pub(super) const FLUSHDB: Command = Command {
    spec: Spec {
        name: "flushdb",
        since: "1.0.0",
        summary: "Removes all keys of the database.",
        complexity: "O(N), N being the number of keys in the database.",
        ..EACH
    },
    run: |ctx| flush(ctx, ctx.db.index..ctx.db.index + 1),
};

pub(super) const FLUSHALL: Command = Command {
    spec: Spec {
        name: "flushall",
        since: "1.0.0",
        summary: "Removes all keys of all databases.",
        complexity: "O(N), N being the number of keys in all databases.",
        ..EACH
    },
    run: |ctx| flush(ctx, 0..ctx.db.keyspace.dbs.len()),
};

/// When the memory of what is removed comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freed {
    Now,
    Later,
}

fn flush(ctx: &mut Ctx<'_>, dbs: Range<usize>) -> Result<(), Error> {
    let freed = match &ctx.args[1..] {
        [] if ctx.db.keyspace.settings.lazy_user_flush => Freed::Later,
        [] => Freed::Now,
        [option] if option.eq_ignore_ascii_case(b"ASYNC") => Freed::Later,
        [option] if option.eq_ignore_ascii_case(b"SYNC") => Freed::Now,
        _ => return Err(Error::Syntax),
    };
    if ctx.db.effects.keeps_notes {
        ctx.db.effects.notes.push(Note::Emptied);
    }
    for index in dbs {
        ctx.db.touch_watched(index, None);
        let keyspace = &mut *ctx.db.keyspace;
        let removed = mem::replace(&mut keyspace.dbs[index], Db::new(keyspace.seed));
        ctx.db.effects.dirty += removed.len() as u64;
        if freed == Freed::Later {
            keyspace.garbage.add_db(removed);
        }
    }
    // A replica that has keys of its own loses them, as with Valkey.
    ctx.db.effects.log_anyway();
    ctx.replies.ok();
    Ok(())
}
