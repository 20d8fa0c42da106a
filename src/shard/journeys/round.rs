//! How a round is made, and how it is carried on.

use crate::shard::journeys::turned_back::concerns_of;
use shards::commands::spec::Flags;
use shards::commands::spec::{Flag, Merge, Spread};
use shards::resp::error::Error;
use shards::shard::Request;

use crate::batches::batch::{At, Batch};
use crate::batches::round::{Changes, Key, Order, Piece, Room, Round, Step};
use crate::config::choices::PipelineOrder;
use crate::routing::call::{Call, KeyShape, Run};
use crate::routing::keys::spacing;
use crate::routing::request::{Parsed, Route, with_args};
use crate::shard::core::Core;
use crate::shard::room::Memory;
use crate::transactions::locks::{Mode, mode_of};
use crate::transactions::merging::part;

/// Bytes of replies with which a round ends: behind so many a journey more costs little, and they
/// are copied once more.
const ROUND_REPLIES_MAX: usize = 256 << 10;

impl Core {
    /// Makes a round of the requests that are next, if that is allowed and spares journeys. True
    /// if it did.
    pub(crate) fn plan_round(&self, batch: &mut Batch) -> bool {
        if !self.may_go_round(batch) {
            return false;
        }
        let is_relaxed = self.node.config.pipeline_order == PipelineOrder::Relaxed;
        let (end, order) = self.run_of_requests(batch, is_relaxed);
        if end <= batch.next + 2 {
            return false;
        }
        self.add_keys(batch, end, order);
        let changes = batch.round.changes_of_shard();
        self.begin_round(batch);
        let visits = batch.round.visits.len();
        let confirmed = if order == Order::Confirmed { visits - 1 } else { 0 };
        let spares = visits + confirmed <= changes;
        if !spares {
            batch.round.clear();
            batch.at = At::Request;
        }
        spares
    }

    /// Makes a round of the next request, which falls apart by its keys, and of those behind it.
    pub(crate) fn plan_parts(&self, batch: &mut Batch) {
        let (mut end, mut order) = (batch.next + 1, Order::Claimed);
        if self.may_go_round(batch) {
            let (run_end, run_order) = self.run_of_requests(batch, false);
            if batch.next < run_end {
                (end, order) = (run_end, run_order);
            }
        }
        self.add_keys(batch, end, order);
        self.begin_round(batch);
    }

    /// Whether requests of a batch may be done shard by shard. A client that is told of changes is
    /// told of those after each of its reads, and monitors see what was sent as it was sent.
    fn may_go_round(&self, batch: &Batch) -> bool {
        !batch.passport.reads && !self.monitors.wanted
    }

    /// Up to which request a round may go, and in which order. It goes as far as requests are of
    /// one kind: reads, which can be forgotten again, or writes that are answered in a few bytes.
    /// So replies of any length are never on their way behind what a client cannot take yet.
    fn run_of_requests(&self, batch: &Batch, is_relaxed: bool) -> (usize, Order) {
        let rest = &batch.requests[batch.next..];
        let flags = |parsed: &Parsed| parsed.call.map_or(Flags::NONE, |call| call.spec.flags);
        let is_read = |parsed: &Parsed| flags(parsed).has(Flag::ReadOnly);
        let reads = rest.first().is_some_and(is_read);
        let fits = |parsed: &&Parsed| {
            falls_into_round(parsed, is_relaxed)
                // What cannot run here now is looked at anew.
                && !self.stops(batch, concerns_of(Some(parsed)))
                && reads == is_read(parsed)
                && (reads || batch.holds(parsed, |call, args| call.answers_shortly(args)))
        };
        let count = rest.iter().take_while(fits).count();
        let is_short = |parsed: &Parsed| flags(parsed).has(Flag::Fast);
        let order = match reads && rest[..count].iter().all(is_short) {
            _ if is_relaxed => Order::Free,
            true => Order::Confirmed,
            false => Order::Claimed,
        };
        (batch.next + count, order)
    }

