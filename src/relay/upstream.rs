//! The primary that this node follows, as the relay sees to it: does what the link asks for, and
//! tells it what comes of that.
//!
//! ```text
//! socket --bytes--> link --snapshot--> intake --chunks--> shards' staging -- commit (control)
//!                     \---units-----> dispatch --batches--> shards
//!                          `--bytes--> stream, shown when the unit is applied
//! ```
//! Nothing here waits. A socket is not read while snapshot or units have no room.

mod joining;
mod room;
pub(super) mod settings;
mod showing;
mod staging;
mod storing;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::batches::batch::Source;
use crate::config::table::Config;
use crate::flows::dispatch::{Dispatch, Routing};
use crate::log;
use crate::mail::board::Traffic;
use crate::mail::mailbox::Mailbox;
use crate::mail::to_control::ToControl;
use crate::mail::to_relay::ToRelay;
use crate::mail::to_shard::ToShard;
use crate::mail::upstream::{Applied, Brought, LinkView, LinkWord, UpstreamWord};
use crate::reactor::streams::Tried;
use crate::reactor::wake::Awaited;
use crate::relay::dial::Dial;
use crate::relay::inchunks::Inchunks;
use crate::relay::inflows::{Announced, Begun, Inflows, KeptLogs};
use crate::relay::intake::{Behind, Intake};
use crate::relay::logs::retain_logs;
use crate::relay::stream::Stream;
use crate::relay::upstream::settings::{hello, limits};
use crate::replication::address::Address;
use crate::replication::failover;
use crate::replication::greeting::member::Identity;
use crate::replication::history::{Fence, Scalar};
use crate::replication::link::Link;
use crate::replication::link::events::{Action, By, Event, Generation, News};
use crate::replication::link::quiet::{Quiet, Told};
use crate::replication::moment::Moment;
use crate::replication::psync::Former;
use crate::replication::replid::ReplId;

/// Bytes that are read at once, and in one turn.
const READ_BYTES: usize = 256 << 10;
const TURN_BYTES: usize = 2 << 20;
/// Milliseconds between two attempts at most, if a topology from outside names the primary.
const RETRY_MS_IN_TOPOLOGY: u64 = 500;
/// There is no memory for the backlog.
pub const SHORT: &str = "There is no memory for the replication backlog: replicas may have to sync";
/// How old what control shows may get, in milliseconds.
const VIEW_MILLIS: u64 = 20;

/// The link to the primary, and all that it uses.
#[derive(Debug)]
pub struct Upstream {
    pub(super) link: Link,
    pub(super) now: Moment,
    pub(super) config: Arc<Config>,
    /// Which node this is.
    identity: Identity,
    routing: Routing,
    dial: Option<Dial>,
    /// The link wants bytes.
    reads: bool,
    /// The link knows that they are not taken for now.
    is_full: bool,
    buffer: Vec<u8>,
    /// A snapshot for which there is no room yet.
    arriving: Option<room::Arriving>,
    /// Control drops all keys.
    is_emptying: bool,
    intake: Option<Intake>,
    /// A snapshot that comes by connections of its own.
    chunks: Option<Inchunks>,
    /// What the staged snapshot has brought, and where it is.
    brought: (Brought, Behind),
    /// This attempt's snapshot becomes the data when all in front of it is applied.
    commit: Option<Generation>,
    dispatch: Dispatch<Scalar>,
    /// Logs of the primary, if it sends each by a connection of its own. Shards apply them, or
    /// store them until their snapshot is the data.
    pub(super) flows: Option<Inflows>,
    /// Logs that the primary has announced, until what came before that is applied.
    pub(super) announced: Option<Announced>,
    /// The history whose logs shards keep, from the data's place on backwards.
    pub(super) kept: Option<KeptLogs>,
    /// Logs have begun that replicas of this node do not have.
    pub(super) begun: Option<Begun>,
    /// Where the logs ended that this node wrote before it followed.
    pub(super) ended: Option<Fence>,
    /// The next attempt begins when what came of its logs is applied, and keys that are to go are
    /// gone.
    pub(super) connects_to: Option<(Generation, Address)>,
    applied: Scalar,
    /// Control waits until nothing is followed or under way.
    is_ending: bool,
    /// The node that is to be followed was not a primary yet when this was asked for, and may
    /// refuse to become one.
    hands_over: bool,
    /// Control has a snapshot made, and takes what is applied for its place.
    hold: Hold,
    /// The attempt of which control knows that its stream goes on where our own ended.
    resumed: Option<Generation>,
    /// The name that the stream had before.
    pub(super) former: Option<Former>,
    /// What the stream is from now on, until it is.
    pub(super) renewal: Option<Renewal>,
    /// What has happened while an action was carried out.
    later: VecDeque<Event<'static>>,
    view: Option<LinkView>,
    told_at: Moment,
    /// Which lines of the link go to the log.
    quiet: Quiet,
    /// What was exchanged with primaries.
    pub(super) traffic: Traffic,
}

