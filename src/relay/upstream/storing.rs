//! Logs of the primary that come while its snapshot does: shards store them until that is the data.

use super::Upstream;
use crate::flows::following::{Broken, News};
use crate::mail::mailbox::Mailbox;
use crate::mail::to_relay::ToRelay;
use crate::relay::inflows::{Announced, Inflows, lost};
use crate::replication::handshake::LogsOffered;
use crate::replication::history::Fence;
use crate::replication::link::events::Generation;
use crate::replication::replid::ReplId;

impl Upstream {
    /// The primary offers its logs from where its snapshot is: they are connected, and stored.
    pub(super) fn store_logs(&mut self, generation: Generation, offered: LogsOffered) {
        let Some(primary) = self.link.observed().desired.primary.clone() else { return };
        if !self.config.repl_native || self.stored.is_some() {
            return;
        }
        let LogsOffered { name, history, at: Fence { scalar, vector } } = offered;
        let at = Announced { name, place: scalar, scalar, vector };
        match self.open_logs((generation, history), &primary, (at, true)) {
            Ok(flows) => self.stored = Some(flows),
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
        let stored = self.stored.take_if(|stored| stored.are(announced, history));
        match (stored, &self.stored) {
            (Some(stored), _) => Some(Ok(stored)),
            (None, Some(_)) => Some(Err("logs go on from another place than before".to_owned())),
            (None, None) => None,
        }
    }

    /// A shard says something of logs that are stored.
    pub(in crate::relay) fn hear_of_stored(&mut self, news: News, mailbox: &mut Mailbox<ToRelay>) {
        let Some(stored) = &mut self.stored else { return };
        let generation = stored.generation;
        match news {
            News::Broken(of, why) if of == generation && !stored.is_ending() => {
                let why = match why {
                    Broken::Closed => "a log has ended".to_owned(),
                    Broken::Stream(why) | Broken::Unappliable(why) => why,
                };
                self.happens(lost(of, why), mailbox);
            }
            News::Held(of, places) if of == generation => {
                let Some(_) = stored.hear_of_held(places) else { return };
                self.stored = None;
                self.connect_after_logs();
            }
            // Of an attempt that is over.
            _ => {}
        }
    }

    /// Nothing of logs is under way any more: begins the next attempt, if it has waited for that.
    pub(in crate::relay) fn connect_after_logs(&mut self) {
        if let Some((generation, primary)) = self.connects_to.take() {
            self.connect(generation, &primary);
        }
    }
}
