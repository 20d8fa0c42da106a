//! Replicas that take each log by a connection of its own.
//!
//! ```text
//! REPLCONF keylane 3[:vector], PSYNC --> shards keep their logs from the vector, or the cut, on
//!   --> snapshot if need be --> KEYLANE FLOWS name scalar vector, in place of the stream
//!   --> for each log a connection: KEYLANE FLOW name number offset --> +OK, to the log's shard
//! ```
//! A replica that says 3 is told `+LOGS name history scalar vector` when its snapshot begins: it
//! may connect at once, and stores what comes until the snapshot is its data.
//!
//! The connection of the session stays here: it brings acknowledgements, and carries a PING each
//! second. A session has all its logs or none: when one cannot go on, the session ends.

use std::os::fd::OwnedFd;

use crate::clients::leaving::FlowRequest;
use crate::mail::flows::{Connect, FlowNews, FlowWord};
use crate::mail::mailbox::Mailbox;
use crate::mail::replica::{Arrival, Further};
use crate::mail::to_relay::ToRelay;
use crate::mail::to_shard::ToShard;
use crate::reactor::streams::{Stream as Socket, Tried};
use crate::reactor::system;
use crate::relay::core::Relay;
use crate::relay::deciding::refuse;
use crate::relay::logs::Present;
use crate::relay::snapshots::Connections;
use crate::replication::handshake::LogsOffered;
use crate::replication::history::{Fence, LogId, Scalar, Whose};
use crate::replication::moment::Moment;
use crate::replication::replid::ReplId;
use crate::replication::resume::{Former, Place};
use crate::replication::session::{Event, SessionId};
use shards::resp::error::Error;
use shards::resp::request;

/// Milliseconds between the PINGs of a session.
const BEAT_MILLIS: u64 = 1000;

/// The logs of a session.
#[derive(Debug)]
pub struct Flows {
    /// By which the replica's connections name them.
    pub(super) name: ReplId,
    /// Connections that its snapshot goes by, until that is over.
    pub(super) snapshot: Option<Connections>,
    /// The replica stores them while its snapshot comes.
    pub(super) is_storing: bool,
    /// It was told where they begin.
    is_told: bool,
    /// Which logs they are.
    whose: Whose,
    /// Where they begin; `None` before that is known.
    at: Option<Fence>,
    /// Logs that have a connection.
    is_connected: Vec<bool>,
    /// What they add up to where they end, if they do: a former history's.
    ends_at: Option<Scalar>,
    /// When the next PING is due; `None` before the replica was told of its flows.
    beat: Option<Moment>,
    /// How far the replica is, and when it last got on or lacked nothing.
    progress: (Scalar, Moment),
}

/// A replica that wants to go on, while shards look whether their logs reach back so far.
#[derive(Debug)]
pub(super) struct Resuming {
    session: SessionId,
    arrival: Arrival,
    /// The history that it goes on in.
    history: ReplId,
    flows: Flows,
    /// Logs of which that is not known yet.
    missing: usize,
    is_there: bool,
}

impl Flows {
    /// Of a replica that waits for its snapshot.
    pub fn waiting() -> Self {
        let name = ReplId::of_random(system::random());
        Self {
            name,
            snapshot: None,
            is_storing: false,
            is_told: false,
            whose: Whose::Own,
            at: None,
            is_connected: Vec::new(),
            ends_at: None,
            beat: None,
            progress: Default::default(),
        }
    }

    /// They are these, and begin here; shards keep them from there on.
    pub fn begin(
        &mut self,
        session: SessionId,
        whose: Whose,
        at: Fence,
        mailbox: &mut Mailbox<ToRelay>,
    ) {
        for (number, offset) in (0..).zip(at.vector.offsets()) {
            let word = FlowWord::Open(session, LogId { whose, number }, *offset);
            mailbox.send(mailbox.shard_of(number), ToShard::Flow(word));
        }
        self.is_connected = vec![false; at.vector.offsets().len()];
        (self.whose, self.at) = (whose, Some(at));
    }

    /// What a replica is told of them while its snapshot comes, if it stores what comes of them.
    fn offer(&mut self, history: ReplId) -> Option<Vec<u8>> {
        let at = self.at.clone().filter(|_| self.is_storing)?;
        self.is_told = true;
        Some(LogsOffered { name: self.name, history, at }.line())
    }

