//! EXEC: the queued commands as one transaction.
//!
//! If all its keys live on one shard and it needs nothing else, it travels there and runs in
//! place. Otherwise its entries (or, for FLUSHALL and its like, whole databases) are gathered at
//! home, the commands run there one by one, and everything goes back.

use shards::base::number::parse_u64;
use shards::commands::spec::{Merge, Spread};
use shards::effects::Note;
use shards::keyspace::waiters::WaitId;
use shards::resp::error::Error;
use shards::resp::reply::Replies;

use crate::batches::batch::{Batch, Passport};
use crate::mail::release::Release;
use crate::pubsub::interest::Changes;
use crate::pubsub::kind::Kind;
use crate::reactor::crash::at_work;
use crate::routing::call::{Call, PubSubStep, Run};
use crate::routing::keys::reaches;
use crate::routing::listening::pong;
use crate::routing::request::Parsed;
use crate::routing::request::Route;
use crate::routing::request::with_args;
use crate::routing::slots::Peer;
use crate::shard::core::Core;
use crate::shard::messages::monitoring;
use crate::shard::messages::publishing::Author;
use crate::shard::messages::tracking::note_reads;
use crate::stats::notable::Serving;
use crate::transactions::locks::Claims;
use crate::transactions::multi::Exec;
use crate::transactions::multi::Multi;
use crate::transactions::multi::Watch;
use crate::transactions::transaction::{Footprint, Loan, Merged, Transaction};

const NOT_IN_EXEC: Error = Error::Text("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");

impl Core {
    /// How an EXEC of these commands is carried out.
    pub(crate) fn plan_exec(
        &self,
        multi: Box<Multi>,
        watched: Vec<Watch>,
    ) -> (Exec, Option<Transaction>) {
        let slots = &self.node.slots;
        let footprint = self.exec_footprint(&multi, &watched);
        let run = |parsed: &Parsed| parsed.call.map(|call| call.run);
        let is_about_channels = |parsed: &Parsed| matches!(run(parsed), Some(Run::PubSub(_)));
        let in_place = |parsed: &Parsed| match run(parsed) {
            Some(Run::Engine(_)) => parsed.route != Route::Home,
            _ => is_about_channels(parsed),
        };
        let all_in_place = multi.requests.iter().all(in_place);
        // What concerns channels happens at home.
        let must_stay = multi.requests.iter().any(is_about_channels);
        let may_run_on = |shard: u16| !must_stay || usize::from(shard) == self.me();
        let place = match *footprint.shards(slots).as_slice() {
            [] if all_in_place => Some(u16::try_from(self.me()).expect("shards are few")),
            [only] if all_in_place && may_run_on(only) => Some(only),
            _ => None,
        };
        let kind = footprint.gathering();
        let transaction = place.is_none().then(|| footprint.transaction(slots, kind, &watched));
        (Exec { multi, next: 0, watched, place, aborted: false, changes: None }, transaction)
    }

    fn exec_footprint(&self, multi: &Multi, watched: &[Watch]) -> Footprint {
        let slots = &self.node.slots;
        let mut footprint = Footprint::default();
        footprint.add_watched(slots, watched);
        for parsed in &multi.requests {
            with_args(&multi.input, &multi.ranges, parsed, |args| {
                footprint.add(slots, parsed, args, |key| self.node.seed.key_hash(key));
            });
        }
        footprint
    }