    /// Notes the keys of the requests up to `end`, and the shards that own them.
    fn add_keys(&self, batch: &mut Batch, end: usize, order: Order) {
        let Batch { input, ranges, requests, next, round, .. } = batch;
        round.end = end;
        round.order = order;
        for (at, parsed) in requests[*next..end].iter().enumerate() {
            let call = parsed.call.expect("only known commands are routed");
            let mode = mode_of(call.spec.flags);
            if let (Route::Shard(shard), KeyShape::One(_)) = (parsed.route, call.keys) {
                let (place, hash) = parsed.first_key;
                round.keys.push(Key { request: at, place: place as usize, shard, hash, mode });
                round.pieces.push(Piece::None);
                continue;
            }
            round.pieces.push(Piece::Parts(Box::default()));
            round.changes_shards_together |= mode == Mode::Exclusive;
            with_args(input, ranges, parsed, |args| {
                let footprint = self.footprint_of(call, args);
                for (place, shard, hash) in footprint.places() {
                    round.keys.push(Key { request: at, place, shard, hash, mode });
                }
            });
        }
    }

    fn begin_round(&self, batch: &mut Batch) {
        let first = (batch.round.order != Order::Claimed).then_some(self.me());
        batch.round.begin(first);
        batch.at = At::Round;
    }

    /// Carries a round on: to where the next step is to be done, or to its end.
    pub(crate) fn go_round(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        if self.is_round_turned_back(&mut batch) {
            return Some(batch);
        }
        match batch.round.step() {
            Step::Visit(_, shard) | Step::Confirm(_, shard) if shard != self.me() => {
                return self.hop(shard, batch);
            }
            Step::Visit(at, _) => match batch.round.order {
                Order::Confirmed if !self.claims.idle() => {
                    batch.round.claim_instead();
                    return Some(batch);
                }
                Order::Confirmed => {
                    batch = self.run_round(batch, at)?;
                    self.end_claims(None);
                    // A read may have found that a key had expired: that came before it.
                    batch.round.visits[at].noted = self.changes();
                }
                Order::Free => {
                    batch = self.wait_for_round(batch, at)?;
                    batch = self.run_round(batch, at)?;
                    self.end_claims(batch.ticket.take());
                }
                Order::Claimed => {
                    if batch.round.visits[at].ticket.is_none() {
                        let claims = batch.round.claims(at);
                        batch = self.claim(batch, claims, |batch, ticket| {
                            batch.round.visits[at].ticket = Some(ticket);
                        })?;
                    }
                    self.end_claims_elsewhere(&mut batch.round);
                    batch = self.run_round(batch, at)?;
                }
            },
            Step::Confirm(at, _) => {
                if !self.claims.idle() || batch.round.visits[at].noted != self.changes() {
                    batch.round.claim_instead();
                    return Some(batch);
                }
            }
            Step::End => {
                self.end_round(&mut batch);
                return Some(batch);
            }
        }
        batch.round.steps += 1;
        Some(batch)
    }

    /// Ends the claims that a round has on other shards, once it has all of them: what is done
    /// there is whole, and what is to be done here is seen by no client before. So other batches
    /// get on there meanwhile.
    fn end_claims_elsewhere(&mut self, round: &mut Round) {
        let me = self.me();
        let lacks_some = round.visits.iter().any(|visit| visit.ticket.is_none());
        if round.visits.len() < 2 || lacks_some || self.logs_at_end(round) {
            return;
        }
        for visit in round.visits.iter_mut().filter(|visit| visit.shard != me) {
            visit.ticket.take().into_iter().for_each(|it| self.end_claims_at(visit.shard, it));
        }
        self.show_log();
        self.mailbox.flush();
    }

    /// Whether a round logs what it does when its claims end: one of its requests changes keys of
    /// several shards, and what is done behind that is logged behind it.
    fn logs_at_end(&self, round: &Round) -> bool {
        self.shard.effects.keeps_log && round.changes_shards_together
    }

    /// The batch, unless others have claimed keys of its round here: then it waits for them.
    fn wait_for_round(&mut self, batch: Box<Batch>, at: usize) -> Option<Box<Batch>> {
        if batch.ticket.is_some() || self.claims.idle() {
            return Some(batch);
        }
        let claims = batch.round.claims(at);
        match self.claims.in_the_way(|| claims) {
            Some(claims) => self.claim(batch, claims, |batch, ticket| batch.ticket = Some(ticket)),
            None => Some(batch),
        }
    }

