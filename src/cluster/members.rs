//! T-H: who belongs to the cluster: handshakes, addresses, what gossip and extensions say, and who
//! is forgotten.

mod former;

use std::net::IpAddr;

use shards::base::time::UnixMs;
use shards::resp::error::Error;

use crate::cluster::frame::Beat;
use crate::cluster::frame::extensions::Extension;
use crate::cluster::frame::gossip::Entry;
use crate::cluster::frame::header::{Flags, Header, Ports};
use crate::cluster::ids::NodeId;
use crate::cluster::machine::Machine;
use crate::cluster::machine::action::{Answer as Reply, Sync};
use crate::cluster::machine::event::LinkId;
use crate::cluster::machine::frames::Answer;
use crate::cluster::machine::requests::unknown_node;
use crate::cluster::nodes::Key;
use crate::cluster::nodes::node::{Names, Node, Role, Standing};
use crate::cluster::report::endpoint;
use crate::config::choices::LogLevel;

/// Milliseconds by which a PONG of which gossip tells may be ahead of this node's calendar.
const AHEAD_MS_MAX: u64 = 500;
/// Seconds for which another node can have this one forget a node, unless `cluster-blacklist-ttl`
/// is longer: a frame that is wrong keeps no node away for ever. The other says it again until its
/// own time is over.
const FORGET_S_MAX: u64 = 3600;
/// Nodes on the list of those that are to be forgotten. All of them are in each heartbeat.
const FORGOTTEN_MAX: usize = 512;

impl Machine {
    /// CLUSTER MEET.
    pub(super) fn meet(&mut self, ip: IpAddr, ports: Ports) -> Result<Reply, Error> {
        let is_met = |node: &Node| {
            let same = node.ports.client == ports.client && node.ports.bus == ports.bus;
            node.is_in_handshake() && node.ip == Some(ip) && same
        };
        if !self.nodes.others().any(|(_, node)| is_met(node)) {
            if self.nodes.is_full() {
                return Err(Error::Text("ERR This node knows as many nodes as it can"));
            }
            let key = self.add_in_handshake(ip, ports);
            self.nodes.at_mut(key).contact.meets = true;
            self.connect(key);
        }
        Ok(Reply::Ok)
    }

    fn add_in_handshake(&mut self, ip: IpAddr, ports: Ports) -> Key {
        let mut node = Node::new(self.random_id(), Role::Unknown, self.now.at);
        (node.ip, node.ports, node.standing) = (Some(ip), ports, Standing::Handshake);
        node.contact.heard = self.now.at;
        self.nodes.add(node).expect("a random id of 160 bits is new")
    }

    /// Gives up a handshake that takes too long. True if the node is gone.
    pub(super) fn expire_handshake(&mut self, key: Key) -> bool {
        let node = self.nodes.at(key);
        let expired =
            node.is_in_handshake() && self.settings.handshake_ms() < self.since(node.since);
        if expired {
            let name = node.name();
            self.log(LogLevel::Verbose, format!("Clusterbus handshake timeout {name}"));
            self.delete_node(key);
        }
        expired
    }

    /// Takes a node out of the table, and its links down. A link that another node speaks by stays,
    /// though this one was met by it.
    pub(super) fn delete_node(&mut self, key: Key) {
        self.drop_outbound(key);
        let bound = self.inbound.iter().filter(|(_, inbound)| inbound.node == Some(key));
        let bound: Vec<LinkId> = bound.map(|(link, _)| *link).collect();
        bound.into_iter().for_each(|link| self.drop_link(link));
        self.manual_lost(key);
        self.nodes.remove(key);
        self.todo.nodes_changed();
    }

    /// This node's own address is the one that others use, unless it is told another one.
    pub(super) fn learn_own_address(&mut self, link: LinkId, beat: Beat) {
        let Some(inbound) = self.inbound.get(&link) else { return };
        let (local, known) = (inbound.local, self.nodes.me().ip);
        let asks = beat == Beat::Meet || known.is_none();
        if self.settings.announced_ip.is_none() && asks && known != Some(local) {
            self.nodes.me_mut().ip = Some(local);
            self.log(LogLevel::Notice, format!("IP address for this node updated to {local}"));
            self.todo.shown_changed();
        }
    }

    /// What a PING or MEET is answered, and who is met by it.
    pub(super) fn greeted(
        &mut self,
        link: LinkId,
        beat: Beat,
        header: &Header,
        sender: Option<Key>,
    ) -> Answer {
        if sender.is_none() && self.is_of_former(link, beat, header.sender) {
            return Answer::Bare;
        }
        if beat != Beat::Meet {
            return Answer::Pong;
        }
        match sender {
            Some(sender) => {
                let node = self.nodes.at(sender);
                let is_old = self.settings.handshake_ms() < self.since(node.since);
                if is_old && node.is_linked() {
                    // It does not know this node, or not any more.
                    self.drop_outbound(sender);
                }
                Answer::Pong
            }
            // An operator has this node forget it: a MEET of its own does not bring it back.
            None if self.forgotten.contains_key(&header.sender) => Answer::Bare,
            None if self.node_of(link).is_some() => Answer::Pong,
            None if header.sender == self.nodes.me().id || self.nodes.is_full() => Answer::Bare,
            None => {
                let peer = self.inbound.get(&link).map(|inbound| inbound.peer);
                let Some(ip) = header.ip.or(peer) else { return Answer::Pong };
                let key = self.add_in_handshake(ip, header.ports);
                if let Some(inbound) = self.inbound.get_mut(&link) {
                    inbound.node = Some(key);
                }
                self.nodes.at_mut(key).contact.inbound = Some(link);
                self.todo.remember = true;
                Answer::Stranger
            }
        }
    }

