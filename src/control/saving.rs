//! Snapshots, as the control thread sees to them: when one is due, that all shards stand still for
//! it, what becomes of it.
//!
//! ```text
//! wish --> barrier: a transaction claims every shard, one after the other (control waits for it)
//!      --> all threads stop at a gate --> fork, or write right here --> gate opens, claims end
//!      --> the child works; it ends, or is killed --> requests that waited for that go on
//! ```
//! Claims of whole shards put a snapshot into one order with all transactions: it has all of each,
//! or nothing. That the threads stop besides makes sure that none of them is at work in memory.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use shards::resp::error::Error;
use shards::shard::Shard;

use crate::batches::batch::Batch;
use crate::config::lists::SavePoint;
use crate::control::core::Control;
use crate::control::ctx::Outcome;
use crate::control::standing::Wish;
use crate::log;
use crate::mail::query::Query;
use crate::mail::to_shard::ToShard;
use crate::persistence::child::{self, SavingChild, failure};
use crate::persistence::forked::Forked;
use crate::persistence::repair::Repair;
use crate::persistence::snapshot::{Failed, Others, Plan};
use crate::persistence::syncing::{self, SyncChild};
use crate::reactor::allocator::used_memory;
use crate::reactor::clock::{self, Monotonic};
use crate::stats::latency_events::Event;

/// If a snapshot failed, the next automatic or scheduled one waits this long.
const RETRY_MILLIS: u64 = 5000;

/// A request that control keeps until something has happened.
#[derive(Debug)]
pub struct KeptRequest {
    /// Its batch.
    pub batch: Box<Batch>,
    /// The time-stamp counter when it began.
    pub started: u64,
}

/// Who goes on when there is no child any more.
#[derive(Debug)]
enum Waiter {
    /// A batch whose request is done.
    Batch(Box<Batch>),
    /// BGSAVE CANCEL.
    Cancel(KeptRequest),
    /// FLUSHALL, after which the empty dataset is to be saved.
    Flush(Box<Batch>),
    /// SAVE.
    Save(KeptRequest),
}

/// What is known of snapshots.
#[derive(Debug)]
pub struct Saving {
    /// The child that writes a snapshot, while there is one.
    pub child: Option<SavingChild>,
    /// The child that sends all keys to replicas, while there is one. There is one child of both.
    pub sync: Option<SyncChild>,
    /// Transfers that have ended and were not taken yet.
    pub(crate) synced: Vec<syncing::Outcome>,
    /// What the last one left behind, while that is being put right.
    pub repair: Option<Repair>,
    /// A snapshot is to be made as soon as possible.
    pub scheduled: bool,
    waiters: Vec<Waiter>,
    /// Libraries of functions that came with the keys: kept for servers that can call them.
    pub functions: Vec<Vec<u8>>,
    /// When a snapshot last succeeded, in seconds since the epoch.
    pub last_save: u64,
    last_try: Option<Monotonic>,
    /// Whether the last one by a child succeeded.
    pub last_ok: bool,
    /// Whole seconds it took.
    pub last_seconds: Option<u64>,
    /// Snapshots that succeeded.
    pub saves: u64,
    /// Memory that the last child had for itself.
    pub last_cow_bytes: u64,
    /// Keys there were when the child began.
    pub keys_total: u64,
    /// Changes up to the last snapshot that succeeded, and up to the one that is being made.
    pub changes_saved: u64,
    changes_at_fork: u64,
    /// Microseconds the last fork took.
    pub fork_micros: u64,
    /// Gigabytes in use for each second of that.
    pub fork_rate: f64,
    /// Microseconds for which all shards stood still for it.
    pub stand_micros: u64,
    /// Forks so far.
    pub forks: u64,
}

impl Default for Saving {
    fn default() -> Self {
        Self {
            child: None,
            sync: None,
            synced: Vec::new(),
            repair: None,
            scheduled: false,
            waiters: Vec::new(),
            functions: Vec::new(),
            last_save: clock::wall().seconds(),
            last_try: None,
            last_ok: true,
            last_seconds: None,
            saves: 0,
            last_cow_bytes: 0,
            keys_total: 0,
            changes_saved: 0,
            changes_at_fork: 0,
            fork_micros: 0,
            fork_rate: 0.0,
            stand_micros: 0,
            forks: 0,
        }
    }
}

impl Saving {
    /// The child, whatever it does.
    pub fn forked(&self) -> Option<&Forked> {
        let saves = self.child.as_ref().map(|child| &child.forked);
        saves.or_else(|| self.sync.as_ref().map(|sync| &sync.forked))
    }

