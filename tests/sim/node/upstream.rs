//! The primary that a node follows, as its relay sees to it. This stands for `relay::upstream` and
//! `relay::intake`, which are bound to sockets, threads and mailboxes; link and dispatch are the
//! real machines.

use std::collections::VecDeque;

use keylane::batches::batch::Source;
use keylane::flows::dispatch::Dispatch;
use keylane::replication::address::Address;
use keylane::replication::failover;
use keylane::replication::history::Scalar;
use keylane::replication::link::Link;
use keylane::replication::link::events::{Action, By, Event, Generation, News, Point};
use keylane::replication::link::report::{Observed, Status};
use keylane::replication::moment::Moment;
use keylane::replication::psync::Former;
use keylane::replication::replid::ReplId;

use crate::agenda::{Env, Event as Happening};
use crate::checks::SnapshotId;
use crate::faults::Fault;
use crate::keyspace::DATABASES;
use crate::network::{ConnId, Tried};
use crate::node::Node;
use crate::node::dial::{Dial, DialState};
use crate::node::inchunks::Inchunks;
use crate::node::inflows::{Announced, Inflows};
use crate::node::letters::{Letter, LinkView, LinkWord, UpstreamWord};
use crate::node::room::{Arriving, Coming};
use crate::node::stream::Stream;

/// Digits of a snapshot's number in its bytes.
pub const DIGITS: usize = 10;
const VIEW_MILLIS: u64 = 100;
const ACK: &[u8] = b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n";

/// The link to the primary, and all that it uses.
#[derive(Debug)]
pub struct Upstream {
    pub link: Link,
    pub dial: Option<Dial>,
    reads: bool,
    is_full: bool,
    /// A snapshot for which there is no room yet.
    pub arriving: Option<Arriving>,
    /// Control drops all keys.
    pub is_emptying: bool,
    pub intake: Option<Intake>,
    /// A snapshot that comes by connections of its own.
    pub chunks: Option<Inchunks>,
    /// The database of the stream behind the staged snapshot.
    pub brought_db: u16,
    commit: Option<Generation>,
    pub dispatch: Dispatch<Scalar>,
    pub flows: Option<Inflows>,
    /// Logs that are stored until their snapshot is the data.
    pub stored: Option<Inflows>,
    /// Logs that the primary has announced, until what came before that is applied.
    pub announced: Option<Announced>,
    pub connects_to: Option<(Generation, Address)>,
    applied: Scalar,
    is_ending: bool,
    pub hands_over: bool,
    hold: Hold,
    resumed: Option<Generation>,
    pub former: Option<Former>,
    pub renewal: Option<Renewal>,
    later: VecDeque<Event<'static>>,
    view: Option<LinkView>,
    status: Option<&'static str>,
    told_at: Moment,
}

/// A snapshot that is being taken in.
#[derive(Debug)]
pub struct Intake {
    pub generation: Generation,
    pub bytes: Vec<u8>,
    pub has_ended: bool,
    /// Shards that have not staged it.
    pub outstanding: usize,
}

/// What becomes of the stream, so that replicas are to ask anew.
#[derive(Debug)]
pub enum Renewal {
    Name,
    Stream(Option<Box<Stream>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    No,
    Asked,
    Told,
}

impl Node {
    /// A connection is open, or will not be.
    pub fn dialed(&mut self, env: &mut Env, conn: ConnId, is_open: bool) {
        let relay = self.relay_thread();
        let upstream = self.relay.upstream.as_mut();
        if upstream.is_some_and(|upstream| upstream.dialed(conn, is_open)) {
            self.own(conn, relay);
            self.turn_at(env, env.agenda.now + 1);
        }
    }

    pub fn upstream_hears(&mut self, env: &mut Env, word: UpstreamWord) {
        self.with_upstream(env, |upstream, node, env| upstream.hear(node, env, word));
    }

    pub fn turn_upstream(&mut self, env: &mut Env) {
        self.with_upstream(env, Upstream::turn);
    }

    pub fn with_upstream(
        &mut self,
        env: &mut Env,
        with: impl FnOnce(&mut Upstream, &mut Self, &mut Env),
    ) {
        if let Some(mut upstream) = self.relay.upstream.take() {
            with(&mut upstream, self, env);
            self.relay.upstream = Some(upstream);
        }
    }
}

impl Upstream {
    /// Of a node that follows none.
    pub fn new(node: usize, env: &Env) -> Self {
        let dispatch = Dispatch::new(Source::Relay, env.setup.routing(node), DATABASES);
        Self {
            link: Link::new(env.setup.hello(node), env.setup.link_limits(), env.moment()),
            dial: None,
            reads: true,
            is_full: false,
            arriving: None,
            is_emptying: false,
            intake: None,
            chunks: None,
            brought_db: 0,
            commit: None,
            dispatch,
            flows: None,
            stored: None,
            announced: None,
            connects_to: None,
            applied: Scalar(0),
            is_ending: false,
            hands_over: false,
            hold: Hold::No,
            resumed: None,
            former: None,
            renewal: None,
            later: VecDeque::new(),
            view: None,
            status: None,
            told_at: env.moment(),
        }
    }

