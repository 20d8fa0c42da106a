//! XINFO STREAM key FULL: a stream with its entries, groups, consumers and what is pending.

use crate::base::time::UnixMs;
use crate::commands::stream::entries::{write_entries, write_id};
use crate::commands::stream::xinfo::{write_count, write_known, write_log};
use crate::resp::reply::Replies;
use crate::types::stream::Stream;
use crate::types::stream::group::{Consumer, Group, Pending};
use crate::types::stream::id::StreamId;

/// Up to `count` of the entries and of what is pending.
pub(super) fn write(replies: &mut Replies<'_>, stream: &Stream, count: usize) {
    replies.map(9);
    write_log(replies, stream);
    replies.bulk(b"entries");
    write_entries(replies, stream.log().range(StreamId::MIN, StreamId::MAX), Some(count));
    let groups = stream.groups();
    replies.bulk(b"groups");
    replies.array(groups.len());
    for (name, group) in groups {
        replies.map(7);
        replies.bulk(b"name");
        replies.bulk(name);
        replies.bulk(b"last-delivered-id");
        write_id(replies, group.last_id);
        write_known(replies, b"entries-read", group.entries_read);
        write_known(replies, b"lag", stream.log().lag(group));
        write_count(replies, b"pel-count", group.pending_len());
        replies.bulk(b"pending");
        replies.array(group.pending_len().min(count));
        for (id, pending) in group.pending_from(StreamId::MIN).take(count) {
            replies.array(4);
            write_id(replies, id);
            replies.bulk(&group.consumer(pending.consumer).name);
            write_delivery(replies, pending);
        }
        replies.bulk(b"consumers");
        replies.array(group.consumers_len());
        group.consumers().for_each(|consumer| write_consumer(replies, group, consumer, count));
    }
}

fn write_consumer(replies: &mut Replies<'_>, group: &Group, consumer: &Consumer, count: usize) {
    replies.map(5);
    replies.bulk(b"name");
    replies.bulk(&consumer.name);
    replies.bulk(b"seen-time");
    write_time(replies, consumer.seen);
    replies.bulk(b"active-time");
    match consumer.active {
        Some(active) => write_time(replies, active),
        None => replies.integer(-1),
    }
    write_count(replies, b"pel-count", consumer.pending_len());
    replies.bulk(b"pending");
    replies.array(consumer.pending_len().min(count));
    let ids = consumer.pending_from(StreamId::MIN).take(count);
    for (id, pending) in ids.filter_map(|id| Some((id, group.pending(id)?))) {
        replies.array(3);
        write_id(replies, id);
        write_delivery(replies, pending);
    }
}

fn write_delivery(replies: &mut Replies<'_>, pending: &Pending) {
    write_time(replies, pending.delivered);
    replies.integer(pending.deliveries.cast_signed());
}

fn write_time(replies: &mut Replies<'_>, time: UnixMs) {
    replies.integer(i64::try_from(time.0).unwrap_or(i64::MAX));
}
