//! Transactions over several shards end: what they have changed goes to the logs of the shards, in
//! one order for all of them, and their claims end.
//!
//! ```text
//! last shard --Commit--> the shard that orders --Release--> every shard: log, then end claims
//! ```
//! Two transactions that share no key reach two shards in different orders. A replica that shows
//! transactions whole would then wait for ever: for the second part of the one here, and there for
//! that of the other. So one shard passes on all releases with parts in several logs, and queues
//! keep their order. A transaction without parts, or with one, is released straight away.

use shards::journal::part;
use shards::journal::units::Unit;

use crate::batches::round::Round;
use crate::mail::release::{Commit, ORDERS, Release};
use crate::mail::to_shard::ToShard;
use crate::routing::slots::Peer;
use crate::shard::core::Core;
use crate::transactions::apart::{Apart, Logged, apart};
use crate::transactions::transaction::Transaction;

impl Core {
    /// Ends claims of a number of transactions whose parts these releases carry.
    pub(crate) fn commit(&mut self, commit: Commit) {
        if commit.transactions == 0 {
            commit.releases.into_iter().for_each(|(shard, release)| self.pass_on(shard, release));
        } else if self.me() == ORDERS {
            self.order(commit);
        } else {
            self.mailbox.send(ORDERS, ToShard::Commit(Box::new(commit)));
        }
    }

    /// Gives transactions the next numbers, and passes on their releases. This is the shard that
    /// does so for all.
    pub(crate) fn order(&mut self, commit: Commit) {
        let txid = self.shard.effects.txid;
        self.shard.effects.txid += commit.transactions;
        for (shard, mut release) in commit.releases {
            release.txid = txid;
            self.pass_on(shard, release);
        }
    }

    fn pass_on(&mut self, shard: Peer, release: Release) {
        if shard == self.me() {
            self.release(release);
        } else if release.ticket.is_some() || !release.logged.is_empty() {
            self.mailbox.send(shard, ToShard::Release(Box::new(release)));
        }
    }

    /// Logs what transactions have done on this shard, the first of which has this number.
    pub(crate) fn log_parts(&mut self, txid: u64, logged: Vec<Logged>) {
        let shard = self.shard_number();
        let log = &mut self.shard.effects.log;
        for logged in logged {
            match logged {
                Logged::Unit(unit) => log.push_unit(&unit),
                Logged::Part { nth, participants, unit } => {
                    let txid = txid + nth;
                    let transaction = part::Transaction { txid, participants: &participants };
                    log.push_part(transaction, shard, unit.as_ref());
                }
            }
        }
    }

    /// Puts what a transaction has logged into the releases of its visits. How many numbers it
    /// needs: one if several logs have a part of it.
    pub(crate) fn log_transaction(
        &self,
        transaction: &mut Transaction,
        releases: &mut [Release],
    ) -> u64 {
        let parts = match std::mem::take(&mut transaction.leftovers.unit) {
            unit if unit.is_empty() => return 0,
            unit => apart(unit, self.node.table, &self.node.slots, self.node.seed),
        };
        let visits = transaction.visits.iter();
        let shards: Vec<u16> =
            visits.map(|visit| u16::try_from(visit.shard).expect("shards are few")).collect();
        let parts: Vec<(u16, Option<Unit>)> = match parts {
            Apart::ByShard(parts) => {
                parts.into_iter().map(|(shard, unit)| (shard, Some(unit))).collect()
            }
            Apart::Whole(unit) => {
                let mut unit = Some(unit);
                shards.iter().map(|shard| (*shard, unit.take())).collect()
            }
        };
        let participants: Vec<u16> = parts.iter().map(|(shard, _)| *shard).collect();
        for (shard, unit) in parts {
            let at = shards.iter().position(|visited| *visited == shard);
            let release = &mut releases[at.expect("only claimed keys change")];
            release.logged.push(Logged::of(0, &participants, unit));
        }
        u64::from(1 < participants.len())
    }

    /// Ends the claims of a round whose requests have logged what they did visit by visit.
    pub(crate) fn commit_round(&mut self, round: &mut Round) {
        let requests = round.pieces.len();
        let mut participants: Vec<Vec<u16>> = vec![Vec::new(); requests];
        for visit in &round.visits {
            let shard = u16::try_from(visit.shard).expect("shards are few");
            for (request, _) in &visit.logged {
                let shards = &mut participants[*request];
                if shards.last() != Some(&shard) {
                    shards.push(shard);
                }
            }
        }
        let mut transactions = 0;
        let numbered = participants.into_iter().map(|shards| {
            let nth = transactions;
            transactions += u64::from(1 < shards.len());
            (nth, shards)
        });
        let numbered: Vec<(u64, Vec<u16>)> = numbered.collect();
        let releases = round.visits.iter_mut().map(|visit| {
            let logged = visit.logged.drain(..).map(|(request, unit)| {
                let (nth, participants) = &numbered[request];
                Logged::of(*nth, participants, Some(unit))
            });
            let logged = logged.collect();
            let release = Release { ticket: visit.ticket, logged, ..Release::default() };
            (visit.shard, release)
        });
        let releases = releases.collect();
        self.commit(Commit { transactions, releases });
    }
}
