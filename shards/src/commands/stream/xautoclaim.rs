//! XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]

use alloc::vec::Vec;

use crate::base::number::parse_i64;
use crate::base::time::UnixMs;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group as Family, KeySpec, Spec};
use crate::commands::stream::entries::{write_entry, write_id};
use crate::commands::stream::ids::parse_start;
use crate::commands::stream::no_group;
use crate::commands::stream::propagation::Propagation;
use crate::effects::Class;
use crate::resp::error::Error;
use crate::resp::reply::Replies;
use crate::types::stream::group::{ConsumerId, Group, Pending};
use crate::types::stream::id::StreamId;
use crate::types::stream::log::Log;

pub(super) const XAUTOCLAIM: Command = Command {
    spec: Spec {
        name: "xautoclaim",
        group: Family::Stream,
        since: "6.2.0",
        summary: "Makes entries that were pending for long those of another consumer.",
        complexity: "O(1) if COUNT is small.",
        syntax: "key group consumer min-idle-time start [COUNT count] [JUSTID]",
        arity: Arity::AtLeast(6),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        tips: &["nondeterministic_output"],
        keys: &[KeySpec::first(&["RW", "DELETE"])],
        ..Spec::EMPTY
    },
    run: xautoclaim,
};

const MIN_IDLE: Error = Error::Text("ERR Invalid min-idle-time argument for XAUTOCLAIM");
const COUNT: Error = Error::Text("ERR COUNT must be > 0");

/// How many entries are claimed if nothing else is said, and how many are looked at for each.
const COUNT_DEFAULT: usize = 100;
const ATTEMPTS: usize = 10;
/// The highest COUNT: its IDs would take half of what can be addressed.
const COUNT_MAX: i64 = i64::MAX / 16;

/// What is claimed and how.
#[derive(Clone, Copy, Debug)]
struct Claim {
    min_idle: i64,
    start: StreamId,
    count: usize,
    justid: bool,
}

fn xautoclaim(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, args, now) = (ctx.key(1), ctx.args, ctx.db.now());
    // Valkey looks the key up first, and then finds fault with the arguments.
    let claim = parse(args);
    let mut propagation = Propagation::new(ctx.db.effects, key.bytes, args[2]);
    let stream = ctx.db.read_stream_mut(key);
    let claim = claim?;
    let found = stream?.and_then(|stream| stream.group_mut(args[2]));
    let (log, group) = found.ok_or_else(|| no_group(key.bytes, args[2]))?;

    let known = group.find(args[3]);
    let consumer = known.unwrap_or_else(|| group.create(args[3], now));
    if known.is_none() {
        propagation.consumer(args[3]);
    }
    group.consumer_mut(consumer).seen = now;
    let replies = &mut ctx.replies;
    replies.array(3);
    let mut changes = claim.run(log, (group, consumer), now, &mut propagation, replies);
    let db = &mut ctx.db;
    if known.is_none() {
        db.event(key, Class::Stream, "xgroup-createconsumer");
        changes += 1;
    }
    db.effects.dirty += changes;
    db.effects.log_nothing();
    propagation.log(db.effects);
    Ok(())
}

impl Claim {
    /// Claims, writes where to go on, what was claimed, and what is not there any more; says how
    /// many changes it made.
    fn run(
        self,
        log: &Log,
        (group, consumer): (&mut Group, ConsumerId),
        now: UnixMs,
        propagation: &mut Propagation<'_>,
        replies: &mut Replies<'_>,
    ) -> u64 {
        let (start, mut claimed, mut gone) = (replies.out.len(), 0, Vec::new());
        let (mut next, mut attempts) = (Some(self.start), self.count.saturating_mul(ATTEMPTS));
        let go_on = loop {
            let found = next.and_then(|next| group.pending_from(next).next());
            let Some((id, &pending)) = found else { break StreamId::MIN };
            if attempts == 0 || self.count == claimed + gone.len() {
                break id;
            }
            attempts -= 1;
            next = id.next();
            let Some(entry) = log.get(id) else {
                propagation.claim(group, id, &pending);
                group.acknowledge(id);
                gone.push(id);
                continue;
            };
            if self.min_idle != 0 && pending.idle(now) < self.min_idle {
                continue;
            }
            let deliveries = pending.deliveries.wrapping_add(u64::from(!self.justid));
            let pending = Pending { consumer, delivered: now, deliveries };
            group.deliver(id, pending);
            group.consumer_mut(consumer).active = Some(now);
            if self.justid {
                write_id(replies, id);
            } else {
                write_entry(replies, &entry);
            }
            claimed += 1;
            propagation.claim(group, id, &pending);
        };
        replies.insert(start, |replies| {
            write_id(replies, go_on);
            replies.array(claimed);
        });
        replies.array(gone.len());
        gone.iter().for_each(|id| write_id(replies, *id));
        (claimed + gone.len()) as u64
    }
}

fn parse(args: &[&[u8]]) -> Result<Claim, Error> {
    let min_idle = parse_i64(args[4]).ok_or(MIN_IDLE)?.max(0);
    let start = parse_start(args[5])?;
    let mut claim = Claim { min_idle, start, count: COUNT_DEFAULT, justid: false };
    let mut options = &args[6..];
    while let [name, rest @ ..] = options {
        options = rest;
        if name.eq_ignore_ascii_case(b"COUNT")
            && let [count, rest @ ..] = rest
        {
            let count = parse_i64(count).filter(|count| (1..=COUNT_MAX).contains(count));
            claim.count = count.and_then(|count| usize::try_from(count).ok()).ok_or(COUNT)?;
            options = rest;
        } else if name.eq_ignore_ascii_case(b"JUSTID") {
            claim.justid = true;
        } else {
            return Err(Error::Syntax);
        }
    }
    Ok(claim)
}
