//! Requests are held back: by CLIENT PAUSE, by FAILOVER, and while the process ends. The shard says
//! so when everything that was under way has seen it.
//!
//! ```text
//! order --> the node's guards are renewed; what sets out from now on passes them
//!       --> batches that set out before come home, or come to rest: waiting for a key, held back,
//!           or kept by control; what they still run passes the guards of the shard where it runs
//!       --> none of them is under way any more, no key is offered: the answer
//! ```
//! When all shards have answered, nothing runs anywhere that the order holds back. Each purpose
//! holds back for itself, and the strictest decides.

use std::collections::BTreeMap;

use shards::keyspace::settings::OnExpiry;

use crate::batches::batch::Batch;
use crate::batches::epochs::{Epoch, Epochs};
use crate::blocking::waits::WaitEnd;
use crate::clients::client::{Client, State};
use crate::mail::kept::Kept;
use crate::mail::query::Answer;
use crate::mail::to_control::ToControl;
use crate::reactor::clock::Monotonic;
use crate::routing::node::{Condition, Holds, Role};
use crate::routing::request::Route;
use crate::shard::core::Core;
use crate::shard::journeys::blocking::awaits_replicas;

/// What holds requests back on a shard, and those that are held back.
#[derive(Debug, Default)]
pub struct Quiesce {
    /// Batches of this shard's clients that are under way.
    pub epochs: Epochs,
    /// CLIENT PAUSE, while it lasts.
    command: Option<Pause>,
    /// What the end of the process holds back.
    end: Holds,
    /// What a failover holds back.
    failover: Holds,
    /// Batches that are held back, in the order in which they came.
    held: BTreeMap<u64, Box<Batch>>,
    next_held: u64,
    /// Questions of control whether all have seen an order, by number, and up to which epoch.
    asked: Vec<(u64, Epoch)>,
}

/// CLIENT PAUSE.
#[derive(Clone, Copy, Debug)]
struct Pause {
    since: Monotonic,
    millis: u64,
    holds: Holds,
}

impl Quiesce {
    /// How many batches are held back.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether writes are held back for a failover.
    pub fn is_for_failover(&self) -> bool {
        self.failover != Holds::Nothing
    }

    fn holds(&self) -> Holds {
        let command = self.command.map_or(Holds::Nothing, |pause| pause.holds);
        command.max(self.end).max(self.failover)
    }
}

impl Core {
    /// CLIENT PAUSE. The question is answered when everything under way has seen it.
    pub(crate) fn begin_pause(&mut self, number: u64, millis: u64, holds: Holds) {
        self.quiesce.command = Some(Pause { since: self.node.now, millis, holds });
        self.renew_holds();
        self.answer_when_seen(number);
    }

    /// What the node is among others from now on. The question is answered when everything under
    /// way has seen it. Requests that wait for keys do not go on in another role; in a cluster
    /// those go on elsewhere whose slots do, which is for [`Self::own`] to say.
    pub(crate) fn take_role(&mut self, number: u64, role: Role) {
        let condition = &mut self.node.condition;
        let before = std::mem::replace(&mut condition.role, role);
        condition.is_stale = role == Role::Replica;
        condition.is_emptied &= role == Role::Replica;
        self.tell_engine();
        self.renew_guards();
        let is_alone = self.node.cluster.is_none();
        if role == Role::Replica {
            self.forget_lost_slots();
        }
        if before == Role::Primary && role == Role::Replica {
            self.end_waits(WaitEnd::RoleChanged, |kept| is_alone || awaits_replicas(kept));
        }
        self.open_or_close_handovers();
        self.answer_when_seen(number);
    }

    /// Whether clients may write here, as far as the role goes.
    pub(crate) fn is_primary(&self) -> bool {
        self.node.condition.role == Role::Primary
    }

    /// Answers a question of control when everything that is under way has come home, or to rest.
    pub(crate) fn answer_when_seen(&mut self, number: u64) {
        let epoch = self.quiesce.epochs.advance();
        self.quiesce.asked.push((number, epoch));
    }

    /// CLIENT UNPAUSE.
    pub(crate) fn end_pause(&mut self) {
        self.quiesce.command = None;
        self.renew_holds();
    }

    /// Ends CLIENT PAUSE when its time is up.
    pub(crate) fn end_late_pause(&mut self) {
        let now = self.node.now;
        let is_over = |pause: Pause| pause.millis <= now.millis_since(pause.since);
        if self.quiesce.command.is_some_and(is_over) {
            self.end_pause();
        }
    }

    /// When CLIENT PAUSE ends.
    pub(crate) fn pause_ends_at(&self) -> Option<Monotonic> {
        let pause = self.quiesce.command?;
        pause.since.after_millis(pause.millis)
    }