    /// Whether all of them go to the replica, also while its snapshot comes.
    pub fn are_connected(&self) -> bool {
        !self.is_connected.is_empty() && self.is_connected.iter().all(|is_connected| *is_connected)
    }

    /// What they add up to where they end now; `end` is that of the present history.
    pub fn end(&self, end: Scalar) -> Scalar {
        self.ends_at.unwrap_or(end)
    }

    /// Whether the replica has all of a former history, and is to ask anew for the present one.
    pub fn have_ended(&self, acked: Option<Scalar>) -> bool {
        self.ends_at.is_some() && self.ends_at <= acked
    }

    /// What the replica is told of them in place of the stream.
    pub fn announcement(&mut self, now: Moment) -> Option<Vec<u8>> {
        let Fence { scalar, vector } = self.at.as_ref()?;
        self.beat = Some(now.after(BEAT_MILLIS));
        self.progress = (*scalar, now);
        let (name, scalar, vector) =
            (self.name.to_string(), scalar.to_string(), vector.to_string());
        Some(request::encode(&["KEYLANE", "FLOWS", &name, &scalar, &vector]))
    }

    /// Whether a PING is due.
    pub fn beats(&mut self, now: Moment) -> bool {
        let is_due = self.beat.is_some_and(|beat| beat <= now);
        if is_due {
            self.beat = Some(now.after(BEAT_MILLIS));
        }
        is_due
    }

    /// For how many milliseconds the replica, which lacks something, has not got on: one of its
    /// connections may bring nothing while the others do.
    pub fn stalled_ms(&mut self, acked: Scalar, end: Scalar, now: Moment) -> u64 {
        let (before, since) = &mut self.progress;
        if *before < acked || end <= acked {
            (*before, *since) = (acked, now);
        }
        now.since(*since)
    }

    /// Takes a connection for one of them: true if the log waits for it.
    fn connect(&mut self, flow: u16, offset: u64) -> bool {
        let flow = usize::from(flow);
        let starts = self.at.as_ref().and_then(|at| at.vector.offsets().get(flow));
        let is_announced = self.is_told || self.beat.is_some();
        let fits = is_announced && starts.is_some_and(|start| start.0 == offset);
        fits && !std::mem::replace(&mut self.is_connected[flow], true)
    }
}

impl Relay {
    /// A shard says something of logs on their way.
    pub(super) fn hear_of_flows(&mut self, news: FlowNews) {
        let now = self.now();
        match news {
            FlowNews::Opened(session, is_there) => self.opened(session, is_there),
            FlowNews::Fell(session) => {
                let mut resuming = self.resuming.iter_mut();
                match resuming.find(|resuming| resuming.session == session) {
                    Some(resuming) => resuming.is_there = false,
                    None => self.happens(now, session, Event::FellOut),
                }
            }
            FlowNews::Lost(session) => self.happens(now, session, Event::Closed),
            FlowNews::Following(news) => {
                if let Some(upstream) = &mut self.upstream {
                    upstream.hear_of_flows(now, news, &mut self.mailbox);
                }
            }
        }
    }

    /// Has shards look whether they have what a replica lacks.
    pub(super) fn try_to_resume(&mut self, arrival: Arrival, place: Place) {
        let mut flows = Flows::waiting();
        let (history, whose, at) = match (place, self.present(), &self.former) {
            (Place::Present(at), Some(Present { id, whose, .. }), _) => (id, whose, at),
            (Place::Former(at), _, Some(Former { id, scalar, .. })) => {
                flows.ends_at = Some(*scalar);
                (*id, Whose::Kept(*id), at)
            }
            (Place::Present(_), None, _) | (Place::Former(_), _, None) => {
                return self.decide_by_stream(arrival);
            }
        };
        let session = self.new_session_id();
        let missing = at.vector.offsets().len();
        flows.begin(session, whose, at, &mut self.mailbox);
        let is_there = true;
        self.resuming.push(Resuming { session, arrival, history, flows, missing, is_there });
    }

    /// The logs are others, or are called otherwise: what shards were asked means nothing now.
    pub(super) fn decide_anew(&mut self) {
        for Resuming { session, arrival, .. } in self.resuming.drain(..) {
            close_logs(session, &mut self.mailbox);
            self.undecided.push(arrival);
        }
    }

