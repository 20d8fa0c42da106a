//! T-S: the state of the cluster as this node sees it, and the fence: a primary that does not hear
//! from a majority stops to write, since another one may have been elected.

pub mod keeping;
pub mod turning;
pub mod yielding;

use std::ops::Range;

use crate::cluster::failure::REMINDER_MS;
use crate::cluster::ids::{Epoch, NodeId};
use crate::cluster::machine::Machine;
use crate::cluster::machine::action::Sync;
use crate::cluster::moment::Moment;
use crate::cluster::nodes::Key;
use crate::cluster::nodes::node::Health;
use crate::cluster::slot_set::SlotSet;
use crate::config::choices::LogLevel;
use shards::base::slot::SLOTS;

/// Milliseconds for which a primary that has just started does not serve: another node may have
/// taken its slots.
pub const BOOT_MS: u64 = 2000;

/// The state of the cluster, as this node sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    is_ok: bool,
    /// When it was first looked at with the data loaded.
    first: Option<Moment>,
    /// When this node last was in the minority.
    minority: Option<Moment>,
    /// Whether it may not write.
    is_fenced: bool,
    /// Until when the answers of a majority last; `None`: there were none yet.
    lease_until: Option<Moment>,
    /// When that was looked at no other answer was needed.
    is_alone: bool,
    /// Until when it does not write whatever answers: a successor may have been elected.
    held_until: Option<Moment>,
    /// When another node last said that it holds this one for FAIL.
    told_failed: Option<Moment>,
    /// The election that this node has won last.
    elected: Option<Elected>,
    /// The epoch by which it took over last.
    taken: Epoch,
    /// Whether no client writes here in any case.
    rests: bool,
}

/// An election that was won: when votes were asked for, when they were a majority, for which epoch,
/// and whose slots it was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Elected {
    pub(super) asked: Moment,
    pub(super) won: Moment,
    pub(super) epoch: Epoch,
    pub(super) former: Option<NodeId>,
}

impl Elected {
    /// From when on an answer to what was sent then counts. Before it had won this node spoke as a
    /// replica: who answered that may elect another one, as soon as its vote does not bind it any
    /// more.
    fn counts_from(self, sent: Moment) -> Moment {
        if self.won < sent { sent } else { sent.min(self.asked) }
    }
}

impl State {
    /// Whether the cluster serves.
    pub const fn is_ok(&self) -> bool {
        self.is_ok
    }

    /// This node takes over, by its claim of this epoch.
    pub(super) const fn note_taken(&mut self, epoch: Epoch) {
        self.taken = epoch;
    }

    /// Whether this epoch is the one by which this node took over last.
    pub(super) fn has_taken_over_by(&self, epoch: Epoch) -> bool {
        self.taken == epoch
    }

    /// This node is a replica, or begins anew: what it was elected for is over.
    pub(super) const fn forget_rise(&mut self) {
        (self.elected, self.taken) = (None, Epoch(0));
    }

    /// Clients' writes are held back, or no more.
    pub(super) const fn note_rest(&mut self, rests: bool) {
        self.rests = rests;
    }

    /// Whether this node may not write although the cluster serves.
    pub const fn is_fenced(&self) -> bool {
        self.is_fenced
    }
}

/// Which row of the table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// A primary that has just started: it does not serve, and does not vote.
    Booting,
    /// A primary without data, which a replica may have and is to take over with.
    Yielding,
    /// A slot has no owner, or one that is FAIL.
    Uncovered,
    /// Too few primaries can be reached.
    Minority,
    /// The minority is over, and the old owners may not know yet that they have lost their slots.
    Rejoining,
    /// It serves.
    Serving,
}

/// What the state depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whether this node is a primary.
    pub is_primary: bool,
    /// Whether the state was ok up to now.
    pub is_ok: bool,
    /// Whether it has started without data, and a replica is to take over.
    pub is_yielding: bool,
    /// Milliseconds since the state was first looked at with the data loaded; `None`: not yet.
    pub since_first_ms: Option<u64>,
    /// Whether all slots have to be served for any of them to be.
    pub requires_full_coverage: bool,
    /// Whether all slots have an owner that is not FAIL.
    pub is_covered: bool,
    /// Primaries with slots that are neither PFAIL nor FAIL.
    pub reachable: usize,
    /// How many make a majority.
    pub quorum: usize,
    /// Milliseconds since this node was in the minority; `None`: it never was.
    pub since_minority_ms: Option<u64>,
    /// How long a primary waits after that.
    pub rejoin_ms: u64,
}