    /// A PONG has come.
    pub(super) fn pong_came(&mut self, link: LinkId, header: &Header) {
        let Some(key) = self.outbound.get(&link).copied() else { return };
        if self.nodes.at(key).is_in_handshake() {
            if !self.end_handshake(key, header) {
                return;
            }
        } else if self.is_of_another(link, key, header) {
            return;
        }
        if self.nodes.at(key).contact.meets {
            self.nodes.at_mut(key).contact.meets = false;
            let shown = self.shown(key);
            let text = format!("Successfully completed handshake with {shown}");
            self.log(LogLevel::Notice, text);
        }
        self.pong_received(key);
    }

    /// A node in handshake has told its id. False if that is of a node that is known already.
    fn end_handshake(&mut self, key: Key, header: &Header) -> bool {
        if let Some(known) = self.nodes.find(header.sender).filter(|known| *known != key) {
            let (ip, ports) = (self.nodes.at(key).ip, header.ports);
            if known != self.nodes.myself() {
                self.move_to(known, ip, ports);
            }
            self.delete_node(key);
            return false;
        }
        let text = format!("Handshake with node {} completed.", header.sender);
        self.log(LogLevel::Debug, text);
        self.nodes.rename(key, header.sender);
        self.nodes.former.remove(&header.sender);
        let node = self.nodes.at_mut(key);
        node.standing = Standing::Member;
        node.role = Role::of(header.flags);
        self.todo.nodes_changed();
        true
    }

    /// A PING shows where its sender is: by its header, else by its socket.
    pub(super) fn learn_address(&mut self, link: LinkId, sender: Key, header: &Header) {
        let Some(inbound) = self.inbound.get(&link) else { return };
        let ip = header.ip.unwrap_or(inbound.peer);
        self.move_to(sender, Some(ip), header.ports);
    }

    /// A node is somewhere else.
    fn move_to(&mut self, key: Key, ip: Option<IpAddr>, ports: Ports) {
        let node = self.nodes.at(key);
        if ip.is_none() || (node.ip, node.ports) == (ip, ports) {
            return;
        }
        self.drop_outbound(key);
        let node = self.nodes.at_mut(key);
        (node.ip, node.ports) = (ip, ports);
        let (shown, name) = (self.shown(key), endpoint::shown(ip));
        let port = ports.client;
        let text = format!("Address updated for node {shown}, now {name}:{port}");
        self.log(LogLevel::Notice, text);
        self.todo.shown_changed();
        self.follow_moved(key);
    }

    /// The primary that this node replicates is somewhere else.
    fn follow_moved(&mut self, key: Key) {
        if self.nodes.me().role == Role::Replica(Some(key)) {
            self.replicate(key, Sync::Partial);
        }
    }

    /// What a node says of others; `None`: one that is not known, which is not believed.
    pub(super) fn gossip_came(&mut self, sender: Option<Key>, entries: &[Entry]) {
        let Some(sender) = sender else { return };
        for entry in entries {
            match self.nodes.find(entry.node) {
                Some(key) if key == self.nodes.myself() => {}
                Some(key) => self.gossip_about(sender, key, entry),
                None => self.gossip_about_stranger(entry),
            }
        }
    }

    fn gossip_about(&mut self, sender: Key, key: Key, entry: &Entry) {
        let fails = Flags::FAIL.with(Flags::PFAIL);
        self.reported(sender, key, entry.flags);
        if sender == key {
            return;
        }
        if !entry.flags.has_any(fails) {
            self.take_pong(key, entry);
        }
        let node = self.nodes.at(key);
        let is_elsewhere = (node.ip, node.ports) != (entry.ip, entry.ports);
        let is_known = !entry.flags.has(Flags::NOADDR) && entry.ip.is_some();
        if !node.is_fit() && !entry.flags.has_any(fails) && is_known && is_elsewhere {
            self.move_to(key, entry.ip, entry.ports);
        }
    }

    /// Another node has had a PONG of a node: this node need not ask so soon.
    fn take_pong(&mut self, key: Key, entry: &Entry) {
        let node = self.nodes.at(key);
        if !node.is_fit() || node.contact.ping_sent.is_some() || !node.reports.is_empty() {
            return;
        }
        let unix = UnixMs(u64::from(entry.pong_received_s) * 1000);
        let pong = self.now.moment_of(unix);
        let is_possible = pong <= self.now.at.after(AHEAD_MS_MAX);
        if is_possible && node.contact.pong_received.is_some_and(|known| known < pong) {
            self.nodes.at_mut(key).contact.pong_received = Some(pong);
        }
    }

