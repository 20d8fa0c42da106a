//! What becomes of connections that ask for the stream: `replication::psync` decides, and sessions
//! begin here.

use std::os::fd::OwnedFd;

use crate::log;
use crate::mail::replica::{Arrival, RelayWord};
use crate::mail::to_control::ToControl;
use crate::reactor::streams::Stream as Socket;
use crate::relay::core::Relay;
use crate::relay::flows::{Flows, close_logs};
use crate::relay::peer::{Peer, limits};
use crate::relay::stream::Stream;
use crate::replication::address::Address;
use crate::replication::greeting::{Asked, Filter, FlowsAsked};
use crate::replication::history::Scalar;
use crate::replication::psync::{self, Answer, Facts, Request, Standing};
use crate::replication::replid::ReplId;
use crate::replication::resume::Place;
use crate::replication::session::{Event, Session, SessionId};

impl Relay {
    /// Decides what a connection gets that asks for the stream.
    pub(super) fn decide(&mut self, arrival: Arrival) {
        match self.place_in_logs(&arrival).filter(|_| !arrival.lacks_data) {
            Some(place) => {
                log_request(
                    &arrival,
                    match &place {
                        Place::Present(_) => "it is in the logs of this node",
                        Place::Former(_) => "it is in the logs of the former history",
                    },
                );
                self.try_to_resume(arrival, place);
            }
            None => self.decide_by_stream(arrival),
        }
    }

    /// Likewise, of a connection that cannot go on in the logs.
    pub(super) fn decide_by_stream(&mut self, arrival: Arrival) {
        // A place in logs is none in the stream.
        let is_in_logs = |flows: &FlowsAsked| flows.vector.is_some() && !flows.is_in_stream;
        let is_in_logs = arrival.greeting.flows().is_some_and(is_in_logs);
        let (standing, replid) = self.standing(&arrival);
        let lacks_max = limits(&self.config).hard_bytes();
        let facts = Facts {
            standing,
            stream: self.present().filter(|_| is_in_logs).map_or(replid, |logs| logs.id),
            backlog: if is_in_logs { psync::Backlog::None } else { self.kept().within(lacks_max) },
            reaches: self.reaches(),
            former: self.stream.as_ref().and_then(|stream| stream.former),
            foreign: self.stream.as_ref().and_then(|stream| stream.foreign),
        };
        let decision = psync::decide(&arrival.request, &facts);
        let address = log_request(&arrival, decision.reason);
        match decision.answer {
            Answer::Wait => self.undecided.push(arrival),
            Answer::Continue => self.resume(arrival, replid, None),
            Answer::Full(full) => {
                self.counts.syncs_partial_err += u64::from(full.is_partial_err());
                self.sync(arrival);
            }
            Answer::Refuse(refusal) => refuse(arrival.socket, &refusal.error()),
            Answer::Promote => {
                let (request, at) = (arrival.request.promoted(), arrival.request.has());
                self.promoting.push(Arrival { request, ..arrival });
                self.mailbox
                    .tell_control(ToControl::Relay(RelayWord::Promote { from: address, at }));
            }
        }
    }

    /// What this node is to a request, and the name of the stream that it has.
    fn standing(&self, arrival: &Arrival) -> (Standing, ReplId) {
        // No replica has that name.
        let none = ReplId::of_random([0; 20]);
        let ours = self.stream.as_ref().map_or(none, |stream| stream.replid);
        let upstream = self.upstream.as_deref().filter(|upstream| upstream.is_active());
        match (upstream, &arrival.request) {
            _ if arrival.lacks_data => (Standing::Loading, none),
            // A snapshot would be for nothing: the history that is about to begin goes on from what
            // the replica has.
            (None, Request::Sync | Request::Psync(_)) if self.is_between => {
                (Standing::Unlinked, none)
            }
            (None, _) => (Standing::Primary, ours),
            (Some(upstream), _) if upstream.hands_over() => (Standing::FailingOver, ours),
            (Some(upstream), Request::Failover(_)) => match upstream.stream() {
                Some(stream) => (Standing::Follows, stream),
                None => (Standing::Unlinked, none),
            },
            (Some(upstream), Request::Sync | Request::Psync(_)) => {
                let is_joined = upstream.is_joined(self.stream.as_ref());
                (if is_joined { Standing::Follows } else { Standing::Unlinked }, ours)
            }
        }
    }

    /// What is kept of the stream.
    pub(super) fn kept(&self) -> psync::Backlog {
        match &self.stream {
            Some(Stream { backlog, .. }) => {
                let (first, end) = (Scalar(backlog.first()), Scalar(backlog.end()));
                psync::Backlog::Kept { first, end }
            }
            None if self.awaits_fence => psync::Backlog::Beginning,
            None => psync::Backlog::None,
        }
    }