/// What becomes of the stream, so that replicas are to ask anew.
#[derive(Debug)]
pub enum Renewal {
    /// It has another name.
    Name,
    /// It is another one, or there is none.
    Stream(Option<Box<Stream>>),
}

/// Whether units are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    No,
    /// Control is told when nothing is under way.
    Asked,
    /// Control knows it.
    Told,
}

impl Upstream {
    /// Of a node that follows none.
    pub fn new(now: Moment, config: Arc<Config>, routing: Routing) -> Self {
        let databases = usize::try_from(config.database_count()).unwrap_or(usize::MAX);
        let dispatch = Dispatch::new(Source::Relay, routing.clone(), databases);
        Self {
            link: Link::new(hello(&config, Identity::default()), limits(&config), now),
            now,
            config,
            identity: Identity::default(),
            routing,
            dial: None,
            reads: true,
            is_full: false,
            buffer: vec![0; READ_BYTES],
            arriving: None,
            is_emptying: false,
            intake: None,
            chunks: None,
            brought: Default::default(),
            commit: None,
            dispatch,
            flows: None,
            announced: None,
            kept: None,
            begun: None,
            ended: None,
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
            told_at: now,
            quiet: Quiet::default(),
            traffic: Traffic::default(),
        }
    }

    /// Takes settings over.
    pub fn configure(&mut self, config: Arc<Config>) {
        let (mut limits, identity) = (limits(&config), self.identity.clone());
        if identity.member.is_some() {
            limits.retry_ms.most = RETRY_MS_IN_TOPOLOGY;
        }
        self.link.configure(hello(&config, identity), limits);
        self.config = config;
    }

    /// Has this node tell that it is this one, from the next attempt on.
    pub fn introduce(&mut self, identity: Identity) {
        self.identity = identity;
        self.configure(Arc::clone(&self.config));
    }

    /// A primary that has refused this node is asked again at once.
    pub fn retry(&mut self, now: Moment, mailbox: &mut Mailbox<ToRelay>) {
        self.now = now;
        self.happens(Event::Retry, mailbox);
    }

    /// Whether a primary is followed, or is to be.
    pub fn is_active(&self) -> bool {
        self.link.observed().desired.primary.is_some()
    }

    /// Whether the primary waits for an acknowledgement that shards will allow.
    pub fn owes_ack(&self) -> bool {
        self.link.owes_ack()
    }

    /// Whether this node is still to hand over to the one that it is to follow.
    pub fn hands_over(&self) -> bool {
        self.hands_over
    }

    /// The stream that this node's data are part of; `None` while they are of none, or are about to
    /// be replaced.
    pub fn stream(&self) -> Option<ReplId> {
        let is_sync = self.link.observed().status.is_sync();
        self.link.position().filter(|_| !is_sync).map(|position| position.id)
    }

    /// Whether the primary's stream runs, and is what replicas of this node get.
    pub fn is_joined(&self, stream: Option<&Stream>) -> bool {
        let is_stream = stream.is_some_and(Stream::is_of_primary);
        self.takes_logs() || self.link.observed().status.is_up() && is_stream
    }

    /// Whether the primary's logs come, each by a connection of its own.
    pub fn takes_logs(&self) -> bool {
        self.link.observed().status.is_up() && self.applied_flows().is_some()
    }

    /// The primary's logs, if shards apply them.
    pub(super) fn applied_flows(&self) -> Option<&Inflows> {
        self.flows.as_ref().filter(|flows| !flows.are_stored())
    }

    /// What everything adds up to that is applied now.
    pub fn applied_now(&self, mailbox: &Mailbox<ToRelay>) -> Scalar {
        let applied = self.applied_flows().map(|flows| flows.applied(mailbox));
        applied.unwrap_or(Scalar(0)).max(self.link.observed().applied)
    }

