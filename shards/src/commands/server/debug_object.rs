//! DEBUG OBJECT key [fast]

use alloc::format;
use alloc::string::String;
use core::fmt::Write;

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Group, KeySpec, Spec};
use crate::encodings::entry::Value;
use crate::encodings::field::Field;
use crate::encodings::listpack::Element;
use crate::encodings::quicklist::Quicklist;
use crate::encodings::quicklist::node::Node;
use crate::encodings::ranking::Ranking;
use crate::keyspace::db::Entry;
use crate::keyspace::evict;
use crate::resp::error::Error;
use crate::types::hash::Hash;
use crate::types::hash::fields::Fields;
use crate::types::list::List;
use crate::types::object::Object;
use crate::types::set::Set;
use crate::types::sorted_set::SortedSet;
use crate::types::stream::Stream;
use crate::types::stream::id::StreamId;

pub(super) const OBJECT: Command = Command {
    spec: Spec {
        name: "debug|object",
        group: Group::Server,
        since: "1.0.0",
        summary: "Shows how a key is kept.",
        syntax: "key [fast]",
        arity: Arity::AtLeast(2),
        flags: super::DEBUG_FLAGS,
        keys: &[KeySpec::nth(2, &["RO"])],
        ..Spec::EMPTY
    },
    run: debug_object,
};

/// The one answer of DEBUG to what it cannot make sense of.
pub fn usage_error(subcommand: &[u8]) -> Error {
    Error::naming(
        "ERR unknown subcommand or wrong number of arguments for '",
        subcommand,
        "'. Try DEBUG HELP.",
    )
}

fn debug_object(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    if ctx.args.len() < 3 {
        return Err(usage_error(ctx.args[1]));
    }
    let fast = ctx.args.get(3).is_some_and(|option| option.eq_ignore_ascii_case(b"fast"));
    let key = ctx.key(2);
    let now = ctx.db.now();
    let settings = &ctx.db.keyspace.settings;
    let db = &ctx.db.keyspace.dbs[ctx.db.index];
    // What is due is shown as well, as long as it is there.
    let entry = db.find(key.hash, key.bytes).ok_or(Error::NoSuchKey)?;
    let mut text =
        format!("Value at:{:p} refcount:1 encoding:{}", entry.key().as_ptr(), entry.encoding());
    if !fast {
        write!(text, " serializedlength:{}", rdb_bytes(entry)).expect("a string takes all");
    }
    if settings.policy.is_lfu() {
        let frequency = evict::frequency(entry, settings, now);
        let minutes = entry.access() >> 8;
        write!(text, " lfu_freq:{frequency} lfu_access_time_minutes:{minutes}")
    } else {
        let idle = evict::idle_seconds(entry, now);
        write!(text, " lru:{} lru_seconds_idle:{idle}", entry.access())
    }
    .expect("a string takes all");
    if let Some(Object::List(List::Quicklist(list))) = entry.as_object() {
        push_nodes(&mut text, list);
        if !fast {
            let bytes = list.nodes().map(Node::bytes_len).sum::<usize>();
            write!(text, " ql_uncompressed_size:{bytes}").expect("a string takes all");
        }
    }
    ctx.replies.simple(&text);
    Ok(())
}

/// What Valkey tells of a quicklist besides. Nothing is ever compressed.
fn push_nodes(text: &mut String, list: &Quicklist) {
    let (nodes, fill) = (list.nodes_len(), list.fill().setting());
    let average = list.len() as f64 / nodes.max(1) as f64;
    write!(
        text,
        " ql_nodes:{nodes} ql_avg_node:{average:.2} ql_listpack_max:{fill} ql_compressed:0"
    )
    .expect("a string takes all");
}

