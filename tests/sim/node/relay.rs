//! The relay of a node: the sessions of its replicas, and what becomes of connections that ask for
//! its stream. This stands for `relay::core`, `relay::deciding`, `relay::roles` and half of
//! `relay::flows`, whose decisions are bound to sockets and mailboxes; the tables of psync and
//! resume, session and backoff are the real ones.

mod deciding;

use std::collections::VecDeque;

use keylane::replication::backoff::Backoff;
use keylane::replication::history::{Fence, Scalar};
use keylane::replication::moment::Moment;
use keylane::replication::psync::{self, Former, Request, Stream as Named};
use keylane::replication::replid::ReplId;
use keylane::replication::resume;
use keylane::replication::session::ended::Cut;
use keylane::replication::session::{Event, SessionId};
use shards::resp::error::Error;

use crate::agenda::Env;
use crate::faults::Fault;
use crate::node::Node;
use crate::node::letters::{
    Arrival, Began, Beginning, FlowArrival, Letter, LinkWord, LogsOf, UpstreamWord,
};
use crate::node::peers::{Flows, Peer, Resuming};
use crate::node::stream::{Stream, in_front};
use crate::node::upstream::{Renewal, Upstream};

/// Snapshots of which it is remembered where they are in the logs.
const CUTS_MAX: usize = 16;

/// The relay.
#[derive(Debug)]
pub struct Relay {
    pub stream: Option<Stream>,
    /// For which stream logs were last asked for.
    reading: u64,
    pub awaits_fence: bool,
    pub peers: Vec<Peer>,
    pub logs: Option<LogsOf>,
    began: Option<Fence>,
    /// Where the last snapshots are in the present logs, the newest last.
    cuts: VecDeque<Fence>,
    pub resuming: Vec<Resuming>,
    pub undecided: Vec<Arrival>,
    promoting: Vec<Arrival>,
    next_session: u64,
    pub backoff: Backoff,
    pub upstream: Option<Box<Upstream>>,
    /// By shard: what that weighs which is applied of a primary's logs.
    pub boards: Vec<u64>,
    pub is_changed: bool,
    pub told_at: Moment,
}

impl Relay {
    pub fn new(node: usize, env: &Env) -> Self {
        Self {
            stream: None,
            reading: 0,
            awaits_fence: false,
            peers: Vec::new(),
            logs: None,
            began: None,
            cuts: VecDeque::new(),
            resuming: Vec::new(),
            undecided: Vec::new(),
            promoting: Vec::new(),
            next_session: 0,
            backoff: Backoff::default(),
            upstream: None,
            boards: vec![0; env.setup.nodes[node].0.into()],
            is_changed: true,
            told_at: Moment(0),
        }
    }

    /// What is kept of the stream.
    fn kept(&self, env: &Env) -> psync::Backlog {
        match &self.stream {
            Some(Stream { backlog, .. }) => {
                let is_wrong = env.has(Fault::BacklogLies);
                let more = if is_wrong { 4_000 } else { 0 };
                let first = Scalar(backlog.first().saturating_sub(more));
                psync::Backlog::Kept { first, end: Scalar(backlog.end()) }
            }
            None if self.awaits_fence => psync::Backlog::Beginning,
            None => psync::Backlog::None,
        }
    }
}

/// How often the relay looks after what is due, in microseconds.
const TICK: u64 = 100_000;

impl Node {
    /// Does what can be done now.
    pub fn turn_relay(&mut self, env: &mut Env) {
        let clock = env.stamp();
        self.read_mail(env);
        if let Some(stream) = &mut self.relay.stream {
            let given = stream.go_on(clock, env);
            for (shard, bytes) in given {
                self.relay_tells(env, shard, Letter::Credit(bytes));
            }
        }
        self.see_to_upstream(env);
        for arrival in std::mem::take(&mut self.relay.undecided) {
            self.decide(env, arrival);
        }
        self.see_to_peers(env);
        self.relay.stream.iter_mut().for_each(|stream| _ = stream.backlog.trim());
        self.show_sessions(env);
        self.plan_turn(env);
    }

    /// Reads all letters that there are: a letter can be read as soon as it is sent.
    fn read_mail(&mut self, env: &mut Env) {
        let relay = self.relay_thread();
        for from in 0..self.shards.len() + 2 {
            while let Some(letter) = self.post.take(from, relay) {
                self.relay_hears(env, letter);
            }
        }
    }

