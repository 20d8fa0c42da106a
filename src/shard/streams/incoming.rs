//! Logs of a primary that this shard applies: their connections, and what their machine asks for.

use crate::flows::dispatch::Routing;
use crate::flows::following::{Action, Following, Word};
use crate::flows::kept::Kept;
use crate::flows::stored;
use crate::log;
use crate::mail::flows::{FlowNews, FlowWord, Follow};
use crate::mail::to_control::ToControl;
use crate::mail::to_relay::ToRelay;
use crate::mail::to_shard::ToShard;
use crate::reactor::buffers::{BufferId, Buffers};
use crate::reactor::ring::{DataRing, Token};
use crate::routing::node::Node;
use crate::shard::core::{Core, SocketRequest};

/// Logs of a primary, and their connections.
#[derive(Debug)]
pub(crate) struct Flows {
    machine: Following,
    /// Where each log comes in.
    sockets: Vec<(u16, Token)>,
}

impl Flows {
    /// Of this shard of the node.
    pub(crate) fn new(me: usize, node: &Node) -> Self {
        let databases = usize::try_from(node.config.database_count()).unwrap_or(usize::MAX);
        let routing = Routing { table: node.table, slots: node.slots.clone(), seed: node.seed };
        Self { machine: Following::new(me, routing, databases), sockets: Vec::new() }
    }

    /// The logs that are kept of other nodes.
    #[inline]
    pub(crate) fn kept(&self) -> &Kept {
        self.machine.kept()
    }

    /// The logs that are kept of other nodes.
    #[inline]
    pub(crate) fn kept_mut(&mut self) -> &mut Kept {
        self.machine.kept_mut()
    }

    /// Bytes of memory that logs of other nodes take.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.machine.memory_bytes()
    }

    /// The log that comes in by a socket.
    #[inline]
    pub(crate) fn log_of(&self, token: Token) -> Option<u16> {
        let found = self.sockets.iter().find(|(_, socket)| *socket == token);
        found.map(|(flow, _)| *flow)
    }
}

impl Core {
    /// The relay, or another shard, says something of flows.
    pub(crate) fn hear_of_flow(&mut self, word: FlowWord) {
        match word {
            FlowWord::Open(session, log, offset) => self.open_outgoing(session, log, offset),
            FlowWord::Connect(connect) => self.socket_requests.push(SocketRequest::Send(connect)),
            FlowWord::Close(session) => self.close_outgoing(session),
            FlowWord::Follow(follow) => self.socket_requests.push(SocketRequest::Follow(follow)),
            FlowWord::Keep(which, offset) => {
                let ended = self.flows.kept_mut().begin(which, offset, &self.node.config);
                self.end_outgoing(ended);
            }
            FlowWord::Retain(histories) => {
                let ended = self.flows.kept_mut().retain(&histories);
                self.end_outgoing(ended);
            }
            FlowWord::Following(word) => self.hear_of_following(word),
        }
    }

    /// A log is held, a part comes or goes, or a batch was applied.
    pub(crate) fn hear_of_following(&mut self, word: Word) {
        self.with_following(|machine, actions| machine.hear(word, actions));
    }

    /// Applies a log of the primary from now on, or stores it.
    pub(crate) fn follow_log(&mut self, ring: &mut DataRing, follow: Follow) {
        let Follow { generation, history, flow, offset, stores, socket, unread } = follow;
        if self.flows.machine.begin((generation, stores), history, flow, offset) {
            self.flows.sockets.push((flow, ring.add(socket)));
            self.log_received(flow, &unread);
        }
    }

    /// Something has come of a log.
    pub(crate) fn log_socket_received(
        &mut self,
        buffers: &Buffers,
        flow: u16,
        id: BufferId,
        len: usize,
    ) {
        self.counters.bytes_in += len as u64;
        self.counters.repl_bytes_in += len as u64;
        self.counters.reads += 1;
        self.log_received(flow, buffers.bytes(&id, len));
        buffers.recycle(id);
    }

    fn log_received(&mut self, flow: u16, bytes: &[u8]) {
        self.with_following(|machine, actions| machine.receive(flow, bytes, actions));
    }

    /// Does something with the machine, which knows then what all shards store, and what comes of
    /// it.
    fn with_following(&mut self, act: impl FnOnce(&mut Following, &mut Vec<Action>)) {
        if self.flows.machine.is_storing() {
            let boards = self.other_shards().map(|shard| self.mailbox.board(shard).stored.get());
            let elsewhere = boards.sum();
            self.flows.machine.note_store(stored::limit(&self.node.config), elsewhere);
        }
        let mut actions = Vec::new();
        act(&mut self.flows.machine, &mut actions);
        self.act_on_flows(actions);
    }

    /// More may be stored than before, or less.
    pub(crate) fn store_is_resized(&mut self) {
        self.with_following(Following::look_at_store);
    }

    /// The connection of a log has ended.
    pub(crate) fn log_has_closed(&mut self, flow: u16) {
        self.with_following(|machine, actions| machine.closed(flow, actions));
    }

    /// Whether something can go on that no letter and no socket will speak of again.
    #[inline]
    pub(crate) fn has_resumed(&self) -> bool {
        !self.resumed.is_empty()
            || !self.socket_requests.is_empty()
            || self.room.waits_for_next_turn()
    }

    fn act_on_flows(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Apply(shard, batch) if shard == self.me() => self.apply(batch),
                Action::Apply(shard, batch) => self.mailbox.send(shard, ToShard::Apply(batch)),
                Action::Tell(shard, word) => {
                    self.mailbox.send(shard, ToShard::Flow(FlowWord::Following(word)));
                }
                Action::Order(words) => self.mailbox.tell_control(ToControl::Ordered(words)),
                Action::TellRelay(news) => {
                    self.mailbox.tell_relay(ToRelay::Flow(FlowNews::Following(news)));
                }
                Action::Pause(flow) => self.request_of_log(flow, SocketRequest::Pause),
                Action::Resume(flow) => self.request_of_log(flow, SocketRequest::Resume),
                Action::Close(flow) => {
                    self.request_of_log(flow, SocketRequest::Close);
                    self.flows.sockets.retain(|(other, _)| *other != flow);
                }
                Action::Show(weight) => self.mailbox.own_board().followed.set(weight),
                Action::ShowStored(bytes) => self.mailbox.own_board().stored.set(bytes),
                Action::StoreIsFull => log::warning(
                    "No more is stored of the primary's logs while its snapshot comes: \
                     repl-sync-log-limit",
                ),
                Action::Short => self.tell_of_shortage(),
            }
        }
    }

    fn request_of_log(&mut self, flow: u16, request: fn(Token) -> SocketRequest) {
        let socket = self.flows.sockets.iter().find(|(other, _)| *other == flow);
        self.socket_requests.extend(socket.map(|(_, token)| request(*token)));
    }
}
