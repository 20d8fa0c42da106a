//! Transfers of all keys to replicas, as the control thread sees to them. They share the barrier,
//! the gate and the fork with snapshots (`control::saving`), and count as none.

use shards::shard::Shard;

use crate::control::core::Control;
use crate::log;
use crate::persistence::child;
use crate::persistence::repair::Repair;
use crate::persistence::sending::{SyncPlan, Target};
use crate::persistence::syncing::{End, Outcome, SyncChild};
use crate::process::plain;
use crate::reactor::clock::Monotonic;

impl Control {
    /// Makes a child that sends all keys to these replicas; all shards have been claimed. `plan` is
    /// asked for while they stand still, so that it can name the cut. The caller keeps descriptors
    /// of its own: if there is no child, nothing was sent, and connections are as they were.
    ///
    /// # Errors
    /// Why there is no child.
    pub fn fork_sync(
        &mut self,
        targets: Vec<Target>,
        plan: impl FnOnce(&mut Self, &mut [&mut Shard]) -> SyncPlan,
    ) -> Result<(), String> {
        assert!(self.saving.forked().is_none(), "there is one child at a time");
        let replicas = targets.len();
        let began = self.fork_for(|control, shards, before| {
            SyncChild::start(plan(control, shards), targets, shards, before)
        });
        let sync = began.map_err(|error| format!("Can't sync: fork: {}", plain(&error)))?;
        let pid = sync.forked.pid();
        log::notice(&format!("Background transfer to {replicas} replicas started by pid {pid}"));
        self.saving.sync = Some(sync);
        Ok(())
    }

    /// Ends the transfer to the replica of this name, if there is one; others go on.
    pub fn cut_sync(&mut self, id: u64) {
        self.saving.sync.iter_mut().for_each(|sync| sync.cut(id, Monotonic::now()));
    }

    /// Takes what became of transfers that have ended since the last call.
    pub fn take_synced(&mut self) -> Vec<Outcome> {
        std::mem::take(&mut self.saving.synced)
    }

    pub(crate) fn sync_has_ended(&mut self, outcome: Outcome) {
        self.note_traffic();
        self.saving.sync = None;
        self.saving.repair = Repair::new(Monotonic::now());
        let Outcome { targets, end, bytes, keys, millis } = &outcome;
        match end {
            End::Sent => {
                let complete = targets.iter().filter(|(_, result)| result.is_ok()).count();
                log::notice(&format!(
                    "Background transfer terminated with success: {keys} keys, {bytes} bytes to \
                     {complete} of {} replicas in {millis} ms",
                    targets.len()
                ));
            }
            End::Killed(by) => {
                let by = by.unwrap_or("a signal");
                log::notice(&format!("Background transfer ended by {by} after {millis} ms"));
            }
            End::Refused(why) => log::warning(&format!("Background transfer refused: {why}")),
            End::Failed(why) => log::warning(&format!("Background transfer error: {why}")),
        }
        self.saving.synced.push(outcome);
        // Requests that wait now have asked for the end of this child.
        self.tell_waiters(&child::Outcome::Killed);
        self.next_wish();
    }
}
