//! Claims of batches on this shard: making them, waiting for them, and their end.

use crate::batches::batch::Batch;
use crate::blocking::waits::Registration;
use crate::mail::release::Release;
use crate::shard::core::Core;
use crate::transactions::locks::{Claims, Mode, Ticket};

impl Core {
    /// Takes back what a transaction borrowed, and ends its claims.
    pub(crate) fn release(&mut self, release: Release) {
        self.releases += 1;
        let Release { ticket, entries, dbs, touched, replaced, dirty, events, notes, .. } = release;
        if let Some(dbs) = dbs {
            self.shard.keyspace.dbs = dbs;
            let lent = std::mem::take(&mut self.lent_watched);
            for (db, hash) in self.watched_here().into_iter().chain(lent) {
                if replaced.contains(&db) {
                    self.shard.keyspace.touch(db, hash);
                }
            }
        }
        for (db, hash, entry) in entries {
            self.shard.keyspace.dbs[db].insert(hash, entry);
        }
        for (db, hash) in touched {
            self.shard.keyspace.touch(db, hash);
        }
        let waiters = &mut self.shard.keyspace.waiters;
        release.served.into_iter().for_each(|id| waiters.forget(id));
        for Registration { id, place, awaited } in release.waits {
            waiters.add(id, place, awaited);
        }
        if let Some(ticket) = ticket {
            match self.locks.claims(ticket) {
                Claims::Keys(keys) => {
                    let databases = self.shard.keyspace.dbs.len();
                    keys.iter().for_each(|&(hash, _)| waiters.touch_hash(databases, hash));
                }
                Claims::Whole(Mode::Exclusive) => waiters.touch_all(),
                Claims::Whole(Mode::Shared) => {}
            }
        }
        self.shard.effects.dirty += dirty;
        self.shard.effects.events.extend(events);
        // Who changes a key now must say so, although its readers are only remembered later.
        self.shard.effects.keeps_notes |= !notes.is_empty();
        self.shard.effects.notes.extend(notes);
        self.end_turn(ticket);
    }

    /// Keys that somebody watches or waits for, as (database, hash), that exist here now.
    pub(crate) fn watched_here(&self) -> Vec<(usize, u64)> {
        let keyspace = &self.shard.keyspace;
        let dbs = keyspace.dbs.iter().enumerate();
        let watched = dbs.flat_map(|(number, db)| {
            let hashes = keyspace.heeded(number);
            hashes.filter(|&hash| db.table().find_hash(hash).is_some()).map(move |h| (number, h))
        });
        watched.collect()
    }

    /// Gives a ticket back; those it held up go on.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        let mut granted = Vec::new();
        self.offers.remove(&ticket);
        self.locks.leave(ticket, &mut granted);
        for ticket in granted {
            match self.parked.remove(&ticket) {
                Some(batch) => self.resumed.push_back(batch),
                None => assert!(self.offers.contains(&ticket), "a batch waits for its ticket"),
            }
        }
    }

    /// Makes claims for a batch. `None` if it has to wait: then it is parked here.
    pub(crate) fn claim(
        &mut self,
        mut batch: Box<Batch>,
        claims: Claims,
        note: impl FnOnce(&mut Batch, Ticket),
    ) -> Option<Box<Batch>> {
        let (ticket, granted) = self.locks.enter(claims);
        note(&mut batch, ticket);
        if granted {
            return Some(batch);
        }
        self.hand_back_offers(&mut batch);
        self.parked.insert(ticket, batch);
        None
    }

    /// Whether a request must wait for claims of others on this shard.
    #[inline]
    pub(crate) fn must_wait(&self, claims: impl FnOnce() -> Claims) -> Option<Claims> {
        if self.locks.idle() {
            return None;
        }
        let claims = claims();
        let blocked = match &claims {
            Claims::Keys(keys) => keys.iter().any(|&(id, mode)| self.locks.blocks(id, mode)),
            // There are tickets: a whole shard waits in line unless all only read.
            Claims::Whole(_) => true,
        };
        blocked.then_some(claims)
    }
}
