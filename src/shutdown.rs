//! The end of the process, as a machine: what happens in which order, what may take how long, and
//! how far there is a way back.
//!
//! ```text
//!       Asked with FAILOVER
//!  Serving --------> hold -> handover -(HandedOver)-> linger -> intake, and so on as below
//!     ^                 |       |---(NoSuccessor, or late; without SAFE)--> intake, ...
//!     +---(with SAFE)---+-------+
//!
//!            Asked
//!  Serving --------> intake -> drain -> pause -> replicas -> child -> save -> clients -> files
//!     ^                 |        |        |         |          |        |                  |
//!     +----(Aborted)----+--------+--------+---------+----------+        |               shards
//!     +----(SaveFailed, or the save stalls; without FORCE)--------------+                  |
//!                                                                                         Over
//! ```
//! A stage ends when what it waits for has happened, or when its share of the time is over: then
//! the log has a warning, and the next stage begins. Only the last snapshot is not cut short while
//! it gets on: it has all the time that is left, and more for as long as keys are being written.
//!
//! If a replica is to take over, that comes first: writes wait, one replica that has all takes
//! over, and clients are told so for a moment, while all else is served. No client waits for what
//! comes then, the last snapshot included. If no replica takes over, the process ends as without
//! FAILOVER; with SAFE it goes on.
//!
//! Clients are closed after the last snapshot, not before: as long as it may fail, the process may
//! have to go on, with all of its clients. From `drain` on new writes wait, so none of them is
//! answered that the snapshot does not have.
//!
//! A second SIGINT ends the process at once, in whatever state this is: `start::wait` sees to that
//! and does not ask this machine. Nothing here waits, and nothing here asks the clock.

pub mod heirs;
pub mod report;
pub mod resources;
pub mod stage;
pub mod succession;

use std::mem;

use report::{Counts, Edge, Line, Outcome, Reason, Report};
use resources::{Resource, closed_in};
use stage::Stage;

/// Milliseconds without a single key written after which a late snapshot is given up.
pub const STALL_MS: u64 = 30_000;

/// A moment: milliseconds that the process has run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uptime(pub u64);

impl Uptime {
    fn after(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// How the process is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asked.
    pub reason: Reason,
    /// Whether a last snapshot is written.
    pub saves: bool,
    /// FORCE: whether to end although that fails.
    pub forced: bool,
    /// NOW: whether not to wait for replicas.
    pub now: bool,
    /// Milliseconds for all stages together; the last snapshot may have more.
    pub total_ms: u64,
    /// Milliseconds to wait for replicas at most.
    pub replicas_ms: u64,
    /// FAILOVER: whether a replica is to take over.
    pub hands_over: bool,
    /// SAFE: whether the process only ends if one does.
    pub safe: bool,
    /// Milliseconds for which clients are told at most who has taken over.
    pub linger_ms: u64,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A signal or SHUTDOWN asks for the end.
    Asked(Request),
    /// SHUTDOWN ABORT calls it off.
    Aborted,
    /// Time has passed.
    Tick,
    /// The shard of this number says how far it is.
    Reported(usize, Report),
    /// A replica has taken over.
    HandedOver,
    /// No replica will.
    NoSuccessor,
    /// Replicas have all there is.
    ReplicasReady,
    /// [`Resource::Replicas`] is closed, and the log says how far they were.
    ReplicasClosed,
    /// No process writes a snapshot any more.
    ChildGone,
    /// So many keys of the last snapshot are written.
    Progress(u64),
    /// The last snapshot is on the disk.
    Saved,
    /// It is not, and will not be.
    SaveFailed,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write this into the log, and tell the supervisor of new stages.
    Log(Line),
    /// Tell all shards that this stage has begun.
    Order(Stage),
    /// Have a replica take over that has all there is, in so many milliseconds at most.
    HandOver(u64),
    /// Wait for replicas.
    AwaitReplicas,
    /// Write the last snapshot.
    Save,
    /// End the process that writes the last snapshot.
    CancelSave,
    /// Close this.
    Close(Resource),
    /// Tell the supervisor that the end takes so many milliseconds more.
    Extend(u64),
    /// There is no end: let the shards go on, and refuse those who wait for the end.
    Resume,
    /// End the process.
    Exit,
}

/// The machine.
#[derive(Debug)]
pub struct Shutdown {
    state: State,
    shards: usize,
    attempts: u64,
}

#[derive(Debug)]
enum State {
    /// No signal and no SHUTDOWN has asked for the end.
    Serving,
    /// It is under way.
    Ending(Box<Ending>),
    /// Nothing is left to do.
    Over,
}

#[derive(Debug)]
struct Ending {
    request: Request,
    began: Uptime,
    stage: Stage,
    entered: Uptime,
    /// When the time of the stage is over.
    until: Uptime,
    /// Which shards are done with it.
    done: Vec<bool>,
    /// Replicas are being closed in it.
    closes_replicas: bool,
    /// What each shard had when it last told.
    counts: Vec<Counts>,
    /// Keys of the last snapshot that are written, and since when they are as many.
    keys: u64,
    keys_since: Uptime,
    /// The last snapshot takes longer than it should.
    late: bool,
}

impl Shutdown {
    /// Of a process with so many shards.
    pub fn new(shards: usize) -> Self {
        Self { state: State::Serving, shards, attempts: 0 }
    }

