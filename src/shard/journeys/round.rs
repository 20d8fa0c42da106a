//! Requests of a pipeline done shard by shard: each shard is visited once for all of them, not
//! once for every time the shard changes from one request to the next.
//!
//! What a client sends in order takes effect in order. Reads may be done out of order if nobody
//! can tell, because all of them hold at one and the same moment:
//!
//! ```text
//! reads, by the shard of their key   A B A A B A
//! on A                               A . A A . A   and note how often A's data has changed
//! on B                               . B . . B .   <-- the moment
//! on A again                         unchanged? then its reads hold at that moment too
//! ```
//! Of several shards all but the last are looked at again, the first one last. If any has changed,
//! or a transaction is at work there, the replies are forgotten and the reads are done anew in the
//! order in which they were sent. Such reads are counted twice in the statistics of commands.
//!
//! With `pipeline-order relaxed` nobody minds the order: then all requests with one key are done
//! this way, and nothing is looked at again.

use shards::commands::spec::Flag;

use crate::batches::batch::{Batch, Parsed, Route, with_args};
use crate::config::choices::PipelineOrder;
use crate::mail::mailbox::Peer;
use crate::routing::call::{KeyShape, Run};
use crate::shard::core::Core;
use crate::transactions::locks::Claims;
use crate::transactions::transaction::Footprint;

/// Requests that are done shard by shard, and how far they are.
#[derive(Debug, Default)]
pub struct Round {
    /// The request behind the last of them; 0 when there are none.
    end: usize,
    /// The shards they concern in the order of visits, and what was noted there.
    visits: Vec<(Peer, Changes)>,
    /// Steps done: one for each visit, one for each that is confirmed.
    steps: usize,
    /// Whether they are reads that must hold at one moment.
    confirms: bool,
    /// Replies in the order in which they came.
    replies: Vec<u8>,
    /// Where each reply begins and ends in `replies`, in the order of requests.
    pieces: Vec<(usize, usize)>,
    /// Requests before this one go in the order in which they were sent.
    in_order_until: usize,
}

/// How often a shard's data has changed: writes, transactions that ended, keys and fields that
/// went by themselves. Equal if nothing has changed between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Changes([u64; 5]);

/// The next step of a round, and where.
enum Step {
    Visit(usize, Peer),
    Confirm(usize, Peer),
    End,
}

impl Round {
    /// Whether the requests that are next are done this way.
    #[inline]
    pub fn is_under_way(&self) -> bool {
        self.end != 0
    }

    /// Forgets everything but its room.
    pub fn clear(&mut self) {
        self.forget();
        self.in_order_until = 0;
    }

    fn forget(&mut self) {
        self.end = 0;
        self.steps = 0;
        self.visits.clear();
        self.replies.clear();
        self.pieces.clear();
    }

    fn step(&self) -> Step {
        let count = self.visits.len();
        if self.steps < count {
            return Step::Visit(self.steps, self.visits[self.steps].0);
        }
        match (2 * count - 2).checked_sub(self.steps) {
            Some(at) if self.confirms => Step::Confirm(at, self.visits[at].0),
            _ => Step::End,
        }
    }
}

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
