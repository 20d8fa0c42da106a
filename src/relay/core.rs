//! The relay's state: one stream, and the sessions of those who want it.

mod showing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::config::table::Config;
use crate::log;
use crate::mail::board::Traffic;
use crate::mail::mailbox::Mailbox;
use crate::mail::replica::{Arrival, Arrived, LogsOf, RelayView, RelayWord, SyncWord, Waiting};
use crate::mail::to_control::ToControl;
use crate::mail::to_relay::ToRelay;
use crate::mail::upstream::UpstreamWord;
use crate::reactor::clock::Monotonic;
use crate::reactor::wake::Awaited;
use crate::relay::flows::{Resuming, close_logs};
use crate::relay::peer::{Peer, limits};
use crate::relay::stream::Stream;
use crate::relay::upstream::{SHORT, Upstream};
use crate::replication::backoff::{Backoff, Refusal};
use crate::replication::greeting::member::Identity;
use crate::replication::history::{Fence, Scalar, Whose};
use crate::replication::link::events::By;
use crate::replication::merge::{Reading, Stamp};
use crate::replication::moment::Moment;
use crate::replication::replid::ReplId;
use crate::replication::resume::Former;
use crate::replication::session::SessionId;
use crate::replication::session::ended::Cut;
use crate::replication::session::{Action, Event};

/// The relay.
#[derive(Debug)]
pub struct Relay {
    /// Its mail.
    pub mailbox: Mailbox<ToRelay>,
    pub(super) config: Arc<Config>,
    /// The moment from which all threads count.
    pub(super) started: Monotonic,
    pub(super) stream: Option<Stream>,
    /// For which stream logs were last asked for.
    reading: Reading,
    /// A fence is on its way at which the stream begins anew.
    pub(super) awaits_fence: bool,
    /// This node follows no primary any more, and has no history of its own yet.
    pub(super) is_between: bool,
    pub(super) peers: Vec<Peer>,
    /// The logs of this node, as control last said.
    pub(super) logs: Option<LogsOf>,
    /// Where the former history went on as the present one.
    pub(super) began: Option<Fence>,
    /// Where the last snapshots are in the present logs, the newest last.
    pub(super) cuts: VecDeque<Fence>,
    /// The history before the present one.
    pub(super) former: Option<Former>,
    /// Those of whom shards are asked whether they can go on.
    pub(super) resuming: Vec<Resuming>,
    /// Those whose request is decided when the stream has got further.
    pub(super) undecided: Vec<Arrival>,
    /// Primaries that hand over to this node: their requests are decided when it is one.
    pub(super) promoting: Vec<Arrival>,
    pub(super) next_session: u64,
    pub(super) backoff: Backoff,
    /// Which node this is.
    pub(super) identity: Identity,
    /// The primary that this node follows, if it ever has.
    pub(super) upstream: Option<Box<Upstream>>,
    /// The primary has sent more than one turn takes.
    pub(super) has_more: bool,
    /// What was counted, in a view without anything else.
    pub(super) counts: RelayView,
    /// The view has changed since control was told.
    pub(super) is_changed: bool,
    pub(super) told_at: Moment,
    /// What was exchanged with replicas.
    traffic: Traffic,
}

/// How often control is told what there is to show, in milliseconds.
const VIEW_MILLIS: u64 = 100;

impl Relay {
    /// A relay without a stream.
    pub fn new(mailbox: Mailbox<ToRelay>, config: Arc<Config>, started: Monotonic) -> Self {
        Self {
            mailbox,
            config,
            started,
            stream: None,
            reading: Reading::default(),
            awaits_fence: false,
            is_between: false,
            peers: Vec::new(),
            logs: None,
            began: None,
            cuts: VecDeque::new(),
            former: None,
            resuming: Vec::new(),
            undecided: Vec::new(),
            promoting: Vec::new(),
            next_session: 0,
            backoff: Backoff::default(),
            identity: Identity::default(),
            upstream: None,
            has_more: false,
            counts: RelayView::default(),
            is_changed: true,
            told_at: Moment(0),
            traffic: Traffic::default(),
        }
    }

    /// Does what can be done now. True if there was mail.
    pub fn turn(&mut self) -> bool {
        let clock = Stamp(Monotonic::now().nanos_since(self.started));
        let had_mail = self.read_mail();
        let went = self.stream.as_mut().map(|stream| stream.go_on(clock, &mut self.mailbox));
        match went {
            None | Some(Ok(Ok(()))) => {}
            Some(Ok(Err(_))) => log::warning(SHORT),
            Some(Err(broken)) => self.begin_anew(&broken.to_string()),
        }
        self.see_to_upstream();
        if !self.undecided.is_empty() {
            for arrival in std::mem::take(&mut self.undecided) {
                self.decide(arrival);
            }
        }
        self.see_to_peers();
        self.stream.iter_mut().for_each(Stream::trim);
        self.tell_control();
        had_mail
    }

