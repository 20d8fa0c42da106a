//! What happens to a request at its client's home: refusals, MULTI, WATCH, the client's own
//! commands, and the start of journeys.

use shards::base::number::parse_u64;
use shards::commands::spec::{Begin, Find, Flag, KeySpec, Spec, Spread};
use shards::encodings::table::Position;
use shards::resp::error::Error;
use shards::resp::parser::Range;
use shards::resp::reply::{Protocol, Replies};

use crate::batches::batch::Batch;
use crate::clients::client::{Client, ReplyMode};
use crate::clients::ctx::ClientCtx;
use crate::clients::tracker::note_caching;
use crate::mail::to_shard::ToShard;
use crate::reactor::crash::at_work;
use crate::routing::call::{Call, KeyShape, Run, Step};
use crate::routing::listening::pong;
use crate::routing::request::Parsed;
use crate::routing::request::Route;
use crate::routing::request::with_args;
use crate::shard::core::Core;
use crate::shard::messages::subscribing::Announcement;
use crate::shard::refusals::exec_refused;
use crate::transactions::multi::Exec;
use crate::transactions::multi::Multi;
use crate::transactions::multi::Watch;
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
    /// It cannot be answered here and now.
    Travels(Departure),
}

/// How a request leaves home.
#[derive(Debug)]
pub(crate) enum Departure {
    /// To the shard of its keys, which may be this one.
    Shard(u16),
    /// To the control thread.
    Control,
    /// Nowhere, until CLIENT PAUSE is over.
    Held,
    /// Nowhere, until one of its keys, which are all here, has what it asks for.
    Waits,
    /// Nowhere, until other shards have room for its message.
    Crowded,
    /// Nowhere, until other shards were asked for a client of this id.
    Finding(i64),
    /// Nowhere, until all shards know of changed subscriptions.
    Announced(Announcement),
    /// Through several shards.
    Shards(Box<Transaction>),
    /// As an EXEC, gathered if there is a transaction.
    Exec(Box<Exec>, Option<Box<Transaction>>),
}

impl Core {
    /// Where a request of this client runs, as far as can be told without running what is before
    /// it. `Home` is always right: there it is looked at again.
    #[inline]
    pub(crate) fn route(
        &self,
        client: &Client,
        call: Option<&Call>,
        args: &[&[u8]],
    ) -> (Route, (u32, u64)) {
        const HOME: (Route, (u32, u64)) = (Route::Home, (0, 0));
        let Some(call) = call else { return HOME };
        if self.pause.is_some()
            || self.node.loading
            || self.node.save_failed
            || client.one_by_one()
            || !call.spec.arity.accepts(args.len())
            || call.spec.flags.has(Flag::Protected)
        {
            return HOME;
        }
        self.engine_route(call, args)
    }

    /// Where a valid request runs if nothing about its client stands in the way.
    #[inline]
    fn engine_route(&self, call: &Call, args: &[&[u8]]) -> (Route, (u32, u64)) {
        const HOME: (Route, (u32, u64)) = (Route::Home, (0, 0));
        let Run::Engine(command) = call.run else { return HOME };
        match call.keys {
            KeyShape::One(at) => {
                let Some(key) = args.get(at) else { return HOME };
                let hash = self.node.seed.key_hash(key);
                let place = u32::try_from(at).expect("a key's place is small");
                (Route::Shard(self.node.slots.owner(hash)), (place, hash))
            }
            KeyShape::Several => {
                let footprint = self.footprint_of(call, args);
                match *footprint.shards(&self.node.slots).as_slice() {
                    [only] => (Route::Shard(only), (0, 0)),
                    [] => (Route::Shard(0), (0, 0)),
                    _ => HOME,
                }
            }
            KeyShape::None => match command.spec.spread {
                Spread::Anywhere | Spread::Gather => (Route::Anywhere, (0, 0)),
                Spread::Cursor => (Route::Shard(self.cursor_owner(args)), (0, 0)),
                Spread::Split(_) | Spread::Everywhere(_) => HOME,
            },
        }
    }

