//! Whether the shards of this node turn. The bus has a thread of its own: it would say that the
//! node is well while a shard hangs that serves none of its slots. So a primary falls silent then,
//! and refuses writes: others take it for dead, and a replica takes over. It speaks again when all
//! shards turn.

use crate::cluster::machine::Machine;
use crate::cluster::moment::Moment;
use crate::config::choices::LogLevel;

/// Milliseconds without a turn that are no sign of anything: a shard with nothing to do turns each
/// 100.
pub const STALL_MS_MIN: u64 = 500;
/// Milliseconds between two looks at the shards' turns of which something is known. What is longer
/// may have been a stop of the whole process.
const GAP_MS: u64 = 300;

/// Which row of the table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// The node never falls silent.
    Never,
    /// No replica is to take over: the node is no primary, or has no slots.
    NoSlots,
    /// All shards turn.
    Turning,
    /// One does not.
    Stuck,
}

/// What that depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// How long a shard may do without a turn; 0: for ever.
    pub stall_ms: u64,
    /// Whether this node is a primary with slots.
    pub is_voting: bool,
    /// Milliseconds since the shard turned last that has not for longest.
    pub still_ms: u64,
}

/// The first row that holds.
pub fn row(facts: &Facts) -> Row {
    match facts {
        facts if facts.stall_ms == 0 => Row::Never,
        facts if !facts.is_voting => Row::NoSlots,
        facts if facts.still_ms <= facts.stall_ms => Row::Turning,
        _ => Row::Stuck,
    }
}

/// What was seen of the shards' turns.
#[derive(Debug, Default)]
pub struct Watch {
    /// By shard: how many turns it had begun, and when that was news.
    seen: Vec<(u64, Moment)>,
    looked: Option<Moment>,
}

impl Watch {
    /// Looks how many turns each shard has begun. When the shard turned last that has not for
    /// longest; time in which nothing looked does not count.
    pub fn look(&mut self, now: Moment, turns: impl Iterator<Item = u64>) -> Moment {
        let gap_ms = self.looked.replace(now).map_or(0, |looked| now.since(looked));
        let missed_ms = if GAP_MS < gap_ms { gap_ms } else { 0 };
        for (shard, count) in turns.enumerate() {
            match self.seen.get_mut(shard) {
                Some((seen, at)) if *seen == count => *at = at.after(missed_ms),
                Some(seen) => *seen = (count, now),
                None => self.seen.push((count, now)),
            }
        }
        self.seen.iter().map(|(_, at)| *at).min().unwrap_or(now)
    }
}

impl Machine {
    /// Whether a shard hangs, so that this node says nothing and writes nothing.
    pub(in crate::cluster) const fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// The shard that has not turned for longest has not since `last`.
    pub(in crate::cluster) fn turned(&mut self, last: Moment) {
        let still_ms = self.since(last);
        let facts = Facts {
            stall_ms: self.settings.stall_ms(),
            is_voting: self.nodes.me().is_voting(),
            still_ms,
        };
        let is_stuck = row(&facts) == Row::Stuck;
        if self.is_stuck == is_stuck {
            return;
        }
        self.is_stuck = is_stuck;
        let text = if is_stuck {
            format!(
                "A shard has not turned for {still_ms} milliseconds: this node says nothing to \
                 others and refuses writes until it does, so that a replica takes over."
            )
        } else {
            "All shards turn: this node speaks to others again.".to_string()
        };
        self.log(LogLevel::Warning, text);
        self.look_at_lease();
        if !is_stuck {
            self.ping_all();
        }
    }
}

#[cfg(test)]
mod tests;
