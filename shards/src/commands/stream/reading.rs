//! What XREAD and XREADGROUP ask for, and serving it from what is there.
//!
//! A client that waits comes back to [`Reading::serve`] when one of its streams grows: by then
//! `$` has become an ID, so that it does not miss what came in between.

use alloc::format;
use alloc::vec::Vec;

use crate::base::number::parse_i64;
use crate::base::time::UnixMs;
use crate::commands::ctx::Ctx;
use crate::commands::stream::entries::{write_entries, write_entry, write_id};
use crate::commands::stream::ids::parse_id;
use crate::commands::stream::naming;
use crate::commands::stream::propagation::Propagation;
use crate::commands::waiting::Timeout;
use crate::effects::{Awaited, Class};
use crate::keyspace::selected::Key;
use crate::resp::error::Error;
use crate::resp::reply::{Protocol, Replies};
use crate::types::stream::Stream;
use crate::types::stream::group::{ConsumerId, Group, Pending};
use crate::types::stream::id::{ID_BYTES_MAX, StreamId};
use crate::types::stream::log::Log;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    /// Whether, and for how long, to wait if there is nothing.
    pub timeout: Option<Timeout>,
    group: Option<Reader<'a>>,
    count: Option<usize>,
    /// How many keys there are; each key's ID stands so many arguments behind it.
    streams: usize,
    /// Where the keys stand that are looked at, and which entries of each are asked for.
    from: Vec<(usize, From)>,
}

/// Who reads, in a group.
#[derive(Clone, Copy, Debug)]
struct Reader<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
    noack: bool,
}

/// Which entries of a stream are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// Those behind this one; in a group, of those that are pending for the consumer.
    After(StreamId),
    /// Those that the group has not read: `>`.
    New,
}

/// Which command asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Xread,
    Xreadgroup,
}

const NO_GROUP_HERE: Error =
    Error::Text("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.");
const NO_NOACK_HERE: Error =
    Error::Text("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.");
const GROUP_MISSING: Error = Error::Text("ERR Missing GROUP option for XREADGROUP");
const NEW_ALONE: Error = Error::Text(
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> \
     <consumer> option.",
);

impl<'a> Reading<'a> {
    /// Reads the arguments, and looks up what `$`, `+` and the group stand for.
    pub fn parse(ctx: &mut Ctx<'a>, by: By) -> Result<Self, Error> {
        let args = ctx.args;
        let (mut timeout, mut count, mut group, mut noack) = (None, None, None, false);
        let mut at = 1;
        let keys = loop {
            let Some(arg) = args.get(at) else { return Err(Error::Syntax) };
            let is = |name: &[u8]| arg.eq_ignore_ascii_case(name);
            let more = args.len() - at - 1;
            if is(b"BLOCK") && 0 < more {
                timeout = Some(Timeout::of_millis(args[at + 1], ctx.db.now())?);
                at += 2;
            } else if is(b"COUNT") && 0 < more {
                let number = parse_i64(args[at + 1]).ok_or(Error::NotInteger)?;
                count = usize::try_from(number).ok().filter(|count| *count != 0);
                at += 2;
            } else if is(b"STREAMS") && 0 < more {
                break at + 1;
            } else if is(b"GROUP") && 2 <= more {
                if by == By::Xread {
                    return Err(NO_GROUP_HERE);
                }
                group = Some((args[at + 1], args[at + 2]));
                at += 3;
            } else if is(b"NOACK") {
                if by == By::Xread {
                    return Err(NO_NOACK_HERE);
                }
                noack = true;
                at += 1;
            } else {
                return Err(Error::Syntax);
            }
        };
        if !(args.len() - keys).is_multiple_of(2) {
            return Err(unbalanced(by));
        }
        if by == By::Xreadgroup && group.is_none() {
            return Err(GROUP_MISSING);
        }
        let group = group.map(|(group, consumer)| Reader { group, consumer, noack });
        let streams = (args.len() - keys) / 2;
        let mut from = Vec::with_capacity(streams);
        for at in keys..keys + streams {
            if ctx.sees(ctx.key(at)) {
                from.push((at, parse_from(ctx, at, args[at + streams], group)?));
            }
        }
        Ok(Self { timeout, group, count, streams, from })
    }

