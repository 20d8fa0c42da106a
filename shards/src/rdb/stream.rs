//! Streams in files and dumps.
//!
//! ```text
//! nodes: ID of the first entry (BE), listpack
//! entries | last ID | [first ID | highest deleted ID | entries ever added]
//! groups: name | last ID | [entries read]
//!     pending: ID (BE), when it was delivered, how often
//!     consumers: name | seen | [active] | IDs that are pending (BE)
//! ```
//! What stands in brackets came with later kinds.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::base::time::UnixMs;
use crate::encodings::listpack::Listpack;
use crate::rdb::error::{Error, Problem};
use crate::rdb::kind::{Kind, Version};
use crate::rdb::reader::{Reader, Source};
use crate::rdb::writer::{Sink, Writer};
use crate::types::stream::Stream;
use crate::types::stream::group::{Group, Pending};
use crate::types::stream::id::StreamId;
use crate::types::stream::log::Log;

/// What stands for a time that never was.
const NEVER: i64 = -1;
/// What stands for an unknown number of entries read.
const UNKNOWN: u64 = u64::MAX;

/// As what it is written for readers of this version.
pub(super) fn kind(version: Version) -> Kind {
    if Kind::Stream3.since() <= version { Kind::Stream3 } else { Kind::Stream2 }
}

pub(super) fn has_consumers(stream: &Stream) -> bool {
    stream.groups().any(|(_, group)| group.consumers_len() != 0)
}

pub(super) fn write<S: Sink>(writer: &mut Writer<'_, S>, stream: &Stream) {
    let log = stream.log();
    writer.count(log.nodes().len());
    for (base, node) in log.nodes() {
        writer.blob(&base.to_bytes());
        writer.blob(node.as_bytes());
    }
    writer.length(log.len());
    for id in [log.last_id(), log.first_id(), log.max_deleted_id()] {
        write_id(writer, id);
    }
    writer.length(log.entries_added());
    writer.count(stream.groups().len());
    for (name, group) in stream.groups() {
        write_group(writer, name, group);
    }
}

fn write_group<S: Sink>(writer: &mut Writer<'_, S>, name: &[u8], group: &Group) {
    writer.text(name);
    write_id(writer, group.last_id);
    writer.length(group.entries_read.map_or(UNKNOWN, i64::cast_unsigned));
    writer.count(group.pending_len());
    for (id, pending) in group.pending_from(StreamId::MIN) {
        writer.sink.put(&id.to_bytes());
        write_time(writer, Some(pending.delivered));
        writer.length(pending.deliveries);
    }
    writer.count(group.consumers_len());
    for consumer in group.consumers() {
        writer.text(&consumer.name);
        write_time(writer, Some(consumer.seen));
        if kind(writer.version()) == Kind::Stream3 {
            write_time(writer, consumer.active);
        }
        writer.count(consumer.pending_len());
        for id in consumer.pending_from(StreamId::MIN) {
            writer.sink.put(&id.to_bytes());
        }
    }
}

fn write_id<S: Sink>(writer: &mut Writer<'_, S>, id: StreamId) {
    writer.length(id.ms);
    writer.length(id.seq);
}

fn write_time<S: Sink>(writer: &mut Writer<'_, S>, at: Option<UnixMs>) {
    writer.fixed(at.map_or(NEVER, |at| i64::try_from(at.0).unwrap_or(i64::MAX)));
}

/// Reads a stream of this kind.
pub(super) fn read<S: Source>(reader: &mut Reader<S>, kind: Kind) -> Result<Stream, Error> {
    let mut stream = Stream::default();
    read_log(reader, kind, stream.log_mut())?;
    let mut name = Vec::new();
    for _ in 0..reader.length()? {
        reader.argument(&mut name)?;
        let group = read_group(reader, kind, stream.log())?;
        if !stream.add_group(&name, group) {
            return Err(reader.error(Problem::Duplicate("group")));
        }
    }
    Ok(stream)
}

