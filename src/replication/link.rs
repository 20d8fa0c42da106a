//! A replica's link to a stock primary, as a machine: which primary is desired, and how far the
//! way to it is.
//!
//! ```text
//!             Follow            Connected           PSYNC sent
//!  idle ----------------> connecting -------> greeting -------> asking
//!   ^                       ^                                  |      | +FULLRESYNC, or SYNC;
//!   | Unfollow              |              +CONTINUE +---------+      | +SNAPSHOT: it comes by
//!   | (from anywhere)       |                        v                v  other connections
//!   |                    waiting <---failure-- following <-- committing <-- receiving
//! ```
//! A change of what is desired takes effect at once, at whatever byte: the socket is shut, a
//! snapshot that is half there is dropped, and the data stay as they are. Only a commit is not
//! interrupted: when it is done, the change takes effect.
//!
//! Whatever belongs to an attempt carries its generation. News of a former one mean nothing, but
//! that units are applied: they are, whatever is desired meanwhile.

pub mod events;
pub mod report;
pub mod room;
pub mod quiet;
mod bytes;
mod failing;
mod timing;

use crate::replication::address::Address;
use crate::replication::failure::Failure;
use crate::replication::handshake::{Ask, Handshake, Hello, Purpose};
use crate::replication::history::{Fence, Scalar, Vector};
use crate::replication::limits::Limits;
use crate::replication::lines::Lines;
use crate::replication::moment::Moment;
use crate::replication::payload::{Form, Payload};
use crate::replication::replid::ReplId;
use crate::replication::split::{Kind, Split, Unit};
use bytes::acknowledge;
use events::{Action, By, Desired, Event, Generation, News, Point, Position};
use report::Line;

/// The machine.
#[derive(Debug)]
pub struct Link {
    hello: Hello,
    limits: Limits,
    desired: Desired,
    /// Whether the peer is asked to become primary, and has not answered.
    purpose: Purpose,
    generation: Generation,
    state: State,
    since: Moment,
    /// Since when there is a primary that is not followed.
    down_since: Option<Moment>,
    position: Option<Position>,
    /// Where the data are in each log of the primary, if that is no place of its stream.
    vector: Option<Vector>,
    /// Where the data are in each log of their history, while they are at a fence of it.
    fence: Option<Vector>,
    /// Whether a snapshot of another history that is behind the data's place is refused.
    keeps: bool,
    applied: Scalar,
    is_full: bool,
    /// Attempts since the stream last ran.
    attempts: u32,
    failures: u32,
    sync_failures: u32,
    /// How often in a row the primary has said that this node is not its replica.
    refusals: u32,
    last_failure: Option<Failure>,
    last_io: Option<Moment>,
}

#[derive(Debug)]
enum State {
    /// No primary is desired.
    Idle,
    /// The socket is not connected yet.
    Connecting,
    /// Before the answer to PSYNC; `asked` since when that is waited for, `step` the reply.
    Greeting { handshake: Box<Handshake>, step: Moment, asked: Option<Moment> },
    /// From the answer to PSYNC until the whole snapshot has come.
    Receiving(Box<Receiving>),
    /// Until it is taken in. Seen from outside this is receiving, too.
    Staging(Box<Arrived>),
    /// Until it is the data.
    Committing(Box<Arrived>),
    /// The stream runs.
    Following(Box<Following>),
    /// For the next attempt.
    Waiting { until: Moment },
}

#[derive(Debug)]
struct Receiving {
    source: Source,
    /// Where the stream goes on behind the snapshot.
    at: Option<(ReplId, Scalar)>,
    /// Since when the snapshot is waited for.
    asked: Moment,
    /// `None` before its form is known.
    body: Option<Body>,
}

/// Where a snapshot comes from.
#[derive(Debug)]
enum Source {
    /// From here.
    Here(Payload),
    /// From so many connections of its own. Here come lines.
    Connections(u16, Lines),
}

/// A snapshot whose bytes come.
#[derive(Clone, Copy, Debug)]
struct Body {
    form: Form,
    /// How many have come.
    done: u64,
    /// How many of them since `since`, when progress was last looked at.
    fresh: u64,
    since: Moment,
}

