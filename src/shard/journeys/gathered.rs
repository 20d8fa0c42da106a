//! Commands on entries of several shards: they are brought together at home, and go back when the
//! command is done.

use shards::effects::{Effects, Note};
use shards::keyspace::db::Keyspace;
use shards::keyspace::waiters::WaitId;

use crate::batches::batch::{At, Batch, with_rewritten};
use crate::blocking::waits::Registration;
use crate::mail::release::Release;
use crate::routing::call::Run;
use crate::routing::request::with_args;
use crate::routing::slots::Peer;
use crate::shard::core::Core;
use crate::transactions::locks::Claims;
use crate::transactions::transaction::{Kind, Leftovers, Loan, Transaction};

/// Room that is kept for entries, events and the like: a transaction with more of them is rare.
const ROOM_MAX: usize = 4096;

impl Core {
    /// Runs one command on entries of several shards, here, and sends them back. `None` if it
    /// waits from now on.
    pub(crate) fn run_gathered(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        let At::Visits(mut transaction) = std::mem::take(&mut batch.at) else {
            unreachable!("entries were gathered")
        };
        self.receive_visitors(&mut transaction);
        self.resumes = batch.waiting.is_some();
        let parsed = &batch.requests[batch.next];
        let call = parsed.call.expect("only known commands make transactions");
        let Run::Engine(command) = call.run else { unreachable!("others are not gathered") };
        with_args(&batch.input, &batch.ranges, parsed, |args| {
            if transaction.kind == Kind::GatherWhole {
                let (passport, replies) = (&batch.passport, &mut batch.replies);
                return self.run_on_wholes(&mut transaction, call, args, passport, replies);
            }
            with_rewritten(args, batch.waiting.as_deref(), |args| {
                let request = Self::engine_request(args, &batch.passport, parsed.first_key);
                self.run_on_visitors(call, command, request, &mut batch.replies);
            });
        });
        self.resumes = false;
        if let Some(consignment) = self.visitors.effects.consignment.take() {
            self.lend_visitors(&mut transaction);
            batch.at = At::Visits(transaction);
            self.hand_over(batch, *consignment);
            return None;
        }
        if let Some(wait) = self.visitors.effects.wait.take() {
            let before = batch.waiting.as_ref().map(|waiting| waiting.id);
            let waits = self.wait_at_home(batch, *wait);
            let served = before.filter(|_| waits.is_none());
            self.end_gathered(*transaction, waits.unwrap_or_default(), served);
            return None;
        }
        let served = batch.waiting.take().map(|waiting| waiting.id);
        self.end_gathered(*transaction, Vec::new(), served);
        batch.next += 1;
        Some(batch)
    }

    /// Puts entries on loan into the visitors' keyspace.
    pub(crate) fn receive_visitors(&mut self, transaction: &mut Transaction) {
        self.visitors.keyspace.settings = self.shard.keyspace.settings.clone();
        let effects = &mut self.visitors.effects;
        effects.keeps_log = self.shard.effects.keeps_log;
        if effects.keeps_log {
            effects.log.begin();
        }
        let keyspace = &mut self.visitors.keyspace;
        for loan in transaction.loans.drain(..) {
            keyspace.dbs[loan.db].insert(loan.hash, loan.entry);
        }
    }

    /// Takes the visitors along again, because the transaction leaves home for a while.
    pub(crate) fn lend_visitors(&mut self, transaction: &mut Transaction) {
        let Transaction { visits, loans, .. } = &mut *transaction;
        for visit in visits {
            let shard = visit.shard;
            self.take_visitors(&visit.claims, |db, hash, entry| {
                loans.push(Loan { shard, db, hash, entry });
            });
        }
        self.keep_leftovers(&mut transaction.leftovers);
    }

    /// Takes the visitors that a visit claimed out of their keyspace.
    fn take_visitors(
        &mut self,
        claims: &Claims,
        mut take: impl FnMut(usize, u64, shards::keyspace::db::Entry),
    ) {
        let Claims::Keys(keys) = claims else { return };
        for &(hash, _) in keys {
            for (db, place) in self.visitors.keyspace.dbs.iter_mut().enumerate() {
                while let Some(entry) = place.take_hash(hash) {
                    take(db, hash, entry);
                }
            }
        }
    }