/// The first row that holds.
pub fn row(facts: &Facts) -> Row {
    let may_have_lost = facts.is_primary && !facts.is_ok;
    if may_have_lost && facts.since_first_ms.is_none_or(|millis| millis < BOOT_MS) {
        return Row::Booting;
    }
    if facts.is_yielding {
        return Row::Yielding;
    }
    if facts.requires_full_coverage && !facts.is_covered {
        return Row::Uncovered;
    }
    if facts.reachable < facts.quorum {
        return Row::Minority;
    }
    if may_have_lost && facts.since_minority_ms.is_some_and(|millis| millis < facts.rejoin_ms) {
        return Row::Rejoining;
    }
    Row::Serving
}

impl Machine {
    /// Whether the cluster serves, and whether this node may write.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Whether this node can trust what it holds of others: if not, it does not vote.
    pub(super) fn is_safe_to_join(&self) -> bool {
        row(&self.facts()) != Row::Booting
    }

    fn facts(&self) -> Facts {
        let owned: usize = self.nodes.iter().map(|(_, node)| node.slot_count()).sum();
        let voting = || self.nodes.iter().filter(|(_, node)| node.is_voting());
        Facts {
            is_primary: self.is_primary(),
            is_ok: self.state.is_ok,
            is_yielding: self.is_yielding(),
            since_first_ms: self.state.first.map(|first| self.since(first)),
            requires_full_coverage: self.settings.requires_full_coverage,
            is_covered: owned == usize::from(SLOTS) && !voting().any(|(_, node)| node.is_failed()),
            reachable: voting().filter(|(_, node)| node.health == Health::Fit).count(),
            quorum: self.nodes.quorum(),
            since_minority_ms: self.state.minority.map(|moment| self.since(moment)),
            rejoin_ms: self.settings.rejoin_ms(),
        }
    }

    /// Looks what the state is now.
    pub(super) fn update_state(&mut self) {
        self.todo.state = false;
        if !self.is_loading {
            self.state.first = self.state.first.or(Some(self.now.at));
        }
        let facts = self.facts();
        let row = if self.settings.is_external { Row::Serving } else { row(&facts) };
        // Whatever else is wrong: for so long this node may not have heard of new owners.
        let is_minority = !self.settings.is_external && facts.reachable < facts.quorum;
        if is_minority && row != Row::Booting {
            self.state.minority = Some(self.now.at);
        }
        let reason = match row {
            Row::Booting | Row::Yielding | Row::Rejoining | Row::Serving => None,
            Row::Uncovered => Some(
                "At least one hash slot is not served by any available node. Please check the \
                 'cluster-require-full-coverage' configuration.",
            ),
            Row::Minority => Some("I am part of a minority partition."),
        };
        let is_ok = row == Row::Serving;
        if self.state.is_ok == is_ok {
            return;
        }
        self.state.is_ok = is_ok;
        self.todo.own = true;
        let name = if is_ok { "ok" } else { "fail" };
        self.log(LogLevel::Notice, format!("Cluster state changed: {name}"));
        if let Some(reason) = reason {
            self.log(LogLevel::Notice, format!("Cluster is currently down: {reason}"));
        }
    }

    /// The data is loaded; it has keys in `slots`.
    pub(super) fn loaded(&mut self, slots: &SlotSet) {
        let is_start = std::mem::take(&mut self.is_loading);
        if is_start {
            self.begin_yielding(slots);
        }
        self.todo.state = true;
        if self.is_primary() && !self.settings.is_external {
            self.claim_loaded(slots);
        }
    }

