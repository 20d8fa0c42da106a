//! What sessions of replicas want done, and what comes of it: the other half of `relay::core`.

use keylane::replication::history::{Fence, Scalar};
use keylane::replication::moment::Moment;
use keylane::replication::replid::ReplId;
use keylane::replication::session::ended::Cut;
use keylane::replication::session::{Action, Event, SessionId};

use crate::agenda::Env;
use crate::faults::Fault;
use crate::node::Node;
use crate::node::letters::{Letter, SessionView};
use crate::node::peers::{Peer, Resuming};
use crate::node::stream::Stream;

/// How often control is told what there is to show.
const VIEW_MILLIS: u64 = 100;

impl Node {
    /// Does something with each session, and what comes of it.
    pub fn with_peers(
        &mut self,
        env: &mut Env,
        mut with: impl FnMut(&mut Peer, Moment, &mut Option<Stream>, &mut Vec<Action>, &mut Env),
    ) {
        let now = env.moment();
        for at in 0..self.relay.peers.len() {
            let mut todo = Vec::new();
            let relay = &mut self.relay;
            with(&mut relay.peers[at], now, &mut relay.stream, &mut todo, env);
            self.act(env, at, todo);
        }
        self.bury(env);
    }

    pub fn happens(&mut self, env: &mut Env, session: SessionId, event: Event<'_>) {
        let mut peers = self.relay.peers.iter();
        let Some(at) = peers.position(|peer| peer.id == session) else { return };
        let mut todo = Vec::new();
        self.relay.peers[at].session.handle(env.moment(), event, &mut todo);
        self.act(env, at, todo);
        self.bury(env);
    }

    pub fn cut_all(&mut self, env: &mut Env, cut: Cut) {
        for Resuming { session, arrival, .. } in std::mem::take(&mut self.relay.resuming) {
            self.close_logs(env, session);
            self.relay.undecided.push(arrival);
        }
        if env.has(Fault::KeepsReplicas) {
            return;
        }
        self.with_peers(env, |peer, now, _, todo, _| {
            peer.session.handle(now, Event::Cut(cut), todo);
        });
    }

    /// Writes to replicas, reads from them, and looks whether their time is up.
    pub fn see_to_peers(&mut self, env: &mut Env) {
        let node = self.run.node;
        self.relay.peers.iter_mut().for_each(|peer| peer.receive(node, env));
        let logged = self.end_of_logs();
        self.with_peers(env, |peer, now, stream, todo, env| {
            let end = match (&peer.flows, &*stream) {
                (Some(_), _) => Some(logged),
                (None, stream) => stream.as_ref().map(Stream::end),
            };
            end.into_iter().for_each(|end| peer.session.handle(now, Event::Backlog(end), todo));
            peer.see_to_flows(now, logged, todo);
            let backlog = stream.as_mut().map(|stream| &mut stream.backlog);
            if !backlog.is_none_or(|backlog| peer.catch_up(backlog)) {
                peer.session.handle(now, Event::FellOut, todo);
            }
            peer.hear(now, todo);
            peer.session.handle(now, Event::Tick, todo);
            peer.write(node, stream.as_mut().map(|stream| &mut stream.backlog), env, todo);
            if env.has(Fault::LostAck)
                && let Some(acked) = peer.session.acked()
            {
                todo.push(Action::Acked(early_ack(acked, end)));
            }
        });
    }

    /// Does what a session wants done.
    pub fn act(&mut self, env: &mut Env, at: usize, todo: Vec<Action>) {
        let now = env.moment();
        for action in todo {
            let relay = &mut self.relay;
            let peer = &mut relay.peers[at];
            match action {
                Action::Send(bytes) => peer.out.extend_from_slice(bytes),
                Action::Stream(_) if peer.flows.is_some() => self.announce(env, at),
                Action::Stream(place) => {
                    let stream = relay.stream.as_mut();
                    if !stream.is_some_and(|stream| peer.stream_from(stream, place, env)) {
                        let mut more = Vec::new();
                        peer.session.handle(now, Event::FellOut, &mut more);
                        return self.act(env, at, more);
                    }
                }
                Action::Acked(ack) => {
                    let (session, applied) = (peer.id, ack.applied);
                    env.checks.check_acked(peer.conn, applied, peer.resumed);
                    let is_first = !std::mem::replace(&mut peer.has_acked, true);
                    relay.is_changed = true;
                    self.tell_control(env, Letter::Acked(session, applied, is_first));
                }
                Action::SyncOver(outcome) => {
                    let address = peer.session.address();
                    relay.backoff.note(now, address, outcome);
                }
                Action::Log(_, line) => env.tell(|| format!("node {}: {line}", self.run.node)),
                Action::Close(_) => {
                    peer.has_ended = true;
                    relay.is_changed = true;
                }
            }
        }
    }

