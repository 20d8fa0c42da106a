//! Requests that wait for keys (BLPOP and its kin): how a wait begins, how it is served, and how
//! else it may end.
//!
//! ```text
//! attempt finds nothing --> registered at its keys' shards, under the attempt's claims
//!                           the batch is kept: where all keys are, or at home
//! key changes           --> its shard looks who waits, the first one first
//!    the batch is here      it runs at once, as part of what changed the key
//!    it is elsewhere        the key is claimed for it and offered to who keeps the batch
//!                           accepted: the batch comes and runs; declined: the next one's turn
//! ```
//! The shard that keeps the batch decides alone whether the wait is over, so it ends once. Between
//! a key's change and the turns of the batches that wait for it, its shard lets no other command
//! have the key. Nothing here looks again without cause.

use crate::batches::batch::At;
use crate::blocking::waits::KeptWait;
use crate::blocking::waits::WaitEnd;
use crate::clients::client::State;
use crate::mail::to_control::ToControl;
use crate::mail::waits::Begun;
use crate::mail::waits::WaitWord;
use crate::routing::admission::Guards;
use shards::effects::{InVain, Wait};
use shards::keyspace::waiters::{Place, WaitId};
use shards::resp::error::Error;
use shards::resp::reply::Replies;

use crate::batches::batch::Batch;
use crate::batches::waiting::Waiting;
use crate::blocking::waits::Registration;
use crate::mail::to_shard::ToShard;
use crate::reactor::clock::Monotonic;
use crate::replication::acks::{Count, Needs};
use crate::routing::request::Route;
use crate::routing::request::with_args;
use crate::routing::slots::Peer;
use crate::shard::core::Core;
use crate::stats::notable::Serving;
use crate::transactions::locks::Ticket;
use crate::transactions::transaction::{Footprint, Kind};

const ROLE_CHANGED: Error = Error::Text(
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
);
/// How much later than control the shard ends the wait for replicas of a client, in milliseconds:
/// should control hang, its clients do not.
const CONTROL_MILLIS: u64 = 1000;

const UNBLOCKED: Error = Error::Text("UNBLOCKED client unblocked via CLIENT UNBLOCK");

/// What became of the turn of a batch that waits.
enum Turn {
    /// It is served.
    Served,
    /// What it found is not what it waits for.
    InVain,
    /// It is under way.
    Begun,
    /// It cannot begin: a key is claimed that it needs.
    NotNow,
}

impl Core {
    /// Lets a batch wait whose next request found nothing on this shard, which has all its keys.
    pub(crate) fn wait_here(&mut self, mut batch: Box<Batch>) {
        let wait = self.shard.effects.wait.take().expect("the request waits");
        if batch.home == self.me() && !self.may_wait(batch.token, &mut batch.replies) {
            return self.recycle(batch);
        }
        let id = self.begin_wait(&mut batch, &wait);
        let db = batch.passport.db;
        let others = self.others(&batch, &wait);
        for (hash, awaited) in wait.keys {
            self.shard.keyspace.waiters.add(id, (db, hash), awaited);
        }
        self.keep(KeptWait { batch, shards: vec![self.me()], others });
    }

    /// Lets a batch wait at home whose next request found nothing on several shards. What is
    /// returned must reach their shards with the end of the claims. `None` if the batch may not
    /// wait.
    pub(crate) fn wait_at_home(
        &mut self,
        mut batch: Box<Batch>,
        wait: Wait,
    ) -> Option<Vec<(Peer, Registration)>> {
        if !self.may_wait(batch.token, &mut batch.replies) {
            self.recycle(batch);
            return None;
        }
        let id = self.begin_wait(&mut batch, &wait);
        let db = batch.passport.db;
        let others = self.others(&batch, &wait);
        let registration = |(hash, awaited)| {
            let owner = usize::from(self.node.slots.owner(hash));
            (owner, Registration { id, place: (db, hash), awaited })
        };
        let registrations: Vec<_> = wait.keys.into_iter().map(registration).collect();
        let mut shards: Vec<Peer> = registrations.iter().map(|it| it.0).collect();
        shards.sort_unstable();
        shards.dedup();
        self.keep(KeptWait { batch, shards, others });
        Some(registrations)
    }

