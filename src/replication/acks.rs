//! What replicas have acknowledged: WAIT, WAITAOF, and how many replicas are good enough to write.
//!
//! ```text
//! WAIT comes --> queued --AskFence--> asked --FenceWritten--> fenced --enough acks--> answered
//!                                                       at any time: deadline, client gone
//! ```
//! A WAIT is answered by a fence, a point in all logs that no replica passes in one log alone. Of
//! replicas at the vectors (10, 2) and (5, 9) the second has the greater scalar and would be
//! promoted, and what the first had confirmed would be lost. A replica that lacks a fence has no
//! more of any log than that, so the one with the greatest scalar has all that any of them
//! confirmed.
//!
//! One fence is asked for at a time. It serves all WAITs that came before it was asked for; those
//! that come later may have writes behind it, and get the next. A fence comes with a GETACK, so
//! replicas answer at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use shards::resp::reply::Replies;

use crate::replication::history::{Fence, Scalar, Vector};
use crate::replication::moment::Moment;

/// A replica that is online, as one session of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplicaId(pub u64);

/// A WAIT or WAITAOF that is not answered. Clients have one at most, so `maxclients` bounds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WaitId(pub u64);

/// Which fence was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// How far a replica is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// A stock replica knows the stream.
    Stock(Scalar),
    /// A native one knows the logs.
    Native(Vector),
}

impl Position {
    /// Whether it has all that is in front of a fence.
    pub fn covers(&self, fence: &Fence) -> bool {
        match self {
            Self::Stock(scalar) => fence.scalar <= *scalar,
            Self::Native(vector) => fence.vector.is_within(vector),
        }
    }
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// WAIT: so many replicas have applied its writes.
    Applied(u64),
    /// WAITAOF: its writes are in so many append-only files.
    Durable {
        /// Of this node: 0 or 1.
        local: u64,
        /// Of replicas.
        replicas: u64,
    },
}

/// How long a client waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until this moment, or for ever.
    Until(Option<Moment>),
    /// Not at all, since it needs none. This is the end of all logs, as far as is
    /// known.
    AtOnce(Fence),
}

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// WAIT: replicas.
    Applied(u64),
    /// WAITAOF: append-only files.
    Durable {
        /// Of this node: 0 or 1.
        local: u64,
        /// Of replicas.
        replicas: u64,
    },
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A replica is sent the stream and has acknowledged something: only now does it count.
    Joined(ReplicaId),
    /// A replica is so far, and has so much on its disk if it keeps an append-only file.
    Acked(ReplicaId, Position, Option<Position>),
    /// A replica's session ended.
    Gone(ReplicaId),
    /// A client waits.
    Wait(WaitId, Needs, Patience),
    /// The fence that was asked for is in all logs, a GETACK behind it.
    FenceWritten(Ticket, Fence),
    /// This node's own append-only file has so much on the disk.
    LocalDurable(Position),
    /// A client is gone, or does not wait any more.
    ClientGone(WaitId),
    /// The logs are those of another history: what was acknowledged means nothing.
    NewHistory,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write a fence once all claims that there are now have ended, and a GETACK behind it.
    AskFence(Ticket),
    /// Answer a client.
    Answer(WaitId, Count),
}

/// The machine.
#[derive(Debug, Default)]
pub struct Acks {
    replicas: BTreeMap<ReplicaId, Replica>,
    /// What this node's append-only file has.
    local: Progress,
    waits: BTreeMap<WaitId, Wait>,
    deadlines: BTreeSet<(Moment, WaitId)>,
    /// Waits for which no fence was asked yet.
    queued: Vec<WaitId>,
    /// The fence that was asked for, and the waits that it will serve.
    asked: Option<(Ticket, Vec<WaitId>)>,
    /// Fences for which clients wait, in their order.
    fences: BTreeMap<Ticket, Group>,
    last: u64,
}

#[derive(Debug)]
struct Replica {
    heard: Moment,
    applied: Progress,
    durable: Progress,
}

/// How far one kind of acknowledgement is.
#[derive(Debug, Default)]
struct Progress {
    position: Option<Position>,
    /// The last fence that it covers. It covers those before it, too.
    covers: Option<Ticket>,
}

#[derive(Debug)]
struct Wait {
    needs: Needs,
    deadline: Option<Moment>,
    fence: Option<Ticket>,
}

#[derive(Debug)]
struct Group {
    fence: Fence,
    waits: Vec<WaitId>,
}