    /// What the end of the process holds back from now on.
    pub(crate) fn hold_for_end(&mut self, holds: Holds) {
        self.quiesce.end = holds;
        self.renew_holds();
    }

    /// Holds writes back for a failover. The question is answered when everything under way has
    /// seen it.
    pub(crate) fn begin_failover_hold(&mut self, number: u64) {
        self.quiesce.failover = Holds::Writes;
        self.renew_holds();
        self.open_or_close_handovers();
        self.answer_when_seen(number);
    }

    /// A failover holds nothing back any more.
    pub(crate) fn end_failover_hold(&mut self) {
        self.quiesce.failover = Holds::Nothing;
        self.renew_holds();
        self.open_or_close_handovers();
    }

    /// Puts in force what is held back now.
    fn renew_holds(&mut self) {
        let (before, now) = (self.node.condition.holds, self.quiesce.holds());
        if before != now {
            self.node.condition.holds = now;
            self.tell_engine();
        }
        self.renew_guards();
        if now < before {
            let held = std::mem::take(&mut self.quiesce.held);
            held.into_values().for_each(|batch| self.resume_held(batch));
        }
    }

    /// Tells the engine anew of the role, and what becomes of what is due: while nothing may be
    /// written, in import mode, and on a replica, it is not seen, and stays.
    pub(crate) fn tell_engine(&mut self) {
        let Condition { holds, role, .. } = self.node.condition;
        let removes = holds == Holds::Nothing && role == Role::Primary;
        let removes = removes && !self.node.config.import_mode;
        let expiry = if removes { OnExpiry::Removes } else { OnExpiry::Hides };
        let settings = &mut self.shard.keyspace.settings;
        (settings.expiry, settings.is_replica) = (expiry, role == Role::Replica);
    }

    /// The node's state has changed, or how clients are exempt from it: their requests pass it
    /// from now on.
    pub(crate) fn renew_guards(&mut self) {
        let of_node = self.node.guards();
        self.clients.iter_mut().for_each(|client| client.renew(of_node));
    }

    /// Holds a batch back. Its client is given what it was answered before, and closed if it sends
    /// no more: then the batch is dropped.
    pub(crate) fn hold(&mut self, client: &mut Client, mut batch: Box<Batch>) {
        if !self.lets_wait(client, &mut batch.replies) {
            return self.recycle(batch);
        }
        let number = self.quiesce.next_held;
        self.quiesce.next_held += 1;
        self.rest(&mut batch);
        client.state = State::Held(number);
        self.give_replies(client, &mut batch.replies);
        self.quiesce.held.insert(number, batch);
    }

    /// Drops a batch that is held back: its client is gone.
    pub(crate) fn drop_held(&mut self, number: u64) {
        if let Some(batch) = self.quiesce.held.remove(&number) {
            self.recycle(batch);
        }
    }

    /// Lets a batch go on that was held back: its next request is looked at anew.
    fn resume_held(&mut self, mut batch: Box<Batch>) {
        self.set_out(&mut batch);
        self.resumed.push_back(batch);
    }

    /// A batch of a client here comes to rest: it runs nothing until [`Self::set_out`].
    pub(crate) fn rest(&mut self, batch: &mut Batch) {
        if let Some(epoch) = batch.epoch.take() {
            self.quiesce.epochs.end(epoch);
        }
    }

    /// A batch of a client here that rested is under way again. What follows in it was routed
    /// under other guards, perhaps.
    pub(crate) fn set_out(&mut self, batch: &mut Batch) {
        batch.epoch = Some(self.quiesce.epochs.begin());
        let next = batch.next;
        batch.requests[next..].iter_mut().for_each(|parsed| parsed.route = Route::Home);
        if let Some(client) = self.clients.get(batch.token) {
            client.state = State::Away;
            batch.passport = client.passport(&self.node.config);
        }
    }

    /// Control keeps a batch of a client here: it rests.
    pub(crate) fn batch_is_kept(&mut self, kept: Kept) {
        let Kept { token, epoch, mut replies } = kept;
        self.quiesce.epochs.end(epoch);
        if let Some(mut client) = self.take_client(token) {
            client.state = State::Kept;
            self.give_replies(&mut client, &mut replies);
            self.put_client(client);
        }
    }

    /// Answers control when everything that was under way has seen its order.
    pub(crate) fn answer_quiesced(&mut self) {
        if self.quiesce.asked.is_empty() || self.claims.has_offers() {
            return;
        }
        let Quiesce { asked, epochs, .. } = &mut self.quiesce;
        let over = asked.extract_if(.., |(_, epoch)| epochs.is_over(*epoch));
        for (number, _) in over {
            self.mailbox.tell_control(ToControl::Answer(number, Answer::Done));
        }
    }
}