    fn plan_turn(&mut self, env: &mut Env) {
        let relay = &self.relay;
        let upstream = relay.upstream.iter().filter_map(|upstream| upstream.link.deadline());
        let deadlines = relay.peers.iter().filter_map(|peer| peer.session.deadline());
        let next = deadlines.chain(upstream).min();
        let ticks = !relay.peers.is_empty() || relay.upstream.is_some();
        let is_due = relay.stream.as_ref().is_some_and(Stream::is_due);
        let now = env.agenda.now;
        if is_due {
            self.turn_at(env, now + 20);
        }
        if ticks {
            self.turn_at(env, now + TICK);
        }
        if let Some(Moment(next)) = next {
            self.turn_at(env, (next * 1000).max(now + 1));
        }
    }

    pub fn relay_hears(&mut self, env: &mut Env, letter: Letter) {
        match letter {
            Letter::Segment(reading, segment) if reading == self.relay.reading => {
                if let Some(stream) = &mut self.relay.stream {
                    stream.take(segment);
                }
            }
            Letter::Fell(reading) if reading == self.relay.reading => self.begin_anew(env),
            // It was read for a stream that is no more.
            Letter::Segment(..) | Letter::Fell(_) => {}
            Letter::Fence(replid, fence) => {
                if std::mem::take(&mut self.relay.awaits_fence) {
                    self.begin_at(env, replid, fence);
                }
            }
            Letter::Renamed(replid) => self.rename(env, replid),
            Letter::Begin(beginning) => self.begin(env, *beginning),
            Letter::Forget => self.forget_stream(env),
            Letter::Arrived(arrival) => {
                self.relay.logs = arrival.logs;
                self.decide(env, *arrival);
            }
            Letter::FlowArrived(arrival) => self.flow_arrived(env, arrival),
            Letter::SnapshotArrived(arrival) => self.snapshot_arrived(env, arrival),
            Letter::Lend(sessions) => self.lend(env, &sessions),
            Letter::Began(began) => {
                let Began { sessions, replid, cut, fence, base } = *began;
                self.relay.logs = fence.is_some().then_some(LogsOf { replid, base });
                self.relay.note_cut(fence.as_ref());
                self.sync_began(env, &sessions, (replid, cut), fence);
            }
            Letter::Progress(progress) => self.with_peers(env, |peer, now, _, todo, _| {
                peer.session.handle(now, Event::Progress(progress), todo);
            }),
            Letter::ChildEnded(session, result) => {
                self.forget_connections(env, session);
                self.happens(env, session, Event::ChildEnded(result));
            }
            Letter::Flushed(session) => self.happens(env, session, Event::Flushed),
            Letter::Upstream(word) => self.hear_of_upstream(env, word),
            Letter::Applied(number) => {
                let upstream = self.relay.upstream.iter_mut();
                upstream.for_each(|upstream| upstream.dispatch.answered(number));
            }
            Letter::Staged(generation) => {
                let upstream = self.relay.upstream.iter_mut();
                upstream.for_each(|upstream| upstream.staged(generation));
            }
            Letter::FlowOpened(session, is_there) => self.opened(env, session, is_there),
            Letter::FlowFell(session) => {
                env.checks.counts.fell += 1;
                let mut resuming = self.relay.resuming.iter_mut();
                match resuming.find(|resuming| resuming.session == session) {
                    Some(resuming) => resuming.is_there = false,
                    None => self.happens(env, session, Event::FellOut),
                }
            }
            Letter::FlowLost(session) => self.happens(env, session, Event::Closed),
            Letter::Following(news) => self.hear_of_following(env, news),
            other => panic!("no letter to a relay: {other:?}"),
        }
    }

    // --- the stream, by the role of the node

    /// What a shard has logged is not there any more: the stream begins anew at the next fence.
    fn begin_anew(&mut self, env: &mut Env) {
        env.tell(|| format!("the stream of node {} begins anew", self.run.node));
        env.checks.counts.fell += 1;
        self.cut_all(env, Cut::History);
        self.relay.stream = None;
        if !std::mem::replace(&mut self.relay.awaits_fence, true) {
            self.tell_control(env, Letter::WantsFence);
        }
    }