    /// Runs an EXEC on the one shard that has all its keys: this one, or it goes there.
    pub(crate) fn exec_in_place(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        let exec = batch.exec.as_ref().expect("the caller looked");
        let place = exec.place.expect("others have a transaction");
        if usize::from(place) != self.me() {
            return self.hop(place.into(), batch);
        }
        if batch.ticket.is_none() && !self.locks.idle() {
            let footprint = self.exec_footprint(&exec.multi, &exec.watched);
            if let Some(claims) = self.must_wait(|| footprint.claims(place, false)) {
                batch = self.claim(batch, claims, |batch, ticket| batch.ticket = Some(ticket))?;
            }
        }
        let mut exec = batch.exec.take().expect("the caller looked");
        self.shard.effects.denies_waiting = true;
        if exec.watched.iter().all(|watch| self.unchanged(watch)) {
            let Exec { multi, changes, .. } = &mut *exec;
            let protocol = batch.passport.protocol;
            Replies { out: &mut batch.replies, protocol }.array(multi.requests.len());
            for parsed in &multi.requests {
                let call = parsed.call.expect("only known commands are queued");
                with_args(&multi.input, &multi.ranges, parsed, |args| match call.run {
                    Run::Engine(_) if changes.is_some() && self.is_pong(&batch, call, args) => {
                        pong(args, &mut batch.replies);
                    }
                    Run::Engine(command) => {
                        let request = Self::engine_request(args, batch.passport, parsed.first_key);
                        self.run_engine(call, command, request, &mut batch.replies);
                    }
                    Run::PubSub(step) => self.exec_step(&mut batch, changes, call, step, args),
                    _ => unreachable!("planned otherwise"),
                });
            }
        } else {
            let protocol = batch.passport.protocol;
            Replies { out: &mut batch.replies, protocol }.null_array();
        }
        self.shard.effects.denies_waiting = false;
        self.end_turn(batch.ticket.take());
        self.end_exec(batch, *exec)
    }

    /// Runs an EXEC at home on what was gathered. `None` if a command of it went to control: the
    /// batch comes back and goes on here.
    pub(crate) fn exec_gathered(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        let mut exec = batch.exec.take().expect("the caller looked");
        let mut transaction = batch.transaction.take().expect("entries were gathered");
        let protocol = batch.passport.protocol;
        if exec.aborted {
            Replies { out: &mut batch.replies, protocol }.null_array();
            exec.next = exec.multi.requests.len();
        } else if exec.next == 0 {
            let count = exec.multi.requests.len();
            Replies { out: &mut batch.replies, protocol }.array(count);
        }
        self.receive_visitors(&mut transaction);
        self.visitors.effects.denies_waiting = true;
        while let Some(parsed) = exec.multi.requests.get(exec.next) {
            let call = parsed.call.expect("only known commands are queued");
            if let Run::Control = call.run {
                with_args(&exec.multi.input, &exec.multi.ranges, parsed, |args| {
                    self.show(call, args);
                });
                self.visitors.effects.denies_waiting = false;
                self.lend_visitors(&mut transaction);
                batch.exec = Some(exec);
                batch.transaction = Some(transaction);
                let control = self.control();
                return self.hop(control, batch);
            }
            let Multi { input, ranges, .. } = &*exec.multi;
            with_args(input, ranges, parsed, |args| match call.run {
                Run::PubSub(step) => {
                    self.exec_step(&mut batch, &mut exec.changes, call, step, args);
                }
                _ if exec.changes.is_some() && self.is_pong(&batch, call, args) => {
                    pong(args, &mut batch.replies);
                }
                _ => self.exec_command(&mut batch, &mut transaction, call, parsed, args),
            });
            exec.next += 1;
        }
        self.visitors.effects.denies_waiting = false;
        self.end_gathered(*transaction, None);
        self.end_exec(batch, *exec)
    }

    fn exec_command(
        &mut self,
        batch: &mut Batch,
        transaction: &mut Transaction,
        call: &'static Call,
        parsed: &Parsed,
        args: &[&[u8]],
    ) {
        match call.run {
            Run::Engine(command) => {
                let request = Self::engine_request(args, batch.passport, parsed.first_key);
                let replies = &mut batch.replies;
                if transaction.wholes.is_empty() {
                    self.run_on_visitors(call, command, request, replies);
                } else {
                    self.exec_on_wholes(transaction, call, args, batch.passport, replies);
                }
            }
            Run::Client => {
                // A client that is gone has nothing left to change.
                if let Some(mut client) = self.take_client(batch.token) {
                    self.run_client(&mut client, call, args, &mut batch.replies);
                    batch.passport = client.passport();
                    self.put_client(client);
                    self.sign_waiting();
                }
            }
            Run::Transaction(_) => {
                let protocol = batch.passport.protocol;
                Replies { out: &mut batch.replies, protocol }.ok();
            }
            Run::Control | Run::PubSub(_) | Run::Container => {
                unreachable!("dealt with by the caller")
            }
        }
    }