    /// Acts on what has happened.
    pub fn handle(&mut self, now: Uptime, event: Event, actions: &mut Vec<Action>) {
        self.state = match (mem::replace(&mut self.state, State::Over), event) {
            (State::Serving, Event::Asked(request)) => self.begin(now, request, actions),
            (State::Ending(ending), event) => self.go_on(ending, now, event, actions),
            // News of an end that was called off, or that is over.
            (state @ (State::Serving | State::Over), _) => state,
        };
    }

    /// The stage that is under way.
    pub fn stage(&self) -> Option<Stage> {
        match &self.state {
            State::Ending(ending) => Some(ending.stage),
            State::Serving | State::Over => None,
        }
    }

    /// Whether the end was asked for and not called off.
    pub fn is_under_way(&self) -> bool {
        !matches!(self.state, State::Serving)
    }

    /// Whether the process ends although the last snapshot fails.
    pub fn is_forced(&self) -> bool {
        matches!(&self.state, State::Ending(ending) if ending.request.forced)
    }

    /// Which end this is, if one is under way: reports of others mean nothing.
    pub fn attempt(&self) -> u64 {
        self.attempts
    }

    /// Milliseconds that are left of the time for all stages, while an end is under way.
    pub fn remaining_ms(&self, now: Uptime) -> Option<u64> {
        match &self.state {
            State::Ending(ending) => Some(ending.remaining_ms(now)),
            State::Serving | State::Over => None,
        }
    }

    /// When to [`Event::Tick`] at the latest.
    pub fn deadline(&self) -> Option<Uptime> {
        match &self.state {
            State::Ending(ending) if ending.late => Some(ending.keys_since.after(STALL_MS)),
            State::Ending(ending) => Some(ending.until),
            State::Serving | State::Over => None,
        }
    }

    fn begin(&mut self, now: Uptime, request: Request, actions: &mut Vec<Action>) -> State {
        self.attempts += 1;
        let first = if request.hands_over { Stage::Hold } else { Stage::Intake };
        let ending = Ending {
            request,
            began: now,
            stage: first,
            entered: now,
            until: now,
            done: vec![false; self.shards],
            closes_replicas: false,
            counts: vec![Counts::default(); self.shards],
            keys: 0,
            keys_since: now,
            late: false,
        };
        enter(Box::new(ending), first, now, actions)
    }