    /// What can be read when there is news.
    pub fn news(&self) -> Option<BorrowedFd<'_>> {
        self.forked().map(AsFd::as_fd)
    }

    fn may_retry(&self, now: Monotonic) -> bool {
        self.last_ok || self.last_try.is_none_or(|at| RETRY_MILLIS <= now.millis_since(at))
    }
}

impl Control {
    /// Whether a child writes a snapshot, or is about to.
    pub fn is_saving(&self) -> bool {
        self.saving.child.is_some() || self.standing.wishes().any(Wish::saves)
    }

    /// Whether a child is at work, or all shards are to stand still.
    pub(crate) fn has_child_or_wish(&self) -> bool {
        self.saving.forked().is_some() || self.standing.wishes().next().is_some()
    }

    /// Makes the child for BGSAVE, or because it is due; the client that asked, if any, is told.
    pub(crate) fn save_in_background(&mut self, kept: Option<KeptRequest>) {
        let failure = self.fork();
        let Some(kept) = kept else { return };
        let answer = match failure {
            None => Ok("Background saving started"),
            Some(why) => Err(Error::Owned(format!("ERR {why}"))),
        };
        self.answer_kept(kept, answer);
    }

    /// Makes the child for FLUSHALL, whose batch goes on when that has ended.
    pub(crate) fn save_after_flush(&mut self, batch: Box<Batch>) {
        match self.fork() {
            None => self.saving.waiters.push(Waiter::Batch(batch)),
            Some(_) => self.go_home(batch),
        }
    }

    /// Makes the child for SAVE, which is answered when that has ended.
    pub(crate) fn save_in_foreground(&mut self, kept: KeptRequest) {
        match self.fork() {
            None => self.saving.waiters.push(Waiter::Save(kept)),
            Some(_) => {
                // No room for a copy of the process: it is written right here.
                let saved = self.save_now().is_ok();
                self.answer_save(kept, saved);
            }
        }
    }

    /// Does for a snapshot what must be done while all shards stand still, and notes for how long.
    fn stand_for_snapshot<R>(&mut self, work: impl FnOnce(&mut Self, &mut [&mut Shard]) -> R) -> R {
        let began = Monotonic::now();
        let done = self.while_all_stand(work);
        self.saving.stand_micros = Monotonic::now().micros_since(began);
        done
    }

    /// How a snapshot would be written now.
    pub(crate) fn plan(&self) -> Plan {
        Plan::new(&self.node.config, self.saving.functions.clone())
    }

    /// Makes the child. Why there is none, if there is none.
    pub(crate) fn fork(&mut self) -> Option<String> {
        if self.lacks_keys() {
            // It would take the place of a snapshot that has all.
            return Some("Can't save: the keys are not complete".to_owned());
        }
        let mut plan = self.plan();
        let began = self.fork_for(|control, shards, before| {
            let changes = shards.iter().map(|shard| shard.effects.dirty).sum();
            control.saving.changes_at_fork = changes;
            plan.origin = control.origin(shards);
            SavingChild::start(plan, shards, before)
        });
        let saving = &mut self.saving;
        saving.last_try = Some(Monotonic::now());
        saving.scheduled = false;
        match began {
            Ok(child) => {
                log::notice(&format!("Background saving started by pid {}", child.forked.pid()));
                saving.child = Some(child);
                None
            }
            Err(error) => {
                let why =
                    format!("Can't save in background: fork: {}", crate::process::plain(&error));
                log::warning(&why);
                self.note_outcome(false);
                Some(why)
            }
        }
    }

    /// Makes a child while all shards stand still, which `start` does; notes what that took.
    pub(crate) fn fork_for<C>(
        &mut self,
        start: impl FnOnce(&mut Self, &mut [&mut Shard], Monotonic) -> io::Result<C>,
    ) -> io::Result<C> {
        // What is split now would be split again.
        self.saving.repair = None;
        let began = self.stand_for_snapshot(|control, shards| {
            let before = Monotonic::now();
            let child = start(control, shards, before);
            let saving = &mut control.saving;
            saving.fork_micros = Monotonic::now().micros_since(before);
            saving.keys_total = shards.iter().map(|shard| shard.keyspace.len() as u64).sum();
            child
        });
        self.note_time(Event::Fork, self.saving.fork_micros);
        let saving = &mut self.saving;
        let seconds = saving.fork_micros.max(1) as f64 / 1e6;
        saving.fork_rate = used_memory() as f64 / f64::from(1 << 30) / seconds;
        saving.forks += u64::from(began.is_ok());
        began
    }