    /// Runs a command of an EXEC about channels. This is the client's home.
    fn exec_step(
        &mut self,
        batch: &mut Batch,
        changes: &mut Option<Changes>,
        call: &Call,
        step: PubSubStep,
        args: &[&[u8]],
    ) {
        match step {
            PubSubStep::Publish(kind) => {
                let author = Author { token: batch.token, protocol: batch.passport.protocol };
                self.publish_command(call, kind, args, author, &mut batch.replies);
            }
            PubSubStep::Monitor => {
                self.counters.rejected(call.id);
                self.refuse(&monitoring::NOT_IN_EXEC, &mut batch.replies);
            }
            PubSubStep::Subscribe(Kind::ShardChannel) => {
                self.refuse(&NOT_IN_EXEC, &mut batch.replies);
            }
            PubSubStep::Subscribe(_) | PubSubStep::Unsubscribe(_) | PubSubStep::Track => {
                // A client that is gone has nothing left to listen with.
                let Some(mut client) = self.take_client(batch.token) else { return };
                let changes = changes.get_or_insert_default();
                let replies = &mut batch.replies;
                if step == PubSubStep::Track {
                    self.track_in_exec(&mut client, call, args, changes, replies);
                } else {
                    self.subscribe_command(&mut client, call, step, args, changes, replies);
                }
                batch.passport = client.passport();
                self.serve(Serving::of_batch(batch), batch.client, batch.passport.reads);
                self.put_client(client);
            }
        }
    }

    /// Whether a command is a PING of a client that has begun to listen in this EXEC.
    fn is_pong(&mut self, batch: &Batch, call: &Call, args: &[&[u8]]) -> bool {
        let listens = self.client(batch.token).is_some_and(|client| client.only_listens());
        listens && call.spec.name == "ping" && args.len() <= 2
    }

    /// Runs a command of an EXEC that has the databases of every shard at hand.
    pub(crate) fn exec_on_wholes(
        &mut self,
        transaction: &mut Transaction,
        call: &Call,
        args: &[&[u8]],
        passport: Passport,
        out: &mut Vec<u8>,
    ) {
        let Run::Engine(command) = call.run else { unreachable!("the caller looked") };
        let written = out.len();
        let work = at_work(call.spec.name, args);
        match command.spec.spread {
            Spread::Everywhere(merge) => {
                let databases = self.visitors.keyspace.dbs.len();
                let mut merged = Merged::default();
                let mut reply = Vec::new();
                for at in 0..transaction.wholes.len() {
                    reply.clear();
                    let notes = self.visitors.effects.notes.len();
                    self.with_whole(transaction, at, |core| {
                        let request = Self::engine_request(args, passport, (0, 0));
                        // The error is in the reply, and merged with it.
                        let _ = core.visitors.execute(command, request, &mut reply);
                    });
                    if at != 0 {
                        // That a database was emptied is said once.
                        let notes = self.visitors.effects.notes.split_off(notes);
                        let others = notes.into_iter().filter(|note| *note != Note::Emptied);
                        self.visitors.effects.notes.extend(others);
                    }
                    transaction.replaced.extend(replaced(call, args, passport.db, databases));
                    if merge == Merge::Pick {
                        let random = &mut self.shard.keyspace.random;
                        merged.add_pick(&reply, |limit| random.below(limit));
                    } else {
                        merged.add(merge, &reply);
                    }
                }
                merged.write(merge, out);
            }
            Spread::Cursor | Spread::Gather | Spread::Split(_) | Spread::Anywhere => {
                let owners = self.owners(call, args);
                let Some(&first) = owners.first() else {
                    let request = Self::engine_request(args, passport, (0, 0));
                    return self.run_on_visitors(call, command, request, out);
                };
                self.move_between(transaction, call, args, first);
                let at = whole_of(transaction, first);
                let reaches = reaches(call.spec.keys, args);
                if reaches {
                    self.bring_elsewhere(transaction, first);
                }
                self.with_whole(transaction, at, |core| {
                    let request = Self::engine_request(args, passport, (0, 0));
                    // The error is in the reply.
                    let _ = core.visitors.execute(command, request, out);
                    if let Some(reader) = core.reading {
                        note_reads(&mut core.visitors.effects, call, args, reader);
                    }
                });
                if reaches {
                    self.take_elsewhere(transaction, first);
                }
                self.move_home(transaction, call, args, first);
            }
        }
        drop(work);
        let failed = self.note_error_reply(&out[written..]);
        let took = self.count(call, failed);
        self.observe(call, args, took, out.len() - written);
    }

