//! What happens to a request at its client's home: where it runs, whether it may, MULTI, WATCH and
//! the client's own commands.

use crate::clients::client::State;
use shards::commands::spec::{Flag, Spread};
use shards::keyspace::watch::Seen;
use shards::resp::error::Error;
use shards::resp::reply::{Protocol, Replies};

use crate::batches::batch::{At, Batch};
use crate::clients::admission::{Verdict, counts_for, exec_refused, judge};
use crate::clients::client::{Client, ReplyMode, Session, Transactions};
use crate::clients::ctx::ClientCtx;
use crate::clients::memory::UnderWay;
use crate::clients::tracker::note_caching;
use crate::mail::to_control::ToControl;
use crate::reactor::crash::at_work;
use crate::routing::call::{Call, Run, Step};
use crate::routing::listening::pong;
use crate::routing::request::{Route, with_args};
use crate::shard::core::Core;
use crate::shard::messages::subscribing::Announcement;
use crate::shard::room::Memory;
use crate::transactions::multi::{Exec, Watch};
use crate::transactions::transaction::{Footprint, Kind, Transaction};

const NESTED_MULTI: Error = Error::Text("ERR MULTI calls can not be nested");
const WATCH_IN_MULTI: Error = Error::Text("ERR WATCH inside MULTI is not allowed");

/// What became of a request at home.
#[derive(Debug)]
pub(crate) enum AtHome {
    /// It is answered.
    Done,
    /// It is answered, and what follows must be looked at anew: the client's mode has changed.
    Changed,
    /// It may run there; its first key has this place and hash.
    Runs(Route, (u32, u64)),
    /// It cannot be answered here and now.
    Needs(Needs),
}

/// What a request needs that cannot be answered at home and at once.
#[derive(Debug)]
pub(crate) enum Needs {
    /// To run on the shard of its keys, which may be this one; the place and hash of its first key.
    Shard(u16, (u32, u64)),
    /// To run on the control thread.
    Control,
    /// To run on several shards, on each with its part.
    Parts,
    /// To run on one shard after the other.
    Scan,
    /// To run on several shards.
    Shards(Box<Transaction>),
    /// To run as an EXEC, on what is gathered if there is a transaction.
    Exec(Box<Exec>, Option<Box<Transaction>>),
    /// The end of a pause.
    PauseOver,
    /// One of its keys, which are all here, to have what it asks for.
    Key,
    /// Memory, which other shards are making.
    Memory,
    /// Other shards to have room for its message.
    Mailroom,
    /// Other shards to be asked for a client of this id.
    Client(i64),
    /// All shards to know of changed subscriptions.
    Known(Announcement),
}

impl Core {
    /// Deals with the next request of a batch that is at home.
    pub(crate) fn at_home(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        let Some(mut client) = self.take_client(batch.token) else {
            // What the client had sent before it left is done as far as it needs no client.
            self.recycle(batch);
            return None;
        };
        if client.is_ending() {
            self.put_client(client);
            self.deliver(batch);
            return None;
        }
        let Batch { input, ranges, requests, next, replies, .. } = &mut *batch;
        let parsed = &requests[*next];
        let outcome = with_args(input, ranges, parsed, |args| {
            self.home_request(&mut client, parsed.call, args, replies)
        });
        batch.passport = client.passport(&self.node.config);
        if matches!(outcome, AtHome::Done | AtHome::Changed) {
            batch.waiting = None;
            // What is answered here was muted here, and CLIENT REPLY ON is answered.
            batch.is_muted = false;
        }
        let going_on = match outcome {
            AtHome::Done => {
                batch.next += 1;
                Some(batch)
            }
            AtHome::Changed => {
                batch.next += 1;
                give_back(&mut batch, &mut client);
                Some(batch)
            }
            AtHome::Runs(route, first_key) => {
                let next = batch.next;
                (batch.requests[next].route, batch.requests[next].first_key) = (route, first_key);
                Some(batch)
            }
            AtHome::Needs(needs) => self.see_to(&mut client, batch, needs),
        };
        self.put_client(client);
        self.sign_waiting();
        going_on
    }