/// A snapshot that has come as a whole: from here on the primary is not needed any more.
#[derive(Debug)]
struct Arrived {
    primary: Address,
    at: Option<(ReplId, Scalar)>,
    form: Form,
    done: u64,
    /// When it was asked for.
    asked: Moment,
    /// Lines that stand in front of the stream, if it came by other connections.
    lines: Option<Lines>,
    /// Bytes behind it that came with its end.
    early: Vec<u8>,
    /// When the primary is told next that this node lives.
    beat: Moment,
    /// Why the socket is shut, if it is.
    lost: Option<Failure>,
}

/// How a stream begins to run.
#[derive(Debug)]
enum Start {
    /// It goes on where it broke off.
    Resumed,
    /// Behind a snapshot of this form that took so many milliseconds, with these bytes that came
    /// early.
    Synced { form: Form, sync_ms: u64, lines: Option<Lines>, early: Vec<u8> },
}

#[derive(Debug)]
struct Following {
    /// `None` after SYNC: then the primary expects no acknowledgements.
    id: Option<ReplId>,
    split: Split,
    /// How many milliseconds the snapshot took that came first.
    sync_ms: Option<u64>,
    /// Since when a unit, or as many bytes as are progress, are awaited, and bytes that have come.
    progress: Moment,
    fresh: u64,
    ack: Moment,
    /// An acknowledgement is due as soon as so much is applied.
    owed: Option<Scalar>,
    /// The primary sends each log by a connection of its own, and nothing of them here.
    has_flows: bool,
    /// Where the stream has ended, and something came that is no part of it.
    left_out: Option<Scalar>,
    /// Nothing of the stream has come, and in front of it there may be lines, which the primary
    /// said while the snapshot came by other connections.
    lines: Option<Lines>,
    /// The name that the history goes on under when its logs begin: the data are at a place of
    /// logs, which the name alone says nothing of.
    next_id: Option<ReplId>,
}

impl Link {
    /// Of a node that says so much of itself and follows none.
    pub fn new(hello: Hello, limits: Limits, now: Moment) -> Self {
        Self {
            hello,
            limits,
            desired: Desired { primary: None, by: By::Configuration },
            purpose: Purpose::Follow,
            generation: Generation(0),
            state: State::Idle,
            since: now,
            down_since: None,
            position: None,
            vector: None,
            fence: None,
            keeps: false,
            applied: Scalar(0),
            is_full: false,
            attempts: 0,
            failures: 0,
            sync_failures: 0,
            refusals: 0,
            last_failure: None,
            last_io: None,
        }
    }