    /// Answers with what there is; false, and nothing is written, if there is nothing.
    pub fn serve(&self, ctx: &mut Ctx<'_>) -> Result<bool, Error> {
        let (start, mut served) = (ctx.replies.out.len(), 0);
        for &(at, from) in &self.from {
            let is_served = match (self.group, from) {
                (Some(reader), from) => self.serve_group(ctx, at, (reader, from))?,
                (None, From::After(id)) => self.serve_one(ctx, at, id)?,
                (None, From::New) => unreachable!("only groups know what is new"),
            };
            served += usize::from(is_served);
        }
        if 0 < served {
            ctx.replies.insert(start, |replies| match replies.protocol {
                Protocol::Resp2 => replies.array(served),
                Protocol::Resp3 => replies.map(served),
            });
        }
        Ok(0 < served)
    }

    /// What to wait for: of each key entries behind those that were asked for, or that the group
    /// has not read.
    pub fn awaited<'k>(&self, ctx: &Ctx<'k>) -> Vec<(Key<'k>, Awaited)> {
        let awaited = |&(at, from): &(usize, From)| {
            let awaited = match (self.group, from) {
                (Some(reader), _) => Awaited::Group(reader.group.to_vec()),
                (None, From::After(id)) => Awaited::Entry((id.ms, id.seq)),
                (None, From::New) => unreachable!("only groups know what is new"),
            };
            (ctx.key(at), awaited)
        };
        self.from.iter().map(awaited).collect()
    }

    /// What `$` stands for from now on: the places of such arguments, and IDs.
    pub fn rewritten(&self, args: &[&[u8]]) -> Vec<(usize, Vec<u8>)> {
        let mut rewritten = Vec::new();
        for &(at, from) in &self.from {
            if let From::After(id) = from
                && args[at + self.streams] == b"$"
            {
                let text = id.format(&mut [0; ID_BYTES_MAX]).to_vec();
                rewritten.push((at + self.streams, text));
            }
        }
        rewritten
    }

    fn serve_one(&self, ctx: &mut Ctx<'_>, at: usize, after: StreamId) -> Result<bool, Error> {
        let key = ctx.key(at);
        let Some(log) = ctx.db.read_stream(key)?.map(Stream::log) else { return Ok(false) };
        if log.last_entry_id().is_none_or(|last| last <= after) {
            return Ok(false);
        }
        write_key(&mut ctx.replies, key.bytes);
        let start = after.next().expect("an entry lies behind it");
        write_entries(&mut ctx.replies, log.range(start, StreamId::MAX), self.count);
        Ok(true)
    }

    fn serve_group(
        &self,
        ctx: &mut Ctx<'_>,
        at: usize,
        (reader, from): (Reader<'_>, From),
    ) -> Result<bool, Error> {
        let (key, now) = (ctx.key(at), ctx.db.now());
        let mut propagation = Propagation::new(ctx.db.effects, key.bytes, reader.group);
        let Some(stream) = ctx.db.read_stream_mut(key)? else { return Ok(false) };
        let Some((log, group)) = stream.group_mut(reader.group) else { return Ok(false) };
        let known = group.find(reader.consumer);
        let consumer = known.unwrap_or_else(|| group.create(reader.consumer, now));
        if known.is_none() {
            propagation.consumer(reader.consumer);
        }
        group.consumer_mut(consumer).seen = now;
        let replies = &mut ctx.replies;
        let is_served = match from {
            From::After(_) => true,
            From::New => log.last_entry_id().is_some_and(|last| group.last_id < last),
        };
        if is_served {
            write_key(replies, key.bytes);
        }
        match from {
            From::After(after) => self.write_history(log, (group, consumer), after, now, replies),
            From::New if is_served => {
                let mut delivery =
                    Delivery { reader, consumer, now, propagation: &mut propagation };
                delivery.run(log, group, self.count, replies);
            }
            From::New => {}
        }
        if known.is_none() {
            ctx.db.event(key, Class::Stream, "xgroup-createconsumer");
        }
        ctx.db.effects.dirty += u64::from(known.is_none()) + u64::from(is_served);
        propagation.log(ctx.db.effects);
        Ok(is_served)
    }

    /// What is pending for the consumer behind `after`.
    fn write_history(
        &self,
        log: &Log,
        (group, consumer): (&mut Group, ConsumerId),
        after: StreamId,
        now: UnixMs,
        replies: &mut Replies<'_>,
    ) {
        let from = after.next().unwrap_or(StreamId::MIN);
        let ids = group.consumer(consumer).pending_from(from);
        let ids: Vec<_> = ids.take(self.count.unwrap_or(usize::MAX)).collect();
        replies.array(ids.len());
        for id in ids {
            let Some(entry) = log.get(id) else {
                replies.array(2);
                write_id(replies, id);
                replies.null_array();
                continue;
            };
            write_entry(replies, &entry);
            if let Some(pending) = group.pending_mut(id) {
                pending.delivered = now;
                pending.deliveries = pending.deliveries.wrapping_add(1);
            }
        }
    }
}