    /// Sends everything that was gathered back with all that came of it, and ends all claims.
    /// `waits` begin, and the wait that is `served` is over.
    pub(crate) fn end_gathered(
        &mut self,
        mut transaction: Transaction,
        waits: Vec<(Peer, Registration)>,
        served: Option<WaitId>,
    ) {
        let shards: Vec<Peer> = transaction.visits.iter().map(|visit| visit.shard).collect();
        let at = |shard: Peer| shards.iter().position(|other| *other == shard);
        let mut releases: Vec<Release> =
            shards.iter().map(|_| Release { served, ..Release::default() }).collect();
        for (visit, release) in transaction.visits.iter().zip(&mut releases) {
            self.take_visitors(&visit.claims, |db, hash, entry| {
                release.entries.push((db, hash, entry));
            });
        }
        if ROOM_MAX < releases.iter().map(|release| release.entries.len()).sum() {
            self.visitors.keyspace.drop_room();
        }
        for (shard, dbs) in transaction.wholes.drain(..) {
            let release = &mut releases[at(shard).expect("lent at a visit")];
            release.dbs = Some(dbs);
            release.replaced.clone_from(&transaction.replaced);
        }
        for (shard, registration) in waits {
            let at = at(shard).expect("only claimed keys are waited for");
            releases[at].waits.push(registration);
        }
        let mut leftovers = std::mem::take(&mut transaction.leftovers);
        self.keep_leftovers(&mut leftovers);
        transaction.leftovers.unit = std::mem::take(&mut leftovers.unit);
        self.send_leftovers(leftovers, &mut releases, at);
        self.release_all(transaction, releases);
    }

    /// Adds what the visitors' commands have left to what their transaction keeps: the next ones
    /// to run here may be another's.
    ///
    /// Both structures are taken apart field by field: a new field does not compile until it is
    /// decided here what becomes of it.
    fn keep_leftovers(&mut self, kept: &mut Leftovers) {
        let Self { shard, visitors, .. } = self;
        let Keyspace {
            dbs: _,
            seed: _,
            now: _,
            settings: _,
            stats,
            watches: _,
            waiters: _,
            random: _,
            slots: _,
            garbage,
            eviction: _,
            elsewhere: _,
        } = &mut visitors.keyspace;
        shard.keyspace.stats.add(&std::mem::take(stats));
        shard.keyspace.garbage.append(garbage);
        let Effects {
            dirty,
            logged: _,
            instead: _,
            behind: _,
            keeps_log: _,
            classes: _,
            events,
            by_key: _,
            falls_apart: _,
            txid: _,
            log,
            keeps_notes: _,
            author: _,
            notes,
            keeps_touched: _,
            touched,
            wait: _,
            denies_waiting: _,
            counts: _,
            sees_own_slots: _,
            scan_rest: _,
            consignment: _,
            receipt: _,
        } = &mut visitors.effects;
        kept.dirty += std::mem::take(dirty);
        pour(events, &mut kept.events);
        pour(notes, &mut kept.notes);
        pour(touched, &mut kept.touched);
        if log.is_open()
            && let Some(unit) = log.take_open()
        {
            kept.unit.append(unit);
        }
    }

    /// Sorts what a transaction has left by the owners of the keys: to their releases, or to this
    /// shard what no visited shard owns.
    fn send_leftovers(
        &mut self,
        leftovers: Leftovers,
        releases: &mut [Release],
        at: impl Fn(Peer) -> Option<usize>,
    ) {
        let Leftovers { dirty, events, notes, touched, unit: _ } = leftovers;
        let Self { shard, node, .. } = self;
        let seed = node.seed;
        let of_hash = |hash: u64| at(usize::from(node.slots.owner(hash)));
        shard.effects.dirty += dirty;
        for touched in touched {
            let at = of_hash(touched.hash).expect("only claimed keys change");
            releases[at].touched.push(touched);
        }
        for event in events {
            match of_hash(seed.key_hash(&event.key)) {
                Some(at) => releases[at].events.push(event),
                None => shard.effects.events.push(event),
            }
        }
        for note in notes {
            let (Note::Read { key, .. } | Note::Changed { key, .. }) = &note else {
                // Each shard tells its own clients.
                releases.iter_mut().for_each(|release| release.notes.push(note.clone()));
                continue;
            };
            if let Some(at) = of_hash(seed.key_hash(key)) {
                releases[at].notes.push(note);
            }
        }
    }
}

/// Moves all of `from` behind `into`, and drops the room that it had for many.
fn pour<T>(from: &mut Vec<T>, into: &mut Vec<T>) {
    into.append(from);
    if ROOM_MAX < from.capacity() {
        *from = Vec::new();
    }
}
