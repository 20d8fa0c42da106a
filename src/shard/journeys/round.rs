//! How a round is made, and how it is carried on.

use crate::batches::round::Round;
use crate::batches::round::{Changes, Step};
use shards::commands::spec::Flag;

use crate::batches::batch::Batch;
use crate::config::choices::PipelineOrder;
use crate::routing::call::{KeyShape, Run};
use crate::routing::request::Parsed;
use crate::routing::request::Route;
use crate::routing::request::with_args;
use crate::routing::slots::Peer;
use crate::shard::core::Core;
use crate::transactions::locks::Claims;
use crate::transactions::transaction::Footprint;

impl Core {
    /// Makes a round of the requests that are next, if that is allowed and spares journeys. True
    /// if it did.
    pub(crate) fn plan_round(&self, batch: &mut Batch) -> bool {
        let Batch { requests, next, round, passport, .. } = batch;
        // A client that is told of changes is told of those after each of its reads, and monitors
        // see what was sent as it was sent.
        if *next < round.in_order_until || passport.reads || self.monitors.wanted {
            return false;
        }
        let confirms = self.node.config.pipeline_order == PipelineOrder::Strict;
        let rest = requests[*next..].iter();
        let shards = rest.map_while(|parsed| shard_of_one_key(parsed, confirms));
        let (mut runs, mut before) = (0, None);
        for shard in shards.clone() {
            runs += usize::from(before != Some(shard));
            before = Some(shard);
            if !round.visits.iter().any(|visit| visit.0 == shard) {
                round.visits.push((shard, Changes::default()));
            }
        }
        let confirmed = if confirms { round.visits.len().saturating_sub(1) } else { 0 };
        if runs <= round.visits.len() + confirmed {
            round.visits.clear();
            return false;
        }
        let me = self.me();
        round.visits.sort_unstable_by_key(|visit| (visit.0 != me, visit.0));
        round.confirms = confirms;
        round.end = *next + shards.count();
        round.pieces.resize(round.end - *next, (0, 0));
        true
    }

    /// Carries a round on: to where the next step is to be done, or to its end.
    pub(crate) fn go_round(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        match batch.round.step() {
            Step::Visit(_, shard) | Step::Confirm(_, shard) if shard != self.me() => {
                return self.hop(shard, batch);
            }
            Step::Visit(at, _) if batch.round.confirms => {
                if !self.locks.idle() {
                    give_up(&mut batch);
                    return Some(batch);
                }
                self.run_round(&mut batch);
                self.end_turn(None);
                // A read may have found that a key had expired: that came before it.
                batch.round.visits[at].1 = self.changes();
            }
            Step::Visit(..) => {
                batch = self.wait_for_round(batch)?;
                self.run_round(&mut batch);
                self.end_turn(batch.ticket.take());
            }
            Step::Confirm(at, _) => {
                if !self.locks.idle() || batch.round.visits[at].1 != self.changes() {
                    give_up(&mut batch);
                    return Some(batch);
                }
            }
            Step::End => {
                hand_over(&mut batch);
                return Some(batch);
            }
        }
        batch.round.steps += 1;
        Some(batch)
    }

    /// The batch, unless others have claimed keys of its round here: then it waits for them.
    fn wait_for_round(&mut self, batch: Box<Batch>) -> Option<Box<Batch>> {
        if batch.ticket.is_some() || self.locks.idle() {
            return Some(batch);
        }
        let here = Route::Shard(self.shard_number());
        let Batch { input, ranges, requests, next, round, .. } = &*batch;
        let mut footprint = Footprint::default();
        for parsed in requests[*next..round.end].iter().filter(|parsed| parsed.route == here) {
            with_args(input, ranges, parsed, |args| {
                let hash = |key: &[u8]| self.node.seed.key_hash(key);
                footprint.add(&self.node.slots, parsed, args, hash);
            });
        }
        let claims: Claims = footprint.claims(self.shard_number(), false);
        match self.must_wait(|| claims) {
            Some(claims) => self.claim(batch, claims, |batch, ticket| batch.ticket = Some(ticket)),
            None => Some(batch),
        }
    }

    /// Runs all requests of the round whose keys are here.
    fn run_round(&mut self, batch: &mut Batch) {
        let Batch { input, ranges, requests, next, round, passport, .. } = batch;
        let here = Route::Shard(self.shard_number());
        let Round { end, replies, pieces, .. } = round;
        let requests = requests[*next..*end].iter().zip(pieces);
        for (parsed, piece) in requests.filter(|(parsed, _)| parsed.route == here) {
            let call = parsed.call.expect("only known commands are routed");
            let Run::Engine(command) = call.run else { unreachable!("others run at home") };
            let start = replies.len();
            with_args(input, ranges, parsed, |args| {
                let request = Self::engine_request(args, *passport, parsed.first_key);
                self.run_engine(call, command, request, replies);
            });
            *piece = (start, replies.len());
        }
    }

    fn changes(&self) -> Changes {
        let stats = &self.shard.keyspace.stats;
        let dirty = self.shard.effects.dirty;
        Changes([dirty, self.releases, stats.expired, stats.expired_fields, stats.evicted])
    }
}

/// The shard of a request on one key; only that of a short read if order matters.
fn shard_of_one_key(parsed: &Parsed, order_matters: bool) -> Option<Peer> {
    let call = parsed.call?;
    let flags = call.spec.flags;
    let fits = !order_matters || flags.has(Flag::ReadOnly) && flags.has(Flag::Fast);
    match parsed.route {
        Route::Shard(shard) if fits && matches!(call.keys, KeyShape::One(_)) => Some(shard.into()),
        Route::Shard(_) | Route::Home | Route::Anywhere => None,
    }
}

/// All are done: their replies go to the others, in the order of requests.
fn hand_over(batch: &mut Batch) {
    let Batch { round, replies, next, .. } = batch;
    for &(start, end) in &round.pieces {
        replies.extend_from_slice(&round.replies[start..end]);
    }
    *next = round.end;
    round.forget();
}

/// The reads do not hold at one moment: they are done in the order in which they were sent.
#[cold]
fn give_up(batch: &mut Batch) {
    batch.round.in_order_until = batch.round.end;
    batch.round.forget();
}