    pub(crate) fn footprint_of(&self, call: &Call, args: &[&[u8]]) -> Footprint {
        let mut footprint = Footprint::default();
        footprint.add_call(&self.node.slots, call, args, |key| self.node.seed.key_hash(key));
        footprint
    }

    /// The shard that owns the slot in a SCAN cursor; any shard can refuse an invalid one.
    pub(crate) fn cursor_owner(&self, args: &[&[u8]]) -> u16 {
        let cursor = args.get(1).and_then(|arg| parse_u64(arg)).unwrap_or(0);
        self.node.slots.owner(u64::from(Position(cursor).slot().number()) << 50)
    }

    /// Deals with the next request of a batch that is at home.
    pub(crate) fn at_home(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        let mut client = self.take_client(batch.token)?;
        let Batch { input, ranges, requests, next, replies, .. } = &mut *batch;
        let parsed = &requests[*next];
        let outcome = with_args(input, ranges, parsed, |args| {
            self.home_request(&mut client, parsed.call, args, replies)
        });
        batch.passport = client.passport();
        if !matches!(outcome, AtHome::Travels(_)) {
            batch.waiting = None;
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
            AtHome::Travels(departure) => self.depart(batch, departure),
        };
        self.put_client(client);
        self.sign_waiting();
        going_on
    }