    /// Gives a batch's wait its number and its end, unless it has them: then its turn was in vain.
    fn begin_wait(&mut self, batch: &mut Batch, wait: &Wait) -> WaitId {
        if let Some(waiting) = &batch.waiting {
            return waiting.id;
        }
        let until = (wait.timeout_millis != 0).then(|| {
            // The end is a time that can be written down; beyond the clock's it never comes.
            self.node.now.after_millis(wait.timeout_millis)
        });
        let id = WaitId { place: self.shard_number(), number: self.waits.number() };
        let (mut until, in_vain) = (until.flatten(), wait.in_vain);
        if let Some(needs) = needs_of(in_vain) {
            // Control knows of replicas, and answers when time is up, too.
            let timeout = (wait.timeout_millis != 0).then_some(wait.timeout_millis);
            self.mailbox.tell_control(ToControl::AwaitAcks(id, needs, timeout));
            until = until.and_then(|until| until.after_millis(CONTROL_MILLIS));
        }
        let rewritten = wait.rewritten.clone();
        batch.waiting = Some(Box::new(Waiting { id, until, rewritten, in_vain }));
        id
    }

    /// The keys that a request needs besides those it waits for.
    fn others(&self, batch: &Batch, wait: &Wait) -> Vec<(Peer, u64)> {
        let footprint = self.next_footprint(batch);
        let awaited = |hash: u64| wait.keys.iter().any(|key| key.0 == hash);
        footprint.keys().filter(|(_, hash)| !awaited(*hash)).collect()
    }

    fn next_footprint(&self, batch: &Batch) -> Footprint {
        let parsed = batch.request().expect("a request waits");
        let call = parsed.call.expect("only known commands wait");
        with_args(&batch.input, &batch.ranges, parsed, |args| self.footprint_of(call, args))
    }

    /// Keeps a batch until its wait is over. Its client is given what it was answered before.
    fn keep(&mut self, mut kept: KeptWait) {
        let batch = &mut *kept.batch;
        let id = batch.waiting.as_ref().expect("its wait has begun").id;
        let replies = std::mem::take(&mut batch.replies);
        let begun = Begun { token: batch.token, id, replies, epoch: batch.epoch.take() };
        let home = batch.home;
        self.waits.keep(kept);
        if home == self.me() {
            self.wait_begun(begun);
        } else {
            self.mailbox.send(home, ToShard::Wait(WaitWord::Begun(Box::new(begun))));
        }
    }

    /// Acts on what another shard says.
    pub(crate) fn hear_of_wait(&mut self, from: Peer, word: WaitWord) {
        match word {
            WaitWord::Begun(begun) => self.wait_begun(*begun),
            WaitWord::Over(batch) => self.wait_over(batch),
            WaitWord::Gone(id) => drop(self.end_wait(id.number, WaitEnd::Gone)),
            WaitWord::Offer(id, ticket) => self.consider(from, id, ticket),
            WaitWord::Declined(id, ticket) => self.declined(id, ticket),
            WaitWord::Forget(id) => self.forget_wait(id),
            WaitWord::Acked(number, count) => {
                self.end_wait(number, WaitEnd::Acked(count));
            }
        }
    }

    /// A client's batch waits from now on, and rests.
    fn wait_begun(&mut self, begun: Begun) {
        let Begun { token, id, mut replies, epoch } = begun;
        epoch.into_iter().for_each(|epoch| self.quiesce.epochs.end(epoch));
        if !self.may_wait(token, &mut replies) {
            return self.give_up_wait(id);
        }
        if let Some(mut client) = self.take_client(token) {
            client.state = State::Blocked(id);
            self.give_replies(&mut client, &mut replies);
            self.put_client(client);
        }
    }

    /// A client's batch sets out again.
    fn wait_over(&mut self, mut batch: Box<Batch>) {
        self.set_out(&mut batch);
        self.resumed.push_back(batch);
    }

