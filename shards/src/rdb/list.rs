//! Lists in files and dumps.

use alloc::vec::Vec;

use crate::encodings::allocation::Boxed;
use crate::encodings::quicklist::node::{Fill, Node};
use crate::encodings::quicklist::{End, Quicklist};
use crate::rdb::error::{Error, Problem};
use crate::rdb::listpacks::{self, Holds};
use crate::rdb::reader::{Reader, Source};
use crate::rdb::value::Rules;
use crate::rdb::writer::{Sink, Writer};
use crate::types::list::List;

/// A node that is one large element.
const PLAIN: u64 = 1;
/// A node that is a listpack.
const PACKED: u64 = 2;

pub(super) fn write<S: Sink>(writer: &mut Writer<'_, S>, list: &List) {
    match list {
        List::Listpack(elements) => {
            writer.count(1);
            writer.length(PACKED);
            writer.blob(elements.as_bytes());
        }
        List::Quicklist(list) => {
            writer.count(list.nodes_len());
            let mut listpack = Vec::new();
            for node in list.nodes() {
                match node {
                    Node::Packed(run) => {
                        listpack.clear();
                        run.write_listpack(&mut listpack);
                        writer.length(PACKED);
                        writer.blob(&listpack);
                    }
                    Node::Plain(bytes) => {
                        writer.length(PLAIN);
                        writer.blob(bytes);
                    }
                }
            }
        }
    }
}

/// Reads elements one after the other.
pub(super) fn read<S: Source>(reader: &mut Reader<S>, rules: &Rules) -> Result<List, Error> {
    let count = reader.count_of_some()?;
    let (mut list, mut element) = (empty(rules), Vec::new());
    for _ in 0..count {
        reader.text(&mut element)?;
        list.push(End::Right, &element);
    }
    settled(reader, list, rules)
}

/// Reads a ziplist. As in Valkey, it becomes a quicklist however short it is.
pub(super) fn read_ziplist<S: Source>(
    reader: &mut Reader<S>,
    rules: &Rules,
) -> Result<List, Error> {
    let elements = listpacks::read_ziplist(reader, Holds::Elements)?;
    if elements.is_empty() {
        return Err(reader.error(Problem::Empty));
    }
    let mut list = empty(rules);
    list.append_listpack(&elements);
    Ok(List::Quicklist(Boxed::new(list)))
}

/// Reads ziplists.
pub(super) fn read_quicklist<S: Source>(
    reader: &mut Reader<S>,
    rules: &Rules,
) -> Result<List, Error> {
    let count = reader.count_of_some()?;
    let mut list = empty(rules);
    for _ in 0..count {
        list.append_listpack(&listpacks::read_ziplist(reader, Holds::Elements)?);
    }
    settled(reader, list, rules)
}

/// Reads listpacks and large elements.
pub(super) fn read_quicklist2<S: Source>(
    reader: &mut Reader<S>,
    rules: &Rules,
) -> Result<List, Error> {
    let count = reader.count_of_some()?;
    let (mut list, mut element) = (empty(rules), Vec::new());
    for _ in 0..count {
        match reader.length()? {
            PACKED => list.append_listpack(&listpacks::read(reader, Holds::Elements)?),
            PLAIN => {
                reader.text(&mut element)?;
                if element.is_empty() {
                    return Err(reader.error(Problem::Encoding("quicklist")));
                }
                list.append_plain(&element);
            }
            _ => return Err(reader.error(Problem::Encoding("quicklist"))),
        }
    }
    settled(reader, list, rules)
}

fn empty(rules: &Rules) -> Quicklist {
    Quicklist::new(Fill::of(rules.limits.list.listpack_size))
}

fn settled<S: Source>(reader: &Reader<S>, list: Quicklist, rules: &Rules) -> Result<List, Error> {
    if list.is_empty() {
        return Err(reader.error(Problem::Empty));
    }
    Ok(List::of_quicklist(list, rules.limits.list))
}