    /// Looks until when a majority of primaries has lately answered this node.
    pub(super) fn renew_lease(&mut self) {
        let lease = self.settings.lease_ms();
        // Who may have been replaced, and has not heard of that, is no voter any more.
        let is_replaced = |key: Key| {
            let voted = self.nodes.at(key).voted;
            voted.is_some_and(|(_, at)| lease <= self.since(at)) && self.may_be_replaced(key)
        };
        let voting = self.nodes.others().filter(|(_, node)| node.is_voting());
        let sure = voting.filter(|(key, _)| !is_replaced(*key));
        let elected = self.state.elected;
        let counts_from = |sent: Moment| elected.map_or(sent, |elected| elected.counts_from(sent));
        let answered = sure.filter_map(|(_, node)| node.contact.answered);
        let mut answered: Vec<Moment> = answered.map(counts_from).collect();
        answered.sort_unstable_by(|one, other| other.cmp(one));
        // This node is one of the majority.
        let needed = self.nodes.quorum().saturating_sub(1);
        self.state.is_alone = needed == 0;
        let until = match needed.checked_sub(1) {
            Some(last) => answered.get(last).map(|answered| answered.after(lease)),
            None => Some(self.now.at.after(lease)),
        };
        let former = std::mem::replace(&mut self.state.lease_until, until);
        // After so long a silence this node may be FAIL, and its successor may be about to tell of
        // itself.
        let timeout = self.settings.node_timeout_ms;
        // Also if what came is too old an answer: the next one is not far behind it.
        let was_lost = former.is_some_and(|former| timeout <= self.since(former.before(lease)));
        if was_lost {
            self.hold(self.settings.rejoin_ms());
        }
        self.look_at_lease();
    }

    /// Lets no write through for a while, whatever answers: a successor may be about to tell of
    /// itself.
    fn hold(&mut self, millis: u64) {
        let until = self.now.at.after(millis);
        self.state.held_until = self.state.held_until.max(Some(until));
    }

    /// Another node holds this one for FAIL, and says so again as long as it does: until then a
    /// replica may be elected, though it was away itself.
    pub(super) fn held_failed(&mut self) {
        self.state.told_failed = Some(self.now.at);
        self.look_at_lease();
    }

    /// Whether a replica may be about to be elected: also one that has just begun to follow.
    fn is_held_failed(&self) -> bool {
        let lasts = self.settings.rejoin_ms().max(2 * REMINDER_MS);
        self.state.told_failed.is_some_and(|told| self.since(told) < lasts)
            && self.nodes.replicas_of(self.nodes.myself()).next().is_some()
    }

    /// How long after a PING the next one goes to this node for the fence, which its answers must
    /// keep open. `None`: they do not count.
    pub(super) fn lease_ping_ms(&self, key: Key) -> Option<u64> {
        let lease = self.settings.lease_ms();
        let counts = self.nodes.me().is_voting() && self.nodes.at(key).is_voting() && 0 < lease;
        counts.then_some(lease / 3)
    }

    /// Asks a voter anew whose last answer, if there is one, was to something so old that the next
    /// one is due: an answer took long, or this node asked seldom, being a replica.
    pub(super) fn ask_for_lease(&mut self, voter: Key) {
        let Some(period) = self.lease_ping_ms(voter) else { return };
        let answered = self.nodes.at(voter).contact.answered;
        if answered.is_none_or(|sent| period < self.since(sent)) {
            self.ping(voter);
        }
    }

    /// This node was elected, and could not save that for as long as the votes bind: it is void,
    /// and no node has been told of it. Voters count on that.
    pub(super) fn look_at_unsaved(&mut self) {
        let Some(elected) = self.state.elected.filter(|_| self.is_claim_unsaved()) else { return };
        let is_over = self.settings.lease_ms() < self.since(elected.asked);
        let former = elected.former.and_then(|former| self.nodes.find(former));
        let is_of_it = self.nodes.me().config_epoch == elected.epoch;
        let Some(former) = former.filter(|_| is_over && is_of_it) else { return };
        let text = "The votes for this node do not bind any more, and its claim is not saved: it \
                    is a replica again.";
        self.log(LogLevel::Warning, text.to_string());
        self.nodes.move_slots(self.nodes.myself(), former);
        self.replicate(former, Sync::Partial);
    }

