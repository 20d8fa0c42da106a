//! Fences, as the control thread writes them. A fence is a transaction of all shards without
//! commands: a point in all logs at which nothing is half done. A snapshot stands at one, and a
//! stream begins at one. All are written in one way: all shards are claimed, so nothing is on its
//! way to a log, and stand still.

use shards::journal::entry::Note;
use shards::journal::part;
use shards::shard::Shard;

use crate::control::core::Control;
use crate::mail::release::ORDERS;
use crate::mail::to_relay::ToRelay;
use crate::replication::acks::{self, Ticket};
use crate::replication::history::{Fence, Offset, Scalar, Vector};
use crate::routing::node::Role;

/// The shard whose log has what concerns no key.
pub(crate) const NOTES: usize = 0;

/// What a fence is for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// The stream begins at it.
    Stream,
    /// WAIT asked for it.
    Acks(Ticket),
    /// The process ends: replicas are to have all that is in front of it.
    End,
    /// Replicas are to have the SETSLOT of this number, which stands in front of it.
    Slot(u64),
    /// A failover asked for it when this order to hold writes back was in force everywhere.
    Failover(u64),
}

impl Control {
    /// Writes a fence while all shards stand still. With the first one their logs begin.
    pub(crate) fn write_fence(&mut self, shards: &mut [&mut Shard]) -> Fence {
        if !std::mem::replace(&mut self.replicating.logs, true) {
            for shard in &mut *shards {
                shard.effects.log.clear();
                shard.effects.keeps_log = true;
            }
        }
        let participants: Vec<u16> = (0..self.node.slots.shards()).collect();
        let orders = &mut shards[ORDERS].effects.txid;
        let txid = std::mem::replace(orders, *orders + 1);
        let transaction = part::Transaction { txid, participants: &participants };
        for (shard, number) in shards.iter_mut().zip(0..) {
            shard.effects.log.push_part(transaction, number, None);
        }
        self.end_of_logs(shards)
    }

    /// Where the logs of all shards end, which stand still.
    pub(crate) fn end_of_logs(&self, shards: &[&mut Shard]) -> Fence {
        let logs = shards.iter().map(|shard| &shard.effects.log);
        fence_of(self.replicating.base, logs.map(|log| (log.offset(), log.weight())))
    }

    /// Writes a fence; all shards are claimed. Replicas are asked to acknowledge it if that is what
    /// it is for.
    pub(crate) fn fence(&mut self, purpose: Purpose) {
        if self.node.condition.role == Role::Replica && !self.replicating.logs {
            return self.fence_of_replica(purpose);
        }
        // In a cluster the replica tells of itself, and the stream stands still behind the fence.
        let is_of_cluster = matches!(purpose, Purpose::Failover(_)) && self.clustering.is_some();
        let is_of_primary = self.node.condition.role == Role::Primary;
        let is_asked = is_of_primary && !is_of_cluster && !matches!(purpose, Purpose::Stream);
        let fence = self.while_all_stand(|control, shards| {
            if let Purpose::Slot(number) = purpose {
                control.log_slot(number, shards);
            }
            let fence = control.write_fence(shards);
            if is_asked {
                control.replicating.ack_fence = fence.scalar;
                shards[NOTES].effects.log.push_note(Note::GetAck);
            }
            fence
        });
        match purpose {
            Purpose::Stream => {
                let letter = ToRelay::Fence(self.replicating.replid, Box::new(fence));
                self.mailbox.tell_relay(letter);
            }
            Purpose::Acks(ticket) => self.acks_hear(acks::Event::FenceWritten(ticket, fence)),
            Purpose::Slot(number) => self.slot_is_logged(number, Some(fence)),
            Purpose::End => self.replicating.last_fence = Some(fence),
            Purpose::Failover(order) => self.hold_is_fenced(order, fence),
        }
    }

    /// A replica writes none. What was asked for while this was a primary means nothing now, but
    /// acknowledgements are counted one after the other.
    fn fence_of_replica(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::Acks(ticket) => {
                let vector = Vector::start(self.node.slots.shards());
                let fence = Fence { scalar: self.replication().offset, vector };
                self.acks_hear(acks::Event::FenceWritten(ticket, fence));
            }
            Purpose::Slot(number) => self.slot_is_logged(number, None),
            Purpose::Stream | Purpose::End | Purpose::Failover(_) => {}
        }
    }
}

/// The fence behind which the logs of a history have these offsets and weights.
fn fence_of(base: Scalar, logs: impl Iterator<Item = (u64, u64)>) -> Fence {
    let (offsets, weights): (Vec<Offset>, Vec<u64>) =
        logs.map(|(offset, weight)| (Offset(offset), weight)).unzip();
    Fence { scalar: base.after(weights.iter().sum()), vector: Vector::new(offsets) }
}
