//! Requests that meet a guard on their way: they go home, to be looked at anew.
//!
//! A request is tested where it runs, a transaction or a round when its first claims are granted.
//! Behind these it goes through to its end: what it has begun on one shard it does on all.

use crate::batches::batch::{At, Batch};
use crate::batches::round::Round;
use crate::routing::admission::Guards;
use crate::routing::request::{Parsed, Route};
use crate::shard::core::Core;
use crate::transactions::multi::Exec;
use crate::transactions::transaction::Transaction;

impl Core {
    /// Whether something stands in the way of requests that these guards concern, here and now: it
    /// is looked at at home. A request that was offered a key belongs to what changed the key.
    #[inline]
    pub(crate) fn stops(&self, batch: &Batch, concerns: Guards) -> bool {
        batch.waiting.is_none() && self.node.guards().without(batch.passport.exempt).meets(concerns)
    }

    /// Turns a transaction back that has its first claims, if it must not go on.
    pub(crate) fn is_turned_back(&mut self, batch: &mut Batch) -> bool {
        let (transaction, concerns) = match &batch.at {
            At::ExecVisits(exec, transaction) => (transaction, exec.multi.guards),
            At::Visits(transaction) => (transaction, concerns_of(batch.request())),
            At::Request | At::Round | At::Scan(_) | At::Exec(_) | At::TurnedBack(_) => {
                return false;
            }
        };
        if transaction.at != 0 || !self.stops(batch, concerns) {
            return false;
        }
        match std::mem::take(&mut batch.at) {
            At::ExecVisits(exec, transaction) => {
                self.give_up_claims(*transaction);
                batch.at = At::TurnedBack(exec);
            }
            At::Visits(transaction) => {
                self.give_up_claims(*transaction);
                look_again(batch);
            }
            At::Request | At::Round | At::Scan(_) | At::Exec(_) | At::TurnedBack(_) => {}
        }
        true
    }

    /// Turns an EXEC back that would run in place, if it must not.
    pub(crate) fn is_exec_turned_back(&mut self, batch: &mut Batch) -> bool {
        let At::Exec(exec) = &batch.at else { return false };
        if !self.stops(batch, exec.multi.guards) {
            return false;
        }
        self.end_claims(batch.ticket.take());
        if let At::Exec(exec) = std::mem::take(&mut batch.at) {
            batch.at = At::TurnedBack(exec);
        }
        true
    }

    /// Turns a round back that has its first claims, if it must not go on.
    pub(crate) fn is_round_turned_back(&mut self, batch: &mut Batch) -> bool {
        let Round { steps, end, next_key, .. } = batch.round;
        if steps != 0 || next_key.is_some() {
            return false;
        }
        let requests = batch.requests[batch.next..end].iter();
        let concerns = requests.map(|parsed| concerns_of(Some(parsed)));
        if !self.stops(batch, concerns.fold(Guards::NONE, Guards::and)) {
            return false;
        }
        let ticket = batch.round.visits[0].ticket.take().or_else(|| batch.ticket.take());
        self.end_claims(ticket);
        batch.round.clear();
        batch.at = At::Request;
        true
    }

    /// Ends the claims of a transaction that has done nothing yet.
    pub(crate) fn give_up_claims(&mut self, transaction: Transaction) {
        let tickets =
            transaction.visits.into_iter().filter_map(|visit| Some((visit.shard, visit.ticket?)));
        tickets.for_each(|(shard, ticket)| self.end_claims_at(shard, ticket));
    }

    /// An EXEC that was turned back is looked at as if it came now.
    pub(crate) fn undo_exec(&mut self, batch: &mut Batch, exec: Exec) {
        let Exec { multi, watched, next: _, place: _, aborted: _, redirection: _, changes: _ } =
            exec;
        match self.clients.get(batch.token) {
            Some(client) => {
                client.multi = Some(multi);
                client.watched = watched;
            }
            None => self.forget_watch_list(watched),
        }
        look_again(batch);
    }
}

/// The guards that concern a request.
pub(crate) fn concerns_of(parsed: Option<&Parsed>) -> Guards {
    let call = parsed.and_then(|parsed| parsed.call);
    call.map_or(Guards::NONE, |call| call.guards)
}

/// The next request is looked at anew, with all that is known of its client.
fn look_again(batch: &mut Batch) {
    let next = batch.next;
    batch.requests[next].route = Route::Home;
}
