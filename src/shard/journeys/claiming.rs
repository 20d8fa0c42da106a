//! Batches claim keys of this shard, and transactions give back what they borrowed.

use crate::batches::batch::Batch;
use crate::blocking::waits::Registration;
use crate::mail::release::Release;
use crate::mail::to_shard::ToShard;
use crate::shard::core::Core;
use crate::transactions::locks::{Claims, Mode, Ticket};

impl Core {
    /// Makes claims for a batch. `None` if it has to wait: then it is parked here.
    pub(crate) fn claim(
        &mut self,
        mut batch: Box<Batch>,
        claims: Claims,
        note: impl FnOnce(&mut Batch, Ticket),
    ) -> Option<Box<Batch>> {
        let (ticket, granted) = self.claims.enter(claims);
        note(&mut batch, ticket);
        if granted {
            return Some(batch);
        }
        self.hand_back_offers(&mut batch);
        self.claims.park(ticket, batch);
        None
    }

    /// What was done with the keys that `held` claims, or that no ticket claims, is done. The
    /// batches that wait for them have their turns, and then the claims end.
    #[inline]
    pub(crate) fn end_claims(&mut self, held: Option<Ticket>) {
        if self.shard.keyspace.waiters.has_ready() {
            self.serve_ready(held);
        }
        if let Some(ticket) = held {
            self.claims.leave(ticket);
        }
    }

    /// Ends claims on any shard.
    pub(crate) fn end_claims_at(&mut self, shard: usize, ticket: Ticket) {
        if shard == self.me() {
            self.end_claims(Some(ticket));
        } else {
            self.mailbox.send(shard, ToShard::Unclaim(ticket));
        }
    }

    /// Takes back what a transaction borrowed, and ends its claims.
    pub(crate) fn release(&mut self, release: Release) {
        self.claims.ended += 1;
        // No field is left out: a new one is taken in here, or lost on purpose.
        let Release {
            ticket,
            logged,
            txid,
            entries,
            dbs,
            touched,
            replaced,
            dirty,
            events,
            notes,
            waits,
            served,
        } = release;
        self.log_parts(txid, logged);
        if let Some(dbs) = dbs {
            self.take_back_databases(dbs, &replaced);
        }
        for (db, hash, entry) in entries {
            self.shard.keyspace.dbs[db].insert(hash, entry);
        }
        for touched in touched {
            self.shard.keyspace.touched(touched);
        }
        let waiters = &mut self.shard.keyspace.waiters;
        served.into_iter().for_each(|id| waiters.forget(id));
        for Registration { id, place, awaited } in waits {
            waiters.add(id, place, awaited);
        }
        if let Some(ticket) = ticket {
            match self.claims.of(ticket) {
                Claims::Keys(keys) => {
                    let databases = self.shard.keyspace.dbs.len();
                    keys.iter().for_each(|&(hash, _)| waiters.touch_hash(databases, hash));
                }
                Claims::Whole(Mode::Exclusive) => waiters.touch_all(),
                Claims::Whole(Mode::Shared) => {}
            }
        }
        let effects = &mut self.shard.effects;
        effects.dirty += dirty;
        effects.events.extend(events);
        // What changes a key now must say so, although its readers are only remembered later.
        effects.keeps_notes |= !notes.is_empty();
        effects.notes.extend(notes);
        self.end_claims(ticket);
    }

    fn take_back_databases(&mut self, dbs: Vec<shards::keyspace::db::Db>, replaced: &[usize]) {
        self.shard.keyspace.dbs = dbs;
        let lent = std::mem::take(&mut self.lent_watched);
        for (db, hash) in self.watched_here().into_iter().chain(lent) {
            if replaced.contains(&db) {
                self.shard.keyspace.touch(db, hash);
            }
        }
    }

    /// Keys that a client watches or waits for, as (database, hash), that exist here now.
    pub(crate) fn watched_here(&self) -> Vec<(usize, u64)> {
        let keyspace = &self.shard.keyspace;
        let dbs = keyspace.dbs.iter().enumerate();
        let watched = dbs.flat_map(|(number, db)| {
            let hashes = keyspace.heeded(number);
            hashes.filter(|&hash| db.table().find_hash(hash).is_some()).map(move |h| (number, h))
        });
        watched.collect()
    }
}
