//! Writes are held back for FAILOVER, or a failover of a cluster, until the stream stands still.
//!
//! ```text
//! order to all shards --no write is under way--> fence behind the last one --> the stream stands
//! ```

use crate::control::core::Control;
use crate::control::fences::Purpose;
use crate::control::standing::Wish;
use crate::mail::query::Query;
use crate::replication::failover;
use crate::replication::history::{Fence, Scalar};
use crate::routing::node::Role;

/// Writes are held back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    /// The order to hold them back. It tells this failover's hold from that of an earlier one.
    order: u64,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Until no write is under way.
    Quieting,
    /// No write is under way. A fence is to be written behind the last.
    Quiet,
    /// It is asked for.
    Fencing,
    /// The stream stands still here.
    Standing(Scalar),
}

impl Hold {
    /// Where the stream stands still, if it does.
    pub(crate) fn stands_at(&self) -> Option<Scalar> {
        match self.step {
            Step::Standing(scalar) => Some(scalar),
            Step::Quieting | Step::Quiet | Step::Fencing => None,
        }
    }
}

impl Control {
    /// Holds writes back from now on.
    pub(crate) fn hold_writes(&mut self) {
        let order = self.hold_for_failover();
        self.hold = Some(Hold { order, step: Step::Quieting });
    }

    /// Lets them go, if they are held back.
    pub(crate) fn let_writes_go(&mut self) {
        if self.hold.take().is_some() {
            self.release_writes();
        }
    }

    /// Lets writes go unless something else holds them back. Shards know one hold only, which
    /// failovers share with a promotion, and with requests for which keys are counted.
    pub(crate) fn release_writes(&mut self) {
        let is_held =
            self.hold.is_some() || self.clustering.as_ref().is_some_and(|it| it.holds_writes());
        if !is_held {
            self.order(&Query::EndFailoverHold);
        }
    }

    /// Lets writes go that FAILOVER has held back, unless one is under way: the next one keeps
    /// what the last one has held back.
    pub(crate) fn end_hold_of_failover(&mut self) {
        if self.is_hold_of_failover_over() {
            self.let_writes_go();
        }
    }

    /// This node leads, for which nothing is held back any more. Shards let writes go when all
    /// know ([`Self::release_writes`]).
    pub(crate) fn forget_holds(&mut self) {
        if self.is_hold_of_failover_over() {
            self.hold = None;
        }
        self.clustering.iter_mut().for_each(|clustering| clustering.forget_promotion());
    }

    fn is_hold_of_failover_over(&self) -> bool {
        self.clustering.is_none() && !self.handing_over.machine.is_under_way()
    }

    /// No write is under way any more that this order holds back.
    pub(crate) fn writes_rest(&mut self, order: u64) {
        if let Some(hold) = self.hold_of(order) {
            hold.step = Step::Quiet;
        }
        self.cluster_rests(order);
    }

    /// Has a fence written behind the last write, as soon as there is none under way, unless
    /// FORCE has made a replica of this node before. A node of a cluster that has no logs stands
    /// where it is; FAILOVER waits for them.
    pub(crate) fn see_to_hold(&mut self) {
        let Some(Hold { order, step: Step::Quiet }) = self.hold else { return };
        if self.node.condition.role == Role::Replica {
            return;
        }
        if self.replicating.keeps_logs() {
            self.hold = Some(Hold { order, step: Step::Fencing });
            self.wish(Wish::Fence(Purpose::Failover(order)));
        } else if self.clustering.is_some() {
            let step = Step::Standing(self.replication().offset);
            self.hold = Some(Hold { order, step });
            self.cluster_stands();
        }
    }

    /// The fence behind all writes is in all logs.
    pub(crate) fn hold_is_fenced(&mut self, order: u64, fence: Fence) {
        let Some(hold) = self.hold_of(order) else { return };
        hold.step = Step::Standing(fence.scalar);
        if self.clustering.is_some() {
            self.cluster_stands();
        } else {
            self.failover_hears(failover::Event::Fenced(fence));
        }
    }

    fn hold_of(&mut self, order: u64) -> Option<&mut Hold> {
        self.hold.as_mut().filter(|hold| hold.order == order)
    }
}
