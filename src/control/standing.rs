//! What all shards stand still for, one after the other: a barrier claims all of them, and what it
//! is for is done then. Meanwhile no transaction is half done, and nothing is on its way to a log.

use std::collections::VecDeque;

use shards::shard::Shard;

use crate::batches::batch::{At, Batch};
use crate::control::core::Control;
use crate::control::fences::Purpose;
use crate::control::saving::KeptRequest;
use crate::mail::disk::DiskWord;
use crate::mail::release::Release;
use crate::mail::replica::Waiting;
use crate::mail::to_relay::ToRelay;
use crate::mail::to_shard::ToShard;
use crate::mail::upstream::{Brought, Held, UpstreamWord};
use crate::reactor::gate::gate;
use crate::replication::link::events::Generation;
use crate::routing::node::Role;
use crate::transactions::locks::{Claims, Mode};
use crate::transactions::transaction::{Kind, Transaction, Visit};

/// What all shards are to stand still for.
#[derive(Debug)]
pub enum Wish {
    /// A snapshot by a child; the client that asked, if any, is told that it has begun.
    Background(Option<KeptRequest>),
    /// A snapshot after FLUSHALL: its batch goes on when that has ended.
    AfterFlush(Box<Batch>),
    /// A snapshot whose request is answered when it is written.
    Foreground(KeptRequest),
    /// The last snapshot, before the process ends.
    Final,
    /// A snapshot for replicas, sent by a child.
    Sync(Vec<Waiting>),
    /// Nothing: what clients were answered for is to be in the logs, for a fence behind it.
    Fence(Purpose),
    /// The snapshot of a primary becomes the data: that of this attempt to follow it.
    Commit(Generation, Box<Brought>),
    /// The end of all keys: those of a primary are to come, and have no room beside them.
    Empty,
    /// The end of all logs: no replica reads them.
    StopLogs,
    /// What is logged comes to its end: another node is to be followed.
    Demote,
    /// The end of all logs: what a primary sends goes on where they end.
    EndLogs,
    /// What came of a primary comes to its end: this node is to be one.
    Promote,
    /// The end of all keys: this node has left its shard.
    Flush,
    /// DEBUG RELOAD.
    Reload(KeptRequest, Reload),
}

/// What DEBUG RELOAD is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload {
    /// Write a snapshot first.
    pub saves: bool,
    /// Remove all keys before it is read.
    pub flushes: bool,
    /// Keys that are there may be in the file too.
    pub merges: bool,
}

/// What all shards are being brought to a stand for, and what has its turn then.
#[derive(Debug, Default)]
pub struct Standing {
    now: Option<Wish>,
    next: VecDeque<Wish>,
    /// Whether the relay applies nothing of a primary's stream meanwhile, and what the data are.
    hold: Hold,
}

/// Whether a primary's stream is held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Hold {
    #[default]
    No,
    /// The relay was asked to.
    Asked,
    /// The data are this.
    Held(Option<Box<Held>>),
}

impl Standing {
    /// All of them, in their order.
    pub(crate) fn wishes(&self) -> impl Iterator<Item = &Wish> {
        self.now.iter().chain(&self.next)
    }

    /// What the data of a replica are, while its stream is held.
    pub(crate) fn held(&self) -> Option<&Held> {
        match &self.hold {
            Hold::No | Hold::Asked => None,
            Hold::Held(held) => held.as_deref(),
        }
    }
}

/// How a wish goes with others, and with a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// A snapshot that is kept, by a child.
    Saved,
    /// All keys are written somewhere else, as a rule by a child.
    Copied,
    /// It is over at once.
    Instant,
    /// So it is, too, but others wait for it that can wait.
    Patient,
}

impl Wish {
    fn class(&self) -> Class {
        match self {
            Self::Background(_) | Self::AfterFlush(_) | Self::Foreground(_) => Class::Saved,
            Self::Final | Self::Sync(_) | Self::Reload(..) => Class::Copied,
            Self::Fence(_) | Self::Demote | Self::EndLogs | Self::Promote => Class::Instant,
            Self::Commit(..) | Self::Empty | Self::StopLogs | Self::Flush => Class::Patient,
        }
    }

    /// Whether it makes a snapshot that is kept, by a child.
    pub(crate) fn saves(&self) -> bool {
        self.class() == Class::Saved
    }

    /// Whether it need not wait for those that wait for a child.
    fn is_instant(&self) -> bool {
        self.class() == Class::Instant
    }

    /// Whether nothing of a primary's stream may be half applied: the place in it is written
    /// beside the keys.
    fn names_place(&self) -> bool {
        matches!(self.class(), Class::Saved | Class::Copied)
    }