    /// Sends the next request of a batch on its way. `None` if the batch has left.
    pub(crate) fn depart(
        &mut self,
        mut batch: Box<Batch>,
        departure: Departure,
    ) -> Option<Box<Batch>> {
        match departure {
            Departure::Shard(shard) => {
                let next = batch.next;
                batch.requests[next].route = Route::Shard(shard);
            }
            Departure::Control => {
                let control = self.control();
                return self.hop(control, batch);
            }
            Departure::Held => {
                self.held.push(batch);
                return None;
            }
            Departure::Waits => {
                self.wait_here(batch);
                self.end_turn(None);
                return None;
            }
            Departure::Crowded => {
                self.pubsub.crowded.push(batch);
                return None;
            }
            Departure::Finding(id) => {
                self.find(id, batch);
                return None;
            }
            Departure::Announced(Announcement { changes, reply }) => {
                batch.replies.extend_from_slice(&reply);
                batch.next += 1;
                self.announce(changes, batch.token, Some(batch));
                return None;
            }
            Departure::Shards(transaction) => batch.transaction = Some(transaction),
            Departure::Exec(exec, transaction) => {
                batch.exec = Some(exec);
                batch.transaction = transaction;
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
        let skips = client.session.reply != ReplyMode::On;
        let outcome = match self.check(client, call, args) {
            Ok(call) => self.dispatch(client, call, args, out),
            Err(error) => {
                if let Some(call) = call {
                    self.counters.rejected(call.id);
                }
                let is_exec =
                    call.is_some_and(|call| matches!(call.run, Run::Transaction(Step::Exec)));
                if is_exec {
                    client.multi = None;
                    self.forget_watches(client);
                    exec_refused(&error).write(out);
                    return AtHome::Changed;
                }
                if let Some(multi) = &mut client.multi {
                    multi.refused = true;
                }
                self.refuse(&error, out);
                AtHome::Done
            }
        };
        if skips && !matches!(outcome, AtHome::Travels(_)) {
            mute(client, call, out, written);
        }
        outcome
    }

    fn dispatch(
        &mut self,
        client: &mut Client,
        call: &'static Call,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> AtHome {
        if self.holds_back(client, call) {
            return AtHome::Travels(Departure::Held);
        }
        let queues = !matches!(
            call.run,
            Run::Transaction(
                Step::Exec | Step::Discard | Step::Multi | Step::Watch | Step::Quit | Step::Reset
            )
        );
        if let Some(multi) = &mut client.multi
            && queues
        {
            let (route, first_key) = self.engine_route(call, args);
            queue(multi, call, args, route, first_key);
            Replies { out, protocol: client.session.protocol }.simple("QUEUED");
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
            Run::Engine(command)
                if self.memory_short
                    && command.spec.flags.has(Flag::DenyOom)
                    && !self.make_room() =>
            {
                self.counters.rejected(call.id);
                self.refuse(&Error::Oom, out);
                AtHome::Done
            }
            Run::Engine(_) => AtHome::Travels(self.engine_departure(call, args)),
            Run::Client => {
                self.run_client(client, call, args, out);
                AtHome::Changed
            }
            Run::Control => {
                self.show(call, args);
                AtHome::Travels(Departure::Control)
            }
            Run::PubSub(step) => self.pubsub_step(client, call, step, args, out),
            Run::Transaction(step) => {
                let (written, errors) = (out.len(), self.counters.error_replies);
                let outcome = self.step(client, step, args, out);
                let took = self.count(call, errors < self.counters.error_replies);
                self.serving.db = client.session.db;
                // An EXEC is told of behind the commands that it runs.
                if !matches!(outcome, AtHome::Travels(Departure::Exec(..))) {
                    self.observe(call, args, took, out.len() - written);
                }
                outcome
            }
            Run::Container => unreachable!("refused before"),
        }
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
        let replies = Replies { out, protocol };
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

    /// How a command on keys leaves home.
    fn engine_departure(&self, call: &'static Call, args: &[&[u8]]) -> Departure {
        let (route, _) = self.engine_route(call, args);
        match route {
            Route::Shard(shard) => Departure::Shard(shard),
            Route::Anywhere => Departure::Shard(u16::try_from(self.me()).expect("few shards")),
            // Refused by its handler, which must see it whole.
            Route::Home if is_torn(call.spec, args) => {
                Departure::Shard(u16::try_from(self.me()).expect("few shards"))
            }
            Route::Home => {
                let footprint = self.footprint_of(call, args);
                let kind = match call.spec.spread {
                    Spread::Split(merge) | Spread::Everywhere(merge) => Kind::Parts(merge),
                    Spread::Gather | Spread::Cursor | Spread::Anywhere => footprint.gathering(),
                };
                Departure::Shards(Box::new(footprint.transaction(&self.node.slots, kind, &[])))
            }
        }
    }

    fn step(
        &mut self,
        client: &mut Client,
        step: Step,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> AtHome {
        let mut replies = Replies { out, protocol: client.session.protocol };
        match step {
            Step::Multi if client.multi.is_some() => self.refuse(&NESTED_MULTI, replies.out),
            Step::Multi => {
                client.multi = Some(Box::default());
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
            Step::Watch => return self.begin_watch(client, args),
            Step::Unwatch => {
                self.forget_watches(client);
                replies.ok();
            }
            Step::Reset => {
                client.multi = None;
                self.forget_watches(client);
                client.session = crate::clients::client::Session {
                    authenticated: self.node.config.requirepass.is_empty(),
                    ..Default::default()
                };
                let mut announcement = Announcement::default();
                let Announcement { changes, reply } = &mut announcement;
                self.end_subscriptions(client, changes);
                Replies { out: reply, protocol: Protocol::Resp2 }.simple("RESET");
                return AtHome::Travels(Departure::Announced(announcement));
            }
            Step::Quit => {
                client.closing = true;
                if client.subscriptions.is_some() {
                    let mut announcement = Announcement::default();
                    let Announcement { changes, reply } = &mut announcement;
                    self.end_subscriptions(client, changes);
                    Replies { out: reply, protocol: client.session.protocol }.ok();
                    return AtHome::Travels(Departure::Announced(announcement));
                }
                replies.ok();
            }
        }
        AtHome::Changed
    }

    fn begin_watch(&mut self, client: &Client, args: &[&[u8]]) -> AtHome {
        let db = client.session.db;
        let watch = |key: &&[u8]| Watch { db, hash: self.node.seed.key_hash(key), version: 0 };
        let known =
            |watch: &Watch| client.watched.iter().any(|w| (w.db, w.hash) == (watch.db, watch.hash));
        let mut watched: Vec<Watch> = args[1..].iter().map(watch).filter(|w| !known(w)).collect();
        watched.sort_unstable_by_key(|watch| watch.hash);
        watched.dedup();
        let mut footprint = Footprint::default();
        footprint.add_watched(&self.node.slots, &watched);
        let transaction = footprint.transaction(&self.node.slots, Kind::Watch, &watched);
        AtHome::Travels(Departure::Shards(Box::new(transaction)))
    }

    fn begin_exec(&mut self, client: &mut Client, replies: Replies<'_>) -> AtHome {
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
        let (exec, transaction) = self.plan_exec(multi, watched);
        AtHome::Travels(Departure::Exec(Box::new(exec), transaction.map(Box::new)))
    }

    /// A batch is home for good: its replies go to its client.
    pub(crate) fn deliver(&mut self, batch: Box<Batch>) {
        let Some(mut client) = self.take_client(batch.token) else { return };
        client.away = false;
        if client.session.reply == ReplyMode::On {
            client.out.extend_from_slice(&batch.replies);
        } else {
            let Client { session, .. } = &mut *client;
            if session.reply == ReplyMode::Skip {
                session.reply = ReplyMode::On;
            }
        }
        client.holds_pushes = false;
        client.stale_told = 0;
        let Client { out, held, stale, .. } = &mut *client;
        out.append(held);
        out.append(stale);
        self.mark_dirty(&mut client);
        if !client.query.is_empty() {
            self.list(&mut client);
        }
        self.put_client(client);
        self.recycle(batch);
    }

    /// Ends watches of a client that is gone.
    pub(crate) fn forget_watch_list(&mut self, watched: Vec<Watch>) {
        for watch in watched {
            let owner = usize::from(self.node.slots.owner(watch.hash));
            let keys = vec![(watch.db, watch.hash)];
            if owner == self.me() {
                self.shard.keyspace.watches.unwatch(watch.db, watch.hash);
            } else {
                self.mailbox.send(owner, ToShard::Unwatch(keys));
            }
        }
    }
}

/// Whether a command that is split by its keys has arguments left over (MSET a 1 b).
fn is_torn(spec: &Spec, args: &[&[u8]]) -> bool {
    match (spec.spread, spec.keys) {
        (
            Spread::Split(_),
            [KeySpec { begin: Begin::Index(at), find: Find::Range { step, .. }, .. }],
        ) => !(args.len() - at).is_multiple_of(*step),
        _ => false,
    }
}

/// Puts the requests of a batch that have not run back in front of its client's input.
pub(crate) fn give_back(batch: &mut Batch, client: &mut Client) {
    let done = batch.requests[batch.next - 1].end as usize;
    batch.requests.truncate(batch.next);
    if done < batch.input.len() {
        let rest = batch.input[done..].iter().copied();
        client.query.splice(0..0, rest);
        client.parser = Default::default();
    }
}

/// Appends a command to those queued after MULTI.
fn queue(
    multi: &mut Multi,
    call: &'static Call,
    args: &[&[u8]],
    route: Route,
    first_key: (u32, u64),
) {
    let first = u32::try_from(multi.ranges.len()).expect("fewer than 2^32 arguments");
    for arg in args {
        let start = u32::try_from(multi.input.len()).expect("fewer than 2^32 bytes");
        let len = u32::try_from(arg.len()).expect("an argument is shorter than 2^32");
        multi.input.extend_from_slice(arg);
        multi.ranges.push(Range { start, len });
    }
    let count = u32::try_from(args.len()).expect("fewer than 2^32 arguments");
    let end = u32::try_from(multi.input.len()).expect("fewer than 2^32 bytes");
    multi.requests.push(Parsed { call: Some(call), first, count, end, route, first_key });
}

/// Takes a reply away again that the client does not want (CLIENT REPLY).
fn mute(client: &mut Client, call: Option<&Call>, out: &mut Vec<u8>, written: usize) {
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
