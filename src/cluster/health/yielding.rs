//! R3: a primary that starts without data, while replicas may have what it had. If it served, they
//! would follow it, and drop it too. So it does not serve, has no replica synchronize, and asks its
//! replicas in turn to take over, until one has its slots or the time is over.

use crate::cluster::frame::header::Flags;
use crate::cluster::health::BOOT_MS;
use crate::cluster::ids::NodeId;
use crate::cluster::machine::Machine;
use crate::cluster::machine::action::{Action, Heir};
use crate::cluster::moment::Moment;
use crate::cluster::nodes::Key;
use crate::cluster::nodes::node::Node;
use crate::cluster::slot_set::SlotSet;
use crate::config::choices::LogLevel;

/// Milliseconds between two replicas that are asked.
const ASK_MS: u64 = 1000;

/// A primary that waits for its successor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Yielding {
    since: Moment,
    /// When the last replica was asked, and which ones were in this turn.
    asked: Option<Moment>,
    turn: Vec<NodeId>,
}

/// Which row of the table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// The configuration says that it serves.
    Serves,
    /// Another node has its slots.
    Claimed,
    /// No replica has data, as all of them say.
    NoHeir,
    /// It has waited for long enough.
    Over,
    /// Its vote is needed, and it cannot vote yet.
    CannotVote,
    /// A replica was asked just now, or none can be.
    Waits,
    /// The next replica is asked.
    Asks,
}

/// What that depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whether the configuration has it yield.
    pub yields: bool,
    /// Whether this node is a primary with slots.
    pub is_voting: bool,
    /// Replicas that may have the data: what they have is not known, or they cannot be asked.
    pub unknown: usize,
    /// Replicas that have data and can be asked.
    pub heirs: usize,
    /// Milliseconds since the start.
    pub age_ms: u64,
    /// How long it waits at most.
    pub limit_ms: u64,
    /// Whether no replica can be elected without the vote of this node.
    pub is_needed: bool,
    /// Milliseconds since a replica was asked; `None`: none was.
    pub since_asked_ms: Option<u64>,
}

/// The first row that holds.
pub fn row(facts: &Facts) -> Row {
    let is_recent = facts.since_asked_ms.is_some_and(|millis| millis < ASK_MS);
    match facts {
        facts if !facts.yields => Row::Serves,
        facts if !facts.is_voting => Row::Claimed,
        // One that has just started, too, says that it has none until it has loaded what it has.
        facts if facts.unknown == 0 && facts.heirs == 0 && BOOT_MS <= facts.age_ms => Row::NoHeir,
        facts if facts.limit_ms <= facts.age_ms => Row::Over,
        facts if facts.is_needed && facts.age_ms < BOOT_MS => Row::CannotVote,
        facts if facts.heirs == 0 || is_recent => Row::Waits,
        _ => Row::Asks,
    }
}

impl Machine {
    /// Whether this node waits for a replica that is to take over.
    pub(in crate::cluster) const fn is_yielding(&self) -> bool {
        self.yielding.is_some()
    }

    /// Whether no replica may synchronize with this node: it lacks data that replicas may have, or
    /// it is not known yet whether it does.
    pub fn lacks_data(&self) -> bool {
        self.is_yielding() || (self.is_loading && self.has_much_to_lose())
    }

    /// The data is loaded at the start; it has keys in `slots`.
    pub(in crate::cluster) fn begin_yielding(&mut self, slots: &SlotSet) {
        if !slots.is_empty() || !self.has_much_to_lose() {
            return;
        }
        self.yielding = Some(Yielding { since: self.now.at, asked: None, turn: Vec::new() });
        self.log(
            LogLevel::Warning,
            "This primary has started without data, which its replicas may have: they are asked to \
             take over, and until then it does not serve (see `cluster-empty-restart`)."
                .to_string(),
        );
        self.look_at_heirs();
    }

    /// Whether this is a primary with slots and replicas, which is to yield to them.
    fn has_much_to_lose(&self) -> bool {
        let has_replicas = self.nodes.replicas_of(self.nodes.myself()).next().is_some();
        self.settings.yields() && self.nodes.me().is_voting() && has_replicas
    }

    /// Gets on with it.
    pub(in crate::cluster) fn look_at_heirs(&mut self) {
        let Some(Yielding { since, asked, .. }) = self.yielding else { return };
        let replicas = self.nodes.replicas_of(self.nodes.myself());
        let may_have = replicas.filter(|(_, node)| !is_empty(node)).count();
        let heirs = self.heirs().len();
        let size = self.nodes.size();
        let facts = Facts {
            yields: self.settings.yields(),
            is_voting: self.nodes.me().is_voting(),
            unknown: may_have.saturating_sub(heirs),
            heirs,
            age_ms: self.since(since),
            limit_ms: self.settings.yield_ms(),
            is_needed: size.saturating_sub(1) < self.nodes.quorum(),
            since_asked_ms: asked.map(|asked| self.since(asked)),
        };
        let why = match row(&facts) {
            Row::CannotVote | Row::Waits => return,
            Row::Asks => return self.ask_heir(),
            Row::Serves => "It serves without data, as it is configured.",
            Row::Claimed => "Another node has the slots of this one.",
            Row::NoHeir => "It serves without data: no replica has any.",
            Row::Over => "It serves without data: no replica has taken over.",
        };
        self.log(LogLevel::Warning, why.to_string());
        self.yielding = None;
        self.todo.state = true;
    }

    /// The replicas that have data and can be asked, the one with most of it first. Those that
    /// never take over by themselves are asked last: without them their data would be lost.
    fn heirs(&self) -> Vec<Key> {
        let replicas = self.nodes.replicas_of(self.nodes.myself());
        let mut heirs: Vec<(Key, &Node)> = replicas
            .filter(|(_, node)| {
                let has_data = node.contact.answered.is_some() && node.offset != 0;
                node.is_fit() && has_data && node.ip.is_some() && node.ports.client != 0
            })
            .collect();
        heirs.sort_by_key(|(_, node)| {
            (node.flags.has(Flags::NOFAILOVER), std::cmp::Reverse(node.offset), node.id)
        });
        heirs.into_iter().map(|(key, _)| key).collect()
    }

    /// Asks the best replica that was not asked in this turn; when all were, a turn begins.
    fn ask_heir(&mut self) {
        let heirs = self.heirs();
        let now = self.now.at;
        let Some(yielding) = &mut self.yielding else { return };
        let is_new = |key: &&Key| !yielding.turn.contains(&self.nodes.at(**key).id);
        let next = heirs.iter().find(is_new);
        if next.is_none() {
            yielding.turn.clear();
        }
        let Some(heir) = next.or(heirs.first()).map(|key| self.nodes.at(*key)) else { return };
        yielding.asked = Some(now);
        yielding.turn.push(heir.id);
        let (id, port) = (heir.id, heir.ports.client);
        if let Some(ip) = heir.ip {
            self.act(Action::AskToTakeOver(Heir { id, ip, port }));
        }
    }
}

/// Whether a replica says that it has no data.
fn is_empty(node: &Node) -> bool {
    node.contact.answered.is_some() && node.offset == 0
}

#[cfg(test)]
mod tests;
