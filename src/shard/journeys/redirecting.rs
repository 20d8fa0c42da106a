//! In a cluster: where requests run, as far as that takes more than a look at their slot. The last
//! word has the shard of the slot, right before the request runs there: control takes a slot away
//! by letter, and CLUSTER replies when every shard has answered that nothing runs on it any more.

use std::sync::Arc;

use shards::base::hash::slot_of_hash;
use shards::base::number::parse_u64;
use shards::commands::spec::Spread;
use shards::resp::error::Error;

use crate::batches::batch::{At, Batch, Passport};
use crate::blocking::waits::WaitEnd;
use crate::clients::client::Client;
use crate::cluster::ownership::Ownership;
use crate::cluster::redirect::{Asker, Keys, Missing, Outcome, decide, decide_waiting};
use crate::cluster::report::endpoint::{Network, Security};
use crate::routing::call::{Call, Run, Step};
use crate::routing::redirection::{Together, asker_of, network_of, places, request_of};
use crate::routing::request::{Parsed, with_args};
use crate::shard::core::Core;
use crate::transactions::multi::{Exec, Multi};
use crate::transactions::transaction::Kind;

/// Which keys of requests are here, without a trace: neither touched nor expired nor counted.
#[derive(Default)]
struct Found {
    here: usize,
    missing: usize,
}

impl Found {
    fn missing(&self) -> Missing {
        match (self.here, self.missing) {
            (_, 0) => Missing::None,
            (0, _) => Missing::All,
            (_, _) => Missing::Some,
        }
    }
}

impl Core {
    /// Knows from now on who owns which slot. The question is answered when everything under way
    /// has seen it.
    pub(crate) fn own(&mut self, number: u64, ownership: Arc<Ownership>) {
        self.clear_regained_slots(&ownership);
        self.shard.keyspace.settings.slot_run_ends = ownership.run_ends();
        self.node.cluster = Some(ownership);
        self.renew_fence();
        self.redirect_waits();
        self.leave_lost_channels();
        self.answer_when_seen(number);
    }

    /// What is answered to a request of this shard instead of running it, now that its keys are
    /// unclaimed; `None` if it runs.
    #[inline]
    pub(crate) fn redirection(
        &self,
        passport: &Passport,
        call: &Call,
        args: &[&[u8]],
        first_key: (u32, u64),
    ) -> Option<Error> {
        let ownership = self.elsewhere(first_key)?;
        self.redirected(ownership, passport, call, args)
    }

    /// Who owns what, if the slot of a request's first key is not simply served here.
    #[inline]
    fn elsewhere(&self, (place, hash): (u32, u64)) -> Option<&Ownership> {
        let ownership = self.node.cluster.as_deref()?;
        let is_here = place == 0 || ownership.serves(slot_of_hash(hash));
        (!is_here).then_some(ownership)
    }

    /// The same for a request whose slot is not simply served here.
    #[cold]
    fn redirected(
        &self,
        ownership: &Ownership,
        passport: &Passport,
        call: &Call,
        args: &[&[u8]],
    ) -> Option<Error> {
        let request = request_of(call, args, passport.db);
        let outcome = decide(&request, asker_of(passport.asker, call), ownership, || {
            let mut found = Found::default();
            self.look_for_keys(&mut found, call, args, passport.db);
            found.missing()
        });
        error_of(outcome, ownership, passport.network)
    }

    fn look_for_keys(&self, found: &mut Found, call: &Call, args: &[&[u8]], db: usize) {
        let keyspace = &self.shard.keyspace;
        // A cursor, which is none, is never missing.
        if !call.spec.names_keys() {
            return;
        }
        for key in places(call, args).into_iter().filter_map(|place| args.get(place)) {
            let entry =
                keyspace.dbs.get(db).and_then(|db| db.find(keyspace.seed.key_hash(key), key));
            match entry {
                Some(entry) if keyspace.shows(entry) => found.here += 1,
                Some(_) | None => found.missing += 1,
            }
        }
    }

    /// The same for the next request of a batch.
    #[inline]
    pub(crate) fn redirection_of_next(&self, batch: &Batch) -> Option<Error> {
        // What has waited is looked at again when ownership changes.
        if self.node.cluster.is_none() || batch.applies.is_some() || batch.waiting.is_some() {
            return None;
        }
        self.redirection_of_request(batch, batch.request()?)
    }

    /// The same for any request of a batch. Its words are looked at only where they matter.
    #[inline]
    pub(crate) fn redirection_of_request(&self, batch: &Batch, parsed: &Parsed) -> Option<Error> {
        let (ownership, call) = (self.elsewhere(parsed.first_key)?, parsed.call?);
        with_args(&batch.input, &batch.ranges, parsed, |args| {
            self.redirected(ownership, &batch.passport, call, args)
        })
    }

    /// Answers the next request of a batch with this error instead of running it.
    pub(crate) fn turn_away(&mut self, batch: &mut Batch, error: &Error) {
        let call = batch.request().and_then(|parsed| parsed.call);
        self.reject(call.expect("known commands are redirected"), error, &mut batch.replies);
        batch.next += 1;
    }

