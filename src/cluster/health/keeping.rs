//! R3, on the replica's side: a stock primary that comes back without data serves at once, and so
//! does each that comes back with a part of it. Replicas drop what they have when they synchronize
//! with it. This node does not: it keeps what it has, and asks to be elected, until it is or the
//! time is over.
//!
//! Which primary that is, its replication link says: one that was followed, that offers a snapshot
//! of another history, and has less of it than this node has. A primary that was emptied by a
//! command goes on with its history, and one that was elected, or that an operator has named, was
//! not followed before.

use crate::cluster::ids::NodeId;
use crate::cluster::machine::Machine;
use crate::cluster::moment::Moment;
use crate::config::choices::LogLevel;

/// What this node's primary offered was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// The primary.
    primary: NodeId,
    /// When that was first.
    since: Moment,
    /// Whether the log has said that the time is over.
    is_over: bool,
}

/// Which row of the table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// The configuration says that the node takes what its primary has.
    Takes,
    /// The node has no primary with slots.
    NoSlots,
    /// The node has nothing to keep.
    NoData,
    /// The primary has offered nothing that is not to be taken.
    Watches,
    /// The node was not elected for long enough.
    Over,
    /// The node keeps its data, and asks to be elected.
    Keeps,
}

/// What that depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whether the configuration has it keep its data.
    pub keeps: bool,
    /// Whether this node is a replica of a primary with slots.
    pub has_slots: bool,
    /// Whether it has keys, which are of its primary's history.
    pub has_data: bool,
    /// Milliseconds since a snapshot of its primary was refused; `None`: none was.
    pub since_refused_ms: Option<u64>,
    /// How long it keeps its data at most.
    pub limit_ms: u64,
}

/// The first row that holds.
pub fn row(facts: &Facts) -> Row {
    match (facts, facts.since_refused_ms) {
        (facts, _) if !facts.keeps => Row::Takes,
        (facts, _) if !facts.has_slots => Row::NoSlots,
        (facts, _) if !facts.has_data => Row::NoData,
        (_, None) => Row::Watches,
        (facts, Some(millis)) if facts.limit_ms <= millis => Row::Over,
        (_, Some(_)) => Row::Keeps,
    }
}

impl Machine {
    /// Whether a snapshot of a younger history is not to be taken.
    pub fn keeps_data(&self) -> bool {
        matches!(row(&self.keeping_facts()), Row::Watches | Row::Keeps)
    }

    /// Whether this node is to take over from a primary that has less data, though that lives.
    pub(in crate::cluster) fn outdoes_primary(&self) -> bool {
        row(&self.keeping_facts()) == Row::Keeps
    }

    fn keeping_facts(&self) -> Facts {
        let primary = self.nodes.my_primary().filter(|key| *key != self.nodes.myself());
        let primary = primary.map(|key| self.nodes.at(key));
        let id = primary.map(|primary| primary.id);
        let keeping = self.keeping.filter(|keeping| Some(keeping.primary) == id);
        Facts {
            keeps: self.settings.yields(),
            has_slots: primary.is_some_and(|primary| 0 < primary.slot_count()),
            has_data: self.mine.offset != 0 && self.mine.has_keys && !self.mine.lacks_keys,
            since_refused_ms: keeping.map(|keeping| self.since(keeping.since)),
            limit_ms: self.settings.keep_ms(),
        }
    }

    /// The link did not take what the primary offers.
    pub(in crate::cluster) fn snapshot_refused(&mut self) {
        let primary = self.nodes.my_primary().filter(|key| *key != self.nodes.myself());
        let Some(key) = primary.filter(|_| row(&self.keeping_facts()) == Row::Watches) else {
            return;
        };
        let primary = self.nodes.at(key).id;
        self.keeping = Some(Keeping { primary, since: self.now.at, is_over: false });
        let text = format!(
            "Primary {} has come back with less data than this replica, which keeps its own and \
             asks to take over (see `cluster-empty-restart`).",
            self.shown(key)
        );
        self.log(LogLevel::Warning, text);
        self.todo.election = true;
    }

    /// Ends it when the primary is followed again, is another one, or the time is over.
    pub(in crate::cluster) fn look_at_keeping(&mut self) {
        let Some(keeping) = self.keeping else { return };
        let is_mine = self.nodes.my_primary().map(|key| self.nodes.at(key).id);
        if self.mine.is_linked || is_mine != Some(keeping.primary) {
            self.keeping = None;
        } else if row(&self.keeping_facts()) == Row::Over && !keeping.is_over {
            self.keeping = Some(Keeping { is_over: true, ..keeping });
            self.drop_election();
            let text = "This replica was not elected in time: it takes what its primary has.";
            self.log(LogLevel::Warning, text.to_string());
        }
    }
}

#[cfg(test)]
mod tests;
