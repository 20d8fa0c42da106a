//! XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds]
//! [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]

use alloc::vec::Vec;

use crate::base::number::parse_i64;
use crate::base::time::UnixMs;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group as Family, KeySpec, Spec};
use crate::commands::stream::entries::{write_entry, write_id};
use crate::commands::stream::ids::parse_id;
use crate::commands::stream::no_group;
use crate::commands::stream::propagation::Propagation;
use crate::effects::Class;
use crate::resp::error::Error;
use crate::resp::reply::Replies;
use crate::types::stream::group::{ConsumerId, Group, Pending};
use crate::types::stream::id::StreamId;
use crate::types::stream::log::Log;

pub(super) const XCLAIM: Command = Command {
    spec: Spec {
        name: "xclaim",
        group: Family::Stream,
        since: "5.0.0",
        summary: "Makes pending entries those of another consumer.",
        complexity: "O(log N) for each entry, N being the number of those pending.",
        syntax: "key group consumer min-idle-time id [id ...] [IDLE ms] \
                 [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] \
                 [LASTID lastid]",
        arity: Arity::AtLeast(6),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        tips: &["nondeterministic_output"],
        keys: &[KeySpec::first(&["RW", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: xclaim,
};

const MIN_IDLE: Error = Error::Text("ERR Invalid min-idle-time argument for XCLAIM");
const IDLE: Error = Error::Text("ERR Invalid IDLE option argument for XCLAIM");
const TIME: Error = Error::Text("ERR Invalid TIME option argument for XCLAIM");
const RETRYCOUNT: Error = Error::Text("ERR Invalid RETRYCOUNT option argument for XCLAIM");

/// What is claimed and how.
#[derive(Debug)]
struct Claim {
    min_idle: i64,
    ids: Vec<StreamId>,
    delivered: UnixMs,
    deliveries: Option<u64>,
    force: bool,
    justid: bool,
    last_id: StreamId,
}

fn xclaim(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, args, now) = (ctx.key(1), ctx.args, ctx.db.now());
    let mut propagation = Propagation::new(ctx.db.effects, key.bytes, args[2]);
    let stream = ctx.db.read_stream_mut(key)?;
    let found = stream.and_then(|stream| stream.group_mut(args[2]));
    let (log, group) = found.ok_or_else(|| no_group(key.bytes, args[2]))?;
    let claim = parse(args, now)?;
    let mut advances = group.last_id < claim.last_id;
    group.last_id = group.last_id.max(claim.last_id);

    let known = group.find(args[3]);
    let consumer = known.unwrap_or_else(|| group.create(args[3], now));
    if known.is_none() {
        propagation.consumer(args[3]);
    }
    group.consumer_mut(consumer).seen = now;
    let replies = &mut ctx.replies;
    let (start, mut written, mut changes) = (replies.out.len(), 0, 0);
    for &id in &claim.ids {
        let outcome = claim.one(log, group, (id, consumer), now, replies);
        let (Outcome::Gone(pending) | Outcome::Claimed(pending)) = outcome else { continue };
        propagation.claim(group, id, &pending);
        changes += 1;
        advances = false; // The claim tells of the last ID as well.
        if let Outcome::Gone(_) = outcome {
            group.acknowledge(id);
        } else {
            written += 1;
        }
    }
    replies.insert(start, |replies| replies.array(written));
    if advances {
        propagation.group_id(group);
        changes += 1;
    }
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

/// What became of an entry that was claimed.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// It is pending for the consumer now.
    Claimed(Pending),
    /// It was pending, but is not in the stream any more.
    Gone(Pending),
    /// It is not for the consumer.
    Left,
}

impl Claim {
    fn one(
        &self,
        log: &Log,
        group: &mut Group,
        (id, consumer): (StreamId, ConsumerId),
        now: UnixMs,
        replies: &mut Replies<'_>,
    ) -> Outcome {
        let before = group.pending(id).copied();
        let Some(entry) = log.get(id) else {
            return before.map_or(Outcome::Left, Outcome::Gone);
        };
        let deliveries = match before {
            None if !self.force => return Outcome::Left,
            None => 1,
            Some(it) if self.min_idle != 0 && it.idle(now) < self.min_idle => return Outcome::Left,
            Some(it) => it.deliveries,
        };
        let more = u64::from(!self.justid);
        let deliveries = self.deliveries.unwrap_or(deliveries.wrapping_add(more));
        let pending = Pending { consumer, delivered: self.delivered, deliveries };
        group.deliver(id, pending);
        group.consumer_mut(consumer).active = Some(now);
        if self.justid {
            write_id(replies, id);
        } else {
            write_entry(replies, &entry);
        }
        Outcome::Claimed(pending)
    }
}

fn parse(args: &[&[u8]], now: UnixMs) -> Result<Claim, Error> {
    let min_idle = parse_i64(args[4]).ok_or(MIN_IDLE)?.max(0);
    // IDs as far as they can be read; then options.
    let ids: Vec<_> = args[5..].iter().map_while(|arg| parse_id(arg).ok()).collect();
    let mut rest = &args[5 + ids.len()..];
    let mut claim = Claim {
        min_idle,
        ids,
        delivered: now,
        deliveries: None,
        force: false,
        justid: false,
        last_id: StreamId::MIN,
    };
    let time = i64::try_from(now.0).unwrap_or(i64::MAX);
    let mut delivered = None;
    while let [name, after @ ..] = rest {
        let is = |expected: &[u8]| name.eq_ignore_ascii_case(expected);
        rest = after;
        if is(b"FORCE") {
            claim.force = true;
            continue;
        }
        if is(b"JUSTID") {
            claim.justid = true;
            continue;
        }
        let [value, after @ ..] = after else { return Err(unknown(name)) };
        if is(b"IDLE") {
            delivered = Some(time.wrapping_sub(parse_i64(value).ok_or(IDLE)?));
        } else if is(b"TIME") {
            delivered = Some(parse_i64(value).ok_or(TIME)?);
        } else if is(b"RETRYCOUNT") {
            // A negative one is none.
            claim.deliveries = u64::try_from(parse_i64(value).ok_or(RETRYCOUNT)?).ok();
        } else if is(b"LASTID") {
            claim.last_id = parse_id(value)?;
        } else {
            return Err(unknown(name));
        }
        rest = after;
    }
    // A time that cannot be is taken for now: a client's clock may be ahead of ours.
    let possible = delivered.filter(|it| (0..=time).contains(it)).unwrap_or(time);
    claim.delivered = UnixMs(u64::try_from(possible).unwrap_or(now.0));
    Ok(claim)
}

#[cold]
fn unknown(option: &[u8]) -> Error {
    Error::naming("ERR Unrecognized XCLAIM option '", option, "'")
}