impl Acks {
    /// Acts on what has happened.
    pub fn handle(&mut self, now: Moment, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Joined(replica) => {
                let new = Replica {
                    heard: now,
                    applied: Progress::default(),
                    durable: Progress::default(),
                };
                self.replicas.insert(replica, new);
            }
            Event::Acked(replica, applied, durable) => {
                self.note_ack(now, replica, applied, durable, actions);
            }
            Event::Gone(replica) => {
                self.replicas.remove(&replica);
            }
            Event::Wait(id, needs, patience) => self.begin(now, id, needs, patience, actions),
            Event::FenceWritten(ticket, fence) => self.note_fence(ticket, fence, actions),
            Event::LocalDurable(position) => {
                for ticket in self.local.advance(position, &self.fences) {
                    self.settle(ticket, actions);
                }
            }
            Event::ClientGone(id) => self.forget(id),
            Event::NewHistory => self.begin_anew(actions),
            Event::Tick => self.end_late(now, actions),
        }
    }

    /// When to [`Event::Tick`] at the latest.
    pub fn deadline(&self) -> Option<Moment> {
        self.deadlines.first().map(|(moment, _)| *moment)
    }

    /// Replicas that were heard of within so many seconds: `min-replicas-max-lag`. Writes need
    /// `min-replicas-to-write` of them.
    pub fn good(&self, now: Moment, max_lag_seconds: u64) -> usize {
        let is_good = |replica: &&Replica| now.since(replica.heard) / 1000 <= max_lag_seconds;
        self.replicas.values().filter(is_good).count()
    }

    /// How many there are now that have all in front of this, the end of all logs.
    pub fn count_now(&self, needs: Needs, end: &Fence) -> Count {
        self.count(needs, |progress| progress.has(end))
    }

    /// Whether no replica has acknowledged anything.
    pub fn is_alone(&self) -> bool {
        self.replicas.is_empty()
    }

    /// Whether a replica has all that is in front of a fence.
    pub fn has(&self, replica: ReplicaId, fence: &Fence) -> bool {
        self.replicas.get(&replica).is_some_and(|replica| replica.applied.has(fence))
    }

    /// Whether every replica has all that is in front of a fence.
    pub fn all_cover(&self, fence: &Fence) -> bool {
        self.replicas.values().all(|replica| replica.applied.has(fence))
    }

    fn begin(
        &mut self,
        now: Moment,
        id: WaitId,
        needs: Needs,
        patience: Patience,
        actions: &mut Vec<Action>,
    ) {
        let deadline = match patience {
            Patience::AtOnce(end) => {
                return actions.push(Action::Answer(id, self.count_now(needs, &end)));
            }
            Patience::Until(deadline) => deadline,
        };
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, id));
        }
        self.waits.insert(id, Wait { needs, deadline, fence: None });
        self.queued.push(id);
        self.ask(actions);
        self.end_late(now, actions);
    }

    /// Asks for the next fence, if a client waits for it and no other is under way.
    fn ask(&mut self, actions: &mut Vec<Action>) {
        self.queued.retain(|id| self.waits.contains_key(id));
        if self.asked.is_none() && !self.queued.is_empty() {
            self.last += 1;
            let ticket = Ticket(self.last);
            self.asked = Some((ticket, std::mem::take(&mut self.queued)));
            actions.push(Action::AskFence(ticket));
        }
    }

    fn note_fence(&mut self, ticket: Ticket, fence: Fence, actions: &mut Vec<Action>) {
        // A fence that was asked for in another history comes late.
        let Some((_, ids)) = self.asked.take_if(|(asked, _)| *asked == ticket) else { return };
        let ids: Vec<WaitId> = ids.into_iter().filter(|id| self.waits.contains_key(id)).collect();
        if !ids.is_empty() {
            for id in &ids {
                if let Some(wait) = self.waits.get_mut(id) {
                    wait.fence = Some(ticket);
                }
            }
            self.fences.insert(ticket, Group { fence, waits: ids });
            // An acknowledgement may be here before the news that the fence is written.
            for replica in self.replicas.values_mut() {
                replica.applied.look(&self.fences);
                replica.durable.look(&self.fences);
            }
            self.local.look(&self.fences);
            self.settle(ticket, actions);
        }
        self.ask(actions);
    }

    fn note_ack(
        &mut self,
        now: Moment,
        id: ReplicaId,
        applied: Position,
        durable: Option<Position>,
        actions: &mut Vec<Action>,
    ) {
        let Some(replica) = self.replicas.get_mut(&id) else { return };
        replica.heard = now;
        let mut newly = replica.applied.advance(applied, &self.fences);
        if let Some(durable) = durable {
            newly.extend(replica.durable.advance(durable, &self.fences));
        }
        for ticket in newly {
            self.settle(ticket, actions);
        }
    }

    /// Answers those who waited for this fence and have enough now.
    fn settle(&mut self, ticket: Ticket, actions: &mut Vec<Action>) {
        let Some(group) = self.fences.get(&ticket) else { return };
        let covers = |progress: &Progress| Some(ticket) <= progress.covers;
        let mut done = Vec::new();
        for id in &group.waits {
            let Some(wait) = self.waits.get(id) else { continue };
            let count = self.count(wait.needs, covers);
            if wait.needs.are_met_by(count) {
                actions.push(Action::Answer(*id, count));
                done.push(*id);
            }
        }
        done.into_iter().for_each(|id| self.forget(id));
    }

    /// Answers those whose time is over, with what there is.
    fn end_late(&mut self, now: Moment, actions: &mut Vec<Action>) {
        while let Some((_, id)) = self.deadlines.first().filter(|(moment, _)| *moment <= now) {
            let id = *id;
            let Some(Wait { needs, fence, .. }) = self.waits.get(&id) else { break };
            let (needs, fence) = (*needs, *fence);
            let covers = |progress: &Progress| fence.is_some() && fence <= progress.covers;
            actions.push(Action::Answer(id, self.count(needs, covers)));
            self.forget(id);
        }
    }

    fn forget(&mut self, id: WaitId) {
        let Some(wait) = self.waits.remove(&id) else { return };
        if let Some(deadline) = wait.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        let Some(ticket) = wait.fence else { return };
        if let Some(group) = self.fences.get_mut(&ticket) {
            group.waits.retain(|other| *other != id);
            if group.waits.is_empty() {
                self.fences.remove(&ticket);
            }
        }
    }

    /// All who wait need fences of the new history.
    fn begin_anew(&mut self, actions: &mut Vec<Action>) {
        for replica in self.replicas.values_mut() {
            (replica.applied, replica.durable) = (Progress::default(), Progress::default());
        }
        self.local = Progress::default();
        self.fences.clear();
        self.asked = None;
        self.waits.values_mut().for_each(|wait| wait.fence = None);
        self.queued = self.waits.keys().copied().collect();
        self.ask(actions);
    }

    fn count(&self, needs: Needs, covers: impl Fn(&Progress) -> bool) -> Count {
        let of = |kind: fn(&Replica) -> &Progress| {
            self.replicas.values().filter(|replica| covers(kind(replica))).count() as u64
        };
        match needs {
            Needs::Applied(_) => Count::Applied(of(|replica| &replica.applied)),
            Needs::Durable { .. } => Count::Durable {
                local: covers(&self.local).into(),
                replicas: of(|replica| &replica.durable),
            },
        }
    }
}

