//! Logs on their way to replicas that take each log by a connection of its own.

use std::time::Duration;

use crate::flows::served::{Ended, Served};
use crate::mail::flows::{Connect, FlowNews};
use crate::mail::to_relay::ToRelay;
use crate::reactor::ring::{DataRing, Token};
use crate::replication::history::{LogId, Offset};
use crate::replication::session::SessionId;
use crate::shard::connections::Sending;
use crate::shard::core::{Core, SocketRequest};

impl Core {
    /// Keeps a log from here on for a replica.
    pub(crate) fn open_outgoing(&mut self, session: SessionId, id: LogId, offset: Offset) {
        self.show_log();
        let is_there = self.served(id).is_some_and(|served| served.open(session, offset));
        self.mailbox.tell_relay(ToRelay::Flow(FlowNews::Opened(session, is_there)));
    }

    /// Sends a replica a log by this connection from now on.
    pub(crate) fn connect_outgoing(&mut self, ring: &mut DataRing, connect: Connect) {
        let Connect { session, log, socket } = connect;
        // Its session may have ended meanwhile: then the connection closes.
        let Some(served) = self.served(log) else { return };
        let token = ring.add(socket);
        if !served.connect(session, token) {
            ring.close(token);
        }
    }

    /// A replica's session has ended.
    pub(crate) fn close_outgoing(&mut self, session: SessionId) {
        let Self { own_log, flows, socket_requests, .. } = self;
        for served in own_log.iter_mut().chain(flows.kept_mut().iter_mut()) {
            socket_requests.extend(served.close(session).map(SocketRequest::Close));
        }
    }

    /// The log is another's, or there is none any more: what was on its way ends.
    pub(crate) fn end_outgoing(&mut self, ended: impl IntoIterator<Item = Ended>) {
        for (session, token) in ended {
            self.socket_requests.extend(token.map(SocketRequest::Close));
            self.mailbox.tell_relay(ToRelay::Flow(FlowNews::Fell(session)));
        }
    }

    /// All logs that this shard has.
    fn logs(&self) -> impl Iterator<Item = &Served> {
        self.own_log.iter().chain(self.flows.kept().iter())
    }

    /// Whether a replica is sent a log by this socket.
    #[inline]
    pub(crate) fn sends_log_by(&self, token: Token) -> bool {
        self.logs().any(|served| served.session_of(token).is_some())
    }

    /// The system has taken what was sent of a log.
    pub(crate) fn log_was_sent(&mut self, token: Token, buffer: Vec<u8>) {
        self.counters.bytes_out += buffer.len() as u64;
        self.counters.repl_bytes_out += buffer.len() as u64;
        self.counters.writes += 1;
        let Self { own_log, flows, .. } = self;
        let mut logs = own_log.iter_mut().chain(flows.kept_mut().iter_mut());
        if let Some(served) = logs.find(|served| served.session_of(token).is_some()) {
            served.sent(token, buffer);
        }
    }

    /// A socket has ended by which a log goes or comes, if it is one.
    pub(crate) fn log_socket_ended(&mut self, token: Token) {
        self.flows.log_of(token).into_iter().for_each(|flow| self.log_has_closed(flow));
        let session = self.logs().find_map(|served| served.session_of(token));
        if let Some(session) = session {
            self.mailbox.tell_relay(ToRelay::Flow(FlowNews::Lost(session)));
        }
    }

    /// Sends replicas what there is of logs, if it is time.
    #[inline]
    pub(crate) fn send_log(&mut self, send: &mut Vec<Sending>) {
        if self.logs().any(Served::has_replicas) {
            self.send_log_to_all(send);
        }
    }

    fn send_log_to_all(&mut self, send: &mut Vec<Sending>) {
        // The relay sees what is logged before it hears that a replica has it.
        self.mailbox.own_board().logged.set(self.shard.effects.log.weight());
        let now = self.node.now;
        let Self { own_log, flows, mailbox, .. } = self;
        for served in own_log.iter_mut().chain(flows.kept_mut().iter_mut()) {
            served.send(
                now,
                |token, bytes| send.push(Sending { token, bytes }),
                |session| mailbox.tell_relay(ToRelay::Flow(FlowNews::Fell(session))),
            );
        }
    }

    /// In how long replicas are to be sent something.
    pub(crate) fn log_is_due(&self) -> Option<Duration> {
        let now = self.node.now;
        let due = self.logs().filter_map(|served| served.due_micros(now));
        due.min().map(Duration::from_micros)
    }
}