    /// False if the connection is not waited for any more.
    fn dialed(&mut self, conn: ConnId, is_open: bool) -> bool {
        let flows = self.flows.iter_mut().chain(&mut self.stored).flat_map(Inflows::dials);
        let chunks = self.chunks.iter_mut().flat_map(Inchunks::dials);
        let mut dials = self.dial.iter_mut().chain(flows).chain(chunks);
        let dial = dials.find(|dial| dial.conn == conn);
        dial.map(|dial| dial.state = DialState::New(is_open)).is_some()
    }

    pub fn is_active(&self) -> bool {
        self.link.observed().desired.primary.is_some()
    }

    /// The stream that this node's data are part of.
    pub fn stream(&self) -> Option<ReplId> {
        let is_sync = self.link.observed().status.is_sync();
        self.link.position().filter(|_| !is_sync).map(|position| position.id)
    }

    /// The stream that this node's data are part of, and up to where they are: what control shows
    /// a moment later. `None` as well while a snapshot becomes the data: they are at neither place.
    pub fn place(&self, node: &Node) -> Option<(ReplId, Scalar)> {
        if self.link.observed().status == Status::Committing || node.control.is_emptied {
            return None;
        }
        let position = self.link.position()?;
        let applied = match &self.flows {
            Some(flows) => flows.applied(node),
            None => self.dispatch.applied(position.offset),
        };
        // Shards that are being held show nothing any more.
        Some((position.id, applied.max(self.link.observed().applied)))
    }

    /// Whether the primary's stream runs, and is what replicas of this node get.
    pub fn is_joined(&self, stream: Option<&Stream>) -> bool {
        self.link.observed().status.is_up() && stream.is_some_and(|stream| !stream.is_of_logs())
    }

    /// Shards have staged what they were given.
    pub fn staged(&mut self, generation: Generation) {
        let intake = self.intake.as_mut().filter(|intake| intake.generation == generation);
        intake.into_iter().for_each(|intake| intake.outstanding -= 1);
        self.chunks.iter_mut().for_each(|chunks| chunks.staged(generation));
    }

    fn hear(&mut self, node: &mut Node, env: &mut Env, word: UpstreamWord) {
        match word {
            UpstreamWord::Follow { primary, by, position } => {
                self.is_ending = false;
                self.hands_over = by == By::Failover;
                let point = position.map(|position| Point { position, vector: None });
                self.happens(node, env, Event::Follow { primary, by, point, fence: None });
            }
            UpstreamWord::Unfollow(by) => {
                (self.is_ending, self.hands_over) = (true, false);
                self.happens(node, env, Event::Unfollow(by));
            }
            UpstreamWord::AskPlainly => {
                self.hands_over = false;
                self.happens(node, env, Event::AskPlainly);
            }
            UpstreamWord::Committed(generation) => {
                let news = News::Committed { db: self.brought_db, vector: None };
                self.happens(node, env, Event::Of(generation, news));
                self.former = None;
                self.begin_stream(env);
            }
            UpstreamWord::Emptied(are_gone) => self.emptied(node, env, are_gone),
            UpstreamWord::LogsEnded => self.join(node, env),
            UpstreamWord::Forget => {
                self.former = None;
                self.happens(node, env, Event::Forget);
            }
            UpstreamWord::Hold => self.hold = Hold::Asked,
            UpstreamWord::GoOn => self.hold = Hold::No,
        }
    }

    pub fn begin_stream(&mut self, env: &Env) {
        let begin = |position| Stream::of_primary(position, self.former, env);
        self.renewal = Some(Renewal::Stream(self.link.position().map(begin).map(Box::new)));
    }

    /// Shards log no more: the primary's stream goes on where the own one ended.
    fn join(&mut self, node: &mut Node, env: &Env) {
        if self.flows.is_some() {
            return; // It is told for each attempt, and an earlier one has begun with logs.
        }
        let end = self.link.position().map(|position| position.offset);
        match &mut node.relay.stream {
            Some(stream) if !stream.is_of_logs() => {}
            Some(stream) if Some(stream.end()) == end => stream.follow(),
            Some(_) | None => self.begin_stream(env),
        }
    }

