//! What is told to others at the end of an event: frames and replies, after the state that they
//! tell of is saved.

use std::sync::Arc;

use shards::resp::error::Error;

use super::Machine;
use super::action::{Action, Actions, Answer};
use super::event::{LinkId, Ticket};
use crate::cluster::frame::header::{Flags, Header, Marks};
use crate::cluster::frame::{Beat, Body, Frame, Message, Packet};
use crate::cluster::nodes::Key;
use crate::cluster::slot_set::SlotSet;

/// What is told at the end of an event.
#[derive(Debug)]
pub(super) enum Outgoing {
    Frame(LinkId, Body, Marks),
    Message(Sending),
    Reply(Ticket, Result<Answer, Error>),
}

/// A client's message, and by which links it goes.
#[derive(Debug)]
pub(super) struct Sending {
    message: Message,
    /// To nodes that read light headers.
    light: Vec<LinkId>,
    /// To all others.
    full: Vec<LinkId>,
}

impl Machine {
    /// Sends a frame by a link.
    pub(in crate::cluster) fn send_by(&mut self, link: LinkId, body: Body, marks: Marks) {
        self.later.push(Outgoing::Frame(link, body, marks));
    }

    /// Sends a frame to a node, if there is a link to it.
    pub(in crate::cluster) fn send(&mut self, key: Key, body: Body) {
        if let Some(link) = self.nodes.at(key).link() {
            self.send_by(link, body, Marks::default());
        }
    }

    /// Sends a heartbeat by a link.
    pub(in crate::cluster) fn beat_by(&mut self, link: LinkId, beat: Beat, to: Option<Key>) {
        let heartbeat = self.heartbeat(to);
        self.send_by(link, Body::Heartbeat(beat, heartbeat), Marks::EXTENSIONS);
    }

    /// Sends a PING to a node, if there is a link to it. An older PING without an answer goes on
    /// counting.
    pub(in crate::cluster) fn ping(&mut self, key: Key) {
        self.ping_with(key, Marks::default());
    }

    /// Sends a PING that says this, too.
    pub(in crate::cluster) fn ping_with(&mut self, key: Key, marks: Marks) {
        let at = self.now.at;
        let Some(link) = self.nodes.at(key).link() else { return };
        let contact = &mut self.nodes.at_mut(key).contact;
        contact.ping_sent = contact.ping_sent.or(Some(at));
        let heartbeat = self.heartbeat(Some(key));
        self.send_by(link, Body::Heartbeat(Beat::Ping, heartbeat), Marks::EXTENSIONS.with(marks));
    }

    /// Sends a PING to all nodes that are no longer in handshake.
    pub(in crate::cluster) fn ping_all(&mut self) {
        for key in self.nodes.keys() {
            if !self.nodes.at(key).is_in_handshake() {
                self.ping(key);
            }
        }
    }

    /// Sends a PONG to all nodes, so that they know this node's claim at once.
    pub(in crate::cluster) fn pong_all(&mut self) {
        for key in self.nodes.keys() {
            self.pong(key);
        }
    }

    /// Sends a PONG to a node, if there is a link to it.
    pub(in crate::cluster) fn pong(&mut self, key: Key) {
        if let Some(link) = self.nodes.at(key).link() {
            self.beat_by(link, Beat::Pong, Some(key));
        }
    }

    /// Sends a frame to all nodes that are no longer in handshake.
    pub(in crate::cluster) fn broadcast(&mut self, body: &Body, marks: Marks) {
        for key in self.nodes.keys() {
            let node = self.nodes.at(key);
            if let Some(link) = node.link().filter(|_| !node.is_in_handshake()) {
                self.send_by(link, body.clone(), marks);
            }
        }
    }

    /// Sends a client's message to the nodes that may have subscribers: all, or those of this
    /// node's shard.
    pub(super) fn publish(&mut self, message: Message) {
        let to_shard = matches!(message, Message::PublishShard(_));
        let (mut light, mut full) = (Vec::new(), Vec::new());
        for key in self.nodes.keys() {
            let node = self.nodes.at(key);
            let is_meant = !to_shard || self.is_of_my_shard(key);
            let Some(link) = node.link().filter(|_| is_meant && !node.is_in_handshake()) else {
                continue;
            };
            // A node closes links by which light frames come of a sender that it does not know.
            let knows_me = node.contact.inbound.is_some();
            let is_light = knows_me && node.flags.has(Flags::LIGHT_PUBLISH);
            if is_light { light.push(link) } else { full.push(link) }
        }
        if !light.is_empty() || !full.is_empty() {
            self.later.push(Outgoing::Message(Sending { message, light, full }));
        }
    }