    /// What becomes of the stream, if replicas are to ask anew. Those who read it are to be cut
    /// before there is another.
    pub fn take_renewal(&mut self) -> Option<Renewal> {
        self.renewal.take()
    }

    /// Control says something.
    pub fn hear(
        &mut self,
        now: Moment,
        word: UpstreamWord,
        stream: Option<&mut Stream>,
        mailbox: &mut Mailbox<ToRelay>,
    ) {
        self.now = now;
        match word {
            UpstreamWord::Follow { primary, by, point, fence, routing: _, config } => {
                self.configure(config);
                self.is_ending = false;
                self.hands_over = by == By::Failover;
                self.happens(Event::Follow { primary, by, point, fence }, mailbox);
            }
            UpstreamWord::Unfollow(by) => {
                self.is_ending = true;
                self.hands_over = false;
                self.happens(Event::Unfollow(by), mailbox);
            }
            UpstreamWord::AskPlainly => {
                self.hands_over = false;
                self.happens(Event::AskPlainly, mailbox);
            }
            UpstreamWord::Committed(generation) => {
                let Behind { db, vector } = std::mem::take(&mut self.brought.1);
                let news = News::Committed { db, vector };
                self.happens(Event::Of(generation, news), mailbox);
                self.forget_histories();
                retain_logs(&[], mailbox);
                self.begin_stream();
            }
            UpstreamWord::Emptied(are_gone) => self.emptied(are_gone, mailbox),
            UpstreamWord::LogsEnded(ended) => {
                self.ended = ended.or(self.ended.take());
                self.join(stream);
            }
            UpstreamWord::Forget => {
                self.forget_histories();
                self.happens(Event::Forget, mailbox);
            }
            UpstreamWord::Keep(keeps) => self.happens(Event::Keep(keeps), mailbox),
            UpstreamWord::Hold => self.hold = Hold::Asked,
            UpstreamWord::GoOn => {
                self.hold = Hold::No;
                self.flows.iter_mut().for_each(|flows| flows.go_on_behind_rest(mailbox));
            }
            UpstreamWord::Cut => {
                let news = News::Closed("CLIENT KILL".to_owned());
                self.happens(Event::Of(self.link.observed().generation, news), mailbox);
            }
        }
    }

    /// What was known of histories before the data's is of no use any more.
    fn forget_histories(&mut self) {
        (self.former, self.kept, self.ended) = (None, None, None);
    }

    /// A shard has run a batch of the stream.
    pub fn hear_of_applied(&mut self, Applied { number, error }: Applied) {
        if let Some(error) = error {
            log::warning(&format!(
                "== CRITICAL == This replica is sending an error to its primary: '{error}'"
            ));
        }
        self.dispatch.answered(number);
    }

    /// Does what can be done now. True if there is more to do at once.
    pub fn turn(
        &mut self,
        now: Moment,
        stream: &mut Option<Stream>,
        mailbox: &mut Mailbox<ToRelay>,
    ) -> bool {
        self.now = now;
        self.happens(Event::Tick, mailbox);
        self.go_on_connecting(mailbox);
        self.go_on_with_flows(mailbox);
        self.go_on_with_room(mailbox);
        self.note_room(stream, mailbox);
        let mut more = self.read(stream, mailbox);
        more |= self.go_on_with_chunks(mailbox);
        self.go_on_staging(mailbox);
        self.take_units(stream, mailbox);
        self.begin_announced(mailbox);
        self.dispatch.send(|shard, batch| mailbox.send(shard, ToShard::Apply(batch)));
        self.note_applied(stream, mailbox);
        self.rename(stream);
        self.tell_of_place(stream, mailbox);
        self.see_to_hold(mailbox);
        if self.dispatch.is_empty()
            && let Some(generation) = self.commit.take()
        {
            let brought = Box::new(std::mem::take(&mut self.brought.0));
            mailbox.tell_control(ToControl::Link(LinkWord::Commit(generation, brought)));
        }
        self.write(mailbox);
        self.tell_control(stream.as_ref(), mailbox);
        more
    }

    /// When there is something to do at the latest.
    pub fn deadline(&self) -> Option<Moment> {
        let view = self.is_view_old().then(|| self.told_at.after(VIEW_MILLIS));
        [self.link.deadline(), view].into_iter().flatten().min()
    }

