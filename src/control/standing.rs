//! What all shards stand still for, one after the other: a barrier claims all of them, and what it
//! is for is done then. Meanwhile no transaction is half done, and nothing is on its way to a log.

use std::collections::VecDeque;

use shards::shard::Shard;

use crate::batches::batch::{At, Batch};
use crate::control::core::Control;
use crate::control::replicating::Purpose;
use crate::control::saving::KeptRequest;
use crate::mail::disk::DiskWord;
use crate::mail::release::Release;
use crate::mail::replica::Waiting;
use crate::mail::to_shard::ToShard;
use crate::mail::upstream::Brought;
use crate::reactor::gate::gate;
use crate::replication::link::events::Generation;
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
    /// The end of all logs: no replica reads them.
    StopLogs,
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
}

impl Standing {
    /// All of them, in their order.
    pub(crate) fn wishes(&self) -> impl Iterator<Item = &Wish> {
        self.now.iter().chain(&self.next)
    }
}

impl Wish {
    /// Whether it makes a snapshot that is kept, by a child.
    pub(crate) fn saves(&self) -> bool {
        match self {
            Self::Background(_) | Self::AfterFlush(_) | Self::Foreground(_) => true,
            Self::Final
            | Self::Sync(_)
            | Self::Commit(..)
            | Self::Fence(_)
            | Self::StopLogs
            | Self::Reload(..) => false,
        }
    }

    /// Whether it can be done while there is a child: there is one at a time.
    fn may_begin(&self, has_child: bool) -> bool {
        match self {
            Self::Commit(..) | Self::Fence(_) | Self::StopLogs => true,
            Self::Reload(_, reload) => !has_child || !reload.saves,
            Self::Background(_)
            | Self::AfterFlush(_)
            | Self::Foreground(_)
            | Self::Final
            | Self::Sync(_) => !has_child,
        }
    }
}

impl Control {
    /// Brings all shards to a stand for this, after whatever they stand still for before.
    pub fn wish(&mut self, wish: Wish) {
        match wish {
            // It is over at once, and what is in front may wait for a child.
            Wish::Fence(_) => self.standing.next.push_front(wish),
            wish => self.standing.next.push_back(wish),
        }
        self.next_wish();
    }

    /// Whether all shards are being brought to a stand.
    pub(crate) fn has_wish(&self) -> bool {
        self.standing.now.is_some()
    }

    pub(crate) fn next_wish(&mut self) {
        if self.end.has_claims() {
            // All shards stay claimed for the last snapshot.
            return;
        }
        let has_child = self.saving.forked().is_some();
        if self.standing.now.is_some()
            || !self.standing.next.front().is_some_and(|wish| wish.may_begin(has_child))
        {
            return;
        }
        self.standing.now = self.standing.next.pop_front();
        let mode = match self.standing.now {
            Some(Wish::Reload(..) | Wish::Commit(..)) => Mode::Exclusive,
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
            Wish::StopLogs => self.stop_logs(),
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
