//! Logs of the primary that come while its snapshot does: shards store them until that is the data.

use super::Upstream;
use crate::relay::inflows::{Announced, Inflows, lost};
use crate::replication::handshake::LogsOffered;
use crate::replication::history::Fence;
use crate::replication::link::events::Generation;
use crate::replication::replid::ReplId;

impl Upstream {
    /// The primary offers its logs from where its snapshot is: they are connected, and stored.
    pub(super) fn store_logs(&mut self, generation: Generation, offered: LogsOffered) {
        let Some(primary) = self.link.observed().desired.primary.clone() else { return };
        if !self.config.repl_native || self.flows.is_some() {
            return;
        }
        let LogsOffered { name, history, at: Fence { scalar, vector } } = offered;
        let at = Announced { name, place: scalar, scalar, vector };
        match self.open_logs((generation, history), &primary, (at, true)) {
            Ok(flows) => self.flows = Some(flows),
            Err(why) => self.later.push_back(lost(generation, why)),
        }
    }

    /// The logs that are stored, when the primary announces those that go on from the data, which
    /// are of this history. `None`: none are.
    pub(in crate::relay) fn take_stored(
        &mut self,
        announced: &Announced,
        history: ReplId,
    ) -> Option<Result<Inflows, String>> {
        let stored = self.flows.take_if(|flows| flows.are(announced, history));
        match (stored, &self.flows) {
            (Some(stored), _) => Some(Ok(stored)),
            (None, Some(_)) => Some(Err("logs go on from another place than before".to_owned())),
            (None, None) => None,
        }
    }

    /// Nothing of logs is under way any more: begins the next attempt, if it has waited for that.
    pub(in crate::relay) fn connect_after_logs(&mut self) {
        if let Some((generation, primary)) = self.connects_to.take() {
            self.connect(generation, &primary);
        }
    }
}