    pub fn begin_at(&mut self, env: &mut Env, replid: ReplId, fence: Fence) {
        env.tell(|| format!("stream {replid} of node {} begins at {fence:?}", self.run.node));
        self.relay.awaits_fence = false;
        // If they have ended since, that is told in a moment.
        let Some(logs) = self.logs else { return };
        self.show_from(env, &fence);
        self.relay.stream = Some(Stream::of_logs(replid, logs, fence, env));
    }

    /// Has all shards show their logs from a fence on.
    fn show_from(&mut self, env: &mut Env, fence: &Fence) {
        self.relay.reading += 1;
        let reading = self.relay.reading;
        for shard in 0..self.shards.len() {
            self.relay_tells(env, shard, Letter::OpenLog(reading, in_front(fence, shard)));
        }
    }

    fn forget_stream(&mut self, env: &mut Env) {
        self.cut_all(env, Cut::History);
        let relay = &mut self.relay;
        (relay.stream, relay.logs, relay.began) = (None, None, None);
        relay.cuts.clear();
        relay.awaits_fence = false;
    }

    fn rename(&mut self, env: &mut Env, replid: ReplId) {
        self.cut_all(env, Cut::History);
        let relay = &mut self.relay;
        relay.logs.iter_mut().for_each(|logs| logs.replid = replid);
        relay.began = None;
        relay.cuts.clear();
        if let Some(stream) = &mut relay.stream {
            stream.rename(replid, None);
        }
        relay.undecided.append(&mut relay.promoting);
    }

    fn begin(&mut self, env: &mut Env, beginning: Beginning) {
        let Beginning { replid, former, fence, base } = beginning;
        self.cut_all(env, Cut::History);
        self.relay.logs = Some(LogsOf { replid, base });
        self.relay.began = Some(fence.clone());
        self.relay.cuts.clear();
        match self.relay.stream.take() {
            Some(mut stream) if stream.is_of_logs() => {
                stream.rename(replid, former);
                self.relay.stream = Some(stream);
            }
            Some(mut stream) => {
                let Some(logs) = self.logs else { return };
                self.show_from(env, &fence);
                stream.lead(replid, logs, fence, env);
                self.relay.stream = Some(stream);
            }
            None => {
                if let Some(Former { id, until }) = former.filter(|_| fence.scalar == base) {
                    env.checks.fork_tape(replid, id, until);
                }
                self.begin_at(env, replid, fence);
            }
        }
        let relay = &mut self.relay;
        if let Some(stream) = &mut relay.stream {
            (stream.replid, stream.former) = (replid, former);
        }
        relay.undecided.append(&mut relay.promoting);
    }

    fn hear_of_upstream(&mut self, env: &mut Env, word: UpstreamWord) {
        if let UpstreamWord::Follow { .. } = &word {
            let relay = &mut self.relay;
            relay.undecided.append(&mut relay.promoting);
            if relay.upstream.is_none() {
                relay.upstream = Some(Box::new(Upstream::new(self.run.node, env)));
            }
        }
        if self.relay.upstream.is_none() {
            let word = match word {
                UpstreamWord::Unfollow(_) => LinkWord::Ended,
                UpstreamWord::Hold => LinkWord::Held(None),
                _ => return,
            };
            return self.tell_control(env, Letter::Link(word));
        }
        self.upstream_hears(env, word);
        self.note_renewal(env);
    }

    fn see_to_upstream(&mut self, env: &mut Env) {
        if self.relay.upstream.is_some() {
            self.turn_upstream(env);
            self.note_renewal(env);
        }
    }

    /// Those who want the stream are to ask anew if it is another one or has another name.
    fn note_renewal(&mut self, env: &mut Env) {
        let upstream = self.relay.upstream.as_mut();
        let Some(renewal) = upstream.and_then(|upstream| upstream.renewal.take()) else { return };
        env.checks.counts.renewals += 1;
        self.relay.awaits_fence = false;
        self.cut_all(env, Cut::History);
        match renewal {
            Renewal::Name => {}
            Renewal::Stream(stream) => self.relay.stream = stream.map(|stream| *stream),
        }
    }

    // --- logs, each by a connection of its own