    /// Lets a batch go on whose wait is over.
    fn go_on(&mut self, mut batch: Box<Batch>) {
        batch.waiting = None;
        batch.next += 1;
        if batch.home == self.me() {
            self.wait_over(batch);
        } else {
            // By way of its home, which thereby knows.
            let home = batch.home;
            self.mailbox.send(home, ToShard::Wait(WaitWord::Over(batch)));
        }
    }

    /// Ends the wait of a client that is gone.
    pub(crate) fn give_up_wait(&mut self, id: WaitId) {
        if id.place == self.shard_number() {
            self.end_wait(id.number, WaitEnd::Gone);
        } else {
            self.mailbox.send(id.place.into(), ToShard::Wait(WaitWord::Gone(id)));
        }
    }

    /// Ends a wait that is kept here. False if it is over already.
    pub(crate) fn end_wait(&mut self, number: u64, ending: WaitEnd) -> bool {
        let Some(KeptWait { mut batch, shards, .. }) = self.waits.take(number) else {
            return false;
        };
        let Waiting { id, in_vain, .. } = **batch.waiting.as_ref().expect("it waited");
        self.forget_at(&shards, id);
        if needs_of(in_vain).is_some() && !matches!(ending, WaitEnd::Acked(_)) {
            self.mailbox.tell_control(ToControl::AwaitNoMore(id));
        }
        let call = batch.request().and_then(|parsed| parsed.call).expect("a known command waited");
        let protocol = batch.passport.protocol;
        match ending {
            WaitEnd::Gone => {
                self.recycle(batch);
                return true;
            }
            WaitEnd::InVain => {
                answer_in_vain(in_vain, &mut Replies::new(&mut batch.replies, protocol));
            }
            WaitEnd::Acked(count) => {
                count.write(&mut Replies::new(&mut batch.replies, protocol));
            }
            WaitEnd::Refused => self.reject(call, &UNBLOCKED, &mut batch.replies),
            WaitEnd::RoleChanged => self.reject(call, &ROLE_CHANGED, &mut batch.replies),
            WaitEnd::Redirected(outcome) => {
                let error = self.redirection_of_wait(outcome, batch.passport.network);
                self.reject(call, &error, &mut batch.replies);
            }
        }
        self.counters.ran(call.id, 0, false);
        self.go_on(batch);
        true
    }

    /// Ends the wait of a client, if it is kept here. True if it was.
    pub(crate) fn unblock(&mut self, client: u64, ending: WaitEnd) -> bool {
        let number = self.waits.of_client(client);
        number.is_some_and(|number| self.end_wait(number, ending))
    }

    /// Ends those of the waits that are kept here.
    pub(crate) fn end_waits(&mut self, ending: WaitEnd, ends: impl Fn(&KeptWait) -> bool) {
        for number in self.waits.numbers() {
            if self.waits.get(number).is_some_and(&ends) {
                self.end_wait(number, ending);
            }
        }
    }

    /// Ends waits whose time is up.
    pub fn end_late_waits(&mut self) {
        let now = self.node.now;
        while let Some((until, number)) = self.waits.first_end()
            && until <= now
        {
            self.end_wait(number, WaitEnd::InVain);
        }
    }

    /// When the time of a wait is up.
    #[inline]
    pub fn next_late(&self) -> Option<Monotonic> {
        self.waits.first_end().map(|(until, _)| until)
    }

    fn forget_at(&mut self, shards: &[Peer], id: WaitId) {
        for &shard in shards {
            if shard == self.me() {
                self.forget_wait(id);
            } else {
                self.mailbox.send(shard, ToShard::Wait(WaitWord::Forget(id)));
            }
        }
    }

    /// No batch waits for keys of this shard by this number any more.
    fn forget_wait(&mut self, id: WaitId) {
        self.shard.keyspace.waiters.forget(id);
        self.end_claims(None);
    }

    #[cold]
    pub(crate) fn serve_ready(&mut self, held: Option<Ticket>) {
        let mut later = Vec::new();
        while self.shard.keyspace.waiters.has_ready() {
            for place in self.shard.keyspace.waiters.take_ready() {
                if !self.claims.lets(held, place.1) || !self.serve_key(place, held) {
                    later.push(place);
                }
            }
        }
        // The batch that claims them looks again when it is done.
        self.shard.keyspace.waiters.put_back(later);
    }

