//! What becomes of those who ask for the stream. This stands for `relay::deciding`.

use keylane::replication::greeting::Asked;
use keylane::replication::history::Scalar;
use keylane::replication::psync::{self, Answer, Facts, Request, Standing};
use keylane::replication::replid::ReplId;
use keylane::replication::session::{Event, Session, SessionId};
use shards::resp::error::Error;

use crate::agenda::Env;
use crate::network::ConnId;
use crate::node::Node;
use crate::node::letters::{Arrival, Letter};
use crate::node::peers::{Flows, Peer};
use crate::setup::Setup;

impl Node {
    pub(super) fn decide(&mut self, env: &mut Env, arrival: Arrival) {
        match self.place_in_logs(env, &arrival) {
            Some(at) => self.try_to_resume(env, arrival, at),
            None => self.decide_by_stream(env, arrival),
        }
    }

    pub(super) fn decide_by_stream(&mut self, env: &mut Env, arrival: Arrival) {
        let is_in_logs = arrival.greeting.flows().is_some_and(|flows| flows.vector.is_some());
        let (standing, replid) = self.standing(&arrival.request);
        let relay = &self.relay;
        let lacks_max = env.setup.session_limits().hard_bytes();
        let facts = Facts {
            standing,
            stream: relay.logs.filter(|_| is_in_logs).map_or(replid, |logs| logs.replid),
            backlog: if is_in_logs {
                psync::Backlog::None
            } else {
                relay.kept(env).within(lacks_max)
            },
            reaches: self.reaches(),
            former: relay.stream.as_ref().and_then(|stream| stream.former),
            foreign: None,
        };
        let decision = psync::decide(&arrival.request, &facts);
        env.tell(|| {
            let from = env.net.ends(arrival.conn);
            let vector = arrival.greeting.flows();
            let label = decision.label;
            format!(
                "node {} {from:?} has {:?} {vector:?}: {label}",
                self.run.node,
                arrival.request.has()
            )
        });
        match decision.answer {
            Answer::Wait => self.relay.undecided.push(arrival),
            Answer::Continue => self.resume(env, arrival, replid, None),
            Answer::Full(_) => self.sync(env, arrival),
            Answer::Refuse(refusal) => self.refuse(env, arrival.conn, &refusal.error()),
            Answer::Promote => {
                let (request, at) = (arrival.request.promoted(), arrival.request.has());
                self.relay.promoting.push(Arrival { request, ..arrival });
                self.tell_control(env, Letter::Promote(at));
            }
        }
    }

    /// Where the stream gets without another write.
    pub(super) fn reaches(&self) -> Scalar {
        match &self.relay.stream {
            Some(stream) if stream.is_of_logs() => stream.end().max(self.end_of_logs()),
            Some(stream) => stream.end(),
            None => Scalar(0),
        }
    }

    pub(super) fn standing(&self, request: &Request) -> (Standing, ReplId) {
        let none = ReplId::of_random([0; 20]);
        let relay = &self.relay;
        let ours = relay.stream.as_ref().map_or(none, |stream| stream.replid);
        let upstream = relay.upstream.as_deref().filter(|upstream| upstream.is_active());
        match (upstream, request) {
            (None, _) => (Standing::Primary, ours),
            (Some(upstream), _) if upstream.hands_over => (Standing::FailingOver, ours),
            (Some(upstream), Request::Failover(_)) => match upstream.stream() {
                Some(stream) => (Standing::Follows, stream),
                None => (Standing::Unlinked, none),
            },
            (Some(upstream), Request::Sync | Request::Psync(_)) => {
                let is_joined = upstream.is_joined(relay.stream.as_ref());
                (if is_joined { Standing::Follows } else { Standing::Unlinked }, ours)
            }
        }
    }

    pub(super) fn new_session(
        &mut self,
        env: &mut Env,
        id: Option<SessionId>,
        arrival: Arrival,
        greets: bool,
    ) -> bool {
        let [from, _] = env.net.ends(arrival.conn);
        let address = arrival.greeting.address(&Setup::address(from).host);
        let Arrival { conn, unread, greeting, .. } = arrival;
        let terms = greeting.terms(Asked::Psync).expect("nodes know all forms");
        let (now, limits) = (env.moment(), env.setup.session_limits());
        let log_bytes_max = limits.log_bytes_max();
        if greets && let Err(refusal) = self.relay.backoff.check(now, &address, log_bytes_max) {
            env.checks.counts.refused += 1;
            self.refuse(env, conn, &refusal.error());
            return false;
        }
        let id = id.unwrap_or_else(|| self.relay.next_session());
        let mut peer = Peer::new(id, Session::new(now, address, terms, limits), conn);
        let mut todo = Vec::new();
        peer.session.handle(now, Event::Received(&unread), &mut todo);
        self.relay.peers.push(peer);
        self.relay.is_changed = true;
        let at = self.relay.peers.len() - 1;
        self.act(env, at, todo);
        true
    }

    pub(super) fn resume(
        &mut self,
        env: &mut Env,
        arrival: Arrival,
        replid: ReplId,
        logs: Option<(SessionId, Flows)>,
    ) {
        let has = arrival.request.has().expect("a place was found");
        let (id, flows) = logs.unzip();
        env.checks.counts.partial += 1;
        env.checks.counts.in_logs += u64::from(flows.is_some());
        if !self.new_session(env, id, arrival, false) {
            return id.into_iter().for_each(|id| self.close_logs(env, id));
        }
        let at = self.relay.peers.len() - 1;
        let peer = &mut self.relay.peers[at];
        (peer.flows, peer.resumed) = (flows, has);
        peer.out.extend(format!("+CONTINUE {replid}\r\n").as_bytes());
        if peer.flows.is_none() {
            self.relay.stream.iter_mut().for_each(|stream| stream.tell(env));
        }
        let mut todo = Vec::new();
        let session = &mut self.relay.peers[at].session;
        session.handle(env.moment(), Event::Resumed(has), &mut todo);
        self.act(env, at, todo);
    }

    pub(super) fn sync(&mut self, env: &mut Env, arrival: Arrival) {
        let serves_flows = self.serves_flows(env);
        let flows = arrival.greeting.flows().filter(|_| serves_flows);
        let (takes_flows, takes_chunks) =
            (flows.is_some(), flows.is_some_and(|flows| flows.takes_chunks));
        let stores_logs = flows.is_some_and(|flows| flows.stores_logs);
        if !self.new_session(env, None, arrival, true) {
            return;
        }
        let name = env.name();
        if takes_chunks {
            return self.offer_snapshot(env, name, stores_logs);
        }
        let peer = self.relay.peers.last_mut().expect("it was added");
        peer.flows = takes_flows.then(|| Flows::waiting(name));
        let word = Letter::AwaitsSnapshot(peer.id, *peer.session.terms());
        self.tell_control(env, word);
    }

    pub fn refuse(&mut self, env: &mut Env, conn: ConnId, error: &Error) {
        let mut bytes = Vec::new();
        error.write(&mut bytes);
        env.write(conn, self.run.node, &bytes);
        self.close(env, conn);
    }
}