    /// What is waited for.
    pub fn awaited(&self) -> impl Iterator<Item = Awaited<'_>> {
        let reads = self.reads && !self.is_full;
        let dial = self.dial.iter().flat_map(move |dial| dial.awaited(reads));
        let flows = self.flows.iter().flat_map(Inflows::awaited);
        let chunks = self.chunks.iter().flat_map(move |chunks| chunks.awaited(!self.is_full));
        dial.chain(self.intake.iter().map(Intake::awaited)).chain(flows).chain(chunks)
    }

    /// Tells the link what has happened, and does what it asks for.
    pub(super) fn happens(&mut self, event: Event<'_>, mailbox: &mut Mailbox<ToRelay>) {
        let mut actions = Vec::new();
        self.link.handle(self.now, event, &mut actions);
        self.act(actions, mailbox);
        while let Some(event) = self.later.pop_front() {
            let mut actions = Vec::new();
            self.link.handle(self.now, event, &mut actions);
            self.act(actions, mailbox);
        }
    }

    fn act(&mut self, actions: Vec<Action<'_>>, mailbox: &mut Mailbox<ToRelay>) {
        for action in actions {
            match action {
                Action::Connect(generation, primary) => self.connect(generation, &primary),
                Action::Send(bytes) => self.dial.iter_mut().for_each(|dial| dial.say(&bytes)),
                Action::Shut(generation) => {
                    let dial = self.dial.take_if(|dial| dial.generation == generation);
                    dial.into_iter().for_each(Dial::end);
                    self.announced = None;
                    self.connects_to.take_if(|(of, _)| *of == generation);
                    self.flows.iter_mut().for_each(|flows| flows.hold(mailbox));
                }
                Action::HoldReads => self.reads = false,
                Action::ResumeReads => self.reads = true,
                Action::BeginStaging(generation, _) => self.begin_staging(generation),
                Action::Snapshot(bytes) => self.take_snapshot(&bytes, mailbox),
                Action::EndSnapshot => self.end_snapshot(mailbox),
                Action::OpenConnections(generation, offered) => {
                    self.await_connections(generation, offered, mailbox);
                }
                Action::StoreLogs(generation, offered) => self.store_logs(generation, *offered),
                Action::DropStaging(_) => self.drop_staging(mailbox),
                Action::Commit(generation, _) => self.commit = Some(generation),
                // Units are taken once a turn, whatever has come.
                Action::Stream => {}
                Action::Renamed { from, .. } => {
                    let until = self.link.position().map(|position| position.offset);
                    self.former = until.map(|until| Former { id: from, until });
                    self.renewal = Some(Renewal::Name);
                }
                Action::Handover(news) => {
                    self.hands_over &= news != failover::News::Accepted;
                    mailbox.tell_control(ToControl::Link(LinkWord::Handover(news)));
                }
                Action::Refused => mailbox.tell_control(ToControl::Link(LinkWord::Refused)),
                Action::Log(line) => self.quiet.take(self.now, line).iter().for_each(write_line),
            }
        }
    }

    pub(super) fn connect(&mut self, generation: Generation, primary: &Address) {
        (self.reads, self.is_full) = (true, false);
        if self.flows.is_some() || self.is_emptying {
            self.connects_to = Some((generation, primary.clone()));
            return;
        }
        match Dial::begin(generation, primary) {
            Ok(dial) => self.dial = Some(dial),
            Err(why) => self.later.push_back(Event::Of(generation, News::ConnectFailed(why))),
        }
    }

    fn go_on_connecting(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        let Some(dial) = &mut self.dial else { return };
        let generation = dial.generation;
        match dial.go_on() {
            Ok(false) => {}
            Ok(true) => self.happens(Event::Of(generation, News::Connected), mailbox),
            Err(why) => {
                self.happens(Event::Of(generation, News::ConnectFailed(why)), mailbox);
            }
        }
    }

    /// Tells the link if there is no room for bytes, or again some.
    fn note_room(&mut self, stream: &Option<Stream>, mailbox: &mut Mailbox<ToRelay>) {
        let is_up = self.link.observed().status.is_up();
        let is_full = self.dispatch.is_full()
            || self.awaits_room()
            || self.intake.as_ref().is_some_and(Intake::is_full)
            || self.chunks.as_ref().is_some_and(|chunks| chunks.is_full(mailbox))
            || (is_up && !self.takes_units(stream));
        let generation = self.link.observed().generation;
        if std::mem::replace(&mut self.is_full, is_full) != is_full {
            let news = if is_full { News::Full } else { News::Room };
            self.happens(Event::Of(generation, news), mailbox);
        }
    }

    /// Reads what has come. True if there may be more.
    fn read(&mut self, stream: &mut Option<Stream>, mailbox: &mut Mailbox<ToRelay>) -> bool {
        let mut left = TURN_BYTES;
        let mut buffer = std::mem::take(&mut self.buffer);
        while 0 < left && self.reads && !self.is_full {
            let Some(dial) = &mut self.dial else { break };
            let generation = dial.generation;
            match dial.read(&mut buffer, &mut self.traffic) {
                Tried::Moved(bytes) => {
                    left = left.saturating_sub(bytes);
                    let news = News::Bytes(&buffer[..bytes]);
                    self.happens(Event::Of(generation, news), mailbox);
                    self.take_units(stream, mailbox);
                    self.note_room(stream, mailbox);
                }
                Tried::Later => break,
                Tried::Over => {
                    let news = News::Closed(String::new());
                    self.happens(Event::Of(generation, news), mailbox);
                    break;
                }
            }
        }
        self.buffer = buffer;
        left == 0
    }

    /// Whether units of the stream are taken as long as there is room: shards log no more, and
    /// nothing is held back. What is part of no stream needs no place in one.
    fn takes_units(&self, stream: &Option<Stream>) -> bool {
        let is_own = stream.as_ref().is_none_or(Stream::is_of_own_logs);
        let is_elsewhere = is_own && !self.link.is_in_logs() && self.link.position().is_some();
        self.hold == Hold::No && self.announced.is_none() && !is_elsewhere
    }

    /// Takes units of the stream while there is room for them.
    fn take_units(&mut self, stream: &mut Option<Stream>, mailbox: &mut Mailbox<ToRelay>) {
        if !self.takes_units(stream) {
            return;
        }
        let (mut actions, mut refused) = (Vec::new(), None);
        let is_in_logs = self.link.is_in_logs();
        let is_part = self.link.position().is_some() && !is_in_logs;
        while !self.dispatch.is_full() {
            let Some(unit) = self.link.next_unit(self.now, &mut actions) else { break };
            if let Some(flows) = Announced::of(&unit) {
                let place = flows.place;
                self.announced = Some(flows);
                self.link.leave_out(place);
                break;
            }
            if is_in_logs && unit.commands().next().is_some() {
                refused = Some("a stream comes where logs were asked for".to_owned());
                break;
            }
            if let Err(why) = self.dispatch.take(&unit, unit.offset) {
                refused = Some(why);
                break;
            }
            if let Some(stream) = stream.as_mut().filter(|_| is_part)
                && stream.append(&unit).is_err()
            {
                log::warning(SHORT);
            }
        }
        let orders = self.dispatch.take_orders().into_iter();
        orders.for_each(|words| mailbox.tell_control(ToControl::Ordered(words)));
        self.act(actions, mailbox);
        if let Some(why) = refused {
            self.happens(Event::Unappliable(why), mailbox);
        }
    }

    pub(super) fn note_applied(
        &mut self,
        stream: &mut Option<Stream>,
        mailbox: &mut Mailbox<ToRelay>,
    ) {
        let Some(position) = self.link.position() else { return };
        let applied = match self.applied_flows() {
            Some(flows) => flows.applied(mailbox),
            None => self.dispatch.applied(position.offset),
        };
        let has_flows = self.applied_flows().is_some();
        let is_stream = |stream: &&mut Stream| !has_flows && stream.is_of_primary();
        if let Some(stream) = stream.as_mut().filter(is_stream) {
            stream.applied(applied);
        }
        if std::mem::replace(&mut self.applied, applied) != applied {
            self.happens(Event::Applied(applied), mailbox);
        }
    }

    /// Whether nothing of the stream is under way.
    pub(super) fn has_applied_all(&self) -> bool {
        self.dispatch.is_empty()
    }

    fn write(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        let Some(dial) = &mut self.dial else { return };
        let generation = dial.generation;
        if !dial.write(&mut self.traffic) {
            let news = News::Closed(String::new());
            self.happens(Event::Of(generation, news), mailbox);
        }
    }
}

fn write_line(told: &Told) {
    let text = told.to_string();
    if told.line.is_warning() { log::warning(&text) } else { log::notice(&text) }
}