    /// Writes a snapshot while all shards stand still; not if that would be a part of the keys.
    pub(crate) fn save_now(&mut self) -> Result<(), ()> {
        if self.lacks_keys() {
            return Err(());
        }
        let mut plan = self.plan();
        self.stand_for_snapshot(|control, shards| {
            plan.origin = control.origin(shards);
            let written = plan.write(shards, Others::Stand, |_| {});
            let changes = shards.iter().map(|shard| shard.effects.dirty).sum();
            control.note_written(&plan, written.map(|_| changes))
        })
    }

    /// Notes how a snapshot that was written right here went: it has all of so many changes.
    pub(crate) fn note_written(
        &mut self,
        plan: &Plan,
        written: Result<u64, Failed>,
    ) -> Result<(), ()> {
        match written {
            Ok(changes) => {
                log::notice("DB saved on disk");
                self.note_saved(changes);
                Ok(())
            }
            Err(Failed { step, error }) => {
                log::warning(&format!("Snapshot failed: {}", failure(plan, step, &error)));
                Err(())
            }
        }
    }

    fn note_saved(&mut self, changes: u64) {
        let saving = &mut self.saving;
        saving.changes_saved = changes;
        saving.last_save = clock::wall().seconds();
        saving.saves += 1;
        self.note_outcome(true);
    }

    /// Looks after the child and after what is due.
    pub fn see_to_snapshots(&mut self) {
        let now = self.node.now;
        if let Some(child) = &mut self.saving.child
            && let Some(outcome) = child.poll(now)
        {
            self.child_has_ended(outcome);
        }
        if let Some(sync) = &mut self.saving.sync
            && let Some(outcome) = sync.poll(now)
        {
            self.sync_has_ended(outcome);
        }
        self.saving.repair.take_if(|repair| !repair.go_on());
    }

    /// What is due some times a second: snapshots that the configuration asks for.
    pub(crate) fn save_if_due(&mut self) {
        let now = self.node.now;
        if self.is_saving() || self.lacks_keys() || self.end.shutdown.is_under_way() {
            return;
        }
        if self.saving.scheduled && self.saving.may_retry(now) {
            self.saving.scheduled = false;
            return self.wish(Wish::Background(None));
        }
        let changes = self.changes_since_save();
        let age = clock::wall().seconds().saturating_sub(self.saving.last_save);
        let is_due =
            |point: &&SavePoint| u64::from(point.changes) <= changes && point.seconds < age;
        let config = &self.node.config;
        let due = config.save.iter().find(is_due).copied();
        if let Some(SavePoint { seconds, changes }) = due
            && 0 < self.changes_since_save()
            && self.saving.may_retry(now)
        {
            log::notice(&format!("{changes} changes in {seconds} seconds. Saving..."));
            self.wish(Wish::Background(None));
        }
    }

    /// Changes that no snapshot has, as far as shards have told.
    fn changes_since_save(&self) -> u64 {
        let all: u64 =
            (0..self.shards()).map(|shard| self.mailbox.board(shard).changes.get()).sum();
        all.saturating_sub(self.saving.changes_saved)
    }

    fn child_has_ended(&mut self, outcome: child::Outcome) {
        let child = self.saving.child.take().expect("the caller has seen it");
        let now = Monotonic::now();
        let is_last = self.end.has_claims();
        let is_save = |waiter: &Waiter| matches!(waiter, Waiter::Save(_));
        let is_awaited = is_last || self.saving.waiters.iter().any(is_save);
        self.saving.last_cow_bytes = child.forked.private_bytes_max;
        self.saving.repair = Repair::new(now).filter(|_| !is_last);
        if let Some(micros) = child.unlink_micros {
            self.note_time(Event::RdbUnlinkTempFile, micros);
        }
        match &outcome {
            child::Outcome::Saved => {
                let megabytes = child.forked.private_bytes_max >> 20;
                log::notice(&format!("Fork CoW for RDB: {megabytes} MB at most"));
                log::notice(if is_awaited {
                    "DB saved on disk"
                } else {
                    "Background saving terminated with success"
                });
                self.saving.last_seconds = Some(now.millis_since(child.forked.began) / 1000);
                self.note_saved(self.saving.changes_at_fork);
            }
            child::Outcome::Killed => {
                // It was not its fault: nothing was lost that was not to be.
                log::warning("Background saving terminated by signal 10");
            }
            child::Outcome::Failed(why) => {
                log::warning(&format!("Background saving error: {why}"));
                self.saving.last_seconds = Some(now.millis_since(child.forked.began) / 1000);
                if !is_awaited {
                    self.note_outcome(false);
                }
            }
        }
        self.tell_waiters(&outcome);
        if is_last {
            self.last_save_ended(outcome == child::Outcome::Saved);
        }
        self.next_wish();
    }