    /// Puts the databases of all shards but `first` within reach of a command there.
    fn bring_elsewhere(&mut self, transaction: &mut Transaction, first: Peer) {
        let others = transaction.wholes.iter_mut().filter(|whole| whole.0 != first);
        let slots = |shard: Peer| self.node.slots.range(u16::try_from(shard).expect("few shards"));
        let parts = others.map(|(shard, dbs)| (slots(*shard), std::mem::take(dbs)));
        self.visitors.keyspace.elsewhere = parts.collect();
    }

    /// Takes the databases back that [`Self::bring_elsewhere`] brought.
    fn take_elsewhere(&mut self, transaction: &mut Transaction, first: Peer) {
        let others = transaction.wholes.iter_mut().filter(|whole| whole.0 != first);
        for (whole, part) in others.zip(self.visitors.keyspace.elsewhere.drain(..)) {
            whole.1 = part.1;
        }
    }

    /// Runs `work` with the databases of one shard as the visitors' keyspace.
    fn with_whole(
        &mut self,
        transaction: &mut Transaction,
        at: usize,
        work: impl FnOnce(&mut Self),
    ) {
        let shard = transaction.wholes[at].0;
        let slots = self.node.slots.range(u16::try_from(shard).expect("shards are few"));
        std::mem::swap(&mut self.visitors.keyspace.dbs, &mut transaction.wholes[at].1);
        let before = std::mem::replace(&mut self.visitors.keyspace.slots, slots);
        work(self);
        self.visitors.keyspace.slots = before;
        std::mem::swap(&mut self.visitors.keyspace.dbs, &mut transaction.wholes[at].1);
    }

    /// The shards of a command's keys (or its cursor), ascending.
    fn owners(&self, call: &Call, args: &[&[u8]]) -> Vec<Peer> {
        if call.spec.spread == Spread::Cursor {
            return vec![self.cursor_owner(args).into()];
        }
        let footprint = self.footprint_of(call, args);
        footprint.shards(&self.node.slots).into_iter().map(usize::from).collect()
    }

    /// Brings the entries of a command's keys together in the databases of shard `to`.
    fn move_between(
        &mut self,
        transaction: &mut Transaction,
        call: &Call,
        args: &[&[u8]],
        to: Peer,
    ) {
        for (owner, hash) in self.keys_of(call, args) {
            if owner != to {
                move_entries(transaction, hash, owner, to);
            }
        }
    }

    /// Brings entries back to the databases they belong to.
    fn move_home(
        &mut self,
        transaction: &mut Transaction,
        call: &Call,
        args: &[&[u8]],
        from: Peer,
    ) {
        for (owner, hash) in self.keys_of(call, args) {
            if owner != from {
                move_entries(transaction, hash, from, owner);
            }
        }
    }

    fn keys_of(&self, call: &Call, args: &[&[u8]]) -> Vec<(Peer, u64)> {
        self.footprint_of(call, args).keys().collect()
    }

    /// Takes the visitors along again, because the transaction leaves home for a while.
    fn lend_visitors(&mut self, transaction: &mut Transaction) {
        let Transaction { visits, loans, .. } = transaction;
        for visit in visits {
            let Claims::Keys(keys) = &visit.claims else { continue };
            for &(hash, _) in keys {
                for (db, place) in self.visitors.keyspace.dbs.iter_mut().enumerate() {
                    while let Some(entry) = place.take_hash(hash) {
                        let shard = visit.shard;
                        loans.push(Loan { shard, db, hash, entry });
                    }
                }
            }
        }
    }

