//! The text of nodes.conf: what a node remembers of its cluster.
//!
//! ```text
//! a line of CLUSTER NODES for each node, with what it announces (`report::nodes`)
//! vars currentEpoch 7 lastVoteEpoch 6 formerNodes <id>,<id>
//! ```
//! What a Valkey accepts is accepted; where it takes the first of two lines, the greater epoch
//! decides here.

use std::collections::BTreeSet;
use std::net::IpAddr;

use shards::base::slot::Slot;

use crate::cluster::frame::extensions::{is_hostname, is_label};
use crate::cluster::frame::header::{BUS_PORT_BEHIND, Flags, Ports};
use crate::cluster::ids::{Epoch, NodeId, ShardId};
use crate::cluster::moment::{Moment, Now};
use crate::cluster::nodes::node::{Health, Names, Node, Role, Standing};
use crate::cluster::nodes::{Key, NODES_MAX, Nodes};
use crate::cluster::report::nodes::{Reader, flag, line};
use crate::cluster::slot_set::{SlotRange, SlotSet};

/// The variable that names nodes that this one was reset away from.
const FORMER: &str = "formerNodes";

/// Fields that a line of a node has at least.
const FIELDS_MIN: usize = 8;

/// What a node remembers.
#[derive(Debug)]
pub struct Memory {
    /// The nodes, and who owns what.
    pub nodes: Nodes,
    /// The greatest epoch that it knew.
    pub current_epoch: Epoch,
    /// The epoch of its last vote.
    pub last_vote_epoch: Epoch,
    /// What was odd in the file and could be mended.
    pub warnings: Vec<String>,
}

/// Why a file is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// The line, counted from 1; 0: no line in particular.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// The text for what a node is to remember. Nodes in handshake are not in it.
pub fn text(nodes: &Nodes, current_epoch: Epoch, last_vote_epoch: Epoch, now: Now) -> String {
    let members = nodes.iter().filter(|(_, node)| !node.is_in_handshake());
    let lines = members.map(|(key, _)| line(nodes, key, now, Reader::File) + "\n");
    let vars = format!("vars currentEpoch {current_epoch} lastVoteEpoch {last_vote_epoch}");
    // A Valkey skips what it does not know.
    let former: Vec<String> = nodes.former.iter().map(NodeId::to_string).collect();
    let former =
        if former.is_empty() { former } else { vec![format!(" {FORMER} {}", former.join(","))] };
    lines.chain([vars]).chain(former).chain(["\n".to_string()]).collect()
}

/// What `text` says; `None` if it says nothing, so this node is a new one.
///
/// # Errors
/// If a line makes no sense.
pub fn load(text: &str, now: Moment) -> Result<Option<Memory>, Corrupt> {
    let mut parsed = Parsed::default();
    for (index, line) in text.lines().enumerate() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let refused = |reason| Corrupt { line: index + 1, reason };
        match fields.first() {
            None => {}
            Some(&"vars") => parsed.take_vars(&fields[1..]).map_err(refused)?,
            Some(_) => {
                let line = Line::parse(&fields, now).map_err(refused)?;
                if parsed.lines.iter().any(|other| other.node.id == line.node.id) {
                    return Err(refused(format!("node {} is listed twice", line.node.id)));
                }
                if parsed.lines.len() == NODES_MAX {
                    return Err(refused(format!("there are more than {NODES_MAX} nodes")));
                }
                parsed.lines.push(line);
            }
        }
    }
    if parsed.lines.is_empty() && parsed.current_epoch == Epoch(0) {
        return Ok(None);
    }
    parsed.memory(now).map(Some)
}

#[derive(Default)]
struct Parsed {
    lines: Vec<Line>,
    current_epoch: Epoch,
    last_vote_epoch: Epoch,
    former: BTreeSet<NodeId>,
    warnings: Vec<String>,
}

/// A line of a node.
struct Line {
    node: Node,
    is_me: bool,
    primary: Option<NodeId>,
    slots: SlotSet,
    migrating: Vec<(Slot, NodeId)>,
    importing: Vec<(Slot, NodeId)>,
}

