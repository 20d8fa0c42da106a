//! How a batch gets from core to core until it is home again.

use shards::commands::spec::{Begin, Command, Find, KeySpec, Merge};
use shards::effects::Note;
use shards::keyspace::db::Db;
use shards::keyspace::waiters::WaitId;
use shards::resp::reply::Replies;
use shards::shard::Request;

use crate::batches::batch::{Batch, with_rewritten};
use crate::blocking::waits::Registration;
use crate::mail::release::Release;
use crate::mail::to_shard::ToShard;
use crate::reactor::crash::at_work;
use crate::routing::call::{Call, Run};
use crate::routing::request::Parsed;
use crate::routing::request::Route;
use crate::routing::request::with_args;
use crate::routing::slots::Peer;
use crate::shard::core::Core;
use crate::shard::messages::tracking::note_reads;
use crate::stats::notable::Serving;
use crate::transactions::locks::{Claims, Ticket};
use crate::transactions::multi::Watch;
use crate::transactions::transaction::{Footprint, Kind, Loan, Transaction, part};

impl Core {
    /// Carries a batch on as far as it gets on this core, and then to the next.
    pub(crate) fn advance(&mut self, mut batch: Box<Batch>) {
        let me = self.me();
        self.serve(Serving::of_batch(&batch), batch.client, batch.passport.reads);
        loop {
            let next = if batch.transaction.is_some() {
                self.visit(batch)
            } else if batch.exec.is_some() {
                self.exec_in_place(batch)
            } else if batch.round.is_under_way() {
                self.go_round(batch)
            } else {
                match batch.request().map(|parsed| parsed.route) {
                    None => return self.finish(batch),
                    Some(Route::Anywhere) => self.run_here(batch),
                    Some(Route::Shard(owner)) if usize::from(owner) == me => {
                        self.run_in_turn(batch)
                    }
                    Some(Route::Shard(_)) if self.plan_round(&mut batch) => Some(batch),
                    Some(Route::Shard(owner)) => self.hop(owner.into(), batch),
                    Some(Route::Home) if batch.home == me => self.at_home(batch),
                    Some(Route::Home) => {
                        let home = batch.home;
                        self.hop(home, batch)
                    }
                }
            };
            match next {
                Some(going_on) => batch = going_on,
                None => return,
            }
        }
    }

    /// Passes a batch on. Always `None`: it is no longer here.
    pub(crate) fn hop(&mut self, to: Peer, batch: Box<Batch>) -> Option<Box<Batch>> {
        self.counters.hops += 1;
        self.mailbox.pass_on(to, batch);
        None
    }

    /// All keys are gone: control, which may be about to write them to the disk, must know before
    /// anybody else hears of it. Always `None`.
    pub(crate) fn tell_of_flush(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        batch.flushed = true;
        let control = self.control();
        self.hop(control, batch)
    }

    /// All requests are done: home, and there to the client.
    fn finish(&mut self, batch: Box<Batch>) {
        if batch.home == self.me() {
            self.deliver(batch);
        } else {
            let home = batch.home;
            self.hop(home, batch);
        }
    }

    /// Runs the next request, whose keys are here, unless others have claimed them.
    fn run_in_turn(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        if batch.ticket.is_none() && !self.locks.idle() {
            let parsed = batch.request().expect("the caller looked");
            let claims = with_args(&batch.input, &batch.ranges, parsed, |args| {
                self.blocking_claims(parsed, args)
            });
            if let Some(claims) = claims {
                batch = self.claim(batch, claims, |batch, ticket| batch.ticket = Some(ticket))?;
            }
        }
        let ticket = batch.ticket.take();
        let going_on = match &batch.waiting {
            None => self.run_here(batch),
            Some(waiting) => {
                let id = waiting.id;
                Some(self.run_offered(batch, id, ticket))
            }
        };
        self.end_turn(ticket);
        going_on
    }

    /// Runs the next request on this shard, now. `None` if it waits from now on.
    fn run_here(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        self.run_next(&mut batch);
        if self.shard.effects.wait.is_some() {
            self.wait_here(batch);
            return None;
        }
        batch.next += 1;
        Some(batch)
    }

    /// Runs the next request, which waits and was offered a key of this shard.
    fn run_offered(
        &mut self,
        mut batch: Box<Batch>,
        id: WaitId,
        ticket: Option<Ticket>,
    ) -> Box<Batch> {
        let runs = self.sees_its_groups(id, ticket);
        if runs {
            self.run_turn(&mut batch, id, ticket);
        }
        self.shard.keyspace.waiters.forget(id);
        if runs && self.shard.effects.wait.take().is_none() {
            batch.waiting = None;
            batch.next += 1;
        } else {
            // Of all its keys it has seen only those that are here: it looks at all of them.
            let next = batch.next;
            batch.requests[next].route = Route::Home;
        }
        batch
    }

