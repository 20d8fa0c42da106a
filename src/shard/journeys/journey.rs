//! How a batch gets from core to core until it is home again.

use shards::keyspace::waiters::WaitId;
use shards::resp::error::Error;
use shards::shard::Request;

use crate::batches::batch::{At, Batch, with_rewritten};
use crate::mail::to_control::ToControl;
use crate::routing::call::{Call, KeyShape, Run};
use crate::routing::request::{Parsed, Route, with_args};
use crate::routing::slots::Peer;
use crate::shard::core::Core;
use crate::shard::journeys::turned_back::concerns_of;
use crate::shard::room::Memory;
use crate::stats::notable::Serving;
use crate::transactions::locks::{Claims, Ticket, mode_of};
use crate::transactions::transaction::Footprint;

impl Core {
    /// Carries a batch on as far as it gets on this core, and then to the next.
    pub(crate) fn advance(&mut self, mut batch: Box<Batch>) {
        let me = self.me();
        self.run_for(Serving::of_batch(&batch), batch.client, batch.passport.reads);
        loop {
            let next = match &batch.at {
                At::Visits(_) | At::ExecVisits(..) => self.visit(batch),
                At::Exec(_) => self.exec_in_place(batch),
                At::Round => self.go_round(batch),
                At::Scan(_) => self.scan(batch),
                At::TurnedBack(_) if batch.home == me => {
                    if let At::TurnedBack(exec) = std::mem::take(&mut batch.at) {
                        self.undo_exec(&mut batch, *exec);
                    }
                    Some(batch)
                }
                At::TurnedBack(_) => {
                    let home = batch.home;
                    self.hop(home, batch)
                }
                At::Request if batch.is_full() => return self.finish(batch),
                // A batch that rested sets out again at home.
                At::Request
                    if batch.epoch.is_none() && batch.waiting.is_none() && batch.home != me =>
                {
                    return self.finish(batch);
                }
                At::Request => match batch.request() {
                    None => return self.finish(batch),
                    Some(parsed) if self.stops(&batch, concerns_of(Some(parsed))) => {
                        self.end_claims(batch.ticket.take());
                        self.advance_request(batch, Route::Home)
                    }
                    Some(parsed) => {
                        let route = parsed.route;
                        self.advance_request(batch, route)
                    }
                },
            };
            match next {
                Some(going_on) => batch = going_on,
                None => return,
            }
        }
    }

    fn advance_request(&mut self, mut batch: Box<Batch>, route: Route) -> Option<Box<Batch>> {
        match route {
            Route::Anywhere => self.run_here(batch),
            Route::Shard(owner) if owner == self.shard_number() => self.run_in_turn(batch),
            Route::Shard(owner) => {
                if self.plan_round(&mut batch) {
                    return Some(batch);
                }
                self.hop(owner.into(), batch)
            }
            Route::Scan => self.scan(batch),
            Route::Parts => {
                self.plan_parts(&mut batch);
                Some(batch)
            }
            Route::Home if batch.home == self.me() => self.at_home(batch),
            Route::Home => {
                let next = batch.next;
                batch.requests[next].route = Route::Home;
                let home = batch.home;
                self.hop(home, batch)
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
    /// any client hears of it. Always `None`.
    pub(crate) fn tell_of_flush(&mut self, batch: Box<Batch>) -> Option<Box<Batch>> {
        self.counters.hops += 1;
        self.mailbox.tell_control(ToControl::Flushed(batch));
        None
    }

    /// All requests are done, or what is answered must be delivered first: home, and there to the
    /// client.
    fn finish(&mut self, batch: Box<Batch>) {
        if batch.home == self.me() {
            self.deliver(batch);
        } else {
            let home = batch.home;
            self.hop(home, batch);
        }
    }

    /// Runs the next request, whose keys are here, unless others have claimed them.
    fn run_in_turn(&mut self, batch: Box<Batch>) -> Option<Box<Batch>> {
        let mut batch = self.wait_for_others(batch)?;
        let ticket = batch.ticket.take();
        if let Some(error) = self.redirection_of_next(&batch) {
            self.turn_away(&mut batch, &error);
            self.end_claims(ticket);
            return Some(batch);
        }
        let going_on = match &batch.waiting {
            None => self.run_here(batch),
            Some(waiting) => {
                let id = waiting.id;
                Some(self.run_offered(batch, id, ticket))
            }
        };
        self.end_claims(ticket);
        going_on
    }

    /// The batch, unless others have claimed what its next request needs here: then it waits.
    pub(crate) fn wait_for_others(&mut self, batch: Box<Batch>) -> Option<Box<Batch>> {
        if batch.ticket.is_some() || self.claims.idle() {
            return Some(batch);
        }
        let parsed = batch.request().expect("the caller looked");
        let claims = with_args(&batch.input, &batch.ranges, parsed, |args| {
            self.is_claimed(parsed, args).then(|| self.claims_of(parsed, args))
        });
        match claims {
            None => Some(batch),
            Some(claims) => self.claim(batch, claims, |batch, ticket| batch.ticket = Some(ticket)),
        }
    }

    /// Runs the next request on this shard, now. `None` if it waits from now on.
    fn run_here(&mut self, mut batch: Box<Batch>) -> Option<Box<Batch>> {
        let call = batch.request().and_then(|parsed| parsed.call);
        if self.room.is_short()
            && batch.applies.is_none()
            && let Some(call) = call.filter(|call| call.denies_oom())
        {
            match self.find_room(&|_| None) {
                Memory::Enough => {}
                Memory::Coming => {
                    self.room.wait(batch);
                    return None;
                }
                Memory::Refused => {
                    self.reject(call, &Error::Oom, &mut batch.replies);
                    batch.next += 1;
                    return Some(batch);
                }
            }
        }
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
        // What has waited may have other arguments.
        let came = if waiting.is_none() { self.came(input, ranges, parsed) } else { &[] };
        with_args(input, ranges, parsed, |args| {
            with_rewritten(args, waiting.as_deref(), |args| {
                let request =
                    Request { came, ..Self::engine_request(args, passport, parsed.first_key) };
                self.run_engine(call, command, request, replies);
            });
        });
    }

    /// Whether others have claimed a key of a request on this shard.
    #[inline]
    pub(crate) fn is_claimed(&self, parsed: &Parsed, args: &[&[u8]]) -> bool {
        if self.claims.idle() {
            return false;
        }
        match parsed.call {
            Some(Call { keys: KeyShape::One(_), spec, .. }) => {
                self.claims.blocks(parsed.first_key.1, mode_of(spec.flags))
            }
            _ => self.claims.in_the_way(|| self.claims_of(parsed, args)).is_some(),
        }
    }

    /// What a request on this shard claims.
    fn claims_of(&self, parsed: &Parsed, args: &[&[u8]]) -> Claims {
        let mut footprint = Footprint::default();
        footprint.add(&self.node.slots, parsed, args, |key| self.node.seed.key_hash(key));
        footprint.claims(self.shard_number(), false)
    }
}
