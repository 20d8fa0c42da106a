//! CLUSTER FLUSHSLOT slot [ASYNC | SYNC]

use alloc::vec::Vec;

use crate::base::number;
use crate::base::slot::Slot;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, Merge, Spec, Spread};
use crate::effects::Class;
use crate::encodings::table::Position;
use crate::keyspace::db::Db;
use crate::keyspace::garbage::Removal;
use crate::resp::error::Error;

pub(super) const FLUSHSLOT: Command = Command {
    spec: Spec {
        name: "cluster|flushslot",
        group: Group::Cluster,
        since: "9.0.0",
        summary: "Removes all keys of a slot, in a cluster.",
        complexity: "O(N), N being the number of keys of the slot in all databases.",
        syntax: "slot [ASYNC | SYNC]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::Write, Flag::Admin, Flag::NoAsyncLoading]),
        categories: &["keyspace"],
        spread: Spread::Everywhere(Merge::Same),
        ..Spec::EMPTY
    },
    run,
};

/// Keys in one DEL of the log.
const LOGGED_MAX: usize = 512;

fn run(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    if !ctx.db.keyspace.settings.in_cluster {
        return Err(Error::ClusterDisabled);
    }
    let (word, option) = match ctx.args[2..] {
        [slot] => (slot, None),
        [slot, option] => (slot, Some(option)),
        _ => {
            let before = "ERR unknown subcommand or wrong number of arguments for '";
            return Err(Error::naming(before, ctx.args[1], "'. Try CLUSTER HELP."));
        }
    };
    let slot = number::parse_i64(word).and_then(|number| u16::try_from(number).ok());
    let slot = slot.and_then(Slot::new).ok_or(Error::Text("ERR Invalid or out of range slot"))?;
    let removal = match option {
        None if ctx.db.keyspace.settings.lazy_user_flush => Removal::Unlinked,
        None => Removal::Deleted,
        Some(option) if option.eq_ignore_ascii_case(b"ASYNC") => Removal::Unlinked,
        Some(option) if option.eq_ignore_ascii_case(b"SYNC") => Removal::Deleted,
        Some(_) => return Err(Error::Syntax),
    };
    flush(ctx, slot, removal);
    ctx.replies.ok();
    Ok(())
}

/// Removes the keys. What is logged is what was removed, all at once: replicas need not know the
/// command, and only the shard of the slot has something to log.
fn flush(ctx: &mut Ctx<'_>, slot: Slot, removal: Removal) {
    let begins = ctx.db.effects.keeps_log && !ctx.db.effects.log.is_open();
    if begins {
        ctx.db.effects.log.begin();
    }
    for index in 0..ctx.db.keyspace.dbs.len() {
        let keys = keys_of(&ctx.db.keyspace.dbs[index], slot);
        let mut db = ctx.db.in_db(index);
        for bytes in &keys {
            let key = db.key(bytes);
            if db.discard(key, removal) {
                db.changed(key, Class::Generic, "del");
            }
        }
        for keys in keys.chunks(LOGGED_MAX).filter(|_| db.effects.keeps_log) {
            let del = [&b"DEL"[..]].into_iter().chain(keys.iter().map(Vec::as_slice));
            db.effects.log.push(index, &del.collect::<Vec<_>>());
        }
    }
    if begins {
        ctx.db.effects.log.end();
    }
    ctx.db.effects.log_nothing();
}

fn keys_of(db: &Db, slot: Slot) -> Vec<Vec<u8>> {
    let until = Slot::new(slot.number() + 1).map(Position::of_slot);
    let (mut at, mut keys) = (Some(Position::of_slot(slot)), Vec::new());
    while let Some(from) = at {
        at = db.table().scan_until(from, until, &mut |entry| keys.push(entry.key().to_vec()));
    }
    keys
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use crate::commands::testing::Harness;

    /// The slot of a key, and of all keys with this tag.
    const SLOT: &str = "15495";

    fn harness() -> Harness {
        let mut harness = Harness::with(&["MSET a 1 {a}b 2 b 3", "MOVE {a}b 1"]);
        harness.keyspace.settings.in_cluster = true;
        harness
    }

    #[test]
    fn the_keys_of_the_slot_go_in_all_databases() {
        for option in ["", " ASYNC", " sync"] {
            let mut harness = harness();
            let line = format!("CLUSTER FLUSHSLOT {SLOT}{option}");
            harness.check(&line, 2, "del:a del:{a}b", "DEL a; SELECT 1; DEL {a}b");
            assert_eq!(harness.keyspace.len(), 1, "{line}");
            harness.check(&line, 0, "", "");
        }
    }

    #[test]
    fn watchers_hear_of_keys_that_go() {
        let mut harness = harness();
        assert!(!harness.touches("CLUSTER FLUSHSLOT 15494"));
        assert!(harness.touches("CLUSTER FLUSHSLOT 15495"));
    }

    #[test]
    fn words_that_mean_nothing_are_errors() {
        let mut harness = harness();
        let words = "unknown subcommand or wrong number of arguments for 'FLUSHSLOT'. \
                     Try CLUSTER HELP.";
        for (line, expected) in [
            ("x", "Invalid or out of range slot"),
            ("16384 foo", "Invalid or out of range slot"),
            ("1 foo", "syntax error"),
            ("1 SYNC ASYNC", words),
        ] {
            let reply = harness.run(&format!("CLUSTER FLUSHSLOT {line}"));
            assert_eq!(reply, format!("-ERR {}\\r\\n", expected.replace('\'', "\\'")), "{line}");
        }
        harness.keyspace.settings.in_cluster = false;
        let reply = harness.run("CLUSTER FLUSHSLOT 1");
        assert_eq!(reply, "-ERR This instance has cluster support disabled\\r\\n");
    }
}