    /// Sees to it that the next request of a batch gets what it needs. `None` if the batch has
    /// left, or waits.
    pub(crate) fn see_to(
        &mut self,
        client: &mut Client,
        mut batch: Box<Batch>,
        needs: Needs,
    ) -> Option<Box<Batch>> {
        let exec = if let Needs::Exec(exec, _) = &needs { Some(&**exec) } else { None };
        client.under_way = UnderWay::of(&batch, exec);
        match needs {
            Needs::Shard(shard, first_key) => {
                let next = &mut batch.requests[batch.next];
                (next.route, next.first_key) = (Route::Shard(shard), first_key);
            }
            Needs::Parts => {
                let next = batch.next;
                batch.requests[next].route = Route::Parts;
            }
            Needs::Scan => {
                let next = batch.next;
                batch.requests[next].route = Route::Scan;
            }
            Needs::Shards(transaction) => batch.at = At::Visits(transaction),
            Needs::Exec(exec, None) => batch.at = At::Exec(exec),
            Needs::Exec(exec, Some(transaction)) => batch.at = At::ExecVisits(exec, transaction),
            Needs::Control => {
                self.counters.hops += 1;
                self.mailbox.tell_control(ToControl::Batch(batch));
                return None;
            }
            Needs::PauseOver => {
                self.hold(client, batch);
                return None;
            }
            Needs::Key => unreachable!("only a request that was run waits for a key"),
            Needs::Memory => {
                self.room.wait(batch);
                return None;
            }
            Needs::Mailroom => {
                self.pubsub.crowded.push(batch);
                return None;
            }
            Needs::Client(id) => {
                self.find(id, batch);
                return None;
            }
            Needs::Known(Announcement { changes, reply }) => {
                batch.replies.extend_from_slice(&reply);
                batch.next += 1;
                self.announce(changes, batch.token, Some(batch));
                return None;
            }
        }
        Some(batch)
    }

    /// Looks at a request with all that is known of its client, and answers it if that is
    /// possible without leaving.
    pub(crate) fn home_request(
        &mut self,
        client: &mut Client,
        call: Option<&'static Call>,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> AtHome {
        let written = out.len();
        note_caching(client, call);
        client.end_exec();
        self.note_queue(client, call);
        client.renew(self.node.guards());
        let skips = client.session.reply != ReplyMode::On;
        let outcome = match judge(client, &self.node, call, args) {
            Verdict::Runs(call) => self.dispatch(client, call, args, out),
            Verdict::Waits => AtHome::Needs(Needs::PauseOver),
            Verdict::Refused(error) => {
                self.refuse_at_home(client, counts_for(call, args), &error, out)
            }
        };
        client.renew(self.node.guards());
        if skips && matches!(outcome, AtHome::Done | AtHome::Changed) {
            mute(client, call, out, written);
        }
        outcome
    }

    #[cold]
    fn refuse_at_home(
        &mut self,
        client: &mut Client,
        call: Option<&'static Call>,
        error: &Error,
        out: &mut Vec<u8>,
    ) -> AtHome {
        if let Some(call) = call {
            self.counters.rejected(call.id);
            if let Run::Transaction(Step::Exec) = call.run {
                client.multi = None;
                self.forget_watches(client);
                exec_refused(error).write(out);
                return AtHome::Changed;
            }
        }
        if let Some(multi) = &mut client.multi {
            multi.refused = true;
        }
        self.refuse(error, out);
        AtHome::Done
    }

    fn dispatch(
        &mut self,
        client: &mut Client,
        call: &'static Call,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> AtHome {
        if client.watched.is_empty()
            && let Some(error) = self.exec_redirection(client)
        {
            client.multi = None;
            self.reject(call, &error, out);
            return AtHome::Changed;
        }
        match self.memory_at_home(client, call) {
            Memory::Enough => {}
            Memory::Coming => return AtHome::Needs(Needs::Memory),
            Memory::Refused => return self.refuse_at_home(client, Some(call), &Error::Oom, out),
        }
        if let Some(multi) = &mut client.multi
            && call.is_queued()
        {
            let (route, first_key) = self.client_route(call, args);
            multi.push(call, args, route, first_key);
            Replies::new(out, client.session.protocol).simple("QUEUED");
            return AtHome::Done;
        }
        match call.run {
            Run::Engine(_) if client.only_listens() && args.len() <= 2 => {
                let written = out.len();
                pong(args, out);
                let took = self.count(call, false);
                self.observe(call, args, took, out.len() - written);
                AtHome::Done
            }
            Run::Engine(_) => self.engine_request_at_home(call, args),
            Run::Client => {
                self.run_client(client, call, args, out);
                AtHome::Changed
            }
            Run::Control => {
                self.show(call, args);
                AtHome::Needs(Needs::Control)
            }
            Run::PubSub(step) => self.pubsub_step(client, call, step, args, out),
            Run::Transaction(step) => {
                let (written, errors) = (out.len(), self.counters.error_replies);
                let outcome = self.step(client, step, args, out);
                let took = self.count(call, errors < self.counters.error_replies);
                self.serving.db = client.session.db;
                // An EXEC is told of behind the commands that it runs.
                if !matches!(outcome, AtHome::Needs(Needs::Exec(..))) {
                    self.observe(call, args, took, out.len() - written);
                }
                outcome
            }
            Run::Container => unreachable!("refused before"),
        }
    }

