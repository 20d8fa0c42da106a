//! T-L: links. This node makes one to each node, and answers by those that others make.

use std::net::IpAddr;

use shards::base::time::UnixMs;

use crate::cluster::frame::Beat;
use crate::cluster::frame::header::{Flags, Header};
use crate::cluster::ids::NodeId;
use crate::cluster::machine::action::Action;
use crate::cluster::machine::event::{End, Failure, LinkId};
use crate::cluster::machine::{Inbound, Machine};
use crate::cluster::moment::Moment;
use crate::cluster::nodes::Key;
use crate::cluster::nodes::node::{Contact, Health, Outbound};
use crate::config::choices::LogLevel;

/// Links that are made in one round at least, if so many are missing.
const CONNECTS_MIN: u64 = 10;

/// A link with a node that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub link: LinkId,
    /// The node.
    pub node: NodeId,
    /// What the calendar said when it was made.
    pub since: UnixMs,
}

impl Machine {
    /// All links with known nodes, those of one node side by side.
    pub fn links(&self) -> Vec<Link> {
        let links = self.nodes.others().flat_map(|(_, node)| {
            let outbound = node.contact.outbound.filter(|outbound| outbound.is_up);
            let outbound = outbound.map(|outbound| (outbound.link, outbound.since));
            let inbound = node
                .contact
                .inbound
                .and_then(|link| self.inbound.get(&link).map(|inbound| (link, inbound.since)));
            [outbound, inbound].map(|link| (node.id, link))
        });
        let links = links.filter_map(|(node, link)| Some((node, link?)));
        let links =
            links.map(|(node, (link, since))| Link { link, node, since: self.now.unix_at(since) });
        links.collect()
    }

    /// Which node a link leads to; `None` if that is not known.
    pub(super) fn node_of(&self, link: LinkId) -> Option<Key> {
        match link {
            LinkId::Outbound(_) => self.outbound.get(&link).copied(),
            LinkId::Inbound(_) => self.inbound.get(&link).and_then(|inbound| inbound.node),
        }
    }

    /// Whether other nodes can connect: a primary that loads its data is not to look alive.
    fn accepts(&self) -> bool {
        !self.is_loading || !self.is_primary()
    }

    pub(super) fn accepted(&mut self, link: LinkId, peer: IpAddr, local: IpAddr) {
        if !self.accepts() {
            self.act(Action::Close(link));
            return;
        }
        let inbound = Inbound { peer, local, node: None, since: self.now.at, former: None };
        self.inbound.insert(link, inbound);
    }

    pub(super) fn connected(&mut self, link: LinkId) {
        let Some(key) = self.outbound.get(&link).copied() else { return };
        let now = self.now.at;
        let contact = &mut self.nodes.at_mut(key).contact;
        contact.outbound = Some(Outbound { link, since: now, is_up: true });
        self.connect_succeeded(key);
        if self.nodes.at(key).contact.meets {
            let contact = &mut self.nodes.at_mut(key).contact;
            contact.ping_sent = contact.ping_sent.or(Some(now));
            self.beat_by(link, Beat::Meet, Some(key));
        } else {
            self.ping(key);
        }
    }

    pub(super) fn connect_failed(&mut self, link: LinkId, failure: Failure) {
        let Some(key) = self.outbound.remove(&link) else { return };
        let now = self.now.at;
        let contact = &mut self.nodes.at_mut(key).contact;
        contact.outbound = None;
        // The node's silence begins to count.
        contact.ping_sent = contact.ping_sent.or(Some(now));
        match failure {
            Failure::Refused => {
                contact.refused = Some(now);
                self.note_gone(key);
                self.refused(key);
            }
            Failure::Other => self.not_refused(key),
        }
    }

    pub(super) fn ended(&mut self, link: LinkId, end: End) {
        let node = self.node_of(link);
        let was_up = node.is_some_and(|key| self.nodes.at(key).link() == Some(link));
        self.forget_link(link);
        if let Some(key) = node.filter(|_| was_up && end == End::ByPeer) {
            self.peer_ended(key);
        }
    }

    pub(super) fn overflowing(&mut self, link: LinkId, bytes: usize) {
        let whose = self.node_of(link).map(|key| self.shown(key)).unwrap_or_default();
        let way = match link {
            LinkId::Outbound(_) => "to",
            LinkId::Inbound(_) => "from",
        };
        self.stats.limits_exceeded += 1;
        self.log(
            LogLevel::Warning,
            format!(
                "Freeing cluster link({way} node {whose}, used memory: {bytes}) due to exceeding \
                 send buffer memory limit."
            ),
        );
        self.drop_link(link);
    }

    /// Closes a link and forgets it.
    pub(super) fn drop_link(&mut self, link: LinkId) {
        self.forget_link(link);
        self.act(Action::Close(link));
    }

    fn forget_link(&mut self, link: LinkId) {
        let node = self.node_of(link);
        self.outbound.remove(&link);
        self.inbound.remove(&link);
        let now = self.now.at;
        let Some(key) = node.filter(|key| self.nodes.contains(*key)) else { return };
        let contact = &mut self.nodes.at_mut(key).contact;
        if contact.outbound.is_some_and(|outbound| outbound.link == link) {
            contact.outbound = None;
        }
        if contact.inbound == Some(link) {
            contact.inbound = None;
            contact.inbound_lost = now;
        }
    }

    /// Closes this node's link to a node, if there is one; the next round makes another one.
    pub(super) fn drop_outbound(&mut self, key: Key) {
        if let Some(outbound) = self.nodes.at(key).contact.outbound {
            self.drop_link(outbound.link);
        }
    }