    fn go_on(
        &self,
        mut ending: Box<Ending>,
        now: Uptime,
        event: Event,
        actions: &mut Vec<Action>,
    ) -> State {
        match (ending.stage, event) {
            // A second request waits with the first, and can only make it quicker.
            (stage, Event::Asked(Request { forced, now: hurries, .. })) => {
                ending.request.forced |= forced;
                ending.request.now |= hurries;
                if matches!(stage, Stage::Linger | Stage::Replicas) && hurries {
                    return leave(ending, Outcome::Done, now, actions);
                }
            }
            (stage, Event::Aborted) if stage.can_abort() => {
                return resume(&ending, Outcome::Aborted, now, actions);
            }
            (_, Event::Reported(shard, report)) if report.attempt == self.attempts => {
                if ending.note(shard, report) {
                    return leave(ending, Outcome::Done, now, actions);
                }
            }
            (_, Event::ReplicasClosed) => {
                ending.closes_replicas = false;
                if ending.is_done() {
                    return leave(ending, Outcome::Done, now, actions);
                }
            }
            (Stage::Handover, Event::NoSuccessor) => {
                return hand_over_failed(ending, Outcome::Failed, now, actions);
            }
            (Stage::Hold | Stage::Handover, Event::Tick) if ending.until <= now => {
                return hand_over_failed(ending, Outcome::Overrun, now, actions);
            }
            (Stage::Linger, Event::Tick) if ending.until <= now => {
                return leave(ending, Outcome::Done, now, actions);
            }
            (Stage::Handover, Event::HandedOver)
            | (Stage::Replicas, Event::ReplicasReady)
            | (Stage::Child, Event::ChildGone)
            | (Stage::Save, Event::Saved) => return leave(ending, Outcome::Done, now, actions),
            (Stage::Save, Event::SaveFailed) => return failed(ending, now, actions),
            (Stage::Save, Event::Progress(keys)) if ending.keys < keys => {
                (ending.keys, ending.keys_since) = (keys, now);
                actions.push(Action::Extend(ending.patience_ms()));
            }
            (Stage::Save, Event::Tick) => return look_at_save(ending, now, actions),
            (_, Event::Tick) if ending.until <= now => {
                return leave(ending, Outcome::Overrun, now, actions);
            }
            // Too late to call it off; or news of a stage that is over.
            (_, _) => {}
        }
        State::Ending(ending)
    }
}

/// Begins a stage, and those behind it for as long as there is nothing to wait for.
fn enter(mut ending: Box<Ending>, stage: Stage, now: Uptime, actions: &mut Vec<Action>) -> State {
    (ending.stage, ending.entered) = (stage, now);
    ending.until = now.after(ending.share_ms(stage));
    ending.done.fill(false);
    actions.push(ending.line(Edge::Enter, now));
    let closed = closed_in(stage);
    ending.closes_replicas = closed.contains(&Resource::Replicas);
    actions.extend(closed.into_iter().map(Action::Close));
    match stage {
        Stage::Hold | Stage::Linger | Stage::Intake | Stage::Drain | Stage::Pause => {
            actions.push(Action::Order(stage));
        }
        Stage::Handover => actions.push(Action::HandOver(ending.until.since(now))),
        Stage::Replicas if ending.request.now || ending.request.replicas_ms == 0 => {
            return leave(ending, Outcome::Done, now, actions);
        }
        Stage::Replicas => actions.push(Action::AwaitReplicas),
        Stage::Save => {
            let end = ending.began.after(ending.request.total_ms);
            ending.until = ending.until.max(Uptime(end.0.saturating_sub(ending.tail_ms())));
            ending.keys_since = now;
            actions.push(Action::Extend(ending.until.since(now) + ending.patience_ms()));
            actions.push(Action::Save);
        }
        // Removing a name is all there is to it.
        Stage::Files => return leave(ending, Outcome::Done, now, actions),
        Stage::Child | Stage::Clients | Stage::Shards => {}
    }
    State::Ending(ending)
}

/// No replica takes over.
fn hand_over_failed(
    ending: Box<Ending>,
    outcome: Outcome,
    now: Uptime,
    actions: &mut Vec<Action>,
) -> State {
    if ending.request.safe && !ending.request.forced {
        return resume(&ending, outcome, now, actions);
    }
    actions.push(ending.line(Edge::Leave(outcome), now));
    enter(ending, Stage::Intake, now, actions)
}

/// Ends a stage.
fn leave(ending: Box<Ending>, outcome: Outcome, now: Uptime, actions: &mut Vec<Action>) -> State {
    actions.push(ending.line(Edge::Leave(outcome), now));
    let next = match ending.stage.next() {
        Some(Stage::Save) if !ending.request.saves => Stage::Save.next(),
        next => next,
    };
    match next {
        Some(next) => enter(ending, next, now, actions),
        None => {
            actions.push(Action::Exit);
            State::Over
        }
    }
}

/// The last snapshot cannot be had.
fn failed(ending: Box<Ending>, now: Uptime, actions: &mut Vec<Action>) -> State {
    if ending.request.forced {
        return leave(ending, Outcome::Failed, now, actions);
    }
    resume(&ending, Outcome::Failed, now, actions)
}

/// The process goes on.
fn resume(ending: &Ending, outcome: Outcome, now: Uptime, actions: &mut Vec<Action>) -> State {
    actions.push(ending.line(Edge::Leave(outcome), now));
    actions.push(Action::Resume);
    State::Serving
}

/// Looks whether the last snapshot takes too long, and whether it gets on.
fn look_at_save(mut ending: Box<Ending>, now: Uptime, actions: &mut Vec<Action>) -> State {
    if ending.until <= now && !ending.late {
        ending.late = true;
        actions.push(ending.line(Edge::Late, now));
    }
    if ending.late && STALL_MS <= now.since(ending.keys_since) {
        actions.push(Action::CancelSave);
        return failed(ending, now, actions);
    }
    State::Ending(ending)
}

impl Ending {
    /// Notes what a shard says. True if that was the last thing to wait for.
    fn note(&mut self, shard: usize, report: Report) -> bool {
        self.counts[shard] = report.counts;
        if report.stage != self.stage || !self.stage.is_of_shards() {
            return false;
        }
        self.done[shard] |= report.done;
        self.is_done()
    }

