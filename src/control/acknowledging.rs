//! WAIT, and who else waits for replicas: control asks for a fence, and counts who has it.
//!
//! ```text
//! WAIT --> its shard keeps the client --> control: barrier --> fence in all logs, GETACK behind it
//!      <-- the number of replicas <---------- acknowledgements of the fence, or time is up
//! ```
//! The barrier waits for all claims that there are: what the client was answered for is in the logs
//! then, wherever the release of its transaction had to go by.

use shards::journal::entry::Note;
use shards::keyspace::waiters::WaitId;
use shards::resp::reply::Replies;

use crate::batches::batch::Batch;
use crate::control::core::Control;
use crate::control::fences::Purpose;
use crate::control::standing::Wish;
use crate::mail::query::Query;
use crate::mail::to_shard::ToShard;
use crate::mail::waits::WaitWord;
use crate::reactor::clock::Monotonic;
use crate::replication::acks::{self, Action, Event, Needs, Patience, Position};
use crate::replication::history::{Fence, Scalar, Vector};
use crate::replication::moment::Moment;
use crate::replication::session::SessionId;

/// A wait's shard is in the lower bits of its number here.
const SHARD_BITS: u32 = 16;

impl Control {
    /// The present moment, as machines count it.
    pub(crate) fn moment(&self) -> Moment {
        Moment(self.node.now.millis_since(self.node.started))
    }

    /// Milliseconds from now until then.
    pub(crate) fn millis_until(&self, deadline: Moment) -> u64 {
        deadline.0.saturating_sub(Monotonic::now().millis_since(self.node.started))
    }

    /// A client of a shard waits for replicas; for ever if there is no limit of time.
    pub(crate) fn await_acks(&mut self, id: WaitId, needs: Needs, timeout_millis: Option<u64>) {
        let needs_none =
            matches!(needs, Needs::Applied(0) | Needs::Durable { local: 0, replicas: 0 });
        let patience = if needs_none {
            Patience::AtOnce(self.end_of_writes())
        } else {
            // A turn that has lasted may not shorten it.
            let now = Moment(Monotonic::now().millis_since(self.node.started));
            Patience::Until(timeout_millis.map(|millis| now.after(millis)))
        };
        self.acks_hear(Event::Wait(acks_id(id), needs, patience));
    }

    /// Answers a command of an EXEC, which does not wait: how many replicas have what was written
    /// before, by this client or another, as far as is known.
    pub(crate) fn count_acks(&mut self, mut batch: Box<Batch>, needs: Needs) {
        let count = self.replicating.acks.count_now(needs, &self.end_of_writes());
        count.write(&mut Replies::new(&mut batch.replies, batch.passport.protocol));
        self.send_home(batch);
    }

    /// [`Self::last_write`], for replicas that know the stream. All do.
    fn end_of_writes(&self) -> Fence {
        let vector = Vector::start(self.node.slots.shards());
        Fence { scalar: self.last_write(), vector }
    }

    /// The end of the stream, as far as is known, without a GETACK behind the last fence: replicas
    /// acknowledge that later.
    fn last_write(&self) -> Scalar {
        let (fence, end) = (self.replicating.ack_fence, self.replication().offset);
        if end <= fence.after(Note::GetAck.command().len() as u64) { fence } else { end }
    }

    /// It waits no more.
    pub(crate) fn await_no_more(&mut self, id: WaitId) {
        self.acks_hear(Event::ClientGone(acks_id(id)));
    }

    /// A replica is so far.
    pub(crate) fn acknowledged(&mut self, session: SessionId, applied: Scalar, is_first: bool) {
        let replica = acks::ReplicaId(session.0);
        if is_first {
            self.acks_hear(Event::Joined(replica));
        }
        self.acks_hear(Event::Acked(replica, Position::Stock(applied), None));
        self.count_good_replicas();
        self.failover_hears_ack(session, applied);
    }

    /// A replica is gone.
    pub(crate) fn acknowledges_no_more(&mut self, session: SessionId) {
        self.acks_hear(Event::Gone(acks::ReplicaId(session.0)));
        self.failover_hears_of_end(session);
        self.count_good_replicas();
    }

    /// Tells shards how many replicas keep up, if that has changed.
    pub(crate) fn count_good_replicas(&mut self) {
        let max_lag = u64::from(self.node.config.min_replicas_max_lag);
        let good = self.replicating.acks.good(self.moment(), max_lag);
        if std::mem::replace(&mut self.node.condition.good_replicas, good) != good {
            self.order(&Query::GoodReplicas(good));
        }
    }

    /// Looks whether the time of a wait is up.
    pub(crate) fn end_late_acks(&mut self) {
        if self.replicating.acks.deadline().is_some_and(|deadline| deadline <= self.moment()) {
            self.acks_hear(Event::Tick);
        }
    }

    /// Milliseconds until [`Self::end_late_acks`] has something to do.
    pub(crate) fn acks_patience(&self) -> Option<u64> {
        let deadline = self.replicating.acks.deadline()?;
        Some(self.millis_until(deadline))
    }

    /// Whether all replicas have what they are to have when the process ends. No write is under
    /// way any more; the fence behind all of them is asked for here.
    pub(crate) fn replicas_have_all(&mut self) -> bool {
        if !self.replicating.keeps_logs() || self.replicating.acks.is_alone() {
            return true;
        }
        match &self.replicating.last_fence {
            Some(fence) => self.replicating.acks.all_cover(fence),
            None => {
                if !self.has_wish() {
                    self.wish(Wish::Fence(Purpose::End));
                }
                false
            }
        }
    }

    pub(crate) fn acks_hear(&mut self, event: Event) {
        let mut todo = Vec::new();
        let now = self.moment();
        self.replicating.acks.handle(now, event, &mut todo);
        for action in todo {
            match action {
                Action::AskFence(ticket) if self.replicating.keeps_logs() => {
                    self.wish(Wish::Fence(Purpose::Acks(ticket)));
                }
                // No replica has ever been there, and the logs are empty.
                Action::AskFence(ticket) => {
                    let vector = Vector::start(self.node.slots.shards());
                    let fence = Fence { scalar: Scalar(0), vector };
                    self.acks_hear(Event::FenceWritten(ticket, fence));
                }
                Action::Answer(id, count) => self.tell_wait(id, WaitWord::Acked(number(id), count)),
            }
        }
    }

    fn tell_wait(&mut self, id: acks::WaitId, word: WaitWord) {
        let shard = usize::try_from(id.0 & ((1 << SHARD_BITS) - 1)).expect("it has 16 bits");
        self.mailbox.send(shard, ToShard::Wait(word));
    }
}

/// A wait as the machine knows it.
fn acks_id(id: WaitId) -> acks::WaitId {
    acks::WaitId(id.number << SHARD_BITS | u64::from(id.place))
}

/// Its number at its shard.
fn number(id: acks::WaitId) -> u64 {
    id.0 >> SHARD_BITS
}
