//! EXEC: the queued commands as one transaction.
//!
//! If all its keys live on one shard and it needs nothing else, it travels there and runs in
//! place. Otherwise its entries (or, for FLUSHALL and its like, whole databases) are gathered at
//! home, the commands run there one by one, and everything goes back.

use shards::base::number::parse_u64;
use shards::commands::spec::{Merge, Spread};
use shards::resp::reply::Replies;

use crate::coordination::batch::{Batch, Parsed, Passport, Route, with_args};
use crate::coordination::call::{Call, Run};
use crate::coordination::client::{Exec, Multi, Watch};
use crate::coordination::core::Core;
use crate::coordination::letter::Release;
use crate::coordination::locks::Claims;
use crate::coordination::mailbox::Peer;
use crate::coordination::transaction::{Footprint, Kind, Merged, Transaction};

impl Core {
    /// How an EXEC of these commands is carried out.
    pub(super) fn plan_exec(
        &self,
        multi: Box<Multi>,
        watched: Vec<Watch>,
    ) -> (Exec, Option<Transaction>) {
        let slots = &self.node.slots;
        let footprint = self.exec_footprint(&multi, &watched);
        let in_place = |parsed: &Parsed| {
            parsed.route != Route::Home
                && matches!(parsed.call.map(|call| call.run), Some(Run::Engine(_)))
        };
        let all_in_place = multi.requests.iter().all(in_place);
        let place = match *footprint.shards(slots).as_slice() {
            [] if all_in_place => Some(u16::try_from(self.me()).expect("shards are few")),
            [only] if all_in_place => Some(only),
            _ => None,
        };
        let kind = if footprint.whole.is_some() { Kind::GatherWhole } else { Kind::Gather };
        let transaction = place.is_none().then(|| footprint.transaction(slots, kind, &watched));
        (Exec { multi, next: 0, watched, place, aborted: false }, transaction)
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
    pub(super) fn exec_in_place(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
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
        let exec = batch.exec.take().expect("the caller looked");
        if exec.watched.iter().all(|watch| self.unchanged(watch)) {
            let Batch { replies, passport, .. } = &mut *batch;
            Replies { out: replies, protocol: passport.protocol }.array(exec.multi.requests.len());
            for parsed in &exec.multi.requests {
                let call = parsed.call.expect("only known commands are queued");
                let Run::Engine(command) = call.run else { unreachable!("planned otherwise") };
                with_args(&exec.multi.input, &exec.multi.ranges, parsed, |args| {
                    let request = Self::engine_request(args, *passport, parsed.first_key);
                    self.run_engine(call, command, request, replies);
                });
            }
        } else {
            let protocol = batch.passport.protocol;
            Replies { out: &mut batch.replies, protocol }.null_array();
        }
        if let Some(ticket) = batch.ticket.take() {
            self.leave(ticket);
        }
        self.end_exec(&mut batch, *exec);
        Some(batch)
    }

    /// Runs an EXEC at home on what was gathered. `None` if a command of it went to control: the
    /// batch comes back and goes on here.
    pub(super) fn exec_gathered(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
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
        while let Some(parsed) = exec.multi.requests.get(exec.next) {
            let call = parsed.call.expect("only known commands are queued");
            if let Run::Control(_) = call.run {
                self.lend_visitors(&mut transaction);
                batch.exec = Some(exec);
                batch.transaction = Some(transaction);
                let control = self.control();
                return self.hop(control, batch);
            }
            let Multi { input, ranges, .. } = &*exec.multi;
            with_args(input, ranges, parsed, |args| {
                self.exec_command(&mut batch, &mut transaction, call, parsed, args);
            });
            exec.next += 1;
        }
        self.end_gathered(*transaction);
        self.end_exec(&mut batch, *exec);
        Some(batch)
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
            Run::Client(_) => {
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
            Run::Control(_) | Run::Container => unreachable!("dealt with by the caller"),
        }
    }

    /// Runs a command of an EXEC that has the databases of every shard at hand.
    fn exec_on_wholes(
        &mut self,
        transaction: &mut Transaction,
        call: &Call,
        args: &[&[u8]],
        passport: Passport,
        out: &mut Vec<u8>,
    ) {
        let Run::Engine(command) = call.run else { unreachable!("the caller looked") };
        match command.spec.spread {
            Spread::Everywhere(merge) => {
                let databases = self.visitors.keyspace.dbs.len();
                let mut merged = Merged::default();
                let mut reply = Vec::new();
                for at in 0..transaction.wholes.len() {
                    reply.clear();
                    self.with_whole(transaction, at, |core| {
                        let request = Self::engine_request(args, passport, (0, 0));
                        // The error is in the reply, and merged with it.
                        let _ = core.visitors.execute(command, request, &mut reply);
                    });
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
                self.with_whole(transaction, at, |core| {
                    let request = Self::engine_request(args, passport, (0, 0));
                    // The error is in the reply.
                    let _ = core.visitors.execute(command, request, out);
                });
                self.move_home(transaction, call, args, first);
            }
        }
        self.count(call, false);
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
                        let loan =
                            crate::coordination::transaction::Loan { shard, db, hash, entry };
                        loans.push(loan);
                    }
                }
            }
        }
    }

    /// Sends everything that was gathered back and ends all claims.
    fn end_gathered(&mut self, mut transaction: Transaction) {
        if transaction.wholes.is_empty() {
            return self.dismiss_visitors(&transaction);
        }
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
        self.shard.effects.dirty += std::mem::take(&mut effects.dirty);
        self.shard.effects.events.append(&mut effects.events);
        self.release_all(&transaction, releases);
    }

    /// EXEC is answered: its watches are over.
    fn end_exec(&mut self, batch: &mut Batch, exec: Exec) {
        self.forget_watch_list(exec.watched);
        batch.next += 1;
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