    /// Acts on what has happened.
    pub fn handle<'a>(&mut self, now: Moment, event: Event<'a>, actions: &mut Vec<Action<'a>>) {
        match event {
            Event::Follow { primary, by, point, fence } => {
                if let (State::Idle, Some(Point { position, vector })) = (&self.state, point) {
                    (self.applied, self.vector, self.fence) = (position.offset, vector, fence);
                    self.position = Some(position);
                }
                self.keeps = false;
                self.follow(now, primary, by, actions);
            }
            Event::Retry => self.retry(now, actions),
            Event::AskPlainly => self.purpose = Purpose::Follow,
            Event::Unfollow(by) => {
                self.desired = Desired { primary: None, by };
                self.purpose = Purpose::Follow;
                self.desire(now, actions);
            }
            Event::Forget => {
                self.forget_place();
                self.applied = Scalar(0);
            }
            Event::Applied(offset) => self.note_applied(now, offset, actions),
            Event::FlowsBegan(at) => self.begin_flows(at, actions),
            Event::FlowsHeld(at, vector) => self.end_flows(at, vector),
            Event::Keep(keeps) => self.keeps = keeps,
            Event::GetAck => {
                if let State::Following(following) = &mut self.state {
                    acknowledge(following, now, self.applied, (&self.hello, &self.limits), actions);
                }
            }
            Event::Unappliable(why) => {
                if let State::Following(_) = self.state {
                    self.fail(now, Failure::Unappliable(why), actions);
                }
            }
            Event::Tick => self.tick(now, actions),
            Event::Of(generation, news) if generation == self.generation => {
                self.note(now, news, actions);
            }
            // It belongs to an attempt that was given up.
            Event::Of(_, _) => {}
        }
    }

    /// The next unit of the stream that is whole. What is given out counts as received: it must be
    /// applied, and a reconnect asks for what follows it. `None` until more has come.
    pub fn next_unit(&mut self, now: Moment, actions: &mut Vec<Action<'_>>) -> Option<Unit<'_>> {
        let State::Following(following) = &mut self.state else { return None };
        match following.split.advance() {
            Ok(true) => {}
            Ok(false) => return None,
            Err(malformed) => {
                self.fail(now, Failure::Stream(malformed), actions);
                return None;
            }
        }
        if let Some(unit) = following.split.unit().filter(|unit| unit.kind == Kind::GetAck) {
            // It is a part of the stream itself: a Valkey that hands over waits for its end, too.
            let is_behind = self.applied < unit.offset;
            following.owed = Some(unit.end());
            if is_behind {
                acknowledge(following, now, self.applied, (&self.hello, &self.limits), actions);
            }
        }
        let State::Following(following) = &mut self.state else { return None };
        (following.progress, following.fresh) = (now, 0);
        following.split.unit()
    }

    /// What was given out last, from this place on, is no part of the stream but an announcement:
    /// the data stay in front of it.
    pub fn leave_out(&mut self, place: Scalar) {
        if let State::Following(following) = &mut self.state {
            following.left_out = Some(place);
        }
    }

    /// Whether an acknowledgement is due as soon as what was received is applied.
    pub fn owes_ack(&self) -> bool {
        matches!(&self.state, State::Following(following) if following.owed.is_some())
    }

    /// Takes settings over: limits at once, what this node says of itself at the next attempt.
    pub fn configure(&mut self, hello: Hello, limits: Limits) {
        (self.hello, self.limits) = (hello, limits);
    }

    /// What this node's data are, those units included that were given out and are not applied yet.
    /// `None`: a snapshot is needed.
    pub fn position(&self) -> Option<Position> {
        match &self.state {
            State::Following(following) if self.vector.is_none() => following.position(),
            _ => self.position,
        }
    }

    /// Whether the data are at a place of a primary's logs, and perhaps at none of its stream.
    pub fn is_in_logs(&self) -> bool {
        self.vector.is_some()
    }

    /// The same, with the place in each log of the primary if the data are at none of its stream.
    /// While logs come each by a connection of its own: where they began.
    pub fn point(&self) -> Option<Point> {
        let position = self.position()?;
        Some(Point { position, vector: self.vector.clone() })
    }

    fn forget_place(&mut self) {
        (self.position, self.vector, self.fence) = (None, None, None);
    }

    fn follow(&mut self, now: Moment, primary: Address, by: By, actions: &mut Vec<Action<'_>>) {
        let is_failover = by == By::Failover;
        let is_same = self.desired.primary.as_ref() == Some(&primary) && !is_failover;
        self.desired = Desired { primary: Some(primary), by };
        // Who asks by hand for the same primary again wants no wait; a program asks all the time.
        let is_waiting = matches!(self.state, State::Waiting { .. });
        if is_same && !(is_waiting && by == By::Replicaof) {
            return;
        }
        self.purpose = if is_failover { Purpose::Failover } else { Purpose::Follow };
        (self.failures, self.sync_failures, self.refusals, self.attempts) = (0, 0, 0, 0);
        self.desire(now, actions);
    }

    /// Begins anew with what is desired now.
    fn desire(&mut self, now: Moment, actions: &mut Vec<Action<'_>>) {
        if let State::Committing(arrived) = &mut self.state {
            if self.desired.primary.as_ref() != Some(&arrived.primary) {
                arrived.lose(Failure::Lost(String::new()), self.generation, actions);
            }
            return;
        }
        self.leave(actions);
        self.last_failure = None;
        if self.desired.primary.is_some() {
            self.down_since.get_or_insert(now);
            return self.connect(now, Line::Connecting, actions);
        }
        self.down_since = None;
        self.enter(now, State::Idle);
    }

    fn connect(&mut self, now: Moment, line: fn(Address) -> Line, actions: &mut Vec<Action<'_>>) {
        let Some(primary) = self.desired.primary.clone() else { return };
        self.generation.0 += 1;
        self.attempts = self.attempts.saturating_add(1);
        self.is_full = false;
        self.enter(now, State::Connecting);
        actions.push(Action::Log(line(primary.clone())));
        actions.push(Action::Connect(self.generation, primary));
        actions.push(Action::Log(Line::Started));
    }

    fn enter(&mut self, now: Moment, state: State) {
        (self.state, self.since) = (state, now);
    }

    /// Gives up what is under way. A commit must not be.
    fn leave(&mut self, actions: &mut Vec<Action<'_>>) {
        let mut is_shut = false;
        let mut has_staging = false;
        match &self.state {
            State::Idle | State::Waiting { .. } => return,
            State::Connecting | State::Greeting { .. } => {}
            State::Receiving(receiving) => has_staging = receiving.has_staging(),
            State::Staging(arrived) => (is_shut, has_staging) = (arrived.lost.is_some(), true),
            State::Committing(arrived) => {
                is_shut = arrived.lost.is_some();
                assert!(is_shut, "a commit is not interrupted");
            }
            // Logs bring what comes, and not the stream.
            State::Following(_) if self.vector.is_some() => {}
            State::Following(following) => {
                let position = following.position();
                self.fence.take_if(|_| position != self.position);
                self.position = position;
            }
        }
        if has_staging {
            actions.push(Action::Log(Line::Discarding));
            actions.push(Action::DropStaging(self.generation));
        }
        if !is_shut {
            actions.push(Action::Shut(self.generation));
        }
        self.generation.0 += 1;
    }

    fn note<'a>(&mut self, now: Moment, news: News<'a>, actions: &mut Vec<Action<'a>>) {
        match (&mut self.state, news) {
            (State::Connecting, News::Connected) => self.greet(now, actions),
            (State::Connecting, News::ConnectFailed(reason)) => {
                self.fail(now, Failure::Connect(reason), actions);
            }
            (_, News::Bytes(bytes)) => self.take(now, bytes, actions),
            (State::Staging(arrived) | State::Committing(arrived), News::Closed(reason)) => {
                arrived.lose(Failure::Lost(reason), self.generation, actions);
            }
            (State::Idle | State::Waiting { .. }, News::Closed(_)) => {}
            (_, News::Closed(reason)) => self.fail(now, Failure::Lost(reason), actions),
            (_, News::Full) => self.is_full = true,
            (state, News::Room) => {
                self.is_full = false;
                self.last_io = Some(now);
                match state {
                    State::Receiving(receiving) => {
                        let body = receiving.body.iter_mut();
                        body.for_each(|body| (body.since, body.fresh) = (now, 0));
                    }
                    State::Following(following) => following.progress = now,
                    _ => {}
                }
            }
            (State::Staging(_), News::Staged) => self.commit(now, actions),
            (State::Staging(_), News::StagingFailed(reason)) => {
                self.fail(now, Failure::Staging(reason), actions);
            }
            (State::Receiving(receiving), News::StagingFailed(reason))
                if receiving.has_staging() =>
            {
                self.fail(now, Failure::Staging(reason), actions);
            }
            (State::Receiving(_) | State::Staging(_), News::NoRoom(lack)) => {
                self.fail(now, Failure::NoRoom(lack), actions);
            }
            (State::Receiving(_), News::Moved(bytes)) => self.note_moved(now, bytes, actions),
            (State::Receiving(_), News::Brought(id, offset)) => {
                self.bring(now, (id, offset), actions);
            }
            (State::Committing(_), News::Committed { db, vector }) => {
                self.committed(now, db, vector, actions);
            }
            // It cannot be, or is news of what was over at the same time.
            (_, _) => {}
        }
    }

    fn greet(&mut self, now: Moment, actions: &mut Vec<Action<'_>>) {
        let resume = self.position.map(|Position { id, offset, .. }| (id, offset));
        let (vector, fence) = (self.vector.clone(), self.fence.clone());
        let ask = Ask { resume, vector, fence, purpose: self.purpose };
        let (handshake, ping) = Handshake::begin(&self.hello, ask);
        let handshake = Box::new(handshake);
        self.last_io = Some(now);
        self.enter(now, State::Greeting { handshake, step: now, asked: None });
        actions.push(Action::Log(Line::Connected));
        actions.push(Action::Send(ping));
    }

    /// A snapshot has come by connections of its own, and is taken in.
    fn bring(&mut self, now: Moment, at: (ReplId, Scalar), actions: &mut Vec<Action<'_>>) {
        self.note_moved(now, 0, actions);
        let State::Receiving(receiving) = &mut self.state else { return };
        let Source::Connections(..) = receiving.source else { return };
        receiving.at = Some(at);
        actions.push(Action::Log(Line::FullResync(at.0, at.1)));
        self.arrive(now, actions);
        self.commit(now, actions);
    }

    fn commit(&mut self, now: Moment, actions: &mut Vec<Action<'_>>) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Staging(arrived) => {
                actions.push(Action::Log(Line::Swapping));
                actions.push(Action::Commit(self.generation, arrived.at));
                self.enter(now, State::Committing(arrived));
            }
            state => self.state = state,
        }
    }

    fn committed(
        &mut self,
        now: Moment,
        db: u16,
        vector: Option<Vector>,
        actions: &mut Vec<Action<'_>>,
    ) {
        let State::Committing(arrived) = &mut self.state else { return };
        let (form, at, early) = (arrived.form, arrived.at, std::mem::take(&mut arrived.early));
        let (lines, sync_ms) = (arrived.lines.take(), now.since(arrived.asked));
        let is_desired = self.desired.primary.as_ref() == Some(&arrived.primary);
        self.position = at.map(|(id, offset)| Position { id, offset, db });
        (self.vector, self.fence) = (vector, None);
        self.applied = at.map_or(Scalar(0), |(_, offset)| offset);
        actions.push(Action::Log(Line::Finished));
        match arrived.lost.clone() {
            Some(failure) if is_desired => self.fail(now, failure, actions),
            Some(_) => self.move_on(now, actions),
            None => {
                self.run(now, db, Start::Synced { form, sync_ms, lines, early }, actions);
                actions.push(Action::ResumeReads);
            }
        }
    }

    /// Takes up what was desired while a commit was under way.
    fn move_on(&mut self, now: Moment, actions: &mut Vec<Action<'_>>) {
        self.leave(actions);
        self.enter(now, State::Idle);
        self.desire(now, actions);
    }

    /// The primary sends each log by a connection of its own from now on.
    fn begin_flows(&mut self, at: Fence, actions: &mut Vec<Action<'_>>) {
        let (State::Following(following), Some(position)) = (&mut self.state, &mut self.position)
        else {
            return;
        };
        (following.has_flows, following.left_out) = (true, None);
        if let Some(to) = following.next_id.take() {
            position.id = to;
            actions.push(Action::Log(Line::Renamed(to)));
        }
        let Fence { scalar, vector } = at;
        self.fence = None;
        (position.offset, self.vector, self.applied) = (scalar, Some(vector), scalar);
    }

    /// Nothing of the logs is under way any more. If the data were malformed meanwhile, they are
    /// of no use however far they got.
    fn end_flows(&mut self, at: Scalar, vector: Vector) {
        if let Some(position) = &mut self.position {
            position.offset = at;
            (self.vector, self.applied) = (Some(vector), at);
        }
    }

    fn note_applied(&mut self, now: Moment, offset: Scalar, actions: &mut Vec<Action<'_>>) {
        self.applied = self.applied.max(offset);
        if let State::Following(following) = &mut self.state
            && following.owed.is_some_and(|owed| owed <= self.applied)
        {
            following.owed = None;
            acknowledge(following, now, self.applied, (&self.hello, &self.limits), actions);
        }
    }
}

impl Arrived {
    /// Goes on without the socket, which is shut unless it was already.
    fn lose(&mut self, failure: Failure, generation: Generation, actions: &mut Vec<Action<'_>>) {
        if self.lost.is_none() {
            self.lost = Some(failure);
            actions.push(Action::Shut(generation));
        }
    }
}

impl Following {
    fn position(&self) -> Option<Position> {
        let (received, db) = (self.split.received(), self.split.db());
        let offset = self.left_out.unwrap_or(received);
        self.id.map(|id| Position { id, offset, db })
    }
}

#[cfg(test)]
mod tests;
