//! A frame that has come: what its header says of the sender, then what its body says, each to the
//! table that decides about it.

use super::Machine;
use super::action::Action;
use super::event::LinkId;
use crate::cluster::claims::Claim;
use crate::cluster::frame::header::{Flags, Header, Marks};
use crate::cluster::frame::{Beat, Body, Broken, Frame, Heartbeat, Message, Packet};
use crate::cluster::nodes::Key;
use crate::config::choices::LogLevel;

/// What a node says of itself by flags and this node keeps.
const KEPT: Flags = Flags::NOFAILOVER
    .with(Flags::LIGHT_PUBLISH)
    .with(Flags::LIGHT_MODULE)
    .with(Flags::PRIMARY_FAIL);

impl Machine {
    pub(super) fn received(&mut self, link: LinkId, packet: Packet) {
        if let Some(kind) = packet.kind() {
            *self.stats.received.entry(kind).or_default() += 1;
        }
        match packet {
            Packet::Full(frame) => self.frame(link, *frame),
            Packet::Light(message) => match self.node_of(link) {
                Some(key) if !self.nodes.at(key).is_in_handshake() => {
                    self.heard(key);
                    self.deliver(message);
                }
                Some(_) | None => self.drop_link(link),
            },
        }
    }

    pub(super) fn unreadable(&mut self, link: LinkId, broken: Broken) {
        match broken {
            Broken::NotAFrame => {
                let text = "Bad message length or signature received on the Cluster bus.";
                self.log(LogLevel::Warning, text.to_string());
                self.drop_link(link);
            }
            Broken::Odd => {
                let text = "Received a frame of the Cluster bus whose length or version is odd.";
                self.log(LogLevel::Warning, text.to_string());
            }
        }
    }

    fn frame(&mut self, link: LinkId, frame: Frame) {
        let Frame { header, body } = frame;
        // A handshake's random id is no sender.
        let sender = self
            .nodes
            .find(header.sender)
            .filter(|key| *key != self.nodes.myself() && !self.nodes.at(*key).is_in_handshake());
        if let Some(key) = self.node_of(link) {
            self.heard(key);
        }
        if let Some(sender) = sender {
            self.know_sender(link, sender, &header);
        }
        match body {
            Body::Heartbeat(beat, heartbeat) => {
                self.heartbeat_came(link, beat, &header, heartbeat, sender);
            }
            Body::Fail(failed) => self.fail_came(sender, failed, &header),
            Body::AuthRequest => {
                if let Some(sender) = sender {
                    // It may come in front of the first heartbeat that says whom it follows.
                    self.claim(sender, &header);
                    self.vote_asked(sender, &header);
                }
            }
            Body::AuthAck => {
                if let Some(sender) = sender {
                    self.vote_came(sender, header.current_epoch);
                }
            }
            Body::Update(update) => {
                if let Some(sender) = sender {
                    self.update_came(sender, &update);
                }
            }
            Body::MfStart => {
                if let Some(sender) = sender {
                    self.manual_asked(sender);
                }
            }
            Body::Message(message) => {
                if sender.is_some() {
                    self.deliver(message);
                }
            }
            Body::Unknown(number, _) => {
                self.log(LogLevel::Warning, format!("Received unknown packet type: {number}"));
            }
        }
    }

    /// Gives a message to subscribers of this node.
    fn deliver(&mut self, message: Message) {
        match message {
            Message::Publish(_) | Message::PublishShard(_) => self.act(Action::Deliver(message)),
            // There are no modules.
            Message::Module(_) => {}
        }
    }

    /// Takes note of what every frame of a known node says.
    fn know_sender(&mut self, link: LinkId, sender: Key, header: &Header) {
        self.bind(link, sender);
        self.heard(sender);
        self.learn_epochs(sender, header);
        let node = self.nodes.at_mut(sender);
        node.offset = header.offset;
        node.flags = node.flags.without(KEPT).with(header.flags.only(KEPT));
        if header.marks.has(Marks::EXTENSIONS) {
            node.flags = node.flags.with(Flags::EXTENSIONS);
        }
        if self.election.deadline().is_some() {
            // What others have and know decides how long this node waits.
            self.todo.election = true;
        }
        if header.marks.has(Marks::PAUSED) {
            self.primary_paused(sender, header.offset);
        }
    }

    fn heartbeat_came(
        &mut self,
        link: LinkId,
        beat: Beat,
        header: &Header,
        heartbeat: Heartbeat,
        sender: Option<Key>,
    ) {
        match beat {
            Beat::Ping | Beat::Meet => {
                self.learn_own_address(link, beat);
                let answer = self.greeted(link, beat, header, sender);
                self.answer(link, answer, sender);
                if answer == Answer::Stranger {
                    let trusted = self.node_of(link);
                    self.gossip_came(trusted, &heartbeat.gossip);
                }
            }
            Beat::Pong => self.pong_came(link, header),
        }
        let Some(sender) = sender.filter(|key| self.nodes.contains(*key)) else { return };
        self.remind_failed(sender);
        if beat == Beat::Ping {
            self.learn_address(link, sender, header);
        }
        if self.claim(sender, header) == Claim::Stale {
            self.stats.stale_frames += 1;
            return;
        }
        self.gossip_came(Some(sender), &heartbeat.gossip);
        self.extensions_came(sender, &heartbeat.extensions, header);
    }

    fn answer(&mut self, link: LinkId, answer: Answer, sender: Option<Key>) {
        match answer {
            Answer::Pong | Answer::Stranger => self.beat_by(link, Beat::Pong, sender),
            Answer::Bare => {
                let body = Body::Heartbeat(Beat::Pong, Heartbeat::default());
                self.send_by(link, body, Marks::EXTENSIONS);
            }
        }
    }
}

/// What a PING or MEET is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cluster) enum Answer {
    /// A PONG.
    Pong,
    /// A PONG; what the sender says of others is believed, though it was not known.
    Stranger,
    /// A PONG that tells of no other node.
    Bare,
}
