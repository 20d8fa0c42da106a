//! CLUSTER NODES, CLUSTER REPLICAS, and the lines of nodes.conf.
//!
//! ```text
//! id ip:port@bus[,hostname][,key=value..] flags primary ping-sent pong-received epoch link slots..
//! ```
//! Times are milliseconds of the calendar. A replica shows its primary's epoch.

use std::fmt::Write as _;

use shards::base::crc64::crc64;

use crate::cluster::frame::header::Flags;
use crate::cluster::moment::{Moment, Now};
use crate::cluster::nodes::node::{Names, Node};
use crate::cluster::nodes::{Key, Nodes};
use crate::cluster::report::endpoint::{self, Viewer};
use crate::cluster::slot_set::SlotRange;

/// Who reads a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// nodes.conf: everything is in it, and nothing of links that will be gone.
    File,
    /// A client.
    Client(Viewer),
}

/// The words for flags, in the order of files.
const WORDS: &[(Flags, &str)] = &[
    (Flags::MYSELF, "myself"),
    (Flags::PRIMARY, "master"),
    (Flags::REPLICA, "slave"),
    (Flags::PFAIL, "fail?"),
    (Flags::FAIL, "fail"),
    (Flags::HANDSHAKE, "handshake"),
    (Flags::NOADDR, "noaddr"),
    (Flags::NOFAILOVER, "nofailover"),
];

/// The flag that `word` means; `None` if it means none.
pub fn flag(word: &str) -> Option<Flags> {
    if word == "noflags" {
        return Some(Flags::default());
    }
    WORDS.iter().find(|(_, known)| *known == word).map(|(flag, _)| *flag)
}

/// What CLUSTER NODES answers.
pub fn nodes(nodes: &Nodes, now: Now, reader: Reader) -> String {
    nodes.iter().map(|(key, _)| line(nodes, key, now, reader) + "\n").collect()
}

/// What tells which nodes there are, what they are and who has which slots: all nodes that agree on
/// that say the same number.
pub fn content(nodes: &Nodes) -> u64 {
    let known = nodes.iter().filter(|(_, node)| !node.is_in_handshake());
    let mut lines: Vec<String> = known
        .map(|(key, node)| {
            let primary = nodes.primary_of(key).filter(|primary| *primary != key);
            let mut line = node.id.to_string();
            if let Some(primary) = primary {
                write(&mut line, format_args!(" {}", nodes.at(primary).id));
            }
            for range in node.slot_set().ranges() {
                write(&mut line, format_args!(" {}", shown(range)));
            }
            line + "\n"
        })
        .collect();
    lines.sort_unstable();
    lines.iter().fold(0, |sum, line| crc64(sum, line.as_bytes()))
}

/// What CLUSTER REPLICAS answers of a primary.
pub fn replicas(nodes: &Nodes, primary: Key, now: Now, reader: Reader) -> Vec<String> {
    nodes.replicas_of(primary).map(|(key, _)| line(nodes, key, now, reader)).collect()
}

/// The line of one node, without its end.
pub fn line(nodes: &Nodes, key: Key, now: Now, reader: Reader) -> String {
    let node = nodes.at(key);
    let is_me = key == nodes.myself();
    let primary = nodes.primary_of(key).filter(|primary| *primary != key);
    let epoch = primary.map_or(node, |primary| nodes.at(primary)).config_epoch;
    let of_primary = primary.map_or_else(|| "-".to_string(), |key| nodes.at(key).id.to_string());
    let millis = |moment: Option<Moment>| moment.map_or(0, |moment| now.unix_at(moment).0);
    let link =
        if is_me || node.is_linked() || nodes.is_imposed { "connected" } else { "disconnected" };
    let mut line = node.id.to_string();
    write_address(node, reader, &mut line);
    write(&mut line, format_args!(" {} {of_primary}", flags(node, is_me, nodes.is_imposed)));
    let (ping, pong) = (millis(node.contact.ping_sent), millis(node.contact.pong_received));
    write(&mut line, format_args!(" {ping} {pong} {epoch} {link}"));
    for range in node.slot_set().ranges() {
        write(&mut line, format_args!(" {}", shown(range)));
    }
    if is_me {
        for (slot, target) in &nodes.migrating {
            write(&mut line, format_args!(" [{}->-{}]", slot.number(), nodes.at(*target).id));
        }
        for (slot, source) in &nodes.importing {
            write(&mut line, format_args!(" [{}-<-{}]", slot.number(), nodes.at(*source).id));
        }
    }
    line
}

fn write(line: &mut String, text: std::fmt::Arguments<'_>) {
    line.write_fmt(text).expect("a string takes all");
}

/// A range as texts show it: `5` or `5-9`.
pub fn shown(range: SlotRange) -> String {
    let (first, last) = (range.first.number(), range.last.number());
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

/// The words for what a node is.
fn flags(node: &Node, is_me: bool, is_imposed: bool) -> String {
    let me = if is_me { Flags::MYSELF } else { Flags::default() };
    let flags = node.all_flags().without(Flags::MYSELF).with(me);
    // An address of this node may not be known yet, which does not make it unreachable; of others a
    // table from outside may have a name.
    let flags = if is_me || is_imposed { flags.without(Flags::NOADDR) } else { flags };
    let words = WORDS.iter().filter(|(flag, _)| flags.has(*flag)).map(|(_, word)| *word);
    let words = words.collect::<Vec<_>>().join(",");
    if words.is_empty() { "noflags".to_string() } else { words }
}

fn write_address(node: &Node, reader: Reader, line: &mut String) {
    let names = &node.names;
    let (ip, port) = match reader {
        Reader::File => (endpoint::shown(node.ip), node.ports.client),
        Reader::Client(viewer) => (viewer.ip(node), viewer.port(node)),
    };
    write(line, format_args!(" {ip}:{port}@{}", node.ports.bus));
    match reader {
        Reader::File => write_names(node, line),
        Reader::Client(_) if names.hostname.is_empty() => {}
        Reader::Client(_) => write(line, format_args!(",{}", names.hostname)),
    }
}

/// What nodes.conf has of a node besides its address. Clients are not shown it. What is empty is
/// left out: Redis 7.0 would take it for a part of the host name.
fn write_names(node: &Node, line: &mut String) {
    let Names { hostname, nodename, zone, client_ipv4, client_ipv6, .. } = &node.names;
    let Names { client_port, client_tls_port, .. } = node.names;
    // Of what follows it, the first shows that the host name ends there.
    let mut between = format!(",{hostname}");
    let mut aux = |key: &str, value: &dyn std::fmt::Display, is_there: bool| {
        if is_there {
            write(line, format_args!("{},{key}={value}", std::mem::take(&mut between)));
        }
    };
    aux("availability-zone", zone, !zone.is_empty());
    aux("client-tls-port", &client_tls_port, client_tls_port != 0);
    aux("client-tcp-port", &client_port, client_port != 0);
    aux("client-ipv6", client_ipv6, !client_ipv6.is_empty());
    aux("client-ipv4", client_ipv4, !client_ipv4.is_empty());
    aux("tls-port", &node.ports.other, node.ports.other != 0);
    aux("nodename", nodename, !nodename.is_empty());
    if let Some(shard) = node.shard {
        aux("shard-id", &shard, true);
    }
    if !hostname.is_empty() {
        line.push_str(&between);
    }
}