    /// Gives the batches that wait for a key their turns, in their order. False if a batch must
    /// wait for other claims, and all batches behind it with it.
    fn serve_key(&mut self, place: Place, held: Option<Ticket>) -> bool {
        let mut at = 0;
        while let Some(waiter) = self.shard.keyspace.waiters.at(place, at) {
            if waiter.tries {
                return true;
            }
            let id = waiter.id;
            if !self.shard.keyspace.has_awaited(place, &waiter.awaited) {
                let keyspace = &self.shard.keyspace;
                if !keyspace.is_there(place) && !keyspace.waiters.awaits_absence(place) {
                    return true;
                }
                at += 1;
                continue;
            }
            match self.give_turn(id, place, held) {
                Turn::Served => {}
                Turn::InVain => at += 1,
                Turn::Begun => return true,
                Turn::NotNow => return false,
            }
        }
        true
    }

    /// Lets a batch have what it waits for, or offers it.
    fn give_turn(&mut self, id: WaitId, (_, hash): Place, held: Option<Ticket>) -> Turn {
        // What takes elements away is a write: while writes are paused its turn does not come.
        if self.node.guards().meets(Guards::PAUSED) {
            return Turn::NotNow;
        }
        let me = self.me();
        if usize::from(id.place) == me {
            let kept = self.waits.get(id.number).expect("who waits here is kept here");
            let (here, elsewhere): (Vec<_>, Vec<_>) =
                kept.others.iter().partition(|(owner, _)| *owner == me);
            if here.iter().any(|&&(_, other)| !self.claims.lets(held, other)) {
                return Turn::NotNow;
            }
            if elsewhere.is_empty() {
                return self.serve_here(id, held);
            }
        }
        let ticket = self.claims.offer(held, hash);
        self.shard.keyspace.waiters.give_turn(id);
        if usize::from(id.place) == me {
            self.consider(me, id, ticket);
        } else {
            let letter = ToShard::Wait(WaitWord::Offer(id, ticket));
            self.mailbox.send(id.place.into(), letter);
        }
        Turn::Begun
    }

    /// Runs a request that waits and is kept here.
    fn serve_here(&mut self, id: WaitId, held: Option<Ticket>) -> Turn {
        if !self.sees_its_groups(id, held) {
            return Turn::NotNow;
        }
        let KeptWait { mut batch, shards, others } =
            self.waits.take(id.number).expect("who waits here is kept here");
        let before = (self.serving, self.reading, self.shard.effects.author);
        self.run_for(Serving::of_batch(&batch), batch.client, batch.passport.reads);
        self.run_turn(&mut batch, id, held);
        (self.serving, self.reading, self.shard.effects.author) = before;
        self.visitors.effects.author = before.2;
        if self.shard.effects.wait.take().is_some() {
            self.waits.keep(KeptWait { batch, shards, others });
            return Turn::InVain;
        }
        self.forget_at_all(&shards, id);
        self.go_on(batch);
        Turn::Served
    }

    /// Whether none of the groups that a batch waits for is with others for now: one that is not
    /// there would be an error.
    pub(crate) fn sees_its_groups(&self, id: WaitId, held: Option<Ticket>) -> bool {
        let waiters = &self.shard.keyspace.waiters;
        let is_seen = |place: &Place| {
            self.claims.lets(held, place.1) || !waiters.up_to(*place, id).0.ends_without_key()
        };
        waiters.places_of(id).iter().all(is_seen)
    }

    /// Runs the next request of a batch that has its turn. It takes nothing from keys that others
    /// claim, or that others have been waiting for longer.
    pub(crate) fn run_turn(&mut self, batch: &mut Batch, id: WaitId, held: Option<Ticket>) {
        let keyspace = &mut self.shard.keyspace;
        let mut hidden = Vec::new();
        if let places @ [_, _, ..] = keyspace.waiters.places_of(id) {
            for place in places {
                let (awaited, mut before) = keyspace.waiters.up_to(*place, id);
                let is_for_others = !self.claims.lets(held, place.1)
                    || before.any(|it| it.tries || keyspace.has_awaited(*place, &it.awaited));
                if awaited.is_taken() && is_for_others {
                    hidden.push(*place);
                }
            }
        }
        let entries: Vec<_> = hidden
            .into_iter()
            .filter_map(|(db, hash)| Some((db, hash, keyspace.dbs[db].take_hash(hash)?)))
            .collect();
        self.shard.effects.sees_own_slots = true;
        self.resumes = true;
        self.run_next(batch);
        self.resumes = false;
        self.shard.effects.sees_own_slots = false;
        for (db, hash, entry) in entries {
            self.shard.keyspace.dbs[db].insert(hash, entry);
        }
    }

