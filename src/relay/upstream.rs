//! The primary that this node follows, as the relay sees to it: does what the link asks for, and
//! tells it what comes of that.
//!
//! ```text
//! socket --bytes--> link --snapshot--> intake --chunks--> shards' staging -- commit (control)
//!                     \---units-----> dispatch --batches--> shards
//! ```
//! Nothing here waits. A socket is not read while snapshot or units have no room.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::config::table::Config;
use crate::log;
use crate::mail::mailbox::Mailbox;
use crate::mail::to_control::ToControl;
use crate::mail::to_relay::ToRelay;
use crate::mail::upstream::{Applied, Brought, LinkView, LinkWord, Routing, Staged, UpstreamWord};
use crate::reactor::streams::Tried;
use crate::reactor::wake::Awaited;
use crate::relay::dial::Dial;
use crate::relay::dispatch::Dispatch;
use crate::relay::intake::{Intake, drop_staging};
use crate::replication::address::Address;
use crate::replication::failover;
use crate::replication::handshake::{Credentials, Hello};
use crate::replication::history::Scalar;
use crate::replication::limits::Limits;
use crate::replication::link::Link;
use crate::replication::link::events::{Action, By, Event, Generation, News};
use crate::replication::link::report::{Line, Observed, Status};
use crate::replication::moment::Moment;
use crate::replication::replid::ReplId;
use crate::version::VALKEY_VERSION;

/// Bytes that are read at once, and in one turn.
const READ_BYTES: usize = 256 << 10;
const TURN_BYTES: usize = 2 << 20;
/// How often control is told what there is to show, in milliseconds.
const VIEW_MILLIS: u64 = 100;

/// The link to the primary, and all that it uses.
#[derive(Debug)]
pub struct Upstream {
    link: Link,
    now: Moment,
    config: Arc<Config>,
    routing: Routing,
    dial: Option<Dial>,
    /// The link wants bytes.
    reads: bool,
    /// The link knows that they are not taken for now.
    is_full: bool,
    buffer: Vec<u8>,
    intake: Option<Intake>,
    /// What the staged snapshot has brought, and the database of the stream behind it.
    brought: (Brought, u16),
    /// This attempt's snapshot becomes the data when all in front of it is applied.
    commit: Option<Generation>,
    dispatch: Dispatch,
    applied: Scalar,
    /// Control waits until nothing is followed or under way.
    is_ending: bool,
    /// The node that is to be followed was not a primary yet when this was asked for, and may
    /// refuse to become one.
    hands_over: bool,
    /// What has happened while an action was carried out.
    later: VecDeque<Event<'static>>,
    view: Option<LinkView>,
    told_at: Moment,
}

impl Upstream {
    /// Of a node that follows none.
    pub fn new(now: Moment, config: Arc<Config>, routing: Routing) -> Self {
        let databases = usize::try_from(config.databases).unwrap_or(usize::MAX);
        let dispatch = Dispatch::new(routing.clone(), databases);
        Self {
            link: Link::new(hello(&config), limits(&config), now),
            now,
            config,
            routing,
            dial: None,
            reads: true,
            is_full: false,
            buffer: vec![0; READ_BYTES],
            intake: None,
            brought: Default::default(),
            commit: None,
            dispatch,
            applied: Scalar(0),
            is_ending: false,
            hands_over: false,
            later: VecDeque::new(),
            view: None,
            told_at: now,
        }
    }

    /// Takes settings over.
    pub fn configure(&mut self, config: Arc<Config>) {
        self.link.configure(hello(&config), limits(&config));
        self.config = config;
    }

