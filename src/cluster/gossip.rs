//! What to tell whom: PINGs at their times, and what they say of other nodes.

use crate::cluster::frame::Heartbeat;
use crate::cluster::frame::extensions::Extension;
use crate::cluster::frame::gossip::Entry;
use crate::cluster::frame::header::Flags;
use crate::cluster::machine::Machine;
use crate::cluster::machine::settings::{CRON_MS, RANDOM_PING_MS};
use crate::cluster::moment::Moment;
use crate::cluster::nodes::Key;
use crate::cluster::nodes::node::{Health, Names, Node};

/// Nodes of which a heartbeat tells at least, if there are so many.
const ENTRIES_MIN: usize = 3;
/// Nodes among which the random PING goes to the one that was silent longest.
const CANDIDATES: usize = 5;

impl Machine {
    /// What a heartbeat to a node says; `None`: to a node that is not known.
    pub(super) fn heartbeat(&mut self, to: Option<Key>) -> Heartbeat {
        let gossip = self.entries(to);
        let takes = to.is_some_and(|key| self.nodes.at(key).flags.has(Flags::EXTENSIONS));
        let extensions = if takes { self.extensions() } else { Vec::new() };
        Heartbeat { gossip, extensions }
    }

    /// Some nodes at random, and all that are PFAIL: a node that is to decide has to hear of
    /// them at once.
    fn entries(&mut self, to: Option<Key>) -> Vec<Entry> {
        let mut keys: Vec<Key> = Vec::with_capacity(self.nodes.len());
        let mut suspected: Vec<Key> = Vec::new();
        for (key, node) in self.nodes.others() {
            let is_usual = node.ip.is_some() && (node.is_linked() || 0 < node.slot_count());
            match node.health {
                _ if Some(key) == to || node.is_in_handshake() => {}
                Health::Suspected => suspected.push(key),
                Health::Fit | Health::Failed(_) if is_usual => keys.push(key),
                Health::Fit | Health::Failed(_) => {}
            }
        }
        let known = self.nodes.len();
        let percent = usize::try_from(self.settings.gossip_percent).unwrap_or(100);
        let wanted = (known * percent / 100).max(ENTRIES_MIN).min(keys.len());
        for index in 0..wanted {
            let left = u64::try_from(keys.len() - index).unwrap_or(u64::MAX);
            let other = usize::try_from(self.random.below(left)).unwrap_or(0);
            keys.swap(index, index + other);
        }
        keys.truncate(wanted);
        keys.append(&mut suspected);
        keys.into_iter().map(|key| self.entry(self.nodes.at(key))).collect()
    }

    fn entry(&self, node: &Node) -> Entry {
        let seconds = |moment: Option<Moment>| {
            let seconds = moment.map_or(0, |moment| self.now.unix_at(moment).seconds());
            u32::try_from(seconds).unwrap_or(u32::MAX)
        };
        Entry {
            node: node.id,
            ping_sent_s: seconds(node.contact.ping_sent),
            pong_received_s: seconds(node.contact.pong_received),
            ip: node.ip,
            ports: node.ports,
            flags: node.all_flags(),
        }
    }

    /// More of this node, for those that take it.
    fn extensions(&self) -> Vec<Extension> {
        let me = self.nodes.me();
        let mut all = Vec::with_capacity(1 + self.forgotten.len());
        if !me.names.are_none() {
            announced(&me.names, &mut all);
        }
        for (id, until) in &self.forgotten {
            all.push(Extension::Forgotten(*id, until.since(self.now.at).div_ceil(1000)));
        }
        all.extend(me.shard.map(Extension::Shard));
        all
    }

    /// Sends the PINGs that are due.
    pub(super) fn send_pings(&mut self) {
        if self.rounds.is_multiple_of(RANDOM_PING_MS / CRON_MS) {
            self.ping_at_random();
        }
        for key in self.nodes.keys() {
            let contact = &self.nodes.at(key).contact;
            let is_older = |at: Option<Moment>, than| at.is_none_or(|at| than < self.since(at));
            // Others may have told of a later PONG than the last one that came here, which keeps
            // no fence open.
            let is_due = is_older(contact.pong_received, self.settings.ping_ms())
                || self.lease_ping_ms(key).is_some_and(|than| is_older(contact.answered, than));
            if contact.ping_sent.is_none() && is_due {
                self.ping(key);
            }
        }
    }

    /// Sends a PING to the node, of a few, that has not answered for longest.
    fn ping_at_random(&mut self) {
        let is_free = |node: &Node| {
            node.is_linked() && node.contact.ping_sent.is_none() && !node.is_in_handshake()
        };
        let others = self.nodes.others().filter(|(_, node)| is_free(node));
        let mut keys: Vec<Key> = others.map(|(key, _)| key).collect();
        let mut oldest: Option<Key> = None;
        for _ in 0..CANDIDATES.min(keys.len()) {
            let len = u64::try_from(keys.len()).unwrap_or(u64::MAX);
            let key = keys.swap_remove(usize::try_from(self.random.below(len)).unwrap_or(0));
            let pong = |key: Key| self.nodes.at(key).contact.pong_received;
            if oldest.is_none_or(|oldest| pong(key) < pong(oldest)) {
                oldest = Some(key);
            }
        }
        if let Some(key) = oldest {
            self.ping(key);
        }
    }
}

/// What a node announces that announces something.
fn announced(names: &Names, all: &mut Vec<Extension>) {
    let texts = [
        (&names.hostname, Extension::Hostname as fn(String) -> Extension),
        (&names.nodename, Extension::Nodename),
        (&names.client_ipv4, Extension::ClientIpv4),
        (&names.client_ipv6, Extension::ClientIpv6),
        (&names.zone, Extension::Zone),
    ];
    let texts = texts.into_iter().filter(|(text, _)| !text.is_empty());
    let ports = [
        (names.client_port, Extension::ClientPort as fn(u16) -> Extension),
        (names.client_tls_port, Extension::ClientTlsPort),
    ];
    let ports = ports.into_iter().filter(|(port, _)| *port != 0);
    all.extend(texts.map(|(text, of)| of(text.clone())));
    all.extend(ports.map(|(port, of)| of(port)));
}

#[cfg(test)]
mod tests;