/// Bytes of the value in an RDB file, if it is not compressed.
fn rdb_bytes(entry: &Entry) -> usize {
    match entry.value() {
        Value::Int(number) => element_bytes(Element::Int(number)),
        Value::Bytes(bytes) => text_bytes(bytes.len()),
        // Of each node, whether it is one element is written as well.
        Value::Object(Object::List(List::Listpack(elements))) => {
            2 + text_bytes(elements.bytes_len())
        }
        Value::Object(Object::List(List::Quicklist(list))) => {
            let node = |node: &Node| 1 + text_bytes(node.bytes_len());
            prefix_bytes(list.nodes_len()) + list.nodes().map(node).sum::<usize>()
        }
        Value::Object(Object::Hash(Hash::Listpack(pairs))) => text_bytes(pairs.bytes_len()),
        Value::Object(Object::Hash(Hash::Table(fields))) => fields_bytes(fields),
        Value::Object(Object::Set(Set::Intset(set))) => text_bytes(set.as_bytes().len()),
        Value::Object(Object::Set(Set::Listpack(set))) => text_bytes(set.bytes_len()),
        Value::Object(Object::Set(Set::Table(set))) => {
            let members = set.table().iter().map(|it| element_bytes(Element::Bytes(it.bytes())));
            prefix_bytes(set.table().len()) + members.sum::<usize>()
        }
        Value::Object(Object::SortedSet(SortedSet::Listpack(pairs))) => {
            text_bytes(pairs.bytes_len())
        }
        Value::Object(Object::SortedSet(SortedSet::Skiplist(ranking))) => ranking_bytes(ranking),
        Value::Object(Object::Stream(stream)) => stream_bytes(stream),
    }
}

/// A table's fields; the time of each is written if any of them expires.
fn fields_bytes(fields: &Fields) -> usize {
    let time = if fields.volatile_len() == 0 { 0 } else { 8 };
    let field = |it: &Field| {
        time + element_bytes(Element::Bytes(it.name())) + element_bytes(Element::Bytes(it.value()))
    };
    prefix_bytes(fields.table().len()) + fields.table().iter().map(field).sum::<usize>()
}

/// Members, each with its score.
fn ranking_bytes(ranking: &Ranking) -> usize {
    let members = ranking.iter(0..ranking.len(), false);
    let member = |(it, _): (&[u8], f64)| element_bytes(Element::Bytes(it)) + size_of::<f64>();
    prefix_bytes(ranking.len()) + members.map(member).sum::<usize>()
}

/// Nodes with their IDs, what is known of the entries, and groups with what is pending.
fn stream_bytes(stream: &Stream) -> usize {
    let log = stream.log();
    let nodes = log.nodes().map(|(_, node)| ID_BYTES + 1 + text_bytes(node.as_bytes().len()));
    let id = |id: StreamId| number_bytes(id.ms) + number_bytes(id.seq);
    let ids = id(log.last_id()) + id(log.first_id()) + id(log.max_deleted_id());
    let groups = stream.groups().map(|(name, group)| {
        let read = group.entries_read.unwrap_or(-1).cast_unsigned();
        let pending = group.pending_from(StreamId::MIN);
        let pending = pending.map(|(_, it)| ID_BYTES + 8 + number_bytes(it.deliveries));
        let consumers = group.consumers().map(|it| {
            let own = it.pending_len();
            text_bytes(it.name.len()) + 16 + prefix_bytes(own) + own * ID_BYTES
        });
        text_bytes(name.len())
            + id(group.last_id)
            + number_bytes(read)
            + prefix_bytes(group.pending_len())
            + pending.sum::<usize>()
            + prefix_bytes(group.consumers_len())
            + consumers.sum::<usize>()
    });
    prefix_bytes(log.nodes().len())
        + nodes.sum::<usize>()
        + number_bytes(log.len())
        + ids
        + number_bytes(log.entries_added())
        + prefix_bytes(stream.groups().len())
        + groups.sum::<usize>()
}

/// A string, which is written as a number if it is one of 32 bits.
fn element_bytes(element: Element<'_>) -> usize {
    match element.int() {
        Some(number) if i8::try_from(number).is_ok() => 2,
        Some(number) if i16::try_from(number).is_ok() => 3,
        Some(number) if i32::try_from(number).is_ok() => 5,
        Some(_) | None => text_bytes(element.len()),
    }
}

fn text_bytes(length: usize) -> usize {
    prefix_bytes(length) + length
}

/// A number, which is written as a length.
fn number_bytes(number: u64) -> usize {
    prefix_bytes(usize::try_from(number).unwrap_or(usize::MAX))
}

/// Bytes of an entry's ID.
const ID_BYTES: usize = 16;

/// Bytes that a length takes.
fn prefix_bytes(length: usize) -> usize {
    match length {
        0..64 => 1,
        64..16384 => 2,
        16384..=0xFFFF_FFFF => 5,
        _ => 9,
    }
}