    /// Does what can be done now.
    fn turn(&mut self, node: &mut Node, env: &mut Env) {
        self.happens(node, env, Event::Tick);
        self.go_on_connecting(node, env);
        self.go_on_with_flows(node, env);
        self.go_on_with_room(node, env);
        self.note_room(node, env);
        self.read(node, env);
        self.go_on_with_chunks(node, env);
        self.go_on_staging(node, env);
        self.take_units(node, env);
        self.begin_announced(node, env);
        self.send_batches(node, env);
        self.note_applied(node, env, true);
        self.rename(node);
        self.tell_of_place(node, env);
        if self.dispatch.is_empty()
            && let Some(generation) = self.commit.take()
        {
            node.tell_control(env, Letter::Link(LinkWord::Commit(generation)));
        }
        let dial = self.dial.as_mut();
        if let Some(dial) = dial.filter(|dial| dial.state == DialState::Open) {
            let generation = dial.generation;
            if !dial.write(node.run.node, env) {
                self.happens(node, env, Event::Of(generation, News::Closed(String::new())));
            }
        }
        self.show(node, env);
    }

    fn send_batches(&mut self, node: &mut Node, env: &mut Env) {
        let mut lost = Vec::new();
        self.dispatch.send(|shard, batch| {
            if env.is_wrong(Fault::LosesBatches) {
                lost.extend(batch.applies.map(|applies| applies.number));
            } else {
                node.relay_tells(env, shard, Letter::Apply(batch));
            }
        });
        lost.into_iter().for_each(|number| self.dispatch.answered(number));
    }

    /// Tells the link what has happened, and does what it asks for.
    pub fn happens(&mut self, node: &mut Node, env: &mut Env, event: Event<'_>) {
        let mut actions = Vec::new();
        self.link.handle(env.moment(), event, &mut actions);
        self.act(node, env, actions);
        while let Some(event) = self.later.pop_front() {
            let mut actions = Vec::new();
            self.link.handle(env.moment(), event, &mut actions);
            self.act(node, env, actions);
        }
    }

    fn act(&mut self, node: &mut Node, env: &mut Env, actions: Vec<Action<'_>>) {
        for action in actions {
            match action {
                Action::Connect(generation, primary) => {
                    self.connect(node, env, generation, &primary);
                }
                Action::Send(bytes) => self.say(node, env, &bytes),
                Action::Shut(generation) => self.shut(node, env, generation),
                Action::HoldReads => self.reads = false,
                Action::ResumeReads => self.reads = true,
                Action::BeginStaging(generation, _) => {
                    self.look_for_room(node, env, generation, Coming::Stream(Vec::new(), false));
                }
                Action::Snapshot(bytes) => self.take_snapshot(&bytes),
                Action::EndSnapshot => self.end_snapshot(node, env),
                Action::OpenConnections(generation, offered) => {
                    self.look_for_room(node, env, generation, Coming::Connections(offered));
                }
                Action::StoreLogs(generation, offered) => {
                    self.store_logs(node, env, generation, *offered);
                }
                Action::DropStaging(_) => {
                    (self.arriving, self.intake) = (None, None);
                    self.end_chunks(node, env);
                    (0..node.shards.len())
                        .for_each(|shard| node.relay_tells(env, shard, Letter::DropStaging));
                }
                Action::Commit(generation, _) => self.commit = Some(generation),
                Action::Stream => {}
                Action::Renamed { from, to } => {
                    let until = self.link.position().map(|position| position.offset);
                    self.former = until.map(|until| Former { id: from, until });
                    self.renewal = Some(Renewal::Name);
                    if let (Some(track), Some(until)) = (&mut node.track, until) {
                        env.checks.rename(track, to, until);
                    }
                }
                Action::Handover(news) => {
                    self.hands_over &= news != failover::News::Accepted;
                    if news == failover::News::Accepted && env.chance(100) {
                        // A client gives it up just now.
                        let delay = env.random.below(60);
                        env.agenda.add(delay, Happening::Aborts(node.run));
                    }
                    node.tell_control(env, Letter::Link(LinkWord::Handover(news)));
                }
                // These nodes are of no cluster: nothing is kept.
                Action::Refused => unreachable!("nothing is to be kept"),
                Action::Log(line) => env.tell(|| format!("node {}: {line}", node.run.node)),
            }
        }
    }

