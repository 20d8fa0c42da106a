//! EXEC: the queued commands as one transaction.
//!
//! If all its keys live on one shard and it needs nothing else, it travels there and runs in
//! place. Otherwise its entries (or, for FLUSHALL and its like, whole databases) are gathered at
//! home, the commands run there one by one, and everything goes back.

use shards::base::number::parse_u64;
use shards::resp::error::Error;
use shards::resp::reply::Replies;

use crate::batches::batch::{At, Batch};
use crate::mail::to_control::ToControl;
use crate::pubsub::interest::Changes;
use crate::pubsub::kind::Kind;
use crate::routing::call::{Call, PubSubStep, Run};
use crate::routing::listening::pong;
use crate::routing::request::{Parsed, Route, with_args};
use crate::shard::core::Core;
use crate::shard::journeys::blocking::needs_of;
use crate::shard::messages::monitoring;
use crate::shard::messages::publishing::Author;
use crate::stats::notable::Serving;
use crate::transactions::multi::{Exec, Multi, Watch};
use crate::transactions::transaction::{Footprint, Transaction};

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
            Some(Run::Engine(_)) => {
                !matches!(parsed.route, Route::Home | Route::Parts | Route::Scan)
                    && !parsed.call.is_some_and(Call::counts_replicas)
            }
            _ => is_about_channels(parsed),
        };
        let all_in_place = multi.commands().all(in_place);
        // What concerns channels happens at home.
        let must_stay = multi.commands().any(is_about_channels);
        let may_run_on = |shard: u16| !must_stay || shard == self.shard_number();
        let place = match *footprint.shards(slots).as_slice() {
            [] if all_in_place => Some(self.shard_number()),
            [only] if all_in_place && may_run_on(only) => Some(only),
            _ => None,
        };
        let kind = footprint.gathering();
        let transaction = place.is_none().then(|| footprint.transaction(slots, kind, &watched));
        let (aborted, redirection, changes) = (false, None, None);
        (Exec { multi, next: 0, watched, place, aborted, redirection, changes }, transaction)
    }

    fn exec_footprint(&self, multi: &Multi, watched: &[Watch]) -> Footprint {
        let slots = &self.node.slots;
        let mut footprint = Footprint::default();
        footprint.add_watched(slots, watched);
        for at in 0..multi.len() {
            multi.with(at, |parsed, args| {
                footprint.add(slots, parsed, args, |key| self.node.seed.key_hash(key));
            });
        }
        footprint
    }

    /// Runs an EXEC on the one shard that has all its keys: this one, or it goes there.
    pub(crate) fn exec_in_place(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        let At::Exec(exec) = &batch.at else { unreachable!("the caller looked") };
        let place = exec.place.expect("others have a transaction");
        if place != self.shard_number() {
            return self.hop(place.into(), batch);
        }
        if batch.ticket.is_none() && !self.claims.idle() {
            let footprint = self.exec_footprint(&exec.multi, &exec.watched);
            if let Some(claims) = self.claims.in_the_way(|| footprint.claims(place, false)) {
                batch = self.claim(batch, claims, |batch, ticket| batch.ticket = Some(ticket))?;
            }
        }
        if self.is_exec_turned_back(&mut batch) {
            return Some(batch);
        }
        let At::Exec(mut exec) = std::mem::take(&mut batch.at) else {
            unreachable!("the caller looked")
        };
        if batch.applies.is_none() && exec.redirection.is_none() {
            exec.redirection = self.queue_redirection(&batch.passport, &exec.multi);
        }
        self.shard.effects.denies_waiting = true;
        if !exec.watched.iter().all(|watch| self.unchanged(watch)) {
            let protocol = batch.passport.protocol;
            Replies::new(&mut batch.replies, protocol).null_array();
        } else if let Some(error) = &exec.redirection {
            self.refuse(error, &mut batch.replies);
        } else {
            self.run_in_place(&mut batch, &mut exec);
        }
        self.shard.effects.denies_waiting = false;
        self.end_claims(batch.ticket.take());
        self.end_exec(batch, *exec)
    }

    fn run_in_place(&mut self, batch: &mut Batch, exec: &mut Exec) {
        let Exec { multi, changes, .. } = exec;
        let protocol = batch.passport.protocol;
        Replies::new(&mut batch.replies, protocol).array(multi.len());
        let logs = self.shard.effects.keeps_log;
        if logs {
            self.shard.effects.log.begin();
        }
        for at in 0..multi.len() {
            multi.with(at, |parsed, args| {
                let call = parsed.call.expect("only known commands are queued");
                match call.run {
                    Run::Engine(_) if changes.is_some() && self.is_pong(batch, call, args) => {
                        pong(args, &mut batch.replies);
                    }
                    Run::Engine(command) => {
                        let request = Self::engine_request(args, &batch.passport, parsed.first_key);
                        self.run_engine(call, command, request, &mut batch.replies);
                    }
                    Run::PubSub(step) => self.exec_step(batch, changes, call, step, args),
                    Run::Client | Run::Control | Run::Transaction(_) | Run::Container => {
                        unreachable!("planned otherwise")
                    }
                }
            });
        }
        if logs {
            self.shard.effects.log.end();
        }
    }

    /// Runs an EXEC at home on what was gathered. `None` if a command of it went to control: the
    /// batch comes back and goes on here.
    pub(crate) fn exec_gathered(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        let At::ExecVisits(mut exec, mut transaction) = std::mem::take(&mut batch.at) else {
            unreachable!("entries were gathered")
        };
        let protocol = batch.passport.protocol;
        if exec.aborted {
            Replies::new(&mut batch.replies, protocol).null_array();
            exec.next = exec.multi.len();
        } else if let Some(error) = exec.redirection.take() {
            self.refuse(&error, &mut batch.replies);
            exec.next = exec.multi.len();
        } else if exec.next == 0 {
            Replies::new(&mut batch.replies, protocol).array(exec.multi.len());
        }
        self.receive_visitors(&mut transaction);
        self.visitors.effects.denies_waiting = true;
        while let Some(parsed) = exec.multi.command(exec.next) {
            let call = parsed.call.expect("only known commands are queued");
            let Exec { multi, next, changes, .. } = &mut *exec;
            if let Run::Control = call.run {
                multi.with(*next, |_, args| self.show(call, args));
                self.visitors.effects.denies_waiting = false;
                self.lend_or_release(&exec, &mut transaction);
                batch.at = At::ExecVisits(exec, transaction);
                self.counters.hops += 1;
                self.mailbox.tell_control(ToControl::Batch(batch));
                return None;
            }
            let written = batch.replies.len();
            multi.with(*next, |parsed, args| match call.run {
                Run::PubSub(step) => self.exec_step(&mut batch, changes, call, step, args),
                _ if changes.is_some() && self.is_pong(&batch, call, args) => {
                    pong(args, &mut batch.replies);
                }
                _ => self.exec_command(&mut batch, &mut transaction, call, parsed, args),
            });
            if let Some(consignment) = self.visitors.effects.consignment.take() {
                self.visitors.effects.denies_waiting = false;
                self.lend_visitors(&mut transaction);
                batch.at = At::ExecVisits(exec, transaction);
                self.hand_over(batch, *consignment);
                return None;
            }
            if let Some(needs) = self.visitors.effects.counts.take().and_then(needs_of) {
                self.visitors.effects.denies_waiting = false;
                batch.replies.truncate(written);
                self.lend_visitors(&mut transaction);
                batch.at = At::ExecVisits(exec, transaction);
                self.counters.hops += 1;
                self.mailbox.tell_control(ToControl::CountAcks(batch, needs));
                return None;
            }
            exec.next += 1;
        }
        self.visitors.effects.denies_waiting = false;
        self.end_gathered(*transaction, Vec::new(), None);
        self.end_exec(batch, *exec)
    }

    /// Takes the visitors along to control, whose command may take long. If no command behind it
    /// uses keys they go back instead, and the claims end.
    fn lend_or_release(&mut self, exec: &Exec, transaction: &mut Transaction) {
        let mut behind = (exec.next + 1..exec.multi.len()).filter_map(|at| exec.multi.command(at));
        let uses_keys =
            |parsed: &Parsed| parsed.call.is_some_and(|call| matches!(call.run, Run::Engine(_)));
        if behind.any(uses_keys) {
            return self.lend_visitors(transaction);
        }
        let nothing = Transaction::new(transaction.kind, Vec::new());
        let used = std::mem::replace(transaction, nothing);
        self.end_gathered(used, Vec::new(), None);
    }

    pub(crate) fn exec_command(
        &mut self,
        batch: &mut Batch,
        transaction: &mut Transaction,
        call: &'static Call,
        parsed: &Parsed,
        args: &[&[u8]],
    ) {
        match call.run {
            Run::Engine(command) => {
                let request = Self::engine_request(args, &batch.passport, parsed.first_key);
                let replies = &mut batch.replies;
                if transaction.wholes.is_empty() {
                    self.run_on_visitors(call, command, request, replies);
                } else {
                    self.run_on_wholes(transaction, call, args, &batch.passport, replies);
                }
            }
            Run::Client if batch.applies.is_some() => {
                // The stream has only SELECT of these, which was looked at when it was taken apart.
                let db = args.get(1).and_then(|arg| parse_u64(arg));
                let db = db.and_then(|db| usize::try_from(db).ok());
                batch.passport.db = db.unwrap_or(batch.passport.db);
                Replies::new(&mut batch.replies, batch.passport.protocol).ok();
            }
            Run::Client => {
                // A client that is gone has nothing left to change.
                if let Some(mut client) = self.take_client(batch.token) {
                    self.run_client(&mut client, call, args, &mut batch.replies);
                    batch.passport = client.passport(&self.node.config);
                    self.put_client(client);
                    self.sign_waiting();
                }
            }
            Run::Transaction(_) => {
                let protocol = batch.passport.protocol;
                Replies::new(&mut batch.replies, protocol).ok();
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
                batch.passport = client.passport(&self.node.config);
                self.run_for(Serving::of_batch(batch), batch.client, batch.passport.reads);
                self.put_client(client);
            }
        }
    }

    /// Whether a command is a PING of a client that has begun to listen in this EXEC.
    fn is_pong(&mut self, batch: &Batch, call: &Call, args: &[&[u8]]) -> bool {
        let listens = self.client(batch.token).is_some_and(|client| client.only_listens());
        listens && call.spec.name == "ping" && args.len() <= 2
    }

    /// EXEC is done: its watches are over. `None` if the batch waits until all shards know of
    /// changed subscriptions.
    fn end_exec(&mut self, mut batch: Box<Batch>, exec: Exec) -> Option<Box<Batch>> {
        self.forget_watch_list(exec.watched);
        let parsed = &batch.requests[batch.next];
        let call = parsed.call.expect("it is an EXEC");
        with_args(&batch.input, &batch.ranges, parsed, |args| self.observe(call, args, 0, 0));
        batch.next += 1;
        let mut calls = exec.multi.commands().filter_map(|parsed| parsed.call);
        // The stream of a primary does not wait for the disk.
        let flushed = batch.applies.is_none() && !exec.aborted && calls.any(Call::empties_all);
        let Some(changes) = exec.changes else {
            return if flushed { self.tell_of_flush(batch) } else { Some(batch) };
        };
        self.announce(changes, batch.token, Some(batch));
        None
    }
}