/// Entries on their way to a consumer.
struct Delivery<'a, 'p> {
    reader: Reader<'a>,
    consumer: ConsumerId,
    now: UnixMs,
    propagation: &'p mut Propagation<'a>,
}

impl Delivery<'_, '_> {
    /// Delivers what the group has not read.
    fn run(
        &mut self,
        log: &Log,
        group: &mut Group,
        count: Option<usize>,
        replies: &mut Replies<'_>,
    ) {
        let (at, mut written) = (replies.out.len(), 0);
        let start = group.last_id.next().unwrap_or(StreamId::MAX);
        for entry in log.range(start, StreamId::MAX).take(count.unwrap_or(usize::MAX)) {
            advance(log, group, entry.id);
            write_entry(replies, &entry);
            written += 1;
            if self.reader.noack {
                continue;
            }
            let (consumer, delivered) = (self.consumer, self.now);
            let pending = Pending { consumer, delivered, deliveries: 1 };
            group.deliver(entry.id, pending);
            group.consumer_mut(consumer).active = Some(self.now);
            self.propagation.claim(group, entry.id, &pending);
        }
        self.propagation.group_id(group);
        replies.insert(at, |replies| replies.array(written));
    }
}

/// Says that the group has read up to `id`.
fn advance(log: &Log, group: &mut Group, id: StreamId) {
    group.entries_read = match group.entries_read {
        Some(read) if log.first_id() <= group.last_id && !log.has_gaps_from(group.last_id) => {
            Some(read.wrapping_add(1))
        }
        read if log.entries_added() == 0 => read,
        _ => log.entries_read_at(id),
    };
    group.last_id = id;
}

/// Where to begin in the stream at argument `at`, to which `id` belongs.
fn parse_from(
    ctx: &mut Ctx<'_>,
    at: usize,
    id: &[u8],
    reader: Option<Reader<'_>>,
) -> Result<From, Error> {
    let key = ctx.key(at);
    let stream = ctx.db.read_stream(key)?;
    if let Some(reader) = reader {
        let group = stream.and_then(|stream| stream.group(reader.group));
        group.ok_or_else(|| no_group(key.bytes, reader.group))?;
        return match id {
            b"$" => Err(meaningless('$')),
            b"+" => Err(meaningless('+')),
            b">" => Ok(From::New),
            // Valkey tells `>` from an ID by its being the last one there is.
            id => parse_id(id).map(|id| match id {
                StreamId::MAX => From::New,
                id => From::After(id),
            }),
        };
    }
    let last = stream.map(|stream| stream.log().last_id()).unwrap_or_default();
    match id {
        b"$" => Ok(From::After(last)),
        b"+" => Ok(From::After(last.prev().unwrap_or_default())),
        b">" => Err(NEW_ALONE),
        id => parse_id(id).map(From::After),
    }
}

/// The key of a stream whose entries follow.
fn write_key(replies: &mut Replies<'_>, key: &[u8]) {
    if replies.protocol == Protocol::Resp2 {
        replies.array(2);
    }
    replies.bulk(key);
}

#[cold]
fn unbalanced(by: By) -> Error {
    let (name, sign) = match by {
        By::Xread => ("xread", '$'),
        By::Xreadgroup => ("xreadgroup", '>'),
    };
    Error::Owned(format!(
        "ERR Unbalanced '{name}' list of streams: for each stream key an ID or '{sign}' must be \
         specified."
    ))
}

#[cold]
fn no_group(key: &[u8], group: &[u8]) -> Error {
    let end = "' in XREADGROUP with GROUP option";
    naming(["NOGROUP No such key '", "' or consumer group '", end], [key, group])
}

#[cold]
fn meaningless(id: char) -> Error {
    Error::Owned(format!(
        "ERR The {id} ID is meaningless in the context of XREADGROUP: you want to read the \
         history of this consumer by specifying a proper ID, or use the > ID to get new \
         messages. The {id} ID would just return an empty result set."
    ))
}
