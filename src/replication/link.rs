//! A replica's link to a stock primary, as a machine: which primary is desired, and how far the
//! way to it is.
//!
//! ```text
//!             Follow            Connected           PSYNC sent
//!  idle ----------------> connecting -------> greeting -------> asking
//!   ^                       ^                                  |      |
//!   | Unfollow              |              +CONTINUE +---------+      | +FULLRESYNC, or SYNC
//!   | (from anywhere)       |                        v                v
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
mod bytes;
mod timing;

use crate::replication::address::Address;
use crate::replication::failover;
use crate::replication::failure::Failure;
use crate::replication::handshake::{Ask, Handshake, Hello, Purpose};
use crate::replication::history::Scalar;
use crate::replication::limits::Limits;
use crate::replication::moment::Moment;
use crate::replication::payload::{Form, Payload};
use crate::replication::replid::ReplId;
use crate::replication::split::{Kind, Split, Unit};
use events::{Action, By, Desired, Event, Former, Generation, News, Position};
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
    applied: Scalar,
    is_full: bool,
    /// Attempts since the stream last ran.
    attempts: u32,
    failures: u32,
    sync_failures: u32,
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
    payload: Payload,
    /// Where the stream goes on behind the snapshot.
    at: Option<(ReplId, Scalar)>,
    /// Since when the snapshot is waited for.
    asked: Moment,
    /// `None` before its form is known.
    body: Option<Body>,
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
    /// Behind a snapshot of this form, with these bytes of it that came early.
    Synced(Form, Vec<u8>),
}