    /// Whether a node has the slots of this one, or is to have them. A Redis names no shard.
    fn is_of_my_shard(&self, key: Key) -> bool {
        let me = self.nodes.myself();
        let owner = |key: Key| self.nodes.primary_of(key).unwrap_or(key);
        owner(key) == owner(me) || self.nodes.are_of_one_shard(key, me)
    }

    /// Answers a client.
    pub(in crate::cluster) fn reply(&mut self, ticket: Ticket, reply: Result<Answer, Error>) {
        self.later.push(Outgoing::Reply(ticket, reply));
    }

    /// Hands out what is told.
    pub(super) fn flush(&mut self, actions: &mut Actions) {
        if self.later.is_empty() {
            return;
        }
        // Frames of one event say the same of this node; a light one says nothing.
        let mut header = None;
        let is_stuck = self.is_stuck();
        let is_unsaved = is_stuck || self.is_claim_unsaved();
        for outgoing in std::mem::take(&mut self.later) {
            match outgoing {
                Outgoing::Frame(..) if is_unsaved => {}
                Outgoing::Frame(link, body, marks) => {
                    let mut header = header.get_or_insert_with(|| self.header()).clone();
                    if self.is_for_former(link) {
                        // It would take them for slots of its own cluster.
                        header.slots = SlotSet::default();
                    }
                    let packet = self.full(Header { marks, ..header }, body);
                    self.hand_out(link, packet, actions);
                }
                Outgoing::Message(Sending { message, light, full }) => {
                    let full = if is_unsaved { Vec::new() } else { full };
                    if !full.is_empty() {
                        let header = header.get_or_insert_with(|| self.header()).clone();
                        let packet = self.full(header, Body::Message(message.clone()));
                        full.into_iter().for_each(|link| {
                            self.hand_out(link, Arc::clone(&packet), actions);
                        });
                    }
                    // A light frame tells no epoch, but that this node is there.
                    let light = if is_stuck { Vec::new() } else { light };
                    let packet = Arc::new(Packet::Light(message));
                    light.into_iter().for_each(|link| {
                        self.hand_out(link, Arc::clone(&packet), actions);
                    });
                }
                Outgoing::Reply(ticket, reply) => actions.push(Action::Reply(ticket, reply)),
            }
        }
    }

    /// A frame with this header, and with what else it is marked with.
    fn full(&self, header: Header, body: Body) -> Arc<Packet> {
        let marks = self.manual.mark().with(header.marks);
        Arc::new(Packet::Full(Box::new(Frame { header: Header { marks, ..header }, body })))
    }

    fn hand_out(&mut self, link: LinkId, packet: Arc<Packet>, actions: &mut Actions) {
        if let Some(kind) = packet.kind() {
            *self.stats.sent.entry(kind).or_default() += 1;
        }
        actions.push(Action::Send(link, packet));
    }

    /// What this node says of itself.
    fn header(&self) -> Header {
        let me = self.nodes.me();
        let primary = self.nodes.my_primary().filter(|key| *key != self.nodes.myself());
        let claims = primary.map_or(me, |primary| self.nodes.at(primary));
        let mut flags = me.all_flags().with(Flags::MYSELF).without(Flags::NOADDR);
        if primary.is_some_and(|primary| self.nodes.at(primary).is_failed()) {
            flags = flags.with(Flags::PRIMARY_FAIL);
        }
        Header {
            sender: me.id,
            primary: primary.map(|primary| self.nodes.at(primary).id),
            ip: self.settings.announced_ip,
            ports: me.ports,
            flags,
            current_epoch: self.current_epoch,
            config_epoch: claims.config_epoch,
            offset: self.mine.offset,
            slots: claims.slot_set().clone(),
            sees_fail: !self.state.is_ok(),
            marks: Marks::default(),
        }
    }
}