    /// Notes which node a link comes from. Of two links of one node the new one counts.
    pub(super) fn bind(&mut self, link: LinkId, sender: Key) {
        let Some(inbound) = self.inbound.get_mut(&link) else { return };
        if inbound.node == Some(sender) {
            return;
        }
        let other = inbound.node.replace(sender);
        if let Some(other) = other.filter(|other| self.nodes.contains(*other)) {
            let now = self.now.at;
            let contact = &mut self.nodes.at_mut(other).contact;
            if contact.inbound.take_if(|theirs| *theirs == link).is_some() {
                contact.inbound_lost = now;
            }
        }
        let former = self.nodes.at_mut(sender).contact.inbound.replace(link);
        if let Some(former) = former.filter(|former| *former != link) {
            self.drop_link(former);
        }
    }

    /// Makes links that are missing, and those anew that do not work.
    pub(super) fn tend_links(&mut self) {
        let nodes = u64::try_from(self.nodes.len()).unwrap_or(u64::MAX);
        let half = (self.settings.node_timeout_ms / 2).max(1);
        let mut budget = (nodes.saturating_mul(1000) / half).max(CONNECTS_MIN);
        self.expire_strangers();
        for key in self.nodes.keys() {
            if key == self.nodes.myself() || self.expire_handshake(key) {
                continue;
            }
            if self.is_dull(&self.nodes.at(key).contact) {
                self.drop_outbound(key);
            }
            if 0 < budget && self.is_connect_due(key) {
                budget -= 1;
                self.connect(key);
            }
            self.meet_again(key);
        }
    }

    /// Gives up links of others that have not shown for long enough which node they come from.
    fn expire_strangers(&mut self) {
        let allowed = self.settings.handshake_ms();
        let is_over = |inbound: &Inbound| {
            let is_stranger = inbound.node.is_none() && inbound.former.is_none();
            is_stranger && allowed < self.since(inbound.since)
        };
        let over = self.inbound.iter().filter(|(_, inbound)| is_over(inbound));
        let over: Vec<LinkId> = over.map(|(link, _)| *link).collect();
        over.into_iter().for_each(|link| self.drop_link(link));
    }

    /// Whether a link does not do what it is there for.
    fn is_dull(&self, contact: &Contact) -> bool {
        let Some(outbound) = contact.outbound else { return false };
        let timeout = self.settings.node_timeout_ms;
        let longer = |moment: Moment, millis: u64| millis < self.since(moment);
        if !longer(outbound.since, timeout) {
            return false;
        }
        let Some(ping_sent) = contact.ping_sent else { return !outbound.is_up };
        let is_silent = longer(ping_sent, timeout / 2) && longer(contact.heard, timeout / 2);
        // A lost PING is never repeated while the peer's own frames come: it goes by a new link. An
        // answer that came while this node was stopped is not read yet.
        let is_unanswered = longer(ping_sent.max(self.woke_at), timeout);
        !outbound.is_up || is_silent || is_unanswered
    }

    fn is_connect_due(&self, key: Key) -> bool {
        let node = self.nodes.at(key);
        let contact = &node.contact;
        let pause = if contact.inbound.is_some() { 0 } else { self.settings.node_timeout_ms / 20 };
        let is_rested = contact.tried.is_none_or(|tried| pause <= self.since(tried));
        contact.outbound.is_none() && is_rested
    }

    /// Begins a link to a node whose address is known.
    pub(super) fn connect(&mut self, key: Key) {
        let node = self.nodes.at(key);
        let Some(ip) = node.ip.filter(|_| node.contact.outbound.is_none()) else { return };
        let port = node.ports.bus;
        let (link, now) = (self.new_link(), self.now.at);
        let contact = &mut self.nodes.at_mut(key).contact;
        contact.outbound = Some(Outbound { link, since: now, is_up: false });
        contact.tried = Some(now);
        self.outbound.insert(link, key);
        self.act(Action::Connect(link, ip, port));
    }

    /// Sends another MEET to a node that does not connect to this one: it may not know it. A next
    /// link begins with a PING nevertheless, by which a node that was reset sees that this MEET is
    /// no operator's (`members::former`).
    fn meet_again(&mut self, key: Key) {
        let node = self.nodes.at(key);
        let contact = &node.contact;
        let is_lost = contact.inbound.is_none()
            && self.settings.handshake_ms() < self.since(contact.inbound_lost);
        let takes = node.flags.has(Flags::LIGHT_MODULE) && !node.is_in_handshake();
        let Some(link) = node.link().filter(|_| is_lost && takes && !contact.meets) else { return };
        let shown = self.shown(key);
        let now = self.now.at;
        let contact = &mut self.nodes.at_mut(key).contact;
        contact.inbound_lost = now;
        contact.ping_sent = contact.ping_sent.or(Some(now));
        self.log(
            LogLevel::Notice,
            format!("Sending MEET packet to node {shown} because there is no inbound link for it"),
        );
        self.beat_by(link, Beat::Meet, Some(key));
    }

    /// A PONG by a link of this node whose sender is another one than the link is for: the address
    /// belongs to another node now. True if that is so.
    pub(super) fn is_of_another(&mut self, link: LinkId, key: Key, header: &Header) -> bool {
        let node = self.nodes.at(key);
        if node.id == header.sender {
            return false;
        }
        let text = format!(
            "PONG contains mismatching sender ID. About node {} in shard {}, having flags {}",
            node.id,
            self.nodes.shown_shard(key),
            header.flags.0
        );
        self.log(LogLevel::Debug, text);
        self.nodes.at_mut(key).ip = None;
        self.drop_link(link);
        if !matches!(self.nodes.at(key).health, Health::Failed(_)) {
            self.mark_failed(key);
            self.tell_failed(key);
        }
        self.todo.remember = true;
        true
    }
}

#[cfg(test)]
mod tests;