    /// Lets those go on who waited for the child.
    pub(crate) fn tell_waiters(&mut self, outcome: &child::Outcome) {
        let waiters = std::mem::take(&mut self.saving.waiters);
        let is_cancelled = waiters.iter().any(|waiter| matches!(waiter, Waiter::Cancel(_)));
        // If FLUSHALL has killed the child, there is something else to save now.
        let saves_again = *outcome == child::Outcome::Killed
            && !is_cancelled
            && !self.end.shutdown.is_under_way();
        for waiter in waiters {
            match waiter {
                Waiter::Batch(batch) => self.go_home(batch),
                Waiter::Cancel(kept) => self.answer_kept(kept, Ok("Background saving cancelled")),
                Waiter::Flush(batch) if batch.applies.is_some() => {
                    self.go_home(batch);
                    self.wish(Wish::Background(None));
                }
                Waiter::Flush(batch) => self.wish(Wish::AfterFlush(batch)),
                Waiter::Save(kept) if saves_again => self.wish(Wish::Foreground(kept)),
                Waiter::Save(kept) => self.answer_save(kept, *outcome == child::Outcome::Saved),
            }
        }
    }

    /// Ends the child, if there is one, for this reason; `keep` is told when it is gone.
    pub fn cancel_save(&mut self, kept: KeptRequest) {
        log::notice("Background saving will be aborted due to user request");
        self.kill_snapshot("BGSAVE CANCEL");
        self.saving.waiters.push(Waiter::Cancel(kept));
    }

    /// Asks a child that writes a snapshot to end, for this reason.
    pub(crate) fn kill_snapshot(&mut self, by: &'static str) {
        if let Some(child) = &mut self.saving.child {
            child.forked.kill(by, Monotonic::now());
        }
    }

    /// Asks the child to end, whatever it does, for this reason.
    pub(crate) fn kill_child(&mut self, by: &'static str) {
        self.kill_snapshot(by);
        if let Some(sync) = &mut self.saving.sync {
            sync.forked.kill(by, Monotonic::now());
        }
    }

    /// All keys are gone: a snapshot would only bring them back, and replicas would get them for
    /// nothing. The batch goes on when the child is gone, and, where snapshots are asked for, one
    /// of the empty dataset is written.
    pub(crate) fn after_flush(&mut self, batch: Box<Batch>) {
        let saves = !self.node.config.save.is_empty();
        match (self.saving.forked().is_some(), saves) {
            (false, false) => self.go_home(batch),
            // A snapshot of a replica waits until all that the stream has is applied, this too.
            (false, true) if batch.applies.is_some() => {
                self.go_home(batch);
                self.wish(Wish::Background(None));
            }
            (false, true) => self.wish(Wish::AfterFlush(batch)),
            (true, _) => {
                self.kill_child("FLUSHALL");
                let waiter = if saves { Waiter::Flush(batch) } else { Waiter::Batch(batch) };
                self.saving.waiters.push(waiter);
            }
        }
    }

    fn go_home(&mut self, batch: Box<Batch>) {
        self.mailbox.send(batch.home, ToShard::Batch(batch));
    }

    fn answer_save(&mut self, kept: KeptRequest, saved: bool) {
        let failed = || Error::Owned("ERR".to_owned());
        self.answer_kept(kept, saved.then_some("OK").ok_or_else(failed));
    }

    /// Answers a request that was kept.
    pub(crate) fn answer_kept(&mut self, kept: KeptRequest, answer: Result<&'static str, Error>) {
        let KeptRequest { batch, started } = kept;
        self.step(batch, started, |ctx| {
            ctx.replies.simple(answer?);
            Ok(Outcome::Done)
        });
    }

    /// Notes whether the last snapshot was written, and tells the shards if that is news.
    fn note_outcome(&mut self, ok: bool) {
        if std::mem::replace(&mut self.saving.last_ok, ok) != ok {
            self.node.condition.save_failed = !ok;
            self.order(&Query::SaveFailed(!ok));
        }
    }
}