    /// Where the stream gets without another write. A replica with a snapshot may be ahead of it
    /// for a moment, until what the logs have in front of that place is merged.
    fn reaches(&self) -> Scalar {
        match &self.stream {
            Some(stream) if stream.is_of_primary() => stream.end(),
            Some(stream) => stream.end().max(self.end_of_logs()),
            None => Scalar(0),
        }
    }

    fn session(
        &mut self,
        id: Option<SessionId>,
        arrival: Arrival,
        greets: bool,
    ) -> Option<&mut Peer> {
        let address = address_of(&arrival);
        let Arrival { socket, unread, greeting, request, known, .. } = arrival;
        let asked = match request {
            Request::Sync => Asked::Sync,
            Request::Psync(_) | Request::Failover(_) => Asked::Psync,
        };
        let now = self.now();
        let terms = match greeting.terms(asked) {
            Ok(terms) => terms,
            Err(error) => {
                refuse(socket, &error);
                return None;
            }
        };
        let limits = limits(&self.config);
        if greets && let Err(refusal) = self.backoff.check(now, &address, limits.log_bytes_max()) {
            log::notice(&format!("Full sync of replica {address} is refused: {refusal}"));
            self.counts.syncs_refused += 1;
            refuse(socket, &refusal.error());
            return None;
        }
        let Ok(socket) = Socket::new(socket) else { return None };
        let id = id.unwrap_or_else(|| self.new_session_id());
        let session = Session::new(now, address, terms, limits);
        let mut peer = Peer::new(id, session, (known, greeting.identity().clone()), socket);
        let mut todo = Vec::new();
        peer.session.handle(now, Event::Received(&unread), &mut todo);
        self.peers.push(peer);
        self.is_changed = true;
        let at = self.peers.len() - 1;
        self.act(at, todo);
        self.peers.get_mut(at)
    }

    pub(super) fn new_session_id(&mut self) -> SessionId {
        let id = SessionId(self.next_session);
        self.next_session += 1;
        id
    }

    /// A replica goes on where it is: with the stream, or with the logs that are kept for it.
    pub(super) fn resume(
        &mut self,
        arrival: Arrival,
        replid: ReplId,
        logs: Option<(SessionId, Flows)>,
    ) {
        let has = arrival.request.has().expect("a place was found");
        let knows_name = arrival.greeting.knows_psync2();
        let now = self.now();
        let (id, flows) = logs.unzip();
        self.counts.syncs_partial_ok += 1;
        let Some(peer) = self.session(id, arrival, false) else {
            return id.into_iter().for_each(|id| close_logs(id, &mut self.mailbox));
        };
        peer.flows = flows;
        if knows_name {
            peer.say(format!("+CONTINUE {replid}\r\n").as_bytes());
        } else {
            peer.say(b"+CONTINUE\r\n");
        }
        let mut todo = Vec::new();
        peer.session.handle(now, Event::Resumed(has), &mut todo);
        let at = self.peers.len() - 1;
        self.act(at, todo);
    }

    /// A replica gets everything: it waits for a snapshot.
    fn sync(&mut self, arrival: Arrival) {
        let serves_flows = self.serves_flows();
        let flows = arrival.greeting.flows().filter(|_| serves_flows);
        let takes_chunks = flows.is_some_and(|flows| flows.takes_chunks);
        let stores_logs = flows.is_some_and(|flows| flows.stores_logs);
        let flows = flows.map(|_| Flows::waiting());
        let at = arrival.at;
        let Some(peer) = self.session(None, arrival, true) else { return };
        if takes_chunks && peer.session.terms().filter == Filter::All {
            let id = peer.id;
            return self.offer_snapshot(id, at, stores_logs);
        }
        let (session, terms, takes_logs) = (peer.id, *peer.session.terms(), flows.is_some());
        peer.flows = flows;
        let word = RelayWord::Wait { session, terms, takes_logs };
        self.mailbox.tell_control(ToControl::Relay(word));
    }
}

/// Where a replica can be reached.
fn address_of(arrival: &Arrival) -> Address {
    let peer = arrival.known.peer;
    let host = peer.map_or_else(String::new, |peer| peer.ip().to_string());
    arrival.greeting.address(&host)
}

/// Tells the log of a request, and why it is answered as it is. Where the replica can be reached.
fn log_request(arrival: &Arrival, reason: &str) -> Address {
    let address = address_of(arrival);
    log::notice(&format!("Replica {address} asks for synchronization: {reason}"));
    address
}

/// Answers an error and lets the connection go: the replica asks anew by another.
pub(crate) fn refuse(socket: OwnedFd, error: &shards::resp::error::Error) {
    let mut bytes = Vec::new();
    error.write(&mut bytes);
    if let Ok(mut socket) = Socket::new(socket) {
        // The socket of a replica that has just asked has room for a line.
        let _ = socket.write(&bytes);
        socket.end_writing();
    }
}