    fn say(&mut self, node: &Node, env: &mut Env, bytes: &[u8]) {
        let Some(dial) = &mut self.dial else { return };
        if let Some(number) = bytes.strip_prefix(ACK) {
            let text = String::from_utf8_lossy(number);
            let upto = text.split("\r\n").nth(1).and_then(|digits| digits.parse().ok());
            let upto = Scalar(upto.expect("it acknowledges a number"));
            env.checks.check_ack(node.track.as_ref(), dial.conn, upto);
        }
        dial.out.extend_from_slice(bytes);
    }

    fn shut(&mut self, node: &mut Node, env: &mut Env, generation: Generation) {
        if let Some(dial) = self.dial.take_if(|dial| dial.generation == generation) {
            node.close(env, dial.conn);
        }
        self.announced = None;
        self.connects_to.take_if(|(of, _)| *of == generation);
        let flows = self.flows.iter_mut().chain(&mut self.stored);
        flows.for_each(|flows| flows.hold(node, env));
    }

    pub fn end_snapshot(&mut self, node: &mut Node, env: &mut Env) {
        if let Some(Arriving { coming: Coming::Stream(_, has_ended), .. }) = &mut self.arriving {
            *has_ended = true;
            return;
        }
        let Some(intake) = &mut self.intake else { return };
        let digits = String::from_utf8_lossy(&intake.bytes[..DIGITS]).into_owned();
        let snapshot = SnapshotId(digits.parse().expect("a snapshot begins with its number"));
        self.brought_db = env.checks.snapshots[snapshot.0].db;
        (intake.has_ended, intake.outstanding) = (true, node.shards.len());
        for shard in 0..node.shards.len() {
            node.relay_tells(env, shard, Letter::Stage(intake.generation, snapshot));
        }
    }

    pub fn connect(
        &mut self,
        node: &mut Node,
        env: &mut Env,
        generation: Generation,
        primary: &Address,
    ) {
        (self.reads, self.is_full) = (true, false);
        if self.flows.is_some() || self.stored.is_some() || self.is_emptying {
            self.connects_to = Some((generation, primary.clone()));
            return;
        }
        self.dial = Some(Dial::begin(generation, node, primary, env));
    }

    fn go_on_connecting(&mut self, node: &mut Node, env: &mut Env) {
        let Some(dial) = &mut self.dial else { return };
        let generation = dial.generation;
        match dial.news() {
            None => {}
            Some(true) => self.happens(node, env, Event::Of(generation, News::Connected)),
            Some(false) => {
                let news = News::ConnectFailed("refused".to_owned());
                self.happens(node, env, Event::Of(generation, news));
            }
        }
    }

    fn note_room(&mut self, node: &mut Node, env: &mut Env) {
        let is_up = self.link.observed().status.is_up();
        let is_full = self.dispatch.is_full()
            || self.arriving.is_some()
            || (is_up && !self.takes_units(node));
        let generation = self.link.observed().generation;
        if std::mem::replace(&mut self.is_full, is_full) != is_full {
            let news = if is_full { News::Full } else { News::Room };
            self.happens(node, env, Event::Of(generation, news));
        }
    }

    fn read(&mut self, node: &mut Node, env: &mut Env) {
        while self.reads && !self.is_full {
            let open = |dial: &&mut Dial| dial.state == DialState::Open;
            let Some(dial) = self.dial.as_mut().filter(open) else { break };
            let (generation, conn) = (dial.generation, dial.conn);
            match env.read(conn, node.run.node, 2_000) {
                Tried::Moved(bytes) => {
                    let news = News::Bytes(&bytes);
                    self.happens(node, env, Event::Of(generation, news));
                    self.take_units(node, env);
                    self.note_room(node, env);
                }
                Tried::Later => break,
                Tried::Over => {
                    let news = News::Closed(String::new());
                    self.happens(node, env, Event::Of(generation, news));
                    break;
                }
            }
        }
    }

    fn go_on_staging(&mut self, node: &mut Node, env: &mut Env) {
        let is_staged = |intake: &mut Intake| intake.has_ended && intake.outstanding == 0;
        if self.intake.take_if(is_staged).is_some() {
            let generation = self.link.observed().generation;
            self.happens(node, env, Event::Of(generation, News::Staged));
        }
    }

    fn takes_units(&self, node: &Node) -> bool {
        let is_own = node.relay.stream.as_ref().is_none_or(Stream::is_of_logs);
        let is_elsewhere = is_own && self.flows.is_none() && self.link.position().is_some();
        self.hold == Hold::No && self.announced.is_none() && !is_elsewhere
    }