    /// Whether a stage of shards waits for nothing more.
    fn is_done(&self) -> bool {
        self.stage.is_of_shards() && !self.closes_replicas && self.done.iter().all(|done| *done)
    }

    /// Milliseconds that a stage may take.
    fn share_ms(&self, stage: Stage) -> u64 {
        let Request { total_ms, hands_over, replicas_ms, linger_ms, .. } = self.request;
        let share = total_ms.saturating_mul(stage.percent(hands_over)) / 100;
        match stage {
            Stage::Replicas => share.min(replicas_ms),
            Stage::Linger => share.min(linger_ms),
            _ => share,
        }
    }

    /// Milliseconds that the stages behind the last snapshot may take.
    fn tail_ms(&self) -> u64 {
        let behind = Stage::ALL.into_iter().filter(|stage| Stage::Save < *stage);
        behind.map(|stage| self.share_ms(stage)).sum()
    }

    /// Milliseconds that may pass until the process has ended, if no key is written any more.
    fn patience_ms(&self) -> u64 {
        STALL_MS.saturating_add(self.tail_ms())
    }

    fn remaining_ms(&self, now: Uptime) -> u64 {
        self.request.total_ms.saturating_sub(now.since(self.began))
    }

    fn line(&self, edge: Edge, now: Uptime) -> Action {
        let mut counts = Counts::default();
        self.counts.iter().for_each(|shard| counts.add(shard));
        Action::Log(Line {
            edge,
            stage: self.stage,
            reason: self.request.reason,
            took_ms: now.since(self.entered),
            elapsed_ms: now.since(self.began),
            remaining_ms: self.remaining_ms(now),
            counts,
        })
    }
}

#[cfg(test)]
mod tests;