impl Count {
    /// Writes what WAIT and WAITAOF answer.
    pub fn write(self, replies: &mut Replies<'_>) {
        let count_of = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        match self {
            Self::Applied(replicas) => replies.integer(count_of(replicas)),
            Self::Durable { local, replicas } => {
                replies.array(2);
                replies.integer(count_of(local));
                replies.integer(count_of(replicas));
            }
        }
    }
}

impl Needs {
    fn are_met_by(self, count: Count) -> bool {
        match (self, count) {
            (Self::Applied(needed), Count::Applied(there)) => needed <= there,
            (
                Self::Durable { local, replicas },
                Count::Durable { local: here, replicas: there },
            ) => local <= here && replicas <= there,
            // Counts are made for needs of their kind.
            (Self::Applied(_), Count::Durable { .. })
            | (Self::Durable { .. }, Count::Applied(_)) => false,
        }
    }
}

impl Progress {
    fn has(&self, fence: &Fence) -> bool {
        self.position.as_ref().is_some_and(|position| position.covers(fence))
    }

    /// Goes on to `position`; returns which fences it covers now and did not before.
    fn advance(&mut self, position: Position, fences: &BTreeMap<Ticket, Group>) -> Vec<Ticket> {
        self.position = Some(position);
        self.look(fences)
    }

    fn look(&mut self, fences: &BTreeMap<Ticket, Group>) -> Vec<Ticket> {
        let Some(position) = &self.position else { return Vec::new() };
        let from = self.covers.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = fences.range((from, Bound::Unbounded));
        let newly = behind.take_while(|(_, group)| position.covers(&group.fence));
        let newly: Vec<Ticket> = newly.map(|(ticket, _)| *ticket).collect();
        self.covers = newly.last().copied().or(self.covers);
        newly
    }
}

#[cfg(test)]
mod tests;