    /// Whether it can be done while there is a child: there is one at a time.
    fn may_begin(&self, has_child: bool) -> bool {
        let needs_child = match self {
            Self::Reload(_, reload) => reload.saves,
            other => other.names_place(),
        };
        !(needs_child && has_child)
    }
}

impl Control {
    /// Brings all shards to a stand for this, after whatever they stand still for before.
    pub fn wish(&mut self, wish: Wish) {
        let next = &mut self.standing.next;
        let first_slow = || next.iter().position(|other| !other.is_instant());
        let place = if wish.is_instant() { first_slow() } else { None };
        next.insert(place.unwrap_or(next.len()), wish);
        self.next_wish();
    }

    /// Whether all shards are being brought to a stand.
    pub(crate) fn has_wish(&self) -> bool {
        self.standing.now.is_some()
    }

    pub(crate) fn next_wish(&mut self) {
        if self.end.has_claims() || self.is_reloading() {
            // All shards stay claimed, for the last snapshot or while one is read.
            return;
        }
        let has_child = self.saving.forked().is_some();
        if self.standing.now.is_some()
            || !self.standing.next.front().is_some_and(|wish| wish.may_begin(has_child))
        {
            return;
        }
        self.standing.now = self.standing.next.pop_front();
        let names_place = self.standing.now.as_ref().is_some_and(Wish::names_place);
        if names_place && self.node.condition.role == Role::Replica && self.replicating.has_relay()
        {
            self.standing.hold = Hold::Asked;
            return self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::Hold));
        }
        self.claim_all();
    }

    /// Nothing of a primary's stream is under way any more.
    pub(crate) fn stream_is_held(&mut self, held: Option<Box<Held>>) {
        self.standing.hold = Hold::Held(held);
        self.claim_all();
    }

    /// Sends the barrier.
    fn claim_all(&mut self) {
        let mode = match self.standing.now {
            Some(Wish::Reload(..) | Wish::Commit(..) | Wish::Empty | Wish::Flush) => {
                Mode::Exclusive
            }
            _ => Mode::Shared,
        };
        let visit =
            |shard| Visit { shard, claims: Claims::Whole(mode), ticket: None, watched: Vec::new() };
        let transaction = Transaction::new(Kind::Barrier, (0..self.shards()).map(visit).collect());
        let mut batch = Box::new(Batch::default());
        batch.home = self.mailbox.me();
        batch.at = At::Visits(Box::new(transaction));
        self.mailbox.send(0, ToShard::Batch(batch));
    }

    /// The barrier has claimed all shards: what it was for happens now.
    pub(crate) fn barrier_stands(&mut self, transaction: Transaction) {
        let wish = self.standing.now.take().expect("a barrier stands for something");
        match wish {
            Wish::Background(kept) => self.save_in_background(kept),
            Wish::AfterFlush(batch) => self.save_after_flush(batch),
            Wish::Foreground(kept) => self.save_in_foreground(kept),
            Wish::Sync(waiting) => self.sync(waiting),
            Wish::Fence(purpose) => self.fence(purpose),
            Wish::Commit(generation, brought) => self.commit_snapshot(generation, *brought),
            Wish::Empty => self.empty_for_snapshot(),
            Wish::StopLogs => self.stop_logs(),
            Wish::Demote => self.demoted(),
            Wish::EndLogs => self.join(),
            Wish::Promote => self.promoted(),
            Wish::Flush => self.flush_all(),
            Wish::Final => return self.save_last(transaction),
            Wish::Reload(kept, reload) => return self.reload(kept, reload, transaction),
        }
        self.release_barrier(transaction);
    }

    /// Ends the claims of a barrier: what waits for another has its turn.
    pub(crate) fn release_barrier(&mut self, transaction: Transaction) {
        for visit in transaction.visits {
            let release = Release { ticket: visit.ticket, ..Release::default() };
            self.mailbox.send(visit.shard, ToShard::Release(Box::new(release)));
        }
        if std::mem::take(&mut self.standing.hold) != Hold::No {
            self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::GoOn));
        }
        self.mailbox.flush();
        self.next_wish();
    }

    /// Does `work` while all shards stand still; they have been claimed.
    pub(crate) fn while_all_stand<R>(
        &mut self,
        work: impl FnOnce(&mut Self, &mut [&mut Shard]) -> R,
    ) -> R {
        let (gate, places) = gate(self.shards());
        for (shard, place) in places.into_iter().enumerate() {
            self.mailbox.send(shard, ToShard::Disk(DiskWord::Stand(place)));
        }
        while self.mailbox.flush() {
            // Shards still take letters: they have not seen this one.
            std::thread::yield_now();
        }
        gate.hold(|shards| work(self, shards))
    }
}