#[derive(Debug)]
struct Following {
    /// `None` after SYNC: then the primary expects no acknowledgements.
    id: Option<ReplId>,
    split: Split,
    /// Whether a snapshot came first.
    is_synced: bool,
    ack: Moment,
    /// An acknowledgement is due as soon as so much is applied.
    owed: Option<Scalar>,
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
            applied: Scalar(0),
            is_full: false,
            attempts: 0,
            failures: 0,
            sync_failures: 0,
            last_failure: None,
            last_io: None,
        }
    }

    /// Acts on what has happened.
    pub fn handle<'a>(&mut self, now: Moment, event: Event<'a>, actions: &mut Vec<Action<'a>>) {
        match event {
            Event::Follow { primary, by, position } => {
                if let State::Idle = self.state {
                    self.position = position;
                    self.applied = position.map_or(Scalar(0), |position| position.offset);
                }
                self.follow(now, primary, by, actions);
            }
            Event::AskPlainly => self.purpose = Purpose::Follow,
            Event::Unfollow(by) => {
                self.desired = Desired { primary: None, by };
                self.purpose = Purpose::Follow;
                self.desire(now, actions);
            }
            Event::Applied(offset) => self.note_applied(now, offset, actions),
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
        if let Some(Unit { kind: Kind::GetAck, offset, .. }) = following.split.unit() {
            following.owed = (self.applied < offset).then_some(offset);
            acknowledge(following, now, self.applied, &self.limits, actions);
        }
        let State::Following(following) = &self.state else { return None };
        following.split.unit()
    }

    /// Takes settings over: limits at once, what this node says of itself at the next attempt.
    pub fn configure(&mut self, hello: Hello, limits: Limits) {
        (self.hello, self.limits) = (hello, limits);
    }

    /// What this node's data are, those units included that were given out and are not applied yet.
    /// `None`: a snapshot is needed.
    pub fn position(&self) -> Option<Position> {
        match &self.state {
            State::Following(following) => following.position(),
            _ => self.position,
        }
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
        (self.failures, self.sync_failures, self.attempts) = (0, 0, 0);
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
            State::Receiving(receiving) => has_staging = receiving.body.is_some(),
            State::Staging(arrived) => (is_shut, has_staging) = (arrived.lost.is_some(), true),
            State::Committing(arrived) => {
                is_shut = arrived.lost.is_some();
                assert!(is_shut, "a commit is not interrupted");
            }
            State::Following(following) => self.position = following.position(),
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

    /// Gives up an attempt, and waits for the next one.
    fn fail(&mut self, now: Moment, failure: Failure, actions: &mut Vec<Action<'_>>) {
        let limits = &self.limits;
        let is_sync = match &self.state {
            State::Receiving(_) | State::Staging(_) | State::Committing(_) => true,
            State::Following(following) => {
                let followed_ms = now.since(self.since);
                if limits.retry_ms.most <= followed_ms {
                    self.failures = 0;
                }
                if limits.sync_retry_ms.most <= followed_ms {
                    self.sync_failures = 0;
                }
                // A sync that is lost soon was in vain: the next may be as well.
                following.is_synced && followed_ms < limits.sync_retry_ms.most
            }
            State::Idle | State::Connecting | State::Greeting { .. } | State::Waiting { .. } => {
                false
            }
        };
        self.down_since.get_or_insert(now);
        self.leave(actions);
        let is_malformed = matches!(failure, Failure::Stream(_) | Failure::Unappliable(_));
        if is_malformed {
            // What comes behind that place would be malformed again.
            self.position = None;
        }
        let wait_ms = if is_sync || is_malformed {
            self.sync_failures = self.sync_failures.saturating_add(1);
            self.limits.sync_retry_ms.after(self.sync_failures)
        } else {
            self.failures = self.failures.saturating_add(1);
            self.limits.retry_ms.after(self.failures)
        };
        actions.push(Action::Log(Line::Failed(failure.clone())));
        self.last_failure = Some(failure.clone());
        match failure {
            Failure::FailoverRefused(_) => actions.push(Action::Handover(failover::News::Refused)),
            Failure::FailoverIsOver(_) => actions.push(Action::Handover(failover::News::IsPrimary)),
            _ => {}
        }
        self.enter(now, State::Waiting { until: now.after(wait_ms) });
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
                if let State::Receiving(receiving) = state
                    && let Some(body) = &mut receiving.body
                {
                    (body.since, body.fresh) = (now, 0);
                }
            }
            (State::Staging(_), News::Staged) => self.commit(now, actions),
            (State::Staging(_), News::StagingFailed(reason)) => {
                self.fail(now, Failure::Staging(reason), actions);
            }
            (State::Receiving(receiving), News::StagingFailed(reason))
                if receiving.body.is_some() =>
            {
                self.fail(now, Failure::Staging(reason), actions);
            }
            (State::Committing(_), News::Committed { db }) => self.committed(now, db, actions),
            (State::Committing(_), News::CommitFailed { reason, former }) => {
                self.commit_failed(now, reason, former, actions);
            }
            // It cannot be, or is news of what was over at the same time.
            (_, _) => {}
        }
    }

    fn greet(&mut self, now: Moment, actions: &mut Vec<Action<'_>>) {
        let resume = self.position.map(|Position { id, offset, .. }| (id, offset));
        let ask = Ask { resume, purpose: self.purpose };
        let (handshake, ping) = Handshake::begin(&self.hello, ask);
        let handshake = Box::new(handshake);
        self.last_io = Some(now);
        self.enter(now, State::Greeting { handshake, step: now, asked: None });
        actions.push(Action::Log(Line::Connected));
        actions.push(Action::Send(ping));
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

    fn committed(&mut self, now: Moment, db: u16, actions: &mut Vec<Action<'_>>) {
        let State::Committing(arrived) = &mut self.state else { return };
        let (form, at, early) = (arrived.form, arrived.at, std::mem::take(&mut arrived.early));
        let is_desired = self.desired.primary.as_ref() == Some(&arrived.primary);
        self.position = at.map(|(id, offset)| Position { id, offset, db });
        self.applied = at.map_or(Scalar(0), |(_, offset)| offset);
        actions.push(Action::Log(Line::Finished));
        match arrived.lost.clone() {
            Some(failure) if is_desired => self.fail(now, failure, actions),
            Some(_) => self.move_on(now, actions),
            None => {
                self.run(now, db, Start::Synced(form, early), actions);
                actions.push(Action::ResumeReads);
            }
        }
    }

    fn commit_failed(
        &mut self,
        now: Moment,
        reason: String,
        former: Former,
        actions: &mut Vec<Action<'_>>,
    ) {
        let State::Committing(arrived) = &mut self.state else { return };
        let is_desired = self.desired.primary.as_ref() == Some(&arrived.primary);
        let failure = Failure::Commit(reason);
        arrived.lose(failure.clone(), self.generation, actions);
        if former == Former::Lost {
            (self.position, self.applied) = (None, Scalar(0));
        }
        if is_desired {
            return self.fail(now, failure, actions);
        }
        actions.push(Action::Log(Line::Failed(failure)));
        self.move_on(now, actions);
    }

    /// Takes up what was desired while a commit was under way.
    fn move_on(&mut self, now: Moment, actions: &mut Vec<Action<'_>>) {
        self.leave(actions);
        self.enter(now, State::Idle);
        self.desire(now, actions);
    }

    fn note_applied(&mut self, now: Moment, offset: Scalar, actions: &mut Vec<Action<'_>>) {
        self.applied = self.applied.max(offset);
        if let State::Following(following) = &mut self.state
            && following.owed.is_some_and(|owed| owed <= self.applied)
        {
            following.owed = None;
            acknowledge(following, now, self.applied, &self.limits, actions);
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
        let (offset, db) = (self.split.received(), self.split.db());
        self.id.map(|id| Position { id, offset, db })
    }
}

fn acknowledge(
    following: &mut Following,
    now: Moment,
    applied: Scalar,
    limits: &Limits,
    actions: &mut Vec<Action<'_>>,
) {
    following.ack = now.after(limits.ack_ms);
    actions.push(Action::Send(bytes::ack(applied)));
}

#[cfg(test)]
mod tests;