    /// Whether a primary is followed, or is to be.
    pub fn is_active(&self) -> bool {
        self.link.observed().desired.primary.is_some()
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

    /// Control says something.
    pub fn hear(&mut self, now: Moment, word: UpstreamWord, mailbox: &mut Mailbox<ToRelay>) {
        self.now = now;
        match word {
            UpstreamWord::Follow { primary, by, position, routing: _, config } => {
                self.configure(config);
                self.is_ending = false;
                self.hands_over = by == By::Failover;
                self.happens(Event::Follow { primary, by, position }, mailbox);
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
                let news = News::Committed { db: self.brought.1 };
                self.happens(Event::Of(generation, news), mailbox);
            }
        }
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

    /// A shard has taken in keys of a snapshot.
    pub fn hear_of_staged(&mut self, staged: Staged) {
        if let Some(intake) = &mut self.intake {
            intake.staged(staged);
        }
    }

    /// Does what can be done now. True if there is more to do at once.
    pub fn turn(&mut self, now: Moment, mailbox: &mut Mailbox<ToRelay>) -> bool {
        self.now = now;
        self.happens(Event::Tick, mailbox);
        self.go_on_connecting(mailbox);
        self.note_room(mailbox);
        let more = self.read(mailbox);
        self.go_on_staging(mailbox);
        self.take_units(mailbox);
        self.dispatch.send(mailbox);
        self.note_applied(mailbox);
        if self.dispatch.is_empty()
            && let Some(generation) = self.commit.take()
        {
            let brought = Box::new(std::mem::take(&mut self.brought.0));
            mailbox.tell_control(ToControl::Link(LinkWord::Commit(generation, brought)));
        }
        self.write(mailbox);
        self.tell_control(mailbox);
        more
    }

    /// When there is something to do at the latest.
    pub fn deadline(&self) -> Option<Moment> {
        self.link.deadline()
    }

    /// What is waited for.
    pub fn awaited(&self) -> impl Iterator<Item = Awaited<'_>> {
        let reads = self.reads && !self.is_full;
        let dial = self.dial.iter().flat_map(move |dial| dial.awaited(reads));
        dial.chain(self.intake.iter().map(Intake::awaited))
    }

    /// Tells the link what has happened, and does what it asks for.
    fn happens(&mut self, event: Event<'_>, mailbox: &mut Mailbox<ToRelay>) {
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
                    self.commit.take_if(|commit| *commit == generation);
                }
                Action::HoldReads => self.reads = false,
                Action::ResumeReads => self.reads = true,
                Action::BeginStaging(generation, _) => self.begin_staging(generation, mailbox),
                Action::Snapshot(bytes) => {
                    self.intake.iter_mut().for_each(|intake| intake.give(bytes.to_vec()));
                }
                Action::EndSnapshot => self.intake.iter_mut().for_each(Intake::end),
                Action::DropStaging(_) => {
                    self.intake = None;
                    drop_staging(mailbox);
                }
                Action::Commit(generation, _) => self.commit = Some(generation),
                // Units are taken once a turn, whatever has come.
                Action::Stream => {}
                // Nothing here keeps the name but the link.
                Action::Renamed { .. } => {}
                Action::Handover(news) => {
                    self.hands_over &= news != failover::News::Accepted;
                    mailbox.tell_control(ToControl::Link(LinkWord::Handover(news)));
                }
                Action::Log(line) => write_line(&line),
            }
        }
    }

    fn connect(&mut self, generation: Generation, primary: &Address) {
        (self.reads, self.is_full) = (true, false);
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
    fn note_room(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        let is_full = self.dispatch.is_full() || self.intake.as_ref().is_some_and(Intake::is_full);
        let generation = self.link.observed().generation;
        if std::mem::replace(&mut self.is_full, is_full) != is_full {
            let news = if is_full { News::Full } else { News::Room };
            self.happens(Event::Of(generation, news), mailbox);
        }
    }

    /// Reads what has come. True if there may be more.
    fn read(&mut self, mailbox: &mut Mailbox<ToRelay>) -> bool {
        let mut left = TURN_BYTES;
        let mut buffer = std::mem::take(&mut self.buffer);
        while 0 < left && self.reads && !self.is_full {
            let Some(dial) = &mut self.dial else { break };
            let generation = dial.generation;
            match dial.read(&mut buffer) {
                Tried::Moved(bytes) => {
                    left = left.saturating_sub(bytes);
                    let news = News::Bytes(&buffer[..bytes]);
                    self.happens(Event::Of(generation, news), mailbox);
                    self.take_units(mailbox);
                    self.note_room(mailbox);
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

    fn begin_staging(&mut self, generation: Generation, mailbox: &mut Mailbox<ToRelay>) {
        let primary = self.link.observed().desired.primary.as_ref();
        let primary = primary.map(Address::to_string).unwrap_or_default();
        match Intake::begin(generation, &primary, &self.config, &self.routing, mailbox) {
            Ok(intake) => self.intake = Some(intake),
            Err(error) => {
                let why = crate::process::plain(&error);
                self.later.push_back(Event::Of(generation, News::StagingFailed(why)));
            }
        }
    }

    fn go_on_staging(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        let Some(intake) = &mut self.intake else { return };
        let generation = self.link.observed().generation;
        let news = match intake.go_on(mailbox) {
            Ok(None) => return,
            Ok(Some(brought)) => {
                self.brought = brought;
                News::Staged
            }
            Err(why) => News::StagingFailed(why),
        };
        self.intake = None;
        self.happens(Event::Of(generation, news), mailbox);
    }

    /// Takes units of the stream while there is room for them.
    fn take_units(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        let mut actions = Vec::new();
        let mut refused = None;
        while !self.dispatch.is_full() {
            let Some(unit) = self.link.next_unit(self.now, &mut actions) else { break };
            if let Err(why) = self.dispatch.take(&unit) {
                refused = Some(why);
                break;
            }
        }
        self.act(actions, mailbox);
        if let Some(why) = refused {
            self.happens(Event::Unappliable(why), mailbox);
        }
    }

    fn note_applied(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        let Some(position) = self.link.position() else { return };
        let applied = self.dispatch.applied(position.offset);
        if std::mem::replace(&mut self.applied, applied) != applied {
            self.happens(Event::Applied(applied), mailbox);
        }
    }

    fn write(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        let Some(dial) = &mut self.dial else { return };
        let generation = dial.generation;
        if !dial.write() {
            let news = News::Closed(String::new());
            self.happens(Event::Of(generation, news), mailbox);
        }
    }

    fn tell_control(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        let status = self.link.observed().status;
        let has_ended = self.is_ending && status == Status::Idle && self.dispatch.is_empty();
        let is_other = |view: &LinkView| view.status.name() != status.name();
        if has_ended
            || self.view.as_ref().is_none_or(is_other)
            || VIEW_MILLIS <= self.now.since(self.told_at)
        {
            self.told_at = self.now;
            let view = self.look();
            if self.view.as_ref() != Some(&view) {
                self.view = Some(view.clone());
                mailbox.tell_control(ToControl::Link(LinkWord::View(Box::new(view))));
            }
        }
        if has_ended {
            self.is_ending = false;
            mailbox.tell_control(ToControl::Link(LinkWord::Ended));
        }
    }

    fn look(&self) -> LinkView {
        let Observed {
            desired,
            status,
            since,
            generation,
            attempts,
            last_failure,
            last_io,
            down_since,
            snapshot_bytes,
            snapshot_bytes_total,
            read,
            applied,
        } = self.link.observed();
        LinkView {
            primary: desired.primary.clone(),
            status,
            since,
            last_io,
            down_since,
            generation,
            attempts,
            last_failure: last_failure.map(ToString::to_string),
            snapshot_bytes,
            snapshot_bytes_total,
            replid: self.link.position().map(|position| position.id),
            read,
            applied,
        }
    }
}

/// What this node tells of itself.
fn hello(config: &Config) -> Hello {
    let credentials = (!config.primaryauth.is_empty()).then(|| Credentials {
        user: (!config.primaryuser.is_empty()).then(|| config.primaryuser.clone()),
        password: config.primaryauth.clone(),
    });
    let announced = config.replica_announce_port;
    let port = if announced == 0 { config.port } else { announced };
    let ip = &config.replica_announce_ip;
    Hello {
        credentials,
        listening_port: port,
        announced_ip: (!ip.is_empty()).then(|| ip.clone()),
        version: VALKEY_VERSION.to_owned(),
        node_id: None,
    }
}

fn limits(config: &Config) -> Limits {
    let silence_ms = u64::from(config.repl_timeout) * 1000;
    Limits {
        first_byte_ms: silence_ms,
        idle_ms: silence_ms,
        progress_ms: u64::from(config.repl_progress_timeout) * 1000,
        bulk_bytes_max: config.proto_max_bulk_len.max(Limits::default().bulk_bytes_max),
        ..Limits::default()
    }
}

fn write_line(line: &Line) {
    let text = line.to_string();
    if line.is_warning() { log::warning(&text) } else { log::notice(&text) }
}