fn read_log<S: Source>(reader: &mut Reader<S>, kind: Kind, log: &mut Log) -> Result<(), Error> {
    for _ in 0..reader.length()? {
        let base = reader.with_blob(|base| base.try_into().map(StreamId::from_bytes))?;
        let listpack = reader.with_blob(Listpack::from_bytes)?;
        let is_good = match (base, listpack) {
            (Ok(base), Some(listpack)) => log.push_node(base, listpack),
            _ => false,
        };
        if !is_good {
            return Err(reader.error(Problem::Encoding("stream")));
        }
    }
    let len = reader.length()?;
    let last_id = read_id(reader)?;
    let (mut deleted, mut added) = (StreamId::MIN, len);
    if kind != Kind::Stream {
        // The first entry is where it is, whatever is said of it.
        read_id(reader)?;
        deleted = read_id(reader)?;
        added = reader.length()?;
    }
    if log.len() != len || last_id < log.last_id() {
        return Err(reader.error(Problem::Encoding("stream")));
    }
    log.set_last_id(last_id, Some(added), Some(deleted));
    Ok(())
}

/// What is known of a pending entry before its consumer is.
struct Delivery {
    at: UnixMs,
    deliveries: u64,
}

fn read_group<S: Source>(reader: &mut Reader<S>, kind: Kind, log: &Log) -> Result<Group, Error> {
    let last_id = read_id(reader)?;
    let entries_read = match kind {
        Kind::Stream => log.entries_read_at(last_id),
        _ => Some(reader.length()?).filter(|read| *read != UNKNOWN).map(u64::cast_signed),
    };
    let mut group = Group::new(last_id, entries_read);
    let mut deliveries = BTreeMap::new();
    for _ in 0..reader.length()? {
        let id = StreamId::from_bytes(reader.array()?);
        let at = read_time(reader)?.unwrap_or_default();
        let delivery = Delivery { at, deliveries: reader.length()? };
        if deliveries.insert(id, delivery).is_some() {
            return Err(reader.error(Problem::Duplicate("pending entry")));
        }
    }
    for _ in 0..reader.length()? {
        read_consumer(reader, kind, &mut group, &mut deliveries)?;
    }
    // Each is pending for a consumer.
    if deliveries.is_empty() { Ok(group) } else { Err(reader.error(Problem::Encoding("stream"))) }
}

fn read_consumer<S: Source>(
    reader: &mut Reader<S>,
    kind: Kind,
    group: &mut Group,
    deliveries: &mut BTreeMap<StreamId, Delivery>,
) -> Result<(), Error> {
    let mut name = Vec::new();
    reader.argument(&mut name)?;
    if group.find(&name).is_some() {
        return Err(reader.error(Problem::Duplicate("consumer")));
    }
    let seen = read_time(reader)?.unwrap_or_default();
    let active = match kind {
        Kind::Stream3 => read_time(reader)?,
        // The best that is known.
        _ => Some(seen),
    };
    let consumer = group.create(&name, seen);
    group.consumer_mut(consumer).active = active;
    for _ in 0..reader.length()? {
        let id = StreamId::from_bytes(reader.array()?);
        let delivery = deliveries.remove(&id);
        let delivery = delivery.ok_or_else(|| reader.error(Problem::Encoding("stream")))?;
        let Delivery { at: delivered, deliveries } = delivery;
        group.deliver(id, Pending { consumer, delivered, deliveries });
    }
    Ok(())
}

fn read_id<S: Source>(reader: &mut Reader<S>) -> Result<StreamId, Error> {
    Ok(StreamId { ms: reader.length()?, seq: reader.length()? })
}

fn read_time<S: Source>(reader: &mut Reader<S>) -> Result<Option<UnixMs>, Error> {
    Ok(u64::try_from(reader.fixed()?).ok().map(UnixMs))
}
