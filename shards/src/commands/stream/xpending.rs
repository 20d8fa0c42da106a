//! XPENDING key group [[IDLE min-idle-time] start end count [consumer]]

use crate::base::number::parse_i64;
use crate::base::time::UnixMs;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group as Family, KeySpec, Spec};
use crate::commands::stream::entries::write_id;
use crate::commands::stream::ids::{parse_end, parse_start};
use crate::commands::stream::no_group;
use crate::resp::error::Error;
use crate::resp::reply::Replies;
use crate::types::stream::group::{Group, Pending};
use crate::types::stream::id::StreamId;

pub(super) const XPENDING: Command = Command {
    spec: Spec {
        name: "xpending",
        group: Family::Stream,
        since: "5.0.0",
        summary: "Tells which entries of a group are not acknowledged.",
        complexity: "O(N), N being the number of entries looked at, or of consumers.",
        syntax: "key group [[IDLE min-idle-time] start end count [consumer]]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::ReadOnly]),
        tips: &["nondeterministic_output"],
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: xpending,
};

/// Which entries are asked for.
#[derive(Clone, Copy, Debug)]
struct Wanted<'a> {
    start: StreamId,
    end: StreamId,
    count: usize,
    idle: i64,
    consumer: Option<&'a [u8]>,
}

fn xpending(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, args, now) = (ctx.key(1), ctx.args, ctx.db.now());
    let wanted = if args.len() == 3 { None } else { Some(parse(args)?) };
    let stream = ctx.db.read_stream(key)?;
    let group = stream.and_then(|stream| stream.group(args[2]));
    let group = group.ok_or_else(|| no_group(key.bytes, args[2]))?;
    match wanted {
        None => write_summary(&mut ctx.replies, group),
        Some(wanted) => write_pending(&mut ctx.replies, group, wanted, now),
    }
    Ok(())
}

fn parse<'a>(args: &[&'a [u8]]) -> Result<Wanted<'a>, Error> {
    if !(6..=9).contains(&args.len()) {
        return Err(Error::Syntax);
    }
    let (mut at, mut idle) = (3, 0);
    if args[3].eq_ignore_ascii_case(b"IDLE") {
        idle = parse_i64(args[4]).ok_or(Error::NotInteger)?;
        if args.len() < 8 {
            return Err(Error::Syntax);
        }
        at = 5;
    }
    let count = parse_i64(args[at + 2]).ok_or(Error::NotInteger)?;
    let count = usize::try_from(count).unwrap_or(0);
    let (start, end) = (parse_start(args[at])?, parse_end(args[at + 1])?);
    Ok(Wanted { start, end, count, idle, consumer: args.get(at + 3).copied() })
}

fn write_summary(replies: &mut Replies<'_>, group: &Group) {
    replies.array(4);
    write_len(replies, group.pending_len());
    let first = group.pending_from(StreamId::MIN).next().map(|(id, _)| id);
    let (Some(first), Some(last)) = (first, group.last_pending()) else {
        replies.null();
        replies.null();
        return replies.null_array();
    };
    write_id(replies, first);
    write_id(replies, last);
    let (start, mut written) = (replies.out.len(), 0);
    for consumer in group.consumers().filter(|it| it.pending_len() != 0) {
        replies.array(2);
        replies.bulk(&consumer.name);
        replies.bulk_integer(i64::try_from(consumer.pending_len()).expect(FEW));
        written += 1;
    }
    replies.insert(start, |replies| replies.array(written));
}

fn write_pending(replies: &mut Replies<'_>, group: &Group, wanted: Wanted<'_>, now: UnixMs) {
    let Wanted { start, end, count, .. } = wanted;
    let (from, mut written) = (replies.out.len(), 0);
    let mut write = |(id, pending): (StreamId, &Pending)| {
        replies.array(4);
        write_id(replies, id);
        replies.bulk(&group.consumer(pending.consumer).name);
        let idle = now.0.saturating_sub(pending.delivered.0);
        replies.integer(i64::try_from(idle).unwrap_or(i64::MAX));
        replies.integer(pending.deliveries.cast_signed());
        written += 1;
    };
    let is_wanted = |it: &(StreamId, &Pending)| wanted.idle == 0 || wanted.idle <= it.1.idle(now);
    let is_within = |it: &(StreamId, &Pending)| it.0 <= end;
    match wanted.consumer.map(|name| group.find(name)) {
        None => {
            let all = group.pending_from(start).take_while(is_within);
            all.filter(is_wanted).take(count).for_each(&mut write);
        }
        Some(None) => {}
        Some(Some(consumer)) => {
            let ids = group.consumer(consumer).pending_from(start);
            let all = ids.filter_map(|id| Some((id, group.pending(id)?))).take_while(is_within);
            all.filter(is_wanted).take(count).for_each(&mut write);
        }
    }
    replies.insert(from, |replies| replies.array(written));
}

fn write_len(replies: &mut Replies<'_>, len: usize) {
    replies.integer(i64::try_from(len).expect(FEW));
}

const FEW: &str = "what is pending takes more than a byte";