    /// A save is done: the claims between these epochs are durable, and told only now. If one of
    /// them is by an election whose votes bind no more, the former primary may have been answered
    /// up to this moment, and may write for a lease from then on. The rest is for frames to come.
    pub(super) fn hold_if_saved_late(&mut self, before: Range<Epoch>) {
        let lease = self.settings.lease_ms();
        let is_late = |elected: Elected| {
            before.start < elected.epoch
                && elected.epoch <= before.end
                && lease < self.since(elected.asked)
        };
        if self.state.elected.is_some_and(is_late) {
            self.hold(lease + lease / 4);
        }
    }

    /// A majority has elected this node, which it asked at a moment: no successor can be about to
    /// tell of itself.
    pub(super) fn trust_lease(&mut self, elected: Elected) {
        self.state.elected = Some(elected);
        self.renew_lease();
        (self.state.held_until, self.state.told_failed) = (None, None);
        self.look_at_lease();
    }

    /// Whether this node would write by a claim that is not saved yet, and told to no node. What a
    /// controller claims for it all nodes know.
    fn writes_unsaved(&self) -> bool {
        self.is_claim_unsaved() && self.nodes.me().is_voting() && !self.settings.is_external
    }

    /// Whether a replica of this node may have been elected, by this node's vote among others.
    /// Where writes rest for that, they need not be refused.
    fn may_have_lost(&self) -> bool {
        let rests = self.state.rests || self.manual.is_under_way();
        !rests && 0 < self.settings.lease_ms() && self.may_be_replaced(self.nodes.myself())
    }

    /// Until when this node may write by its claim to slots; `None`: not now. A primary that is not
    /// alone may as long as a majority answers.
    fn claim_holds_until(&self) -> Option<Moment> {
        if self.is_stuck() || self.writes_unsaved() || self.may_have_lost() {
            return None;
        }
        if self.settings.lease_ms() == 0 || !self.nodes.me().is_voting() {
            return Some(Moment(u64::MAX));
        }
        let is_held =
            self.state.held_until.is_some_and(|until| self.now.at < until) || self.is_held_failed();
        let until = self.state.lease_until.filter(|_| !is_held);
        // With each event: the nodes are counted only where it matters.
        let is_over = until.is_none_or(|until| until < self.now.at);
        let may_be_alone = is_over || self.state.is_alone;
        if may_be_alone && self.nodes.size() < 2 { Some(Moment(u64::MAX)) } else { until }
    }

    /// Until when clients may write here; `None`: not now. A shard that has hung may not know yet
    /// that this node has become a replica.
    pub fn writes_until(&self) -> Option<Moment> {
        let is_fenced = 0 < self.settings.lease_ms() && !self.is_primary();
        // No node knows yet that this one has taken over: its former primary may write as well.
        let is_told = self.settings.is_external || self.is_durable(self.state.taken);
        self.claim_holds_until().filter(|_| !is_fenced && is_told)
    }

    /// Stops writes if they may not be, and lets them go on if they may.
    pub(super) fn look_at_lease(&mut self) {
        let is_unsaved = self.writes_unsaved();
        let is_fenced = self.claim_holds_until().is_none_or(|until| until < self.now.at);
        if is_fenced != self.state.is_fenced {
            self.state.is_fenced = is_fenced;
            self.todo.own = true;
            let text = if self.is_stuck() {
                "Writes are refused while a shard hangs, and until a majority of primaries answers."
            } else if self.may_have_lost() {
                "Writes are refused until it is sure that no replica has taken over that this node \
                 has voted for."
            } else if is_unsaved {
                "Writes are refused until this node's claim to its slots is saved."
            } else if is_fenced {
                "No majority of primaries answers: writes are refused until it does."
            } else {
                "A majority of primaries answers: writes are no longer refused."
            };
            self.log(LogLevel::Notice, text.to_string());
            if !is_fenced {
                self.postpone_no_more();
            }
            // One that was a replica has asked voters no more often than any node.
            self.nodes.keys().into_iter().for_each(|key| self.ask_for_lease(key));
        }
    }
}

#[cfg(test)]
mod tests;
