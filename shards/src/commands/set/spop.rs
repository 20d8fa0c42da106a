//! SPOP key [count]

use alloc::vec::Vec;

use super::combining::write_members;
use crate::base::number::{DIGITS_MAX, parse_i64};
use crate::base::random::Random;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::keyspace::garbage::Removal;
use crate::keyspace::selected::Key;
use crate::resp::error::Error;

pub(super) const SPOP: Command = Command {
    spec: Spec {
        name: "spop",
        group: Group::Set,
        since: "1.0.0",
        summary: "Removes members of a set picked by chance and returns them.",
        complexity: "O(N), N being the number of members removed.",
        syntax: "key [count]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        tips: &["nondeterministic_output"],
        keys: &[KeySpec::first(&["RW", "ACCESS", "DELETE"])],
        ..Spec::EMPTY
    },
    run: spop,
};

/// Members that one SREM in the log names, at most.
const LOGGED_MEMBERS: usize = 1024;

fn spop(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    match &ctx.args[2..] {
        [] => pop_one(ctx, key),
        [count] => {
            let count = parse_i64(count).and_then(|count| usize::try_from(count).ok());
            pop_many(ctx, key, count.ok_or(Error::NotPositive)?)
        }
        _ => Err(Error::Syntax),
    }
}

fn pop_one(ctx: &mut Ctx<'_>, key: Key<'_>) -> Result<(), Error> {
    let mut chance = Random::new(ctx.db.keyspace.random.bits());
    let keeps_log = ctx.db.effects.keeps_log;
    let Some(set) = ctx.db.write_set(key)? else {
        ctx.replies.null();
        return Ok(());
    };
    let (mut scratch, mut logged) = ([0; DIGITS_MAX], None);
    set.pop(&mut chance, |member| {
        let member = member.bytes(&mut scratch);
        ctx.replies.bulk(member);
        logged = keeps_log.then(|| member.to_vec());
    });
    ctx.db.changed(key, Class::Set, "spop");
    if let Some(member) = logged {
        ctx.db.effects.log_instead(&[b"SREM", key.bytes, &member]);
    }
    ctx.db.remove_if_empty(key);
    Ok(())
}

fn pop_many(ctx: &mut Ctx<'_>, key: Key<'_>, count: usize) -> Result<(), Error> {
    let mut chance = Random::new(ctx.db.keyspace.random.bits());
    let (keeps_log, rules) = (ctx.db.effects.keeps_log, ctx.db.set_rules());
    let set = ctx.db.write_set(key)?.filter(|_| 0 < count);
    let Some(set) = set else {
        ctx.replies.set(0);
        return Ok(());
    };
    if set.len() <= count {
        return pop_all(ctx, key);
    }
    ctx.replies.set(count);
    let (mut scratch, mut logged) = ([0; DIGITS_MAX], Vec::new());
    set.pop_many(count, rules, &mut chance, |member| {
        let member = member.bytes(&mut scratch);
        ctx.replies.bulk(member);
        if keeps_log {
            logged.push(member.to_vec());
        }
    });
    ctx.db.changed(key, Class::Set, "spop");
    ctx.db.effects.dirty += count as u64 - 1;
    for members in logged.chunks(LOGGED_MEMBERS) {
        let command = [b"SREM", key.bytes].into_iter();
        let args: Vec<&[u8]> = command.chain(members.iter().map(Vec::as_slice)).collect();
        ctx.db.effects.log_instead(&args);
    }
    Ok(())
}

/// The set goes as a whole, which Valkey counts as a lookup for reading.
fn pop_all(ctx: &mut Ctx<'_>, key: Key<'_>) -> Result<(), Error> {
    let set = ctx.db.read_set(key)?.expect("it was found just now");
    let len = set.len();
    write_members(&mut ctx.replies, set);
    ctx.db.changed(key, Class::Set, "spop");
    ctx.db.effects.dirty += len as u64 - 1;
    let is_lazy = ctx.db.keyspace.settings.lazy_server_del;
    ctx.db.discard(key, Removal::Replaced);
    ctx.db.event(key, Class::Generic, "del");
    let command: &[u8] = if is_lazy { b"UNLINK" } else { b"DEL" };
    ctx.db.effects.log_instead(&[command, key.bytes]);
    Ok(())
}