    /// Whether there is memory for a request that may need some, here at home: for what is queued,
    /// for EXEC, and for what several shards do together. All else is looked at where it runs.
    fn memory_at_home(&mut self, client: &Client, call: &Call) -> Memory {
        let needs = match (&client.multi, call.run) {
            (Some(multi), Run::Transaction(Step::Exec)) => {
                multi.denies_oom && !multi.refused && multi.outcome.is_none()
            }
            _ => call.spec.flags.has(Flag::DenyOom),
        };
        if needs { self.find_room(&|_| None) } else { Memory::Enough }
    }

    /// Runs a command on its client's own state.
    pub(crate) fn run_client(
        &mut self,
        client: &mut Client,
        call: &'static Call,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) {
        let run = self.client_commands.of(call);
        let written = out.len();
        let protocol = client.session.protocol;
        let replies = Replies::new(out, protocol);
        let interest = &self.pubsub.interest;
        let work = at_work(call.spec.name, args);
        let result = run(&mut ClientCtx { args, client, replies, interest, node: &self.node });
        drop(work);
        if let Err(error) = &result {
            out.truncate(written);
            self.refuse(error, out);
        }
        let took = self.count(call, result.is_err());
        self.serving.db = client.session.db;
        self.observe(call, args, took, out.len() - written);
    }

    /// Where a command on keys runs that was looked at.
    fn engine_request_at_home(&self, call: &'static Call, args: &[&[u8]]) -> AtHome {
        match self.client_route(call, args) {
            (Route::Home, _) => {
                let footprint = self.footprint_of(call, args);
                let kind = match call.spec.spread {
                    // Refused by its handler, which must see it whole.
                    Spread::Split(_) => {
                        return AtHome::Runs(Route::Shard(self.shard_number()), (0, 0));
                    }
                    Spread::Everywhere(merge) => Kind::Parts(merge),
                    Spread::Gather | Spread::Cursor | Spread::Anywhere | Spread::HandOver => {
                        footprint.gathering()
                    }
                };
                let transaction = footprint.transaction(&self.node.slots, kind, &[]);
                AtHome::Needs(Needs::Shards(Box::new(transaction)))
            }
            (route, first_key) => AtHome::Runs(route, first_key),
        }
    }