    fn opened(&mut self, session: SessionId, is_there: bool) {
        let resuming = self.resuming.iter().position(|resuming| resuming.session == session);
        let Some(at) = resuming else {
            if !is_there {
                self.happens(self.now(), session, Event::FellOut);
            }
            return;
        };
        let resuming = &mut self.resuming[at];
        resuming.missing -= 1;
        resuming.is_there &= is_there;
        if resuming.missing != 0 {
            return;
        }
        let resuming = self.resuming.swap_remove(at);
        let Resuming { session, arrival, history, flows, is_there, .. } = resuming;
        if is_there && self.present().is_some() {
            self.resume(arrival, history, Some((session, flows)));
        } else {
            close_logs(session, &mut self.mailbox);
            self.decide_by_stream(arrival);
        }
    }

    /// A replica opens a connection for one of its logs.
    pub(super) fn flow_arrived(&mut self, arrival: Further<FlowRequest>) {
        let Further { socket, unread, request } = arrival;
        let FlowRequest { name, flow, offset } = request;
        let mut peers = self.peers.iter_mut();
        let session = peers.find_map(|peer| {
            let id = peer.id;
            let flows = peer.flows.as_mut().filter(|flows| flows.name == name)?;
            let log = LogId { whose: flows.whose, number: flow };
            flows.connect(flow, offset).then_some((id, log))
        });
        // A replica says nothing behind its request.
        let Some((session, log)) = session.filter(|_| unread.is_empty()) else {
            return refuse(socket, &Error::Text("ERR no log waits for this connection"));
        };
        match agree(socket) {
            Some(socket) => {
                let word = FlowWord::Connect(Box::new(Connect { session, log, socket }));
                self.mailbox.send(self.mailbox.shard_of(flow), ToShard::Flow(word));
            }
            None => self.happens(self.now(), session, Event::Closed),
        }
    }

    /// Whether these sessions all take logs of this history by connections of their own; those that
    /// do begin here.
    pub(super) fn begin_flows(
        &mut self,
        sessions: &[SessionId],
        (history, whose): (ReplId, Whose),
        cut: Option<&Fence>,
    ) -> bool {
        let mut all = true;
        let Self { peers, mailbox, .. } = self;
        for peer in peers.iter_mut().filter(|peer| sessions.contains(&peer.id)) {
            // Without logs of its own this node has none to send.
            peer.flows.take_if(|_| cut.is_none());
            match (&mut peer.flows, cut) {
                (Some(flows), Some(cut)) => {
                    flows.begin(peer.id, whose, cut.clone(), mailbox);
                    let offer = flows.offer(history);
                    offer.into_iter().for_each(|line| peer.say(&line));
                }
                (_, _) => all = false,
            }
        }
        all
    }
}

/// Ends the logs of a session on all shards.
pub(super) fn close_logs(session: SessionId, mailbox: &mut Mailbox<ToRelay>) {
    for shard in 0..mailbox.shards() {
        mailbox.send(shard, ToShard::Flow(FlowWord::Close(session)));
    }
}

/// Says that what was asked for comes by this connection. `None`: it has ended.
pub(super) fn agree(socket: OwnedFd) -> Option<OwnedFd> {
    const OK: &[u8] = b"+OK\r\n";
    let mut socket = Socket::new(socket).ok()?;
    // The socket of a replica that has just asked has room for a line.
    match socket.write(OK) {
        Tried::Moved(bytes) if bytes == OK.len() => socket.into_blocking().ok(),
        Tried::Moved(_) | Tried::Later | Tried::Over => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_stalls_when_it_lacks_something_and_gets_no_further() {
        let mut flows = Flows::waiting();
        flows.progress = (Scalar(100), Moment(1000));
        for (now, acked, end, stalled) in [
            (1500, 100, 100, 0),
            (2000, 100, 150, 500),
            (3000, 100, 200, 1500),
            (3500, 120, 200, 0),
            (4500, 120, 200, 1000),
            (5000, 200, 200, 0),
        ] {
            let ms = flows.stalled_ms(Scalar(acked), Scalar(end), Moment(now));
            assert_eq!(ms, stalled, "at {now}");
        }
    }
}