    /// Takes units of the stream while there is room for them.
    fn take_units(&mut self, node: &mut Node, env: &mut Env) {
        if !self.takes_units(node) {
            return;
        }
        let mut actions = Vec::new();
        let name = self.link.position().map(|position| position.id);
        let is_part = name.is_some() && self.flows.is_none();
        while !self.dispatch.is_full() {
            let Some(unit) = self.link.next_unit(env.moment(), &mut actions) else { break };
            if let Some(flows) = Announced::of(&unit) {
                let place = unit.offset;
                self.announced = Some(flows);
                self.link.leave_out(place);
                break;
            }
            if let Some(name) = name.filter(|_| is_part) {
                env.checks.check_unit(name, unit.offset, unit.raw);
                if node.track.is_none() {
                    let values = &node.image.values;
                    node.track = Some(env.checks.follow_tape(name, unit.offset, values));
                }
            }
            self.dispatch.take(&unit, unit.offset).expect("primaries send what can be applied");
            if let Some(stream) = node.relay.stream.as_mut().filter(|_| is_part) {
                stream.append(&unit);
            }
        }
        self.act(node, env, actions);
    }

    /// Begins with the logs that were announced, once everything before that is applied.
    fn begin_announced(&mut self, node: &mut Node, env: &mut Env) {
        let is_due = self.dispatch.is_empty() || env.has(Fault::HastyFlows);
        if let Some(announced) = self.announced.take_if(|_| is_due) {
            self.begin_flows(node, env, announced);
        }
    }

    pub fn note_applied(&mut self, node: &mut Node, env: &mut Env, shows: bool) {
        let Some(position) = self.link.position() else { return };
        let applied = match &self.flows {
            Some(flows) => flows.applied(node),
            None if env.has(Fault::AcksEarly) => position.offset,
            None => self.dispatch.applied(position.offset),
        };
        let is_stream = |stream: &&mut Stream| shows && !stream.is_of_logs();
        let stream = node.relay.stream.as_mut().filter(is_stream);
        if let Some(stream) = stream.filter(|_| self.flows.is_none()) {
            stream.applied(applied);
        }
        if std::mem::replace(&mut self.applied, applied) != applied {
            self.happens(node, env, Event::Applied(applied));
        }
    }

    fn rename(&mut self, node: &mut Node) {
        if let (Some(Renewal::Name), Some(stream), Some(position)) =
            (&self.renewal, &mut node.relay.stream, self.link.position())
        {
            (stream.replid, stream.former) = (position.id, self.former);
        }
    }

    fn tell_of_place(&mut self, node: &mut Node, env: &mut Env) {
        let Observed { status, generation, .. } = self.link.observed();
        let position = self.link.position();
        let stream = node.relay.stream.as_ref();
        let is_own = stream.is_none_or(Stream::is_of_logs);
        let has_all = |end: Scalar| stream.is_none_or(|stream| end <= stream.end());
        if status.is_up()
            && is_own
            && self.flows.is_none()
            && position.is_some_and(|position| has_all(position.offset))
            && self.resumed.replace(generation) != Some(generation)
        {
            node.tell_control(env, Letter::Link(LinkWord::Resumed));
        }
        if self.hold == Hold::Asked && self.dispatch.is_empty() {
            self.hold = Hold::Told;
            let position = position.filter(|_| !self.takes_logs());
            node.tell_control(env, Letter::Link(LinkWord::Held(position)));
        }
    }

    fn takes_logs(&self) -> bool {
        self.flows.is_some() || self.link.is_in_logs()
    }

    /// Tells control what there is to show, and when nothing is followed and under way any more.
    fn show(&mut self, node: &mut Node, env: &mut Env) {
        let (now, status) = (env.moment(), self.link.observed().status);
        let is_applied =
            (self.dispatch.is_empty() || env.has(Fault::HastyPromotion)) && self.flows.is_none();
        let is_applied = is_applied && self.stored.is_none() && !self.is_emptying;
        let has_ended = self.is_ending && status == Status::Idle && is_applied;
        let is_other = self.status != Some(status.name());
        if has_ended || is_other || VIEW_MILLIS <= now.since(self.told_at) {
            (self.told_at, self.status) = (now, Some(status.name()));
            let view = LinkView {
                is_up: status.is_up(),
                position: self.link.position(),
                takes_logs: self.takes_logs(),
                applied: self.link.observed().applied,
            };
            if self.view.replace(view.clone()).as_ref() != Some(&view) {
                node.tell_control(env, Letter::Link(LinkWord::View(view)));
            }
        }
        if has_ended {
            self.is_ending = false;
            node.tell_control(env, Letter::Link(LinkWord::Ended));
        }
    }
}