    /// Whether there is more to do at once.
    pub fn is_urgent(&self) -> bool {
        self.has_more || self.stream.as_ref().is_some_and(Stream::is_due)
    }

    /// Whether the primary waits for an acknowledgement that shards will allow.
    pub fn owes_ack(&self) -> bool {
        self.upstream.as_ref().is_some_and(|upstream| upstream.owes_ack())
    }

    /// How long the relay may sleep.
    pub fn patience(&self) -> Duration {
        let now = self.now();
        let upstream = self.upstream.iter().filter_map(|upstream| upstream.deadline());
        let next = self.peers.iter().filter_map(|peer| peer.session.deadline()).chain(upstream);
        let next = next.min();
        Duration::from_millis(next.map_or(u64::MAX, |next| next.0.saturating_sub(now.0)))
    }

    /// What is waited for.
    pub fn awaited(&self) -> impl Iterator<Item = Awaited<'_>> {
        let upstream = self.upstream.iter().flat_map(|upstream| upstream.awaited());
        self.peers.iter().flat_map(Peer::awaited).chain(upstream)
    }

    pub(super) fn now(&self) -> Moment {
        Moment(Monotonic::now().millis_since(self.started))
    }

    fn read_mail(&mut self) -> bool {
        let mut any = false;
        for peer in self.mailbox.peers() {
            while let Some(letter) = self.mailbox.receive(peer) {
                any = true;
                match letter {
                    ToRelay::Segment(reading, segment) => {
                        let took =
                            self.stream.as_mut().map(|stream| stream.take(reading, *segment));
                        if let Some(Err(broken)) = took {
                            self.begin_anew(&broken.to_string());
                        }
                    }
                    ToRelay::Fell(reading, shard) if reading == self.reading => {
                        self.begin_anew(&format!("shard {shard} has logged more than it keeps"));
                    }
                    // It was read for a stream that is no more.
                    ToRelay::Fell(..) => {}
                    ToRelay::Fence(replid, fence) => self.fenced(replid, *fence),
                    ToRelay::Renamed(replid) => self.rename(replid),
                    ToRelay::Begin(beginning) => self.begin(*beginning),
                    ToRelay::Forget => self.forget_stream(),
                    ToRelay::Arrived(Arrived::Stream(arrival)) => {
                        self.logs = arrival.logs;
                        self.decide(*arrival);
                    }
                    ToRelay::Arrived(Arrived::Flow(arrival)) => self.flow_arrived(arrival),
                    ToRelay::Arrived(Arrived::Snapshot(arrival)) => self.snapshot_arrived(arrival),
                    ToRelay::Flow(news) => self.hear_of_flows(news),
                    ToRelay::Sync(word) => self.hear_of_sync(word),
                    ToRelay::Configure(config) => self.configure(config),
                    ToRelay::Upstream(word) => self.hear_of_upstream(word),
                    ToRelay::Applied(applied) => {
                        if let Some(upstream) = &mut self.upstream {
                            upstream.hear_of_applied(applied);
                        }
                    }
                    ToRelay::Staged(staged) => {
                        if let Some(upstream) = &mut self.upstream {
                            upstream.hear_of_staged(staged);
                        }
                    }
                    ToRelay::Introduce(identity) => self.introduce(identity),
                    ToRelay::Kill(sessions, cut) => self.kill(&sessions, cut),
                    ToRelay::End(end) => {
                        self.end(end);
                        self.hear_of_upstream(UpstreamWord::Unfollow(By::Shutdown));
                    }
                }
            }
        }
        any
    }

    /// The stream cannot go on: what a shard has logged is not there any more. All sessions end,
    /// and it begins anew at the next fence.
    fn begin_anew(&mut self, why: &str) {
        log::warning(&format!("The stream of replicas begins anew: {why}"));
        self.cut_all(Cut::History);
        let stream = self.stream.take();
        if stream.is_some_and(|stream| stream.is_of_kept_logs()) {
            // A replica writes no fence: with the next full sync it begins.
            return;
        }
        if !std::mem::replace(&mut self.awaits_fence, true) {
            self.mailbox.tell_control(ToControl::Relay(RelayWord::Fence));
        }
    }

    fn fenced(&mut self, replid: ReplId, fence: Fence) {
        if std::mem::take(&mut self.awaits_fence) {
            self.begin_at(replid, Whose::Own, fence);
        }
    }

    pub(super) fn begin_at(&mut self, replid: ReplId, whose: Whose, fence: Fence) {
        self.awaits_fence = false;
        let reading = self.next_reading();
        let (config, mailbox) = (&self.config, &mut self.mailbox);
        self.stream = Some(Stream::of_logs(replid, whose, fence, reading, config, mailbox));
    }

    /// A stream begins that reads all logs.
    pub(super) fn next_reading(&mut self) -> Reading {
        self.reading.0 += 1;
        self.reading
    }

    /// The process ends.
    fn end(&mut self, end: Scalar) {
        let now = self.now();
        let lines = self.peers.iter().filter_map(|peer| peer.session.lagging_line(end, now));
        let lines: Vec<String> = lines.collect();
        lines.iter().for_each(|line| log::notice(line));
        let (all, lagging) = (self.peers.len(), lines.len());
        if all != 0 {
            log::notice(&format!(
                "{} of {all} replicas are in sync when shutting down.",
                all - lagging
            ));
        }
        self.cut_all(Cut::End);
        self.mailbox.tell_control(ToControl::Relay(RelayWord::Closed));
    }

    /// Logs are kept no more, or are another's.
    pub(super) fn forget_stream(&mut self) {
        self.cut_all(Cut::History);
        (self.stream, self.logs) = (None, None);
        self.forget_places();
        self.history_has_ended(None);
        (self.awaits_fence, self.is_between) = (false, false);
    }

    fn configure(&mut self, config: Arc<Config>) {
        let limits = limits(&config);
        self.peers.iter_mut().for_each(|peer| peer.session.set_limits(limits));
        if let Some(stream) = &mut self.stream {
            stream.configure(&config);
        }
        if let Some(upstream) = &mut self.upstream {
            upstream.configure(Arc::clone(&config));
        }
        self.config = config;
    }

    /// CLIENT KILL, or the topology, ends these sessions.
    fn kill(&mut self, sessions: &[SessionId], cut: Cut) {
        self.with_peers(|peer, now, _, todo| {
            if sessions.contains(&peer.id) {
                peer.session.handle(now, Event::Cut(cut), todo);
            }
        });
    }

    pub(super) fn cut_all(&mut self, cut: Cut) {
        if cut == Cut::History {
            self.decide_anew();
        }
        self.with_peers(|peer, now, _, todo| peer.session.handle(now, Event::Cut(cut), todo));
    }

    fn hear_of_sync(&mut self, word: SyncWord) {
        let now = self.now();
        match word {
            SyncWord::Lend(sessions) => self.lend(&sessions),
            SyncWord::Began { sessions, replid, cut, whose, fence, logs } => {
                self.logs = logs;
                fence.iter().for_each(|fence| self.note_cut(fence));
                let is_other = self.stream.as_ref().is_none_or(|stream| stream.replid != replid);
                let history = match whose {
                    Whose::Own => replid,
                    Whose::Kept(history) => history,
                };
                let logs_of = (history, whose);
                let all_have_flows = self.begin_flows(&sessions, logs_of, fence.as_deref());
                if let Some(fence) = fence.filter(|_| is_other && !all_have_flows) {
                    self.begin_at(replid, whose, *fence);
                }
                self.counts.syncs_full += sessions.len() as u64;
                self.with_peers(|peer, now, _, todo| {
                    if sessions.contains(&peer.id) {
                        if peer.flows.is_none() {
                            peer.hold_from(cut);
                        }
                        peer.session.handle(now, Event::SyncBegan { cut }, todo);
                    }
                });
            }
            SyncWord::Progress(progress) => self.with_peers(|peer, now, _, todo| {
                peer.session.handle(now, Event::Progress(progress), todo);
            }),
            SyncWord::Ended(session, result) => {
                self.forget_connections(session);
                self.happens(now, session, Event::ChildEnded(result))
            }
            SyncWord::Flushed(session) => self.happens(now, session, Event::Flushed),
        }
    }

    pub(super) fn happens(&mut self, now: Moment, session: SessionId, event: Event<'_>) {
        let Some(at) = self.peers.iter().position(|peer| peer.id == session) else { return };
        let mut todo = Vec::new();
        self.peers[at].session.handle(now, event, &mut todo);
        self.act(at, todo);
        self.bury();
    }

    /// Gives control descriptors of connections, for the child that writes a snapshot.
    fn lend(&mut self, sessions: &[SessionId]) {
        let mut waiting = Vec::new();
        self.with_peers(|peer, now, _, todo| {
            if !sessions.contains(&peer.id) {
                return;
            }
            match peer.lend() {
                Ok(sockets) => {
                    peer.session.handle(now, Event::Lent, todo);
                    let terms = *peer.session.terms();
                    let takes_logs = peer.flows.is_some();
                    waiting.push(Waiting { session: peer.id, sockets, terms, takes_logs });
                }
                Err(error) => {
                    let why = Err(crate::process::plain(&error));
                    peer.session.handle(now, Event::ChildEnded(why), todo);
                }
            }
        });
        self.mailbox.tell_control(ToControl::Relay(RelayWord::Lent(waiting)));
    }

    /// Writes to replicas, reads from them, and looks whether their time is up.
    fn see_to_peers(&mut self) {
        let mut traffic = self.traffic;
        self.peers.iter_mut().for_each(|peer| peer.receive(&mut traffic));
        // What was acknowledged by now is in the logs as they are seen from now on.
        let logged = self.end_of_logs();
        self.with_peers(|peer, now, stream, todo| {
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
            let backlog = stream.as_mut().map(|stream| &mut stream.backlog);
            peer.write(now, backlog, &mut traffic, todo);
        });
        self.traffic = traffic;
        let of_primary = self.upstream.as_ref().map(|upstream| upstream.traffic);
        self.mailbox.own_board().traffic.set(traffic.and(of_primary.unwrap_or_default()));
    }

    /// Does something with each session, and what comes of it.
    pub(super) fn with_peers(
        &mut self,
        mut with: impl FnMut(&mut Peer, Moment, &mut Option<Stream>, &mut Vec<Action>),
    ) {
        let now = self.now();
        for at in 0..self.peers.len() {
            let mut todo = Vec::new();
            with(&mut self.peers[at], now, &mut self.stream, &mut todo);
            if !todo.is_empty() {
                self.act(at, todo);
            }
        }
        self.bury();
    }

    /// Does what a session wants done.
    pub(super) fn act(&mut self, at: usize, todo: Vec<Action>) {
        let now = self.now();
        for action in todo {
            let Self { peers, stream, backoff, counts, .. } = self;
            let peer = &mut peers[at];
            match action {
                Action::Send(bytes) => peer.say(bytes),
                Action::Stream(_) if peer.flows.is_some() => {
                    let flows = peer.flows.as_mut();
                    let announced = flows.and_then(|flows| flows.announcement(now));
                    peer.say(&announced.unwrap_or_default());
                }
                Action::Stream(place) => {
                    let begins = stream
                        .as_mut()
                        .is_some_and(|stream| peer.stream_from(&mut stream.backlog, place));
                    if !begins {
                        let mut more = Vec::new();
                        peer.session.handle(now, Event::FellOut, &mut more);
                        return self.act(at, more);
                    }
                }
                Action::Acked(ack) => {
                    let (session, applied) = (peer.id, ack.applied);
                    let is_first = !std::mem::replace(&mut peer.has_acked, true);
                    let word = RelayWord::Acked { session, applied, is_first };
                    self.mailbox.tell_control(ToControl::Relay(word));
                    self.is_changed = true;
                }
                Action::SyncOver(outcome) => {
                    let address = peer.session.address();
                    backoff.note(now, address, outcome);
                    let log_bytes_max = limits(&self.config).log_bytes_max();
                    if let Err(refusal @ Refusal::Short(_)) =
                        backoff.check(now, address, log_bytes_max)
                    {
                        log::warning(&format!(
                            "Replica {address} is refused from now on: {refusal}"
                        ));
                    }
                }
                Action::Log(level, line) => log::at(level, &line),
                Action::Close(ended) => {
                    counts.ended.add(&ended);
                    peer.has_ended = true;
                    self.is_changed = true;
                }
            }
        }
    }

    /// Closes the connections of sessions that have ended.
    fn bury(&mut self) {
        if !self.peers.iter().any(|peer| peer.has_ended) {
            return;
        }
        let (ended, peers) =
            std::mem::take(&mut self.peers).into_iter().partition(|peer| peer.has_ended);
        self.peers = peers;
        let ended: Vec<Peer> = ended;
        for peer in ended {
            let id = peer.id;
            if peer.flows.is_some() {
                close_logs(id, &mut self.mailbox);
            }
            peer.close(self.stream.as_mut().map(|stream| &mut stream.backlog));
            self.mailbox.tell_control(ToControl::Relay(RelayWord::Gone(id)));
        }
    }
}