    /// Runs what of the round's requests has keys on the shard of this visit, up to the one with
    /// which the replies are as many as the client may be given at once. `None` if that waits for
    /// memory.
    fn run_round(&mut self, mut batch: Box<Batch>, visit: usize) -> Option<Box<Batch>> {
        let mut keys = batch.round.visits[visit].keys.clone();
        keys.start = batch.round.next_key.take().unwrap_or(keys.start);
        while let Some(&first) = batch.round.keys[keys.clone()].first() {
            let request = first.request;
            if batch.round.end <= batch.next + request {
                break;
            }
            let of_request = batch.round.keys[keys.clone()].iter();
            let end = keys.start + of_request.take_while(|key| key.request == request).count();
            let call = batch.requests[batch.next + request].call;
            let call = call.expect("only known commands are routed");
            let redirection = self.redirection_of_piece(&batch, request);
            let room = match batch.applies {
                None if redirection.is_some() => Memory::Refused,
                None => self.room_for_piece(&batch.round, request, call),
                // What a primary has, its replica has.
                Some(_) => Memory::Enough,
            };
            match room {
                Memory::Enough if self.logs_at_end(&batch.round) => {
                    self.shard.effects.log.begin();
                    self.run_piece(&mut batch, keys.start..end, call);
                    if let Some(unit) = self.shard.effects.log.take_open() {
                        batch.round.visits[visit].logged.push((request, unit));
                    }
                }
                Memory::Enough => self.run_piece(&mut batch, keys.start..end, call),
                Memory::Refused => {
                    let error = redirection.unwrap_or(Error::Oom);
                    self.refuse_piece(&mut batch.round, request, call, &error);
                }
                Memory::Coming => {
                    batch.round.next_key = Some(keys.start);
                    self.room.wait(batch);
                    return None;
                }
            }
            keys.start = end;
            let Batch { passport, replies, round, next, .. } = &mut *batch;
            let is_long = ROUND_REPLIES_MAX < round.bytes
                || passport.reply_pause < replies.len() + round.bytes;
            // What was written is not done anew.
            if is_long && first.mode == Mode::Shared {
                round.end = round.end.min(*next + request + 1);
            }
        }
        Some(batch)
    }

    /// Whether there is memory for a request, or its part here. That is decided before its first
    /// part runs: it is done as a whole, or not at all.
    #[inline]
    fn room_for_piece(&mut self, round: &Round, request: usize, call: &Call) -> Memory {
        if !call.denies_oom() {
            return Memory::Enough;
        }
        match &round.pieces[request] {
            Piece::Parts(parts) if parts.room == Room::Given => Memory::Enough,
            Piece::Parts(parts) if parts.room == Room::Refused => Memory::Refused,
            _ if self.room.is_short() => self.find_room(&|shard| round.ticket_at(shard)),
            _ => Memory::Enough,
        }
    }

    /// What is answered to a request instead of running it, in a cluster.
    #[inline]
    fn redirection_of_piece(&self, batch: &Batch, request: usize) -> Option<Error> {
        if batch.applies.is_some() {
            return None;
        }
        self.redirection_of_request(batch, &batch.requests[batch.next + request])
    }

    #[cold]
    fn refuse_piece(&mut self, round: &mut Round, request: usize, call: &Call, error: &Error) {
        let start = round.replies.len();
        match &mut round.pieces[request] {
            Piece::Parts(parts) if parts.room == Room::Refused => {}
            Piece::Parts(parts) => {
                parts.room = Room::Refused;
                self.reject(call, error, &mut round.replies);
                parts.merged.fail(&round.replies[start..]);
                round.replies.truncate(start);
            }
            piece @ (Piece::None | Piece::Reply(_)) => {
                self.reject(call, error, &mut round.replies);
                *piece = Piece::Reply(start..round.replies.len());
            }
        }
    }

