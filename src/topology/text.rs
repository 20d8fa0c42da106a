//! The text of `CLUSTERX SETNODES`: a node a line, all of it checked before anything changes.
//!
//! ```text
//! id host port master - [slot | first-last] ...
//! id host port slave|replica|slave,fail id-of-primary
//! ```

use std::collections::BTreeSet;

use shards::base::number::parse_i64;
use shards::base::slot::Slot;
use shards::resp::error::Error;

use crate::cluster::ids::{ID_LEN, NodeId};
use crate::cluster::machine::imposed::{Member, Role};
use crate::cluster::nodes::NODES_MAX;
use crate::cluster::report::nodes::shown;
use crate::cluster::slot_set::SlotSet;

/// A line has too few or too many words, there is no line, an id is there twice, or replicas stand
/// in a circle.
pub const NODES: Error = Error::Text("ERR Invalid cluster nodes info");
/// An id is not 40 of `a-zA-Z0-9`, or a primary has a primary.
pub const NODE_ID: Error = Error::Text("ERR Invalid cluster node id");
/// A host can be neither a name nor an address.
pub const HOST: Error = Error::Text("ERR Invalid cluster node host");
/// A port is not within 1..=65535.
pub const PORT: Error = Error::Text("ERR Invalid cluster node port");
/// A role is none.
pub const ROLE: Error = Error::Text("ERR Invalid cluster node role");
/// A slot is none, or the first of a range is not below its last.
pub const SLOT: Error = Error::Text("ERR Slot is out of range");
/// A slot has two owners, or one twice.
pub const OVERLAPPED: Error = Error::Text("ERR Slot distribution is overlapped");
/// An id stands where a slot should.
pub const NEWLINE: Error =
    Error::Text("ERR Invalid nodes definition: Missing newline between node entries.");

/// Bytes of a host, as of a name in DNS.
const HOST_BYTES_MAX: usize = 255;

/// All nodes of a text, in the order of their ids.
///
/// # Errors
/// One of the texts above; the first line that is wrong decides.
pub fn parse(text: &[u8]) -> Result<Vec<Member>, Error> {
    let text = str::from_utf8(text).map_err(|_| NODES)?;
    let lines = text.split('\n').map(str::trim).filter(|line| !line.is_empty());
    let mut taken = SlotSet::default();
    let mut members = Vec::new();
    for line in lines {
        if NODES_MAX <= members.len() {
            return Err(NODES);
        }
        members.push(member(line, &mut taken)?);
    }
    members.sort_by_key(|member: &Member| member.id);
    let has_twice = members.windows(2).any(|pair| pair[0].id == pair[1].id);
    if members.is_empty() || has_twice || has_circle(&members) {
        return Err(NODES);
    }
    Ok(members)
}

/// Slots of a word like `0-10 20,30-40`.
///
/// # Errors
/// If a word is neither a slot nor a range, or none is there.
pub fn slots(text: &[u8]) -> Result<SlotSet, Error> {
    let text = str::from_utf8(text).map_err(|_| SLOT)?;
    let mut slots = SlotSet::default();
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        range(word)?.for_each(|slot| slots.insert(slot));
    }
    if slots.is_empty() { Err(SLOT) } else { Ok(slots) }
}

/// The line of a node, without its end: [`parse`] reads it as the same.
pub fn line(member: &Member) -> String {
    let Member { id, host, port, role } = member;
    match role {
        Role::Primary(slots) => {
            let slots: String =
                slots.ranges().into_iter().map(|range| format!(" {}", shown(range))).collect();
            format!("{id} {host} {port} master -{slots}")
        }
        Role::Replica { of, is_failed } => {
            let role = if *is_failed { "slave,fail" } else { "slave" };
            format!("{id} {host} {port} {role} {of}")
        }
    }
}

fn member(line: &str, taken: &mut SlotSet) -> Result<Member, Error> {
    let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
    let [id, host, port, role, of, rest @ ..] = words.as_slice() else { return Err(NODES) };
    let id = NodeId::given(id.as_bytes()).ok_or(NODE_ID)?;
    if !is_host(host) {
        return Err(HOST);
    }
    let port = parse_i64(port.as_bytes()).and_then(|port| u16::try_from(port).ok());
    let port = port.filter(|port| *port != 0).ok_or(PORT)?;
    let is = |name: &str| role.eq_ignore_ascii_case(name);
    let role = if is("master") {
        if *of != "-" {
            return Err(NODE_ID);
        }
        Role::Primary(owned(rest, taken)?)
    } else if is("slave") || is("replica") || is("slave,fail") || is("replica,fail") {
        let of = NodeId::given(of.as_bytes()).filter(|of| *of != id).ok_or(NODE_ID)?;
        match rest.first() {
            None => {}
            Some(word) if word.len() == ID_LEN => return Err(NEWLINE),
            Some(_) => return Err(NODES),
        }
        Role::Replica { of, is_failed: is("slave,fail") || is("replica,fail") }
    } else {
        return Err(ROLE);
    };
    Ok(Member { id, host: (*host).to_owned(), port, role })
}

/// Whether `word` can be a name or an address. It goes into replies, nodes.conf and the log, where
/// another character would end a field or a line.
fn is_host(word: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
    word.len() <= HOST_BYTES_MAX && word.bytes().all(is_part)
}

fn owned(words: &[&str], taken: &mut SlotSet) -> Result<SlotSet, Error> {
    let mut slots = SlotSet::default();
    for word in words {
        if word.len() == ID_LEN {
            return Err(NEWLINE);
        }
        for slot in range(word)? {
            if taken.contains(slot) {
                return Err(OVERLAPPED);
            }
            taken.insert(slot);
            slots.insert(slot);
        }
    }
    Ok(slots)
}

fn range(word: &str) -> Result<impl Iterator<Item = Slot>, Error> {
    let number = |word: &str| {
        let number = parse_i64(word.as_bytes()).and_then(|number| u16::try_from(number).ok());
        number.and_then(Slot::new).map(Slot::number).ok_or(SLOT)
    };
    let (first, last) = match word.split_once('-') {
        None => (number(word)?, number(word)?),
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            if last <= first {
                return Err(SLOT);
            }
            (first, last)
        }
    };
    Ok((first..=last).filter_map(Slot::new))
}

/// Whether a replica replicates itself by way of others.
fn has_circle(members: &[Member]) -> bool {
    let primary_of = |id: NodeId| {
        let at = members.binary_search_by_key(&id, |member| member.id).ok()?;
        match members[at].role {
            Role::Primary(_) => None,
            Role::Replica { of, .. } => Some(of),
        }
    };
    let mut sound = BTreeSet::new();
    for member in members {
        let (mut way, mut next) = (BTreeSet::new(), Some(member.id));
        while let Some(id) = next.filter(|id| !sound.contains(id)) {
            if !way.insert(id) {
                return true;
            }
            next = primary_of(id);
        }
        sound.append(&mut way);
    }
    false
}

#[cfg(test)]
mod tests;