    /// A replica is told of its logs.
    fn announce(&mut self, env: &mut Env, at: usize) {
        let peer = &mut self.relay.peers[at];
        let flows = peer.flows.as_mut().expect("it takes logs");
        let (name, announced) = (flows.name, flows.announcement(env.moment()));
        peer.out.extend(announced.unwrap_or_default());
        env.checks.announce(name, self.logs);
    }

    /// Closes the connections of sessions that have ended.
    fn bury(&mut self, env: &mut Env) {
        if !self.relay.peers.iter().any(|peer| peer.has_ended) {
            return;
        }
        let all = std::mem::take(&mut self.relay.peers);
        let (ended, peers): (Vec<Peer>, _) = all.into_iter().partition(|peer| peer.has_ended);
        self.relay.peers = peers;
        for mut peer in ended {
            if let Some(flows) = &mut peer.flows {
                let snapshot = flows.snapshot.take();
                self.close_logs(env, peer.id);
                self.end_connections(env, snapshot);
            }
            // What was said last goes out with the connection.
            env.write(peer.conn, self.run.node, &std::mem::take(&mut peer.out));
            peer.forget(self.relay.stream.as_mut().map(|stream| &mut stream.backlog));
            self.close(env, peer.conn);
            self.tell_control(env, Letter::Gone(peer.id));
        }
    }

    // --- snapshots

    /// Gives control the connections of these, for the child that writes a snapshot.
    pub fn lend(&mut self, env: &mut Env, sessions: &[SessionId]) {
        let mut lent = Vec::new();
        self.with_peers(env, |peer, now, _, todo, _| {
            if sessions.contains(&peer.id) {
                peer.session.handle(now, Event::Lent, todo);
                lent.push(peer.lend());
            }
        });
        self.tell_control(env, Letter::Lent(lent));
    }

    pub fn sync_began(
        &mut self,
        env: &mut Env,
        sessions: &[SessionId],
        (replid, cut): (ReplId, Scalar),
        fence: Option<Fence>,
    ) {
        let stream = self.relay.stream.as_ref();
        let is_other = stream.is_none_or(|stream| stream.replid != replid);
        let all_have_flows = self.begin_flows(env, sessions, (replid, fence.as_ref()));
        if let Some(fence) = fence.filter(|_| is_other && !all_have_flows) {
            self.begin_at(env, replid, fence);
        }
        env.checks.counts.full += sessions.len() as u64;
        self.with_peers(env, |peer, now, _, todo, _| {
            if sessions.contains(&peer.id) {
                if peer.flows.is_none() {
                    peer.hold_from(cut);
                }
                peer.session.handle(now, Event::SyncBegan { cut }, todo);
            }
        });
    }

    /// Whether these sessions all take logs by connections of their own; those that do begin here.
    fn begin_flows(
        &mut self,
        env: &mut Env,
        sessions: &[SessionId],
        (history, cut): (ReplId, Option<&Fence>),
    ) -> bool {
        let mut all = true;
        for at in 0..self.relay.peers.len() {
            let peer = &mut self.relay.peers[at];
            if !sessions.contains(&peer.id) {
                continue;
            }
            peer.flows.take_if(|_| cut.is_none());
            let id = peer.id;
            match (&mut peer.flows, cut) {
                (Some(flows), Some(cut)) => {
                    flows.start_at(cut.clone());
                    // A primary of the version before offers nothing.
                    let offer = flows.offer(history).filter(|_| !env.chance(200));
                    peer.out.extend(offer.into_iter().flatten());
                    self.open_logs(env, id, cut);
                }
                (_, _) => all = false,
            }
        }
        all
    }

    /// Tells control of the sessions, if they may have changed.
    pub fn show_sessions(&mut self, env: &mut Env) {
        let (now, relay) = (env.moment(), &mut self.relay);
        if !relay.is_changed && now.since(relay.told_at) < VIEW_MILLIS {
            return;
        }
        (relay.is_changed, relay.told_at) = (false, now);
        let view = |peer: &Peer| {
            let standing = peer.session.shown(now)?;
            let is_online = standing.is_online();
            Some(SessionView { session: peer.id, address: standing.address, is_online })
        };
        let views = relay.peers.iter().filter_map(view).collect();
        self.tell_control(env, Letter::Sessions(views));
    }
}

/// An acknowledgement that was not sent.
fn early_ack(acked: Scalar, end: Option<Scalar>) -> keylane::replication::session::input::Ack {
    let applied = end.unwrap_or(acked).max(acked);
    keylane::replication::session::input::Ack { applied, durable: None }
}