    /// Runs the next request on this shard.
    pub(crate) fn run_next(&mut self, batch: &mut Batch) {
        let Batch { input, ranges, requests, next, replies, passport, waiting, .. } = batch;
        let parsed = &requests[*next];
        let call = parsed.call.expect("only known commands are routed");
        let Run::Engine(command) = call.run else { unreachable!("others run at home") };
        with_args(input, ranges, parsed, |args| {
            with_rewritten(args, waiting.as_deref(), |args| {
                let request = Self::engine_request(args, *passport, parsed.first_key);
                self.run_engine(call, command, request, replies);
            });
        });
    }

    /// The claims for which a request on this shard must wait, if any stands in its way.
    pub(crate) fn blocking_claims(&self, parsed: &Parsed, args: &[&[u8]]) -> Option<Claims> {
        self.must_wait(|| {
            let mut footprint = Footprint::default();
            footprint.add(&self.node.slots, parsed, args, |key| self.node.seed.key_hash(key));
            let me = u16::try_from(self.me()).expect("shards are few");
            footprint.claims(me, false)
        })
    }

    /// Carries a transaction on: to its next shard, at work there, or to its end.
    fn visit(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        let transaction = batch.transaction.as_mut().expect("the caller looked");
        let Some(visit) = transaction.visits.get(transaction.at) else {
            return self.visits_done(batch);
        };
        if visit.shard != self.me() {
            let shard = visit.shard;
            return self.hop(shard, batch);
        }
        if visit.ticket.is_none() && transaction.kind != Kind::Watch {
            let claims = visit.claims.clone();
            batch = self.claim(batch, claims, |batch, ticket| {
                let transaction = batch.transaction.as_mut().expect("it is at work");
                transaction.visits[transaction.at].ticket = Some(ticket);
            })?;
        }
        self.work(&mut batch);
        batch.transaction.as_mut().expect("it is at work").at += 1;
        Some(batch)
    }