    fn step(
        &mut self,
        client: &mut Client,
        step: Step,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> AtHome {
        let mut replies = Replies::new(out, client.session.protocol);
        match step {
            Step::Multi if client.multi.is_some() => self.refuse(&NESTED_MULTI, replies.out),
            Step::Multi => {
                client.multi = Some(Box::default());
                client.transactions = Transactions::Begun;
                replies.ok();
            }
            Step::Discard if client.multi.is_none() => {
                self.refuse(&Error::DiscardWithoutMulti, replies.out);
            }
            Step::Discard => {
                client.multi = None;
                self.forget_watches(client);
                replies.ok();
            }
            Step::Exec => return self.begin_exec(client, replies),
            Step::Watch if client.multi.is_some() => self.refuse(&WATCH_IN_MULTI, replies.out),
            Step::Watch => {
                client.transactions = Transactions::Begun;
                return self.begin_watch(client, args);
            }
            Step::Unwatch => {
                self.forget_watches(client);
                replies.ok();
            }
            Step::Reset => return self.reset(client),
            Step::Quit => {
                client.end();
                if client.subscriptions.is_some() {
                    let mut announcement = Announcement::default();
                    let Announcement { changes, reply } = &mut announcement;
                    self.end_subscriptions(client, changes);
                    Replies::new(reply, client.session.protocol).ok();
                    return AtHome::Needs(Needs::Known(announcement));
                }
                replies.ok();
            }
        }
        AtHome::Changed
    }

    /// RESET: the client is as it was when it connected, but for what it said of its library.
    fn reset(&mut self, client: &mut Client) -> AtHome {
        client.multi = None;
        self.forget_watches(client);
        let Session { lib_name, lib_ver, .. } = std::mem::take(&mut client.session);
        client.session.lib_name = lib_name;
        client.session.lib_ver = lib_ver;
        client.session.authenticated = self.node.config.requirepass.is_empty();
        let mut announcement = Announcement::default();
        let Announcement { changes, reply } = &mut announcement;
        self.end_subscriptions(client, changes);
        Replies::new(reply, Protocol::Resp2).simple("RESET");
        AtHome::Needs(Needs::Known(announcement))
    }

    fn begin_watch(&mut self, client: &Client, args: &[&[u8]]) -> AtHome {
        let db = client.session.db;
        let watch =
            |key: &&[u8]| Watch { db, hash: self.node.seed.key_hash(key), seen: Seen::default() };
        let known =
            |watch: &Watch| client.watched.iter().any(|w| (w.db, w.hash) == (watch.db, watch.hash));
        let mut watched: Vec<Watch> = args[1..].iter().map(watch).filter(|w| !known(w)).collect();
        watched.sort_unstable_by_key(|watch| watch.hash);
        watched.dedup();
        let mut footprint = Footprint::default();
        footprint.add_watched(&self.node.slots, &watched);
        let transaction = footprint.transaction(&self.node.slots, Kind::Watch, &watched);
        AtHome::Needs(Needs::Shards(Box::new(transaction)))
    }

    fn begin_exec(&mut self, client: &mut Client, replies: Replies<'_>) -> AtHome {
        let redirection = self.exec_redirection(client);
        let Some(multi) = client.multi.take() else {
            self.refuse(&Error::ExecWithoutMulti, replies.out);
            return AtHome::Done;
        };
        if multi.refused {
            self.forget_watches(client);
            self.refuse(&Error::ExecAborted, replies.out);
            return AtHome::Changed;
        }
        // The watches go on until EXEC is over: their keys are compared on the way.
        let watched = std::mem::take(&mut client.watched);
        client.transactions = Transactions::Exec(multi.len());
        let (exec, transaction) = match redirection {
            None => self.plan_exec(multi, watched),
            // Only the watched keys are looked at: the commands do not run here.
            Some(_) => {
                let (exec, transaction) = self.plan_exec(Box::default(), watched);
                (Exec { redirection, ..exec }, transaction)
            }
        };
        AtHome::Needs(Needs::Exec(Box::new(exec), transaction.map(Box::new)))
    }

    /// A batch is home for good: its replies go to its client.
    pub(crate) fn deliver(&mut self, mut batch: Box<Batch>) {
        if batch.applies.is_some() {
            return self.applied(batch);
        }
        if let Some(mut client) = self.take_client(batch.token) {
            client.state = State::Home;
            client.end_exec();
            client.pushes.stale_told = 0;
            client.figures.commands += batch.next as u64;
            if batch.is_muted {
                batch.replies.clear();
                if client.session.reply == ReplyMode::Skip {
                    client.session.reply = ReplyMode::On;
                }
            }
            client.is_broken_off |= batch.passport.reply_max < batch.replies.len();
            self.give_replies(&mut client, &mut batch.replies);
            client.pushes.wait = false;
            give_back(&mut batch, &mut client);
            self.clients.list(&mut client);
            self.put_client(client);
        }
        self.recycle(batch);
    }
}

/// Puts the requests of a batch that have not run back in front of its client's input.
pub(crate) fn give_back(batch: &mut Batch, client: &mut Client) {
    let done = match batch.next.checked_sub(1) {
        Some(last) => batch.requests[last].end as usize,
        None => 0,
    };
    batch.requests.truncate(batch.next);
    if done < batch.input.len() {
        client.query.put_back(&batch.input[done..]);
        batch.input.truncate(done);
        client.parser = Default::default();
        client.awaited = 0;
    }
}

/// Takes a reply away again that the client does not want (CLIENT REPLY).
pub(crate) fn mute(client: &mut Client, call: Option<&Call>, out: &mut Vec<u8>, written: usize) {
    match client.session.reply {
        ReplyMode::On => {}
        ReplyMode::Off => out.truncate(written),
        ReplyMode::Skip => {
            out.truncate(written);
            // A second CLIENT REPLY SKIP asks for the next reply to be skipped, too.
            if call.is_none_or(|call| call.spec.name != "client|reply") {
                client.session.reply = ReplyMode::On;
            }
        }
    }
}
