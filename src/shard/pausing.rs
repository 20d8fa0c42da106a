//! Requests that are held back: by CLIENT PAUSE, and while the process ends.

use shards::commands::spec::Flag;

use crate::clients::client::{Client, Finishing};
use crate::reactor::clock::Monotonic;
use crate::routing::call::{Call, Run, Step};
use crate::shard::core::Core;

/// Requests are held back for a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    pub since: Monotonic,
    pub millis: u64,
    pub holds: Holds,
}

/// What is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Holds {
    /// Nothing, but every request is looked at at home.
    Nothing,
    /// What may change keys.
    Writes,
    /// Everything.
    All,
}

impl Pause {
    /// Whether its time is up.
    pub fn is_over(&self, now: Monotonic) -> bool {
        self.millis <= now.millis_since(self.since)
    }
}

impl Core {
    /// CLIENT PAUSE. While the process ends it only counts if it goes on after all.
    pub(crate) fn begin_pause(&mut self, millis: u64, holds: Holds) {
        let pause = Some(Pause { since: self.node.now, millis, holds });
        match &mut self.leaving {
            Some(leaving) => leaving.asked = pause,
            None => self.pause = pause,
        }
    }

    /// CLIENT UNPAUSE, or the end of its time: what was held back goes on.
    pub(crate) fn end_pause(&mut self) {
        if let Some(leaving) = &mut self.leaving {
            leaving.asked = None;
            return;
        }
        self.pause = None;
        self.resumed.extend(self.held.drain(..));
    }

    /// Whether a request is held back. What a client had sent before the process was to end is
    /// done first.
    pub(crate) fn holds_back(&self, client: &Client, call: &Call) -> bool {
        let Some(pause) = self.pause else { return false };
        let holds = match pause.holds {
            Holds::Nothing => false,
            Holds::Writes => may_write(client, call),
            Holds::All => true,
        };
        holds && client.finishing != Finishing::Accepted
    }
}

/// Whether a request may change keys: CLIENT PAUSE WRITE holds those back.
fn may_write(client: &Client, call: &Call) -> bool {
    any_of(client, call, &[Flag::Write, Flag::MayReplicate])
}

/// Whether a request is one that changes keys, or an EXEC with one.
pub(crate) fn writes(client: &Client, call: &Call) -> bool {
    any_of(client, call, &[Flag::Write])
}

/// Whether a request has one of these flags, or is an EXEC of one that has.
pub(crate) fn any_of(client: &Client, call: &Call, flags: &[Flag]) -> bool {
    let has = |call: &Call| flags.iter().any(|&flag| call.spec.flags.has(flag));
    let queued = client.multi.iter().flat_map(|multi| &multi.requests);
    has(call)
        || (matches!(call.run, Run::Transaction(Step::Exec))
            && queued.filter_map(|parsed| parsed.call).any(has))
}