    /// What a transaction does on this shard, once its claims are granted.
    fn work(&mut self, batch: &mut Batch) {
        let Batch { input, ranges, requests, next, transaction, exec, passport, .. } = batch;
        let transaction = transaction.as_deref_mut().expect("it is at work");
        match transaction.kind {
            Kind::Parts(merge) => {
                let parsed = &requests[*next];
                with_args(input, ranges, parsed, |args| {
                    self.run_part(transaction, merge, parsed, args, *passport);
                });
            }
            Kind::Barrier => {}
            Kind::Watch => self.begin_watches(&mut transaction.visits[transaction.at].watched),
            Kind::Gather | Kind::GatherWhole => {
                let visit = &transaction.visits[transaction.at];
                if let Some(exec) = exec
                    && !visit.watched.iter().all(|watch| self.unchanged(watch))
                {
                    exec.aborted = true;
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

    /// Runs the part of a command that concerns this shard.
    fn run_part(
        &mut self,
        transaction: &mut Transaction,
        merge: Merge,
        parsed: &Parsed,
        args: &[&[u8]],
        passport: crate::batches::batch::Passport,
    ) {
        let call = parsed.call.expect("only known commands make transactions");
        let Run::Engine(command) = call.run else { unreachable!("others have no parts") };
        let places = &transaction.visits[transaction.at].places;
        let merged = &mut transaction.merged;
        let mut reply = self.spare_buffer();
        let run = |core: &mut Self, args: &[&[u8]], reply: &mut Vec<u8>| {
            reply.clear();
            let request = Self::engine_request(args, passport, (0, 0));
            // An error is in the reply, and merged with it.
            let work = at_work(call.spec.name, args);
            let _ = core.shard.execute(command, request, reply);
            drop(work);
            if let Some(reader) = core.reading {
                note_reads(&mut core.shard.effects, call, args, reader);
            }
        };
        let (first_key, step) = spacing(command.spec.keys);
        match merge {
            Merge::ByKey => {
                for &place in places {
                    run(self, &part(args, first_key, &[place], step), &mut reply);
                    merged.add_piece(place, &reply);
                }
            }
            Merge::Pick => {
                run(self, args, &mut reply);
                merged.add_pick(&reply, |limit| self.shard.keyspace.random.below(limit));
            }
            Merge::Sum | Merge::Concat | Merge::Same | Merge::Digest => {
                if places.is_empty() {
                    run(self, args, &mut reply);
                } else {
                    run(self, &part(args, first_key, places, step), &mut reply);
                }
                merged.add(merge, &reply);
            }
        }
        self.keep_buffer(reply);
        transaction.ticks += self.lap();
    }

    /// Every shard was visited.
    fn visits_done(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        let kind = batch.transaction.as_ref().expect("the caller looked").kind;
        if let Kind::Parts(merge) = kind {
            let mut transaction = batch.transaction.take().expect("the caller looked");
            let Batch { input, ranges, requests, next, replies, .. } = &mut *batch;
            let written = replies.len();
            std::mem::take(&mut transaction.merged).write(merge, replies);
            let parsed = &requests[*next];
            let call = parsed.call.expect("only known commands make transactions");
            let failed = self.note_error_reply(&replies[written..]);
            self.counters.ran(call.id, transaction.ticks, failed);
            with_args(input, ranges, parsed, |args| {
                let reply_bytes = replies.len() - written;
                self.observe(call, args, transaction.ticks, reply_bytes);
            });
            let flushed = call.empties_all();
            self.release_all(&transaction, Vec::new());
            batch.next += 1;
            return if flushed { self.tell_of_flush(batch) } else { Some(batch) };
        }
        if batch.home != self.me() {
            let home = batch.home;
            return self.hop(home, batch);
        }
        if kind == Kind::Watch {
            self.end_watch(&mut batch);
            return Some(batch);
        }
        if batch.exec.is_some() {
            return self.exec_gathered(batch);
        }
        self.run_gathered(batch)
    }

    /// Runs one command on entries of several shards, here, and sends them back. `None` if it
    /// waits from now on.
    fn run_gathered(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        let mut transaction = batch.transaction.take().expect("entries were gathered");
        self.receive_visitors(&mut transaction);
        self.resumes = batch.waiting.is_some();
        let parsed = &batch.requests[batch.next];
        let call = parsed.call.expect("only known commands make transactions");
        let Run::Engine(command) = call.run else { unreachable!("others are not gathered") };
        with_args(&batch.input, &batch.ranges, parsed, |args| {
            if transaction.kind == Kind::GatherWhole {
                let (passport, replies) = (batch.passport, &mut batch.replies);
                return self.exec_on_wholes(&mut transaction, call, args, passport, replies);
            }
            with_rewritten(args, batch.waiting.as_deref(), |args| {
                let request = Self::engine_request(args, batch.passport, parsed.first_key);
                self.run_on_visitors(call, command, request, &mut batch.replies);
            });
        });
        self.resumes = false;
        if let Some(wait) = self.visitors.effects.wait.take() {
            let before = batch.waiting.as_ref().map(|waiting| waiting.id);
            let waits = self.wait_at_home(batch, *wait);
            let served = before.filter(|_| waits.is_none());
            self.dismiss_visitors(&transaction, waits.unwrap_or_default(), served);
            return None;
        }
        let served = batch.waiting.take().map(|waiting| waiting.id);
        self.end_gathered(*transaction, served);
        batch.next += 1;
        Some(batch)
    }

    /// Runs a command on the visitors' keyspace.
    pub(crate) fn run_on_visitors(
        &mut self,
        call: &Call,
        command: &'static Command,
        request: Request<'_>,
        out: &mut Vec<u8>,
    ) {
        let written = out.len();
        let work = at_work(call.spec.name, request.args);
        let result = self.visitors.execute(command, request, out);
        drop(work);
        if self.visitors.effects.wait.is_some() {
            // It counts when it is answered.
            out.truncate(written);
            self.lap();
            return self.observe_wait(call, request.args);
        }
        if let Some(reader) = self.reading {
            note_reads(&mut self.visitors.effects, call, request.args, reader);
        }
        if let Err(error) = &result {
            self.counters.erred(error);
        }
        let took = self.count(call, result.is_err());
        self.observe(call, request.args, took, out.len() - written);
    }

    /// Counts the error that a merged reply may be. True if it is one.
    pub(crate) fn note_error_reply(&mut self, reply: &[u8]) -> bool {
        let [b'-', text @ ..] = reply else { return false };
        let code = text.split(|byte| b" \r".contains(byte)).next().unwrap_or(text);
        self.counters.erred_code(&String::from_utf8_lossy(code));
        true
    }

    /// Puts entries on loan into the visitors' keyspace.
    pub(crate) fn receive_visitors(&mut self, transaction: &mut Transaction) {
        let keyspace = &mut self.visitors.keyspace;
        keyspace.settings = self.shard.keyspace.settings.clone();
        for loan in transaction.loans.drain(..) {
            keyspace.dbs[loan.db].insert(loan.hash, loan.entry);
        }
    }

    /// Sends what is in the visitors' keyspace to its owners, and ends all claims. `waits` begin,
    /// and whoever is `served` waits no more.
    pub(crate) fn dismiss_visitors(
        &mut self,
        transaction: &Transaction,
        waits: Vec<(Peer, Registration)>,
        served: Option<WaitId>,
    ) {
        let stats = std::mem::take(&mut self.visitors.keyspace.stats);
        self.shard.keyspace.stats.add(&stats);
        let mut releases: Vec<Release> =
            transaction.visits.iter().map(|_| Release::default()).collect();
        for (visit, release) in transaction.visits.iter().zip(&mut releases) {
            let Claims::Keys(keys) = &visit.claims else { continue };
            for &(hash, _) in keys {
                for (db, place) in self.visitors.keyspace.dbs.iter_mut().enumerate() {
                    while let Some(entry) = place.take_hash(hash) {
                        release.entries.push((db, hash, entry));
                    }
                }
            }
        }
        let effects = &mut self.visitors.effects;
        for (db, hash) in effects.touched.drain(..) {
            let owner = usize::from(self.node.slots.owner(hash));
            let at = transaction.visits.iter().position(|visit| visit.shard == owner);
            releases[at.expect("only claimed keys change")].touched.push((db, hash));
        }
        for event in effects.events.drain(..) {
            let owner = usize::from(self.node.slots.owner(self.node.seed.key_hash(&event.key)));
            let at = transaction.visits.iter().position(|visit| visit.shard == owner);
            match at {
                Some(at) => releases[at].events.push(event),
                None => self.shard.effects.events.push(event),
            }
        }
        for note in effects.notes.drain(..) {
            let (Note::Read { key, .. } | Note::Changed { key, .. }) = &note else { continue };
            let owner = usize::from(self.node.slots.owner(self.node.seed.key_hash(key)));
            if let Some(at) = transaction.visits.iter().position(|visit| visit.shard == owner) {
                releases[at].notes.push(note);
            }
        }
        self.shard.effects.dirty += std::mem::take(&mut effects.dirty);
        releases.iter_mut().for_each(|release| release.served = served);
        for (shard, registration) in waits {
            let at = transaction.visits.iter().position(|visit| visit.shard == shard);
            releases[at.expect("only claimed keys are waited for")].waits.push(registration);
        }
        self.release_all(transaction, releases);
    }

    /// Ends a transaction's claims everywhere. `releases`, if any, are one for each visit.
    pub(crate) fn release_all(&mut self, transaction: &Transaction, releases: Vec<Release>) {
        let mut releases = releases.into_iter();
        for visit in &transaction.visits {
            let mut release = releases.next().unwrap_or_default();
            release.ticket = visit.ticket;
            if visit.shard == self.me() {
                self.release(release);
            } else if release.ticket.is_some() {
                self.mailbox.send(visit.shard, ToShard::Release(Box::new(release)));
            }
        }
    }

    fn begin_watches(&mut self, watched: &mut [Watch]) {
        let keyspace = &mut self.shard.keyspace;
        for watch in watched {
            watch.version = keyspace.watches.watch(watch.db, watch.hash);
        }
    }

    /// Whether a watched key is as it was: neither changed, nor expired since.
    pub(crate) fn unchanged(&self, watch: &Watch) -> bool {
        let keyspace = &self.shard.keyspace;
        let entry = keyspace.dbs[watch.db].table().find_hash(watch.hash);
        let expired = entry.and_then(|e| e.expire()).is_some_and(|at| at <= keyspace.now);
        !expired && keyspace.watches.unchanged(watch.db, watch.hash, watch.version)
    }

    fn end_watch(&mut self, batch: &mut Batch) {
        let transaction = batch.transaction.take().expect("keys were watched");
        let watched = transaction.visits.into_iter().flat_map(|visit| visit.watched);
        match self.take_client(batch.token) {
            Some(mut client) => {
                client.watched.extend(watched);
                self.put_client(client);
            }
            None => self.forget_watch_list(watched.collect()),
        }
        let protocol = batch.passport.protocol;
        Replies { out: &mut batch.replies, protocol }.ok();
        batch.next += 1;
    }
}

/// The place of the first key of a command that is split by its keys, and their distance.
fn spacing(keys: &[KeySpec]) -> (usize, usize) {
    match keys {
        [KeySpec { begin: Begin::Index(at), find: Find::Range { step, .. }, .. }, ..] => {
            (*at, *step)
        }
        _ => (1, 1),
    }
}