    /// Where in our logs a replica is that wants them to go on. Logs of former histories are not
    /// kept here.
    fn place_in_logs(&self, env: &Env, arrival: &Arrival) -> Option<Fence> {
        let relay = &self.relay;
        let Request::Psync(wanted) = arrival.request else { return None };
        let Named::Named(history) = wanted.stream else { return None };
        let (flows, scalar) = (arrival.greeting.flows()?, arrival.request.has()?);
        let LogsOf { replid: present, .. } = relay.logs.filter(|_| self.serves_flows(env))?;
        let former = relay.stream.as_ref().and_then(|stream| stream.former);
        let former = former.map(|Former { id, until: scalar }| resume::Former {
            id,
            scalar,
            vector: None,
            is_fence: true,
            goes_on: false,
        });
        let facts = resume::Facts {
            present,
            logs: self.shards.len(),
            end: self.end_of_logs(),
            began: relay.began.as_ref(),
            former: former.as_ref(),
            cuts: &relay.cuts,
            lacks_max: env.setup.session_limits().hard_bytes(),
        };
        let has = resume::Has { history, scalar, vector: flows.vector.as_ref() };
        match resume::place(&has, &facts)? {
            resume::Place::Present(at) => Some(at),
            resume::Place::Former(_) => unreachable!("of a former history no vector is known"),
        }
    }

    pub fn end_of_logs(&self) -> Scalar {
        let base = self.relay.logs.map_or(Scalar(0), |logs| logs.base);
        let is_on = |weight: u64| if self.logs.is_some() { weight } else { 0 };
        base.after(self.shards.iter().map(|shard| is_on(shard.units.weight())).sum())
    }

    fn serves_flows(&self, env: &Env) -> bool {
        let follows = self.relay.upstream.as_ref().is_some_and(|upstream| upstream.is_active());
        env.setup.nodes[self.run.node].1 && !follows
    }

    fn try_to_resume(&mut self, env: &mut Env, arrival: Arrival, at: Fence) {
        let session = self.relay.next_session();
        self.open_logs(env, session, &at);
        let missing = self.shards.len();
        self.relay.resuming.push(Resuming { session, arrival, at, missing, is_there: true });
    }

    pub fn open_logs(&mut self, env: &mut Env, session: SessionId, at: &Fence) {
        for (shard, offset) in at.vector.offsets().iter().enumerate() {
            self.relay_tells(env, shard, Letter::OpenFlow(session, *offset));
        }
    }

    pub fn close_logs(&mut self, env: &mut Env, session: SessionId) {
        for shard in 0..self.shards.len() {
            self.relay_tells(env, shard, Letter::CloseFlow(session));
        }
    }

    fn opened(&mut self, env: &mut Env, session: SessionId, is_there: bool) {
        let mut all = self.relay.resuming.iter();
        let Some(at) = all.position(|resuming| resuming.session == session) else {
            if !is_there {
                self.happens(env, session, Event::FellOut);
            }
            return;
        };
        let resuming = &mut self.relay.resuming[at];
        resuming.missing -= 1;
        resuming.is_there &= is_there;
        if resuming.missing != 0 {
            return;
        }
        let Resuming { session, arrival, at, is_there, .. } = self.relay.resuming.swap_remove(at);
        match self.relay.logs.filter(|_| is_there && self.serves_flows(env)) {
            Some(LogsOf { replid, .. }) => {
                let mut flows = Flows::waiting(env.name());
                flows.start_at(at);
                self.resume(env, arrival, replid, Some((session, flows)));
            }
            None => {
                self.close_logs(env, session);
                self.decide_by_stream(env, arrival);
            }
        }
    }

    fn flow_arrived(&mut self, env: &mut Env, arrival: FlowArrival) {
        let FlowArrival { conn, unread, name, flow, offset } = arrival;
        let mut peers = self.relay.peers.iter_mut();
        let session = peers.find_map(|peer| {
            let id = peer.id;
            let flows = peer.flows.as_mut().filter(|flows| flows.name == name)?;
            flows.connect(flow, offset).then_some(id)
        });
        let Some(session) = session.filter(|_| unread.is_empty()) else {
            return self.refuse(env, conn, &Error::Text("ERR no log waits for this connection"));
        };
        env.write(conn, self.run.node, b"+OK\r\n");
        self.relay_tells(env, flow.into(), Letter::ConnectFlow(session, conn));
    }
}

impl Relay {
    fn note_cut(&mut self, cut: Option<&Fence>) {
        self.cuts.extend(cut.cloned());
        if CUTS_MAX < self.cuts.len() {
            self.cuts.pop_front();
        }
    }

    fn next_session(&mut self) -> SessionId {
        self.next_session += 1;
        SessionId(self.next_session - 1)
    }
}
