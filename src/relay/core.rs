//! The relay's state: one stream, and the sessions of those who want it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::config::table::Config;
use crate::log;
use crate::mail::mailbox::Mailbox;
use crate::mail::replica::{Arrival, RelayView, RelayWord, SessionId, SyncWord, Waiting};
use crate::mail::to_control::ToControl;
use crate::mail::to_relay::ToRelay;
use crate::mail::upstream::UpstreamWord;
use crate::reactor::clock::Monotonic;
use crate::reactor::streams::Stream as Socket;
use crate::reactor::wake::Awaited;
use crate::relay::peer::{Peer, limits};
use crate::relay::stream::Stream;
use crate::relay::upstream::Upstream;
use crate::replication::backoff::Backoff;
use crate::replication::greeting::Asked;
use crate::replication::history::{Fence, Scalar};
use crate::replication::link::events::By;
use crate::replication::merge::Stamp;
use crate::replication::moment::Moment;
use crate::replication::psync::{self, Answer, Facts, Request, Standing};
use crate::replication::replid::ReplId;
use crate::replication::session::ended::Cut;
use crate::replication::session::{Action, Event, Session};
use crate::replication::view::Replica;

/// The relay.
#[derive(Debug)]
pub struct Relay {
    /// Its mail.
    pub mailbox: Mailbox<ToRelay>,
    config: Arc<Config>,
    /// The moment from which all threads count.
    started: Monotonic,
    stream: Option<Stream>,
    /// A fence is on its way at which the stream begins anew.
    awaits_fence: bool,
    peers: Vec<Peer>,
    /// Those whose request is decided when the stream has got further.
    undecided: Vec<Arrival>,
    /// Primaries that hand over to this node: their requests are decided when it is one.
    promoting: Vec<Arrival>,
    next_session: u64,
    backoff: Backoff,
    /// The primary that this node follows, if it ever has.
    upstream: Option<Box<Upstream>>,
    /// The primary has sent more than one turn takes.
    has_more: bool,
    /// What was counted, in a view without anything else.
    counts: RelayView,
    /// The view has changed since control was told.
    is_changed: bool,
    told_at: Moment,
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
            awaits_fence: false,
            peers: Vec::new(),
            undecided: Vec::new(),
            promoting: Vec::new(),
            next_session: 0,
            backoff: Backoff::default(),
            upstream: None,
            has_more: false,
            counts: RelayView::default(),
            is_changed: true,
            told_at: Moment(0),
        }
    }

    /// Does what can be done now. True if there was mail.
    pub fn turn(&mut self) -> bool {
        let clock = Stamp(Monotonic::now().nanos_since(self.started));
        let had_mail = self.read_mail();
        let went = self.stream.as_mut().map(|stream| stream.go_on(clock, &mut self.mailbox));
        match went {
            None | Some(Ok(Ok(()))) => {}
            Some(Ok(Err(_))) => {
                log::warning(
                    "There is no memory for the replication backlog: replicas may have \
                              to sync",
                );
            }
            Some(Err(broken)) => self.begin_anew(&broken.to_string()),
        }
        if !self.undecided.is_empty() {
            for arrival in std::mem::take(&mut self.undecided) {
                self.decide(arrival);
            }
        }
        self.see_to_peers();
        let now = self.now();
        if let Some(upstream) = &mut self.upstream {
            self.has_more = upstream.turn(now, &mut self.mailbox);
            self.give_up_history();
        }
        self.tell_control();
        had_mail
    }

    /// Whether there is more to do at once.
    pub fn is_urgent(&self) -> bool {
        self.has_more || self.stream.as_ref().is_some_and(Stream::is_due)
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

    fn now(&self) -> Moment {
        Moment(Monotonic::now().millis_since(self.started))
    }

    fn read_mail(&mut self) -> bool {
        let mut any = false;
        for peer in self.mailbox.peers() {
            while let Some(letter) = self.mailbox.receive(peer) {
                any = true;
                match letter {
                    ToRelay::Segment(segment) => {
                        let took = self.stream.as_mut().map(|stream| stream.take(*segment));
                        if let Some(Err(broken)) = took {
                            self.begin_anew(&broken.to_string());
                        }
                    }
                    ToRelay::Fell(shard) => {
                        self.begin_anew(&format!("shard {shard} has logged more than it keeps"));
                    }
                    ToRelay::Fence(replid, fence) => self.fenced(replid, *fence),
                    ToRelay::Renamed(replid) => self.rename(replid),
                    ToRelay::Forget => self.forget_stream(),
                    ToRelay::Arrived(arrival) => self.decide(*arrival),
                    ToRelay::Sync(word) => self.hear_of_sync(word),
                    ToRelay::Configure(config) => self.configure(config),
                    ToRelay::Upstream(word) => self.hear_of_upstream(word),
                    ToRelay::Applied(applied) => {
                        let upstream = self.upstream.iter_mut();
                        upstream.for_each(|upstream| upstream.hear_of_applied(applied.clone()));
                    }
                    ToRelay::Staged(staged) => {
                        let upstream = self.upstream.iter_mut();
                        upstream.for_each(|upstream| upstream.hear_of_staged(staged.clone()));
                    }
                    ToRelay::Kill(sessions) => self.kill(&sessions),
                    ToRelay::End(end) => {
                        self.end(end);
                        self.hear_of_upstream(UpstreamWord::Unfollow(By::Shutdown));
                    }
                }
            }
        }
        any
    }

    /// Control says whom this node follows. What others get from it is another's then.
    fn hear_of_upstream(&mut self, word: UpstreamWord) {
        let now = self.now();
        if let UpstreamWord::Follow { routing, config, .. } = &word {
            // It is to become another's replica, not a primary.
            self.undecided.append(&mut self.promoting);
            self.upstream.get_or_insert_with(|| {
                Box::new(Upstream::new(now, Arc::clone(config), (**routing).clone()))
            });
        }
        let Some(upstream) = &mut self.upstream else { return };
        upstream.hear(now, word, &mut self.mailbox);
        self.give_up_history();
    }

    /// Once this node follows another, what it had logged is of no use. As long as it hands over
    /// it may be a primary again, with all that it had.
    fn give_up_history(&mut self) {
        let follows = |upstream: &Upstream| upstream.is_active() && !upstream.hands_over();
        if self.upstream.as_deref().is_some_and(follows) && self.has_history() {
            self.forget_stream();
        }
    }

    fn has_history(&self) -> bool {
        self.stream.is_some() || self.awaits_fence || !self.peers.is_empty()
    }

    /// The stream cannot go on: what a shard has logged is not there any more. All sessions end,
    /// and it begins anew at the next fence.
    fn begin_anew(&mut self, why: &str) {
        log::warning(&format!("The stream of replicas begins anew: {why}"));
        self.cut_all(Cut::History);
        self.stream = None;
        if !std::mem::replace(&mut self.awaits_fence, true) {
            self.mailbox.tell_control(ToControl::Relay(RelayWord::Fence));
        }
    }

    fn fenced(&mut self, replid: ReplId, fence: Fence) {
        if std::mem::take(&mut self.awaits_fence) {
            self.begin_at(replid, fence);
        }
    }

    fn begin_at(&mut self, replid: ReplId, fence: Fence) {
        self.awaits_fence = false;
        self.stream = Some(Stream::begin(replid, fence, &self.config, &mut self.mailbox));
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
    }

    /// Logs are kept no more, or are another's.
    fn forget_stream(&mut self) {
        self.cut_all(Cut::History);
        self.stream = None;
        self.awaits_fence = false;
    }

    /// The history goes on under another name: those who want the stream are to ask anew.
    fn rename(&mut self, replid: ReplId) {
        self.cut_all(Cut::History);
        if let Some(stream) = &mut self.stream {
            stream.replid = replid;
        }
        self.undecided.append(&mut self.promoting);
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

    /// CLIENT KILL ends these sessions.
    fn kill(&mut self, sessions: &[SessionId]) {
        self.with_peers(|peer, now, _, todo| {
            if sessions.contains(&peer.id) {
                peer.session.handle(now, Event::Cut(Cut::Killed), todo);
            }
        });
    }

    fn cut_all(&mut self, cut: Cut) {
        self.with_peers(|peer, now, _, todo| peer.session.handle(now, Event::Cut(cut), todo));
    }

    /// Decides what a connection gets that asks for the stream.
    fn decide(&mut self, arrival: Arrival) {
        let (standing, replid) = self.standing(&arrival.request);
        let facts = Facts {
            standing,
            stream: replid,
            backlog: self.kept(),
            reaches: self.stream.as_ref().map_or(Scalar(0), Stream::end),
            former: None,
            foreign: None,
        };
        let decision = psync::decide(&arrival.request, &facts);
        let host = arrival.known.peer.map_or_else(String::new, |peer| peer.ip().to_string());
        let address = arrival.greeting.address(&host);
        let about = format!("Replica {address} asks for synchronization");
        log::notice(&format!("{about}: {}", decision.reason));
        match decision.answer {
            Answer::Wait => self.undecided.push(arrival),
            Answer::Continue => {
                self.counts.syncs_partial_ok += 1;
                self.resume(arrival, replid);
            }
            Answer::Full(full) => {
                self.counts.syncs_partial_err += u64::from(full.is_partial_err());
                self.sync(arrival);
            }
            Answer::Refuse(refusal) => refuse(arrival.socket, &refusal.error()),
            Answer::Promote => {
                let request = arrival.request.promoted();
                self.promoting.push(Arrival { request, ..arrival });
                self.mailbox.tell_control(ToControl::Relay(RelayWord::Promote(address)));
            }
        }
    }

    /// What this node is to a request, and the name of the stream that it has.
    fn standing(&self, request: &Request) -> (Standing, ReplId) {
        // No replica has that name.
        let none = ReplId::of_random([0; 20]);
        let ours = self.stream.as_ref().map_or(none, |stream| stream.replid);
        let upstream = self.upstream.as_deref().filter(|upstream| upstream.is_active());
        match (upstream, request) {
            (None, _) => (Standing::Primary, ours),
            (Some(upstream), _) if upstream.hands_over() => (Standing::FailingOver, ours),
            (Some(upstream), Request::Failover(_)) => match upstream.stream() {
                Some(stream) => (Standing::Follows, stream),
                None => (Standing::Unlinked, none),
            },
            // It has the data of its primary, but not the stream.
            (Some(_), Request::Sync | Request::Psync(_)) => (Standing::Unlinked, ours),
        }
    }

    /// What is kept of the stream.
    fn kept(&self) -> psync::Backlog {
        match &self.stream {
            Some(Stream { backlog, .. }) => {
                let (first, end) = (Scalar(backlog.first()), Scalar(backlog.end()));
                psync::Backlog::Kept { first, end }
            }
            None if self.awaits_fence => psync::Backlog::Beginning,
            None => psync::Backlog::None,
        }
    }

    fn session(&mut self, arrival: Arrival, greets: bool) -> Option<&mut Peer> {
        let Arrival { socket, unread, greeting, request, known } = arrival;
        let asked = match request {
            Request::Sync => Asked::Sync,
            Request::Psync(_) | Request::Failover(_) => Asked::Psync,
        };
        let host = known.peer.map_or_else(String::new, |peer| peer.ip().to_string());
        let address = greeting.address(&host);
        let now = self.now();
        let terms = match greeting.terms(asked) {
            Ok(terms) => terms,
            Err(error) => {
                refuse(socket, &error);
                return None;
            }
        };
        if greets
            && let Err(refusal) = self.backoff.check(now, &address, self.config.repl_backlog_size)
        {
            refuse(socket, &refusal.error());
            return None;
        }
        let Ok(socket) = Socket::new(socket) else { return None };
        let id = SessionId(self.next_session);
        self.next_session += 1;
        let session = Session::new(now, address, terms, limits(&self.config));
        let mut peer = Peer::new(id, session, known, socket);
        let mut todo = Vec::new();
        peer.session.handle(now, Event::Received(&unread), &mut todo);
        self.peers.push(peer);
        self.is_changed = true;
        let at = self.peers.len() - 1;
        self.act(at, todo);
        self.peers.get_mut(at)
    }

    /// A replica goes on where it is.
    fn resume(&mut self, arrival: Arrival, replid: ReplId) {
        let has = arrival.request.has().expect("a place was found in the stream");
        let knows_name = arrival.greeting.knows_psync2();
        let now = self.now();
        let Some(peer) = self.session(arrival, false) else { return };
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
        let Some(peer) = self.session(arrival, true) else { return };
        let word = RelayWord::Wait(peer.id, *peer.session.terms());
        self.mailbox.tell_control(ToControl::Relay(word));
    }

    fn hear_of_sync(&mut self, word: SyncWord) {
        let now = self.now();
        match word {
            SyncWord::Lend(sessions) => self.lend(&sessions),
            SyncWord::Began { sessions, replid, cut } => {
                if self.stream.as_ref().is_none_or(|stream| stream.replid != replid) {
                    self.begin_at(replid, (*cut).clone());
                }
                self.counts.syncs_full += sessions.len() as u64;
                let cut = cut.scalar;
                self.with_peers(|peer, now, _, todo| {
                    if sessions.contains(&peer.id) {
                        peer.hold_from(cut);
                        peer.session.handle(now, Event::SyncBegan { cut, expected: 0 }, todo);
                    }
                });
            }
            SyncWord::Progress(bytes) => self.with_peers(|peer, now, _, todo| {
                peer.session.handle(now, Event::Progress(bytes), todo);
            }),
            SyncWord::Ended(session, result) => {
                self.happens(now, session, Event::ChildEnded(result))
            }
            SyncWord::Flushed(session) => self.happens(now, session, Event::Flushed),
        }
    }

    fn happens(&mut self, now: Moment, session: SessionId, event: Event<'_>) {
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
                Ok(socket) => {
                    peer.session.handle(now, Event::Lent, todo);
                    let terms = *peer.session.terms();
                    waiting.push(Waiting { session: peer.id, socket, terms });
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
        self.with_peers(|peer, now, stream, todo| {
            if let Some(stream) = &mut *stream {
                peer.session.handle(now, Event::Backlog(stream.end()), todo);
                if !peer.catch_up(&mut stream.backlog) {
                    peer.session.handle(now, Event::FellOut, todo);
                }
            }
            peer.read(now, todo);
            peer.session.handle(now, Event::Tick, todo);
            peer.write(now, stream.as_mut().map(|stream| &mut stream.backlog), todo);
        });
    }

    /// Does something with each session, and what comes of it.
    fn with_peers(
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
    fn act(&mut self, at: usize, todo: Vec<Action>) {
        let now = self.now();
        for action in todo {
            let Self { peers, stream, backoff, .. } = self;
            let peer = &mut peers[at];
            match action {
                Action::Send(bytes) => peer.say(bytes),
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
                Action::SyncOver(outcome) => backoff.note(now, peer.session.address(), outcome),
                Action::Log(level, line) => log::at(level, &line),
                Action::Close(_) => {
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
            peer.close(self.stream.as_mut().map(|stream| &mut stream.backlog));
            self.mailbox.tell_control(ToControl::Relay(RelayWord::Gone(id)));
        }
    }

    /// Tells control what there is to show, if it may have changed.
    fn tell_control(&mut self) {
        let now = self.now();
        if !self.is_changed && now.since(self.told_at) < VIEW_MILLIS {
            return;
        }
        (self.is_changed, self.told_at) = (false, now);
        let sessions = self.peers.iter().map(|peer| &peer.session).enumerate();
        let replica = |(number, session): (usize, &Session)| {
            let line = session.info_line(number, now)?;
            Some(Replica { line, role: session.role_entry() })
        };
        let backlog = self.stream.as_ref().map(|stream| &stream.backlog);
        let view = RelayView {
            replicas: sessions.filter_map(replica).collect(),
            sessions: self.peers.iter().filter_map(|peer| peer.view(now, backlog)).collect(),
            backlog: self.kept(),
            memory_bytes: backlog.map_or(0, |backlog| backlog.memory_bytes() as u64),
            ..self.counts.clone()
        };
        self.mailbox.tell_control(ToControl::Relay(RelayWord::View(Box::new(view))));
    }
}

/// Answers an error and lets the connection go: the replica asks anew by another.
fn refuse(socket: OwnedFd, error: &shards::resp::error::Error) {
    let mut bytes = Vec::new();
    error.write(&mut bytes);
    if let Ok(mut socket) = Socket::new(socket) {
        // The socket of a replica that has just asked has room for a line.
        let _ = socket.write(&bytes);
        socket.end_writing();
    }
}
