//! Commands that span shards, at each shard they visit.

use shards::commands::spec::{Command, Flag, Merge};
use shards::keyspace::db::Db;
use shards::resp::reply::Replies;
use shards::shard::Request;

use crate::batches::batch::{At, Batch, Passport};
use crate::mail::release::{Commit, Release};
use crate::mail::to_control::ToControl;
use crate::reactor::crash::at_work;
use crate::routing::call::{Call, Run};
use crate::routing::request::with_args;
use crate::shard::core::Core;
use crate::shard::messages::tracking::note_reads;
use crate::transactions::locks::Claims;
use crate::transactions::multi::Watch;
use crate::transactions::transaction::{Kind, Loan, Transaction};

impl Core {
    /// Carries a transaction on: to its next shard, at work there, or to its end.
    pub(crate) fn visit(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        let transaction = batch.transaction().expect("the caller looked");
        let Some(visit) = transaction.visits.get(transaction.at) else {
            return self.visits_done(batch);
        };
        if visit.shard != self.me() {
            let shard = visit.shard;
            return self.hop(shard, batch);
        }
        if visit.ticket.is_none() {
            let claims = visit.claims.clone();
            batch = self.claim(batch, claims, |batch, ticket| {
                let transaction = batch.transaction().expect("it is at work");
                transaction.visits[transaction.at].ticket = Some(ticket);
            })?;
        }
        if self.is_turned_back(&mut batch) || self.is_visit_turned_away(&mut batch) {
            return Some(batch);
        }
        self.work(&mut batch);
        let transaction = batch.transaction().expect("it is at work");
        let visit = &mut transaction.visits[transaction.at];
        transaction.at += 1;
        if transaction.kind == Kind::Watch {
            // It is over for these keys: what others did to them before has come back.
            let ticket = visit.ticket.take();
            self.end_claims(ticket);
        }
        Some(batch)
    }

    /// What a transaction does on this shard, once its claims are granted.
    fn work(&mut self, batch: &mut Batch) {
        let Batch { input, ranges, requests, next, at, passport, replies, applies, .. } = batch;
        let answered = replies.len();
        let (transaction, exec) = match at {
            At::Visits(transaction) => (&mut **transaction, None),
            At::ExecVisits(exec, transaction) => (&mut **transaction, Some(exec)),
            At::Request | At::Round | At::Scan(_) | At::Exec(_) | At::TurnedBack(_) => {
                unreachable!("the caller looked")
            }
        };
        match transaction.kind {
            Kind::Parts(merge) => {
                let parsed = &requests[*next];
                let call = parsed.call.expect("only known commands make transactions");
                with_args(input, ranges, parsed, |args| {
                    self.run_whole_part(transaction, merge, call, args, passport, answered);
                });
            }
            Kind::Barrier => {}
            Kind::Watch => self.begin_watches(&mut transaction.visits[transaction.at].watched),
            Kind::Gather | Kind::GatherWhole => {
                let visit = &transaction.visits[transaction.at];
                if let Some(exec) = exec {
                    exec.aborted |= !visit.watched.iter().all(|watch| self.unchanged(watch));
                    if self.node.cluster.is_some() && applies.is_none() {
                        self.note_redirection(passport, exec);
                    }
                }
                self.lend(transaction);
            }
        }
    }

    /// Takes what was claimed along: entries, or whole databases.
    fn lend(&mut self, transaction: &mut Transaction) {
        let me = self.me();
        if let Claims::Whole(_) = transaction.visits[transaction.at].claims {
            self.lent_watched = self.watched_here();
        }
        let keyspace = &mut self.shard.keyspace;
        match &transaction.visits[transaction.at].claims {
            Claims::Keys(keys) => {
                for &(hash, _) in keys {
                    for (db, place) in keyspace.dbs.iter_mut().enumerate() {
                        while let Some(entry) = place.take_hash(hash) {
                            transaction.loans.push(Loan { shard: me, db, hash, entry });
                        }
                    }
                }
            }
            Claims::Whole(_) => {
                let empty = keyspace.dbs.iter().map(|_| Db::new(keyspace.seed)).collect();
                transaction.wholes.push((me, std::mem::replace(&mut keyspace.dbs, empty)));
            }
        }
    }

    /// Runs a command on this shard as a whole.
    fn run_whole_part(
        &mut self,
        transaction: &mut Transaction,
        merge: Merge,
        call: &'static Call,
        args: &[&[u8]],
        passport: &Passport,
        answered: usize,
    ) {
        let Run::Engine(command) = call.run else { unreachable!("others have no parts") };
        let merged = &mut transaction.merged;
        let max = passport.reply_max.saturating_sub(answered);
        let mut reply = self.spare_buffer();
        let request =
            Request { reply_max: merged.room(max), ..Self::engine_request(args, passport, (0, 0)) };
        let logs = self.logs_write(call);
        if logs {
            self.shard.effects.log.begin();
        }
        self.execute_part(call, command, request, &mut reply);
        if logs
            && let Some(unit) = self.shard.effects.log.take_open()
            && transaction.leftovers.unit.is_empty()
        {
            // All shards do the same, and it is logged once.
            transaction.leftovers.unit = unit;
        }
        if merge == Merge::Pick {
            merged.add_pick(&reply, |limit| self.shard.keyspace.random.below(limit));
        } else {
            merged.add_part(merge, 0, &reply, max);
        }
        self.keep_buffer(reply);
        transaction.cycles += self.lap();
    }

