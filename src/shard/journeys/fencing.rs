//! In a cluster: until when this node may write without another answer of a majority (the lease of
//! `cluster::health`). Control shows that on its board. Each shard looks there itself: what control
//! says by letter a shard that has hung reads too late.
//!
//! ```text
//! once a turn, in front of requests; behind a command that took long --> the lease is over:
//!   a copy that refuses writes is in force, and what was routed by the other one is routed anew
//! ```

use std::sync::Arc;

use crate::cluster::ownership::Ownership;
use crate::mail::board::ANY_TIME;
use crate::reactor::clock::since_boot_millis;
use crate::shard::core::Core;

/// Microseconds of a command after which the lease may be over: far less than a lease is as a rule.
pub(crate) const LONG_MICROS: u64 = 10_000;

/// What a shard does about the fence before control says so.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    /// The copy of control's that is to be in force again when there is a lease.
    open: Option<Arc<Ownership>>,
    /// It grows whenever another copy has come into force in the middle of a turn.
    pub changes: u64,
}

impl Core {
    /// Compares the lease with the time. True if what was routed before is to be routed anew.
    pub(crate) fn look_at_fence(&mut self) -> bool {
        let Some(ownership) = &self.node.cluster else { return false };
        let until = self.mailbox.board(self.control()).writes_until.get();
        let is_over = until != ANY_TIME && until < since_boot_millis();
        let other = match self.fence.open.take() {
            None if is_over && ownership.is_primary && !ownership.is_fenced => {
                self.fence.open = Some(Arc::clone(ownership));
                Arc::new(ownership.fenced())
            }
            Some(open) if !is_over => open,
            open => {
                self.fence.open = open;
                return false;
            }
        };
        self.node.cluster = Some(other);
        self.fence.changes += 1;
        true
    }

    /// Control has sent another copy.
    pub(crate) fn renew_fence(&mut self) {
        self.fence.open = None;
        self.look_at_fence();
    }
}