impl Parsed {
    fn take_vars(&mut self, fields: &[&str]) -> Result<(), String> {
        let (pairs, rest) = fields.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("a variable has no value".to_string());
        }
        for [name, value] in pairs {
            let epoch = || value.parse().map(Epoch).map_err(|_| format!("{value} is no epoch"));
            match *name {
                "currentEpoch" => self.current_epoch = epoch()?,
                "lastVoteEpoch" => self.last_vote_epoch = epoch()?,
                FORMER => {
                    let ids = value.split(',').filter_map(|id| NodeId::parse(id.as_bytes()));
                    self.former = ids.take(NODES_MAX).collect();
                }
                _ => {
                    let text = format!("Skipping unknown cluster config variable '{name}'");
                    self.warnings.push(text);
                }
            }
        }
        Ok(())
    }

    fn memory(self, now: Moment) -> Result<Memory, Corrupt> {
        let refused = |reason: &str| Corrupt { line: 0, reason: reason.to_string() };
        let mut mine = self.lines.iter().filter(|line| line.is_me);
        let me = mine.next().ok_or_else(|| refused("no line says `myself`"))?;
        if mine.next().is_some() {
            return Err(refused("two lines say `myself`"));
        }
        let mut nodes = Nodes::new(me.node.clone());
        nodes.former = self.former;
        for line in self.lines.iter().filter(|line| !line.is_me) {
            nodes.add(line.node.clone());
        }
        let mut warnings = self.warnings;
        for line in &self.lines {
            let key = nodes.find(line.node.id).expect("it was just added");
            if let Some(primary) = line.primary {
                let primary = find_or_add(&mut nodes, primary, now);
                if primary == key {
                    return Err(refused("a node replicates itself"));
                }
                nodes.at_mut(key).role = Role::Replica(Some(primary));
                // A replica's claim is its primary's.
                nodes.at_mut(key).config_epoch = Epoch(0);
            }
        }
        for line in &self.lines {
            give_slots(&mut nodes, line, &mut warnings);
        }
        for (slot, target) in &me.migrating {
            let target = find_or_add(&mut nodes, *target, now);
            nodes.migrating.insert(*slot, target);
        }
        for (slot, source) in &me.importing {
            let source = find_or_add(&mut nodes, *source, now);
            nodes.importing.insert(*slot, source);
        }
        mend_shards(&mut nodes, &mut warnings);
        let current_epoch = self.current_epoch.max(nodes.greatest_config_epoch());
        Ok(Memory { nodes, current_epoch, last_vote_epoch: self.last_vote_epoch, warnings })
    }
}

/// The node with this id, which is known by nothing but its id if no line tells more.
fn find_or_add(nodes: &mut Nodes, id: NodeId, now: Moment) -> Key {
    let mut unknown = Node::new(id, Role::Unknown, now);
    unknown.health = Health::Failed(now);
    let found = nodes.find(id).or_else(|| nodes.add(unknown));
    found.expect("it was added if it was not found")
}

fn give_slots(nodes: &mut Nodes, line: &Line, warnings: &mut Vec<String>) {
    let key = nodes.find(line.node.id).expect("all lines have a node");
    for slot in line.slots.common(nodes.owned()).iter() {
        let Some(owner) = nodes.owner(slot) else { continue };
        let (one, other) = (nodes.at(owner), nodes.at(key));
        let wins = one.config_epoch < other.config_epoch;
        let winner = if wins { other.id } else { one.id };
        let number = slot.number();
        warnings.push(format!("Slot {number} is listed for two nodes; {winner} has it."));
        if wins {
            nodes.own(slot, key);
        }
    }
    nodes.own_unowned(&line.slots, key);
}

/// Gives each replica the shard id of its primary: a file with another one was written between two
/// announcements.
fn mend_shards(nodes: &mut Nodes, warnings: &mut Vec<String>) {
    for key in nodes.keys() {
        let Some(primary) = nodes.primary_of(key).filter(|primary| *primary != key) else {
            continue;
        };
        let (of_primary, node) = (nodes.at(primary).shard, nodes.at(key));
        let Some(shard) = of_primary.or(node.shard) else { continue };
        if let Some(other) = node.shard.filter(|other| *other != shard) {
            let id = node.id;
            warnings.push(format!("Node {id} has shard id {other}, its primary {shard}."));
        }
        nodes.at_mut(primary).shard = Some(shard);
        nodes.at_mut(key).shard = Some(shard);
    }
}

impl Line {
    fn parse(fields: &[&str], now: Moment) -> Result<Self, String> {
        let [id, address, flags, primary, ping, pong, epoch, _link, slots @ ..] = fields else {
            return Err(format!("it has {} fields, and needs {FIELDS_MIN}", fields.len()));
        };
        let id = parse_id(id)?;
        let mut node = Node::new(id, Role::Unknown, now);
        parse_address(address, &mut node)?;
        let flags = parse_flags(flags)?;
        node.flags = flags.only(Flags::NOFAILOVER);
        node.role = Role::of(flags);
        node.health = match flags {
            flags if flags.has_any(Flags::FAIL.with(Flags::NOADDR)) => Health::Failed(now),
            flags if flags.has(Flags::PFAIL) => Health::Suspected,
            _ => Health::Fit,
        };
        if flags.has(Flags::HANDSHAKE) {
            node.standing = Standing::Handshake;
        }
        let moment = |field: &str| (field != "0").then_some(now);
        node.contact.ping_sent = moment(ping);
        node.contact.pong_received = moment(pong);
        node.contact.heard = now;
        node.config_epoch = epoch.parse().map(Epoch).map_err(|_| format!("{epoch} is no epoch"))?;
        let is_me = flags.has(Flags::MYSELF);
        if is_me {
            node.health = Health::Fit;
        }
        let primary = if *primary == "-" { None } else { Some(parse_id(primary)?) };
        let (migrating, importing) = (Vec::new(), Vec::new());
        let mut line =
            Self { node, is_me, primary, slots: SlotSet::default(), migrating, importing };
        slots.iter().try_for_each(|field| line.take_slots(field))?;
        Ok(line)
    }