    /// Ends a WATCH whose keys are to be watched elsewhere, or a command that would hand over keys
    /// of a slot that is elsewhere, once it has its claims. False if it is neither, or goes on.
    pub(crate) fn is_visit_turned_away(&mut self, batch: &mut Batch) -> bool {
        let At::Visits(transaction) = &batch.at else { return false };
        let Some(ownership) = self.node.cluster.as_deref() else { return false };
        // Control's barriers are no requests.
        let Some(parsed) = batch.request() else { return false };
        let call = parsed.call.expect("only known commands visit shards");
        if transaction.kind != Kind::Watch && call.spec.spread != Spread::HandOver {
            return false;
        }
        let error = with_args(&batch.input, &batch.ranges, parsed, |args| {
            self.redirected(ownership, &batch.passport, call, args)
        });
        let Some(error) = error else { return false };
        if let At::Visits(transaction) = std::mem::take(&mut batch.at) {
            self.give_up_claims(*transaction);
        }
        self.turn_away(batch, &error);
        true
    }

    /// Notes at EXEC, at home, what the commands behind it are answered if they do not run here.
    pub(crate) fn note_queue(&self, client: &mut Client, call: Option<&Call>) {
        let Some(ownership) = self.node.cluster.as_deref() else { return };
        let asker = client.asker();
        let Some(multi) = &mut client.multi else { return };
        if call.is_some_and(|call| matches!(call.run, Run::Transaction(Step::Exec))) {
            let db = client.session.db;
            let outcome = decide_queue(multi, db, asker, ownership, |_| Missing::Unknown);
            multi.outcome = Some(outcome).filter(|outcome| *outcome != Outcome::Run);
        }
    }

    /// What EXEC answers if its commands do not run here, as far as home can tell and unless
    /// watched keys are to be looked at before.
    pub(crate) fn exec_redirection(&self, client: &Client) -> Option<Error> {
        let ownership = self.node.cluster.as_deref()?;
        let multi = client.multi.as_ref().filter(|multi| !multi.refused)?;
        error_of(multi.outcome?, ownership, network_of(client.peer))
    }

    /// What the commands of an EXEC are answered that do not run on this shard, which has their
    /// slot and what they claim.
    pub(crate) fn queue_redirection(&self, passport: &Passport, multi: &Multi) -> Option<Error> {
        let ownership = self.node.cluster.as_deref()?;
        let outcome = decide_queue(multi, passport.db, passport.asker, ownership, |multi| {
            let mut found = Found::default();
            each(multi, passport.db, |call, args, db| {
                self.look_for_keys(&mut found, call, args, db);
            });
            found.missing()
        });
        error_of(outcome, ownership, passport.network)
    }

    /// Notes what an EXEC answers whose commands do not run on this shard, if it has their slot.
    pub(crate) fn note_redirection(&self, passport: &Passport, exec: &mut Exec) {
        if let Keys::In(slot) = exec.multi.keys()
            && self.node.slots.owner_of(slot) == self.shard_number()
            && exec.redirection.is_none()
        {
            exec.redirection = self.queue_redirection(passport, &exec.multi);
        }
    }

    /// Ends waits for keys that are elsewhere now.
    fn redirect_waits(&mut self) {
        let Some(ownership) = self.node.cluster.clone() else { return };
        for number in self.waits.numbers() {
            let Some(kept) = self.waits.get(number) else { continue };
            let batch = &*kept.batch;
            let Some(parsed) = batch.request().filter(|_| batch.applies.is_none()) else {
                continue;
            };
            let request = with_args(&batch.input, &batch.ranges, parsed, |args| {
                parsed.call.map(|call| request_of(call, args, batch.passport.db))
            });
            let Some(request) = request else { continue };
            let Keys::In(slot) = request.keys else { continue };
            let asker = batch.passport.asker;
            let outcome = decide_waiting(slot, request.writes, asker, &ownership);
            if outcome != Outcome::Run {
                self.end_wait(number, WaitEnd::Redirected(outcome));
            }
        }
    }

    /// What a client is told whose wait ends because its slot is elsewhere.
    pub(crate) fn redirection_of_wait(&self, outcome: Outcome, network: Network) -> Error {
        let ownership = self.node.cluster.as_deref();
        let error = ownership.and_then(|ownership| error_of(outcome, ownership, network));
        error.expect("waits are redirected in a cluster, with a reason")
    }
}

/// Decides about all commands between MULTI and EXEC together.
fn decide_queue(
    multi: &Multi,
    db: usize,
    asker: Asker,
    ownership: &Ownership,
    missing: impl FnOnce(&Multi) -> Missing,
) -> Outcome {
    match multi.keys() {
        Keys::None => return Outcome::Run,
        Keys::In(slot) if ownership.serves(slot) => return Outcome::Run,
        Keys::In(_) | Keys::Apart => {}
    }
    let mut together = Together::default();
    each(multi, db, |call, args, db| together.add(call, args, db));
    decide(&together.request, asker, ownership, || missing(multi))
}

/// Does something for each command with its arguments and the database that it is for.
fn each(multi: &Multi, mut db: usize, mut work: impl FnMut(&Call, &[&[u8]], usize)) {
    for at in 0..multi.len() {
        multi.with(at, |parsed, args| {
            let call = parsed.call.expect("only known commands are queued");
            if call.spec.name == "select" {
                let number = args.get(1).and_then(|arg| parse_u64(arg));
                db = number.and_then(|number| usize::try_from(number).ok()).unwrap_or(db);
            }
            work(call, args, db);
        });
    }
}

fn error_of(outcome: Outcome, ownership: &Ownership, network: Network) -> Option<Error> {
    outcome.error(ownership, network, Security::Plain)
}