    /// A known node names one that is not known.
    fn gossip_about_stranger(&mut self, entry: &Entry) {
        let is_known = !entry.flags.has(Flags::NOADDR) && entry.ip.is_some();
        if !is_known || self.nodes.is_full() || self.forgotten.contains_key(&entry.node) {
            return;
        }
        let mut node = Node::new(entry.node, Role::of(entry.flags), self.now.at);
        (node.ip, node.ports) = (entry.ip, entry.ports);
        node.contact.heard = self.now.at;
        if self.nodes.add(node).is_some() {
            self.nodes.former.remove(&entry.node);
            self.todo.remember = true;
        }
    }

    /// What else a node says of itself. What its frame lacks it has not.
    pub(super) fn extensions_came(
        &mut self,
        sender: Key,
        extensions: &[Extension],
        header: &Header,
    ) {
        let mut names = Names::default();
        let mut shard = None;
        for extension in extensions {
            match extension.clone() {
                Extension::Hostname(name) => names.hostname = name,
                Extension::Nodename(name) => names.nodename = name,
                Extension::ClientIpv4(ip) => names.client_ipv4 = ip,
                Extension::ClientIpv6(ip) => names.client_ipv6 = ip,
                Extension::ClientPort(port) => names.client_port = port,
                Extension::ClientTlsPort(port) => names.client_tls_port = port,
                Extension::Zone(name) => names.zone = name,
                Extension::Shard(id) => shard = Some(id),
                Extension::Forgotten(id, seconds) => self.forgotten_by(sender, id, seconds),
                Extension::Unknown(..) => {}
            }
        }
        if !self.nodes.contains(sender) {
            return;
        }
        let known = &self.nodes.at(sender).names;
        // Each comparison of empty texts reads where nothing is, which processors do slowly
        // (measured: a tenth of all that a heartbeat costs).
        let are_none = known.are_none() && names.are_none();
        if !are_none && *known != names {
            self.nodes.at_mut(sender).names = names;
            self.todo.shown_changed();
        }
        let of_primary = header.primary.and_then(|id| self.nodes.find(id));
        let of_primary = of_primary.and_then(|primary| self.nodes.at(primary).shard);
        let Some(shard) = shard.or(of_primary) else { return };
        if self.nodes.at(sender).shard == Some(shard) {
            return;
        }
        if self.nodes.set_shard(sender, shard) {
            self.todo.remember = true;
        } else {
            let id = self.nodes.at(sender).id;
            let known = self.nodes.shown_shard(sender);
            let text = format!(
                "Shard id {shard} of node {id} diverges from existing primary shard id {known}, \
                 rejecting!"
            );
            self.log(LogLevel::Notice, text);
        }
    }

    /// Another node was told to forget a node.
    fn forgotten_by(&mut self, sender: Key, id: NodeId, seconds: u64) {
        let Some(key) = self.nodes.find(id) else { return };
        let is_mine = key == self.nodes.myself() || Some(key) == self.nodes.my_primary();
        // A node that names itself would be taken out while the rest of its frame is read.
        if is_mine || key == sender || seconds == 0 {
            return;
        }
        let (shown, by) = (self.shown(key), self.shown(sender));
        let text = format!("Node {shown} is forgotten, as {by} was told");
        self.log(LogLevel::Notice, text);
        self.forget_for(key, seconds.min(self.settings.forget_s.max(FORGET_S_MAX)));
    }

    fn forget_for(&mut self, key: Key, seconds: u64) {
        let id = self.nodes.at(key).id;
        let until = self.now.at.after(seconds.saturating_mul(1000));
        self.forgotten.insert(id, until);
        if FORGOTTEN_MAX < self.forgotten.len() {
            // The one of the others that would leave the list first.
            let others = self.forgotten.iter().filter(|(other, _)| **other != id);
            if let Some(first) = others.min_by_key(|(_, until)| **until).map(|(id, _)| *id) {
                self.forgotten.remove(&first);
            }
        }
        self.delete_node(key);
    }

    /// CLUSTER FORGET.
    pub(super) fn forget(&mut self, id: NodeId) -> Result<Reply, Error> {
        let Some(key) = self.nodes.find(id) else {
            let is_forgotten = self.forgotten.contains_key(&id);
            return if is_forgotten { Ok(Reply::Ok) } else { Err(unknown_node(id.as_bytes())) };
        };
        if key == self.nodes.myself() {
            return Err(Error::Text("ERR I tried hard but I can't forget myself..."));
        }
        if self.nodes.me().role == Role::Replica(Some(key)) {
            return Err(Error::Text("ERR Can't forget my master!"));
        }
        self.forget_for(key, self.settings.forget_s);
        Ok(Reply::Ok)
    }
}

#[cfg(test)]
mod tests;