    fn take_slots(&mut self, field: &str) -> Result<(), String> {
        if let Some(open) = field.strip_prefix('[') {
            let open = open.strip_suffix(']').ok_or("a bracket is not closed")?;
            let (to, from) = (open.split_once("->-"), open.split_once("-<-"));
            let (list, (slot, node)) = match (to, from) {
                (Some(to), None) => (&mut self.migrating, to),
                (None, Some(from)) => (&mut self.importing, from),
                (_, _) => return Err(format!("[{open}] is no open slot")),
            };
            list.push((parse_slot(slot)?, parse_id(node)?));
            return Ok(());
        }
        let (first, last) = field.split_once('-').unwrap_or((field, field));
        self.slots.insert_range(SlotRange { first: parse_slot(first)?, last: parse_slot(last)? });
        Ok(())
    }
}

fn parse_id(text: &str) -> Result<NodeId, String> {
    NodeId::parse(text.as_bytes()).ok_or_else(|| format!("{text} is no node id"))
}

fn parse_slot(text: &str) -> Result<Slot, String> {
    let slot = text.parse().ok().and_then(Slot::new);
    slot.ok_or_else(|| format!("{text} is no slot"))
}

fn parse_flags(text: &str) -> Result<Flags, String> {
    let add = |flags: Flags, word: &str| {
        let flag = flag(word).ok_or_else(|| format!("{word} is no flag"))?;
        Ok(flags.with(flag))
    };
    text.split(',').try_fold(Flags::default(), add)
}

/// `ip:port[@bus][,hostname][,key=value..]`
fn parse_address(text: &str, node: &mut Node) -> Result<(), String> {
    let mut parts = text.split(',');
    let address = parts.next().unwrap_or_default();
    let (ip, ports) = address.rsplit_once(':').ok_or("the address has no port")?;
    let port = |text: &str| text.parse::<u16>().map_err(|_| format!("{text} is no port"));
    let (client, bus) = match ports.split_once('@') {
        Some((client, bus)) => (port(client)?, port(bus)?),
        // Before Redis 4 the bus port was always the client port and 10000.
        None => (port(ports)?, port(ports)?.saturating_add(BUS_PORT_BEHIND)),
    };
    // A name that a Valkey was told to announce is no address: frames will show one.
    node.ip = ip.parse::<IpAddr>().ok();
    node.ports = Ports { client, other: 0, bus };
    if let Some(hostname) = parts.next() {
        if !is_hostname(hostname) {
            return Err(format!("{hostname} is no host name"));
        }
        node.names.hostname = hostname.to_string();
    }
    parts.try_for_each(|part| {
        let (key, value) = part.split_once('=').ok_or_else(|| format!("{part} has no value"))?;
        take_aux(key, value, node)
    })
}

fn take_aux(key: &str, value: &str, node: &mut Node) -> Result<(), String> {
    let odd = || format!("{value} is no {key}");
    let port = || value.parse::<u16>().map_err(|_| odd());
    let text = |is: fn(&str) -> bool| if is(value) { Ok(value.to_string()) } else { Err(odd()) };
    let Node { names, ports, shard, .. } = node;
    let Names { nodename, client_ipv4, client_ipv6, zone, .. } = names;
    match key {
        "shard-id" => *shard = Some(ShardId::parse(value.as_bytes()).ok_or_else(odd)?),
        "nodename" => *nodename = text(is_label)?,
        "tcp-port" => ports.client = port()?,
        "tls-port" => ports.other = port()?,
        "client-ipv4" => *client_ipv4 = text(|ip| ip.parse::<std::net::Ipv4Addr>().is_ok())?,
        "client-ipv6" => *client_ipv6 = text(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok())?,
        "client-tcp-port" => names.client_port = port()?,
        "client-tls-port" => names.client_tls_port = port()?,
        "availability-zone" => *zone = text(is_label)?,
        _ => return Err(format!("{key} is unknown")),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