    /// Sends everything that was gathered back and ends all claims. Whoever is `served` waits no
    /// more.
    pub(crate) fn end_gathered(&mut self, mut transaction: Transaction, served: Option<WaitId>) {
        if transaction.wholes.is_empty() {
            return self.dismiss_visitors(&transaction, Vec::new(), served);
        }
        let stats = std::mem::take(&mut self.visitors.keyspace.stats);
        self.shard.keyspace.stats.add(&stats);
        let shards: Vec<Peer> = transaction.visits.iter().map(|visit| visit.shard).collect();
        let mut releases: Vec<Release> = shards.iter().map(|_| Release::default()).collect();
        for (shard, dbs) in transaction.wholes.drain(..) {
            let at = shards.iter().position(|&s| s == shard).expect("lent at a visit");
            releases[at].dbs = Some(dbs);
            releases[at].replaced.clone_from(&transaction.replaced);
        }
        self.shard.keyspace.garbage.append(&mut self.visitors.keyspace.garbage);
        let effects = &mut self.visitors.effects;
        for (db, hash) in effects.touched.drain(..) {
            let owner = usize::from(self.node.slots.owner(hash));
            let at = shards.iter().position(|&s| s == owner).expect("every shard was visited");
            releases[at].touched.push((db, hash));
        }
        for event in effects.events.drain(..) {
            let owner = usize::from(self.node.slots.owner(self.node.seed.key_hash(&event.key)));
            let at = shards.iter().position(|&s| s == owner).expect("every shard was visited");
            releases[at].events.push(event);
        }
        for note in effects.notes.drain(..) {
            let (Note::Read { key, .. } | Note::Changed { key, .. }) = &note else {
                // Each shard tells its own clients.
                releases.iter_mut().for_each(|release| release.notes.push(note.clone()));
                continue;
            };
            let owner = usize::from(self.node.slots.owner(self.node.seed.key_hash(key)));
            let at = shards.iter().position(|&s| s == owner).expect("every shard was visited");
            releases[at].notes.push(note);
        }
        self.shard.effects.dirty += std::mem::take(&mut effects.dirty);
        self.release_all(&transaction, releases);
    }

    /// EXEC is done: its watches are over. `None` if the batch waits until all shards know of
    /// changed subscriptions.
    fn end_exec(&mut self, mut batch: Box<Batch>, exec: Exec) -> Option<Box<Batch>> {
        self.forget_watch_list(exec.watched);
        let parsed = &batch.requests[batch.next];
        let call = parsed.call.expect("it is an EXEC");
        with_args(&batch.input, &batch.ranges, parsed, |args| self.observe(call, args, 0, 0));
        batch.next += 1;
        let mut calls = exec.multi.requests.iter().filter_map(|parsed| parsed.call);
        let flushed = !exec.aborted && calls.any(Call::empties_all);
        let Some(changes) = exec.changes else {
            return if flushed { self.tell_of_flush(batch) } else { Some(batch) };
        };
        self.announce(changes, batch.token, Some(batch));
        None
    }
}

/// The databases that a command empties or swaps as a whole.
fn replaced(call: &Call, args: &[&[u8]], selected: usize, databases: usize) -> Vec<usize> {
    match call.spec.name {
        "flushall" => (0..databases).collect(),
        "flushdb" => vec![selected],
        "swapdb" => {
            let number = |arg: &&[u8]| parse_u64(arg).and_then(|n| usize::try_from(n).ok());
            args[1..].iter().filter_map(number).collect()
        }
        _ => Vec::new(),
    }
}

fn whole_of(transaction: &Transaction, shard: Peer) -> usize {
    let at = transaction.wholes.iter().position(|whole| whole.0 == shard);
    at.expect("every shard was visited")
}

/// Moves the entries with this hash from the databases of one shard to those of another.
fn move_entries(transaction: &mut Transaction, hash: u64, from: Peer, to: Peer) {
    let (from, to) = (whole_of(transaction, from), whole_of(transaction, to));
    for db in 0..transaction.wholes[from].1.len() {
        while let Some(entry) = transaction.wholes[from].1[db].take_hash(hash) {
            transaction.wholes[to].1[db].insert(hash, entry);
        }
    }
}