    /// Whether what a command does is logged when its transaction ends, not when it runs.
    #[inline]
    pub(crate) fn logs_write(&self, call: &Call) -> bool {
        self.shard.effects.keeps_log && call.spec.flags.has(Flag::Write)
    }

    /// Runs a part of a command; it counts when all parts are done.
    pub(crate) fn execute_part(
        &mut self,
        call: &'static Call,
        command: &'static Command,
        request: Request<'_>,
        reply: &mut Vec<u8>,
    ) {
        reply.clear();
        let args = request.args;
        let work = at_work(call.spec.name, args);
        // An error is in the reply, and merged with it.
        let _ = self.shard.execute(command, request, reply);
        drop(work);
        if let Some(reader) = self.reading {
            note_reads(&mut self.shard.effects, call, args, reader);
        }
    }

    /// Every shard was visited.
    fn visits_done(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        let kind = batch.transaction().expect("the caller looked").kind;
        match kind {
            Kind::Barrier => return self.barrier_stands(batch),
            Kind::Parts(merge) => return self.end_parts(batch, merge),
            Kind::Watch | Kind::Gather | Kind::GatherWhole if batch.home != self.me() => {
                let home = batch.home;
                return self.hop(home, batch);
            }
            Kind::Watch => {
                self.end_watch(&mut batch);
                return Some(batch);
            }
            Kind::Gather | Kind::GatherWhole => {}
        }
        match batch.at {
            At::ExecVisits(..) => self.exec_gathered(batch),
            _ => self.run_gathered(batch),
        }
    }

    /// Control has claimed all shards: it is told so. Always `None`.
    fn barrier_stands(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        if let At::Visits(transaction) = std::mem::take(&mut batch.at) {
            self.mailbox.tell_control(ToControl::Stands(transaction));
        }
        None
    }

    /// All parts of a command are done.
    fn end_parts(&mut self, mut batch: Box<Batch>, merge: Merge) -> Option<Box<Batch>> {
        let At::Visits(mut transaction) = std::mem::take(&mut batch.at) else {
            unreachable!("the caller looked")
        };
        let Batch { input, ranges, requests, next, replies, passport, .. } = &mut *batch;
        let written = replies.len();
        std::mem::take(&mut transaction.merged).write(merge, replies, passport.reply_max);
        let parsed = &requests[*next];
        let call = parsed.call.expect("only known commands make transactions");
        let failed = self.note_error_reply(&replies[written..]);
        self.counters.ran(call.id, transaction.cycles, failed);
        with_args(input, ranges, parsed, |args| {
            let reply_bytes = replies.len() - written;
            self.observe(call, args, transaction.cycles, reply_bytes);
        });
        let flushed = call.empties_all();
        self.release_all(*transaction, Vec::new());
        batch.next += 1;
        if flushed { self.tell_of_flush(batch) } else { Some(batch) }
    }

    /// Ends a transaction's claims everywhere. `releases`, if any, are one for each visit; what
    /// the transaction has logged goes along.
    pub(crate) fn release_all(&mut self, mut transaction: Transaction, mut releases: Vec<Release>) {
        releases.resize_with(transaction.visits.len(), Release::default);
        let transactions = self.log_transaction(&mut transaction, &mut releases);
        let releases = transaction
            .visits
            .iter()
            .zip(releases)
            .map(|(visit, release)| (visit.shard, Release { ticket: visit.ticket, ..release }));
        let releases = releases.collect();
        self.commit(Commit { transactions, releases });
    }

    fn begin_watches(&mut self, watched: &mut [Watch]) {
        let keyspace = &mut self.shard.keyspace;
        for watch in watched {
            watch.seen = keyspace.watch(watch.db, watch.hash);
        }
    }

    /// Whether a watched key is as it was: neither changed, nor expired since.
    pub(crate) fn unchanged(&self, watch: &Watch) -> bool {
        self.shard.keyspace.is_as_seen(watch.db, watch.hash, watch.seen)
    }

    fn end_watch(&mut self, batch: &mut Batch) {
        let At::Visits(transaction) = std::mem::take(&mut batch.at) else {
            unreachable!("keys were watched")
        };
        let watched = transaction.visits.into_iter().flat_map(|visit| visit.watched);
        match self.take_client(batch.token) {
            Some(mut client) => {
                client.watched.extend(watched);
                self.put_client(client);
            }
            None => self.forget_watch_list(watched.collect()),
        }
        let protocol = batch.passport.protocol;
        Replies::new(&mut batch.replies, protocol).ok();
        batch.next += 1;
    }
}
