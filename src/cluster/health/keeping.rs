//! R3, on the replica's side: a stock primary that comes back without data serves at once, and so
//! does each that comes back with a part of it. Replicas drop what they have when they synchronize
//! with it. This node does not: it keeps what it has, and asks to be elected, until it is or the
//! time is over.
//!
//! Which primary that is, its replication link says: one that was followed, that offers a snapshot
//! of another history, and has less of it than this node has. A primary that was emptied by a
//! command goes on with its history, and one that was elected, or that an operator has named, was
//! not followed before. One that was not followed for long may have served since it came back: what
//! it has is taken, unless its process was gone all the while.

use crate::cluster::ids::NodeId;
use crate::cluster::machine::Machine;
use crate::cluster::moment::Moment;
use crate::cluster::nodes::Key;
use crate::cluster::slot_set::SlotSet;
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

/// Up to when this node knew what its primary did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The primary.
    primary: NodeId,
    /// When that was last heard by the link, or was gone.
    at: Moment,
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
    /// The primary may have served for long since it came back.
    Late,
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
    /// Whether the primary was not followed for long, though it may have served.
    pub is_late: bool,
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
        (facts, None) if facts.is_late => Row::Late,
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

    /// Whether keys of these slots may be a part of what this node's primary has, or had.
    pub fn is_of_primary(&self, slots: &SlotSet) -> bool {
        let primary = self.nodes.my_primary().filter(|key| *key != self.nodes.myself());
        let is_part = |key| slots.without(self.nodes.at(key).slot_set()).is_empty();
        !slots.is_empty() && primary.is_some_and(is_part)
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
        let followed = self.followed.filter(|followed| Some(followed.primary) == id);
        // A primary that writes nothing is heard as often as it pings.
        let late_ms = self.settings.keep_ms().saturating_add(self.settings.repl_ping_ms);
        Facts {
            keeps: self.settings.yields(),
            has_slots: primary.is_some_and(|primary| 0 < primary.slot_count()),
            has_data: self.mine.offset != 0 && self.mine.has_keys && !self.mine.lacks_keys,
            is_late: followed.is_none_or(|followed| late_ms < self.since(followed.at)),
            since_refused_ms: keeping.map(|keeping| self.since(keeping.since)),
            limit_ms: self.settings.keep_ms(),
        }
    }

    /// The link to the primary works, or worked until now. When that was heard last.
    pub(in crate::cluster) fn note_followed(&mut self, heard: Option<Moment>) {
        let primary = self.nodes.my_primary().map(|key| self.nodes.at(key).id);
        self.followed = primary.zip(heard).map(|(primary, at)| Followed { primary, at });
    }

    /// A node is gone: its address refuses. If it is the primary, it serves nothing.
    pub(in crate::cluster) fn note_gone(&mut self, key: Key) {
        let (id, now) = (self.nodes.at(key).id, self.now.at);
        let followed = self.followed.iter_mut().filter(|followed| followed.primary == id);
        followed.for_each(|followed| followed.at = now);
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