    /// Like [`Self::forget_at`], while turns are given here.
    fn forget_at_all(&mut self, shards: &[Peer], id: WaitId) {
        let me = self.me();
        self.shard.keyspace.waiters.forget(id);
        for &shard in shards.iter().filter(|shard| **shard != me) {
            self.mailbox.send(shard, ToShard::Wait(WaitWord::Forget(id)));
        }
    }

    /// A key is ready for a wait: its batch goes there, if it is still kept.
    fn consider(&mut self, from: Peer, id: WaitId, ticket: Ticket) {
        let Some(KeptWait { mut batch, mut shards, others }) = self.waits.take(id.number) else {
            if from == self.me() {
                return self.declined(id, ticket);
            }
            return self.mailbox.send(from, ToShard::Wait(WaitWord::Declined(id, ticket)));
        };
        if let Some(client) = self.client(batch.token)
            && client.state == State::Blocked(id)
        {
            client.state = State::Away;
        }
        shards.retain(|shard| *shard != from);
        self.forget_at(&shards, id);
        if others.is_empty() {
            let (next, from) = (batch.next, u16::try_from(from).expect("shards are few"));
            batch.requests[next].route = Route::Shard(from);
            batch.ticket = Some(ticket);
        } else {
            let footprint = self.next_footprint(&batch);
            let mut transaction = footprint.transaction(&self.node.slots, Kind::Gather, &[]);
            let mut visits = transaction.visits.iter_mut();
            let visit = visits.find(|visit| visit.shard == from).expect("the key is one of its");
            visit.ticket = Some(ticket);
            batch.at = At::Visits(Box::new(transaction));
        }
        self.resumed.push_back(batch);
    }

    /// The batch that a key was claimed for has no use for it.
    fn declined(&mut self, id: WaitId, ticket: Ticket) {
        self.shard.keyspace.waiters.forget(id);
        self.end_claims(Some(ticket));
    }

    /// Gives claims back that a batch has on shards to come, before it waits here. No batch waits
    /// holding what batches before it in the order of shards may wait for. The batch keeps its
    /// place among those that wait for the key.
    pub(crate) fn hand_back_offers(&mut self, batch: &mut Batch) {
        let Some(transaction) = batch.transaction() else { return };
        let mut given_back = Vec::new();
        for visit in transaction.visits.iter_mut().skip(transaction.at + 1) {
            given_back.extend(visit.ticket.take().map(|ticket| (visit.shard, ticket)));
        }
        given_back.into_iter().for_each(|(shard, ticket)| self.end_claims_at(shard, ticket));
    }
}

/// What a command answers whose wait ends because its time is up.
fn answer_in_vain(in_vain: InVain, replies: &mut Replies<'_>) {
    match in_vain {
        InVain::Null => replies.null_array(),
        InVain::Replicas(_) => Count::Applied(0).write(replies),
        InVain::Disks(_) => Count::Durable { local: 0, replicas: 0 }.write(replies),
    }
}

/// Whether a wait is one for replicas, and not for keys.
pub(crate) fn awaits_replicas(kept: &KeptWait) -> bool {
    let waiting = kept.batch.waiting.as_ref();
    waiting.is_some_and(|waiting| needs_of(waiting.in_vain).is_some())
}

/// What a wait needs of replicas, if it is for them.
pub(crate) fn needs_of(in_vain: InVain) -> Option<Needs> {
    match in_vain {
        InVain::Null => None,
        InVain::Replicas(replicas) => Some(Needs::Applied(replicas)),
        InVain::Disks(replicas) => Some(Needs::Durable { local: 0, replicas }),
    }
}