    /// Runs a request, or its part here: that with these of the round's keys.
    fn run_piece(&mut self, batch: &mut Batch, keys: std::ops::Range<usize>, call: &'static Call) {
        let Batch { input, ranges, requests, next, round, passport, replies: before, .. } = batch;
        let max = passport.reply_max.saturating_sub(before.len());
        let request = round.keys[keys.start].request;
        let parsed = &requests[*next + request];
        let Run::Engine(command) = call.run else { unreachable!("others run at home") };
        let start = round.replies.len();
        let Round { keys: all, replies, pieces, bytes, .. } = round;
        with_args(input, ranges, parsed, |args| {
            let Piece::Parts(parts) = &mut pieces[request] else {
                let reply_max = max.saturating_sub(*bytes).saturating_add(start);
                let request =
                    Request { reply_max, ..Self::engine_request(args, passport, parsed.first_key) };
                self.run_engine(call, command, request, replies);
                *bytes += replies.len() - start;
                return;
            };
            parts.room = Room::Given;
            let (first_key, step) = spacing(command.spec.keys);
            let places: Vec<usize> = all[keys].iter().map(|key| key.place).collect();
            let Spread::Split(merge) = call.spec.spread else { unreachable!("others are whole") };
            let mut reply = self.spare_buffer();
            let each = if merge == Merge::ByKey { 1 } else { places.len() };
            for places in places.chunks(each) {
                let args = part(args, first_key, places, step);
                let room = max.saturating_sub(*bytes);
                let request =
                    Request { reply_max: room, ..Self::engine_request(&args, passport, (0, 0)) };
                self.execute_part(call, command, request, &mut reply);
                let all = room.saturating_add(parts.merged.bytes.len());
                parts.merged.add_part(merge, places[0], &reply, all);
                *bytes += reply.len();
            }
            self.keep_buffer(reply);
            parts.cycles += self.lap();
        });
        if let piece @ (Piece::None | Piece::Reply(_)) = &mut pieces[request] {
            *piece = Piece::Reply(start..replies.len());
        }
    }

    /// All are done: claims end, and the replies go to the batch's, in the order of requests.
    fn end_round(&mut self, batch: &mut Batch) {
        let Batch { round, replies, next, input, ranges, requests, passport, .. } = batch;
        if self.logs_at_end(round) {
            self.commit_round(round);
        } else {
            let tickets =
                round.visits.iter().filter_map(|visit| Some((visit.shard, visit.ticket?)));
            tickets.for_each(|(shard, ticket)| self.end_claims_at(shard, ticket));
        }
        for (parsed, piece) in requests[*next..round.end].iter().zip(round.pieces.drain(..)) {
            match piece {
                Piece::None => unreachable!("every request has a key somewhere"),
                Piece::Reply(range) => replies.extend_from_slice(&round.replies[range]),
                Piece::Parts(parts) => {
                    let call = parsed.call.expect("only known commands are routed");
                    let Spread::Split(merge) = call.spec.spread else { continue };
                    let (written, cycles) = (replies.len(), parts.cycles);
                    parts.merged.write(merge, replies, passport.reply_max);
                    let failed = self.note_error_reply(&replies[written..]);
                    self.counters.ran(call.id, cycles, failed);
                    let reply_bytes = replies.len() - written;
                    with_args(input, ranges, parsed, |args| {
                        self.observe(call, args, cycles, reply_bytes);
                    });
                }
            }
        }
        *next = round.end;
        round.clear();
        batch.at = At::Request;
    }

    fn changes(&self) -> Changes {
        let stats = &self.shard.keyspace.stats;
        let dirty = self.shard.effects.dirty;
        let version = self.node.cluster.as_ref().map_or(0, |ownership| ownership.version);
        let ended = self.claims.ended;
        Changes([dirty, ended, stats.expired, stats.expired_fields, stats.evicted, version])
    }
}

/// Whether a request can be part of a round: one on one key, or one that falls apart by its keys.
fn falls_into_round(parsed: &Parsed, is_relaxed: bool) -> bool {
    let Some(call) = parsed.call else { return false };
    match parsed.route {
        Route::Shard(_) => {
            matches!(call.keys, KeyShape::One(_)) && !call.spec.flags.has(Flag::Blocking)
        }
        Route::Parts => !is_relaxed,
        Route::Home | Route::Anywhere | Route::Scan => false,
    }
}
