//! T-F: who has failed. Silence makes PFAIL, a majority of primaries FAIL.
//!
//! A process that died is found sooner: its system ends its links and refuses new ones. A node that
//! sees both of a primary, and hears nothing of it, takes it for PFAIL at once. What that means for
//! the cluster is decided as ever: by a majority that has seen the same.

use crate::cluster::frame::Body;
use crate::cluster::frame::header::{Flags, Header, Marks};
use crate::cluster::ids::NodeId;
use crate::cluster::machine::Machine;
use crate::cluster::moment::Moment;
use crate::cluster::nodes::Key;
use crate::cluster::nodes::node::{Health, Node, Role};
use crate::config::choices::LogLevel;

/// Milliseconds from the end of the link to each attempt to connect; then one each
/// [`PROBE_MS`].
const PROBES_MS: [u64; 4] = [0, 50, 100, 200];
const PROBE_MS: u64 = 100;
/// Connects that have to be refused.
const REFUSALS_MIN: u32 = 3;
/// Node timeouts for which a mistake of the early detection is remembered.
const DOUBT_TIMEOUTS: u64 = 10;
/// Milliseconds between two reminders that a node is FAIL.
pub(super) const REMINDER_MS: u64 = 1000;

/// What speaks for it that the process of a node is dead: its system ended the link, and refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// When the link ended.
    ended: Moment,
    /// Connects since then.
    attempts: u32,
    /// Those that were refused, one after the other.
    refusals: u32,
    /// When the first of them was.
    first_refusal: Moment,
}

/// When this node was wrong about another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    last: Option<Moment>,
    before: Option<Moment>,
}

impl Doubt {
    fn note(&mut self, now: Moment) {
        *self = Self { last: Some(now), before: self.last };
    }

    /// Whether it was wrong twice within so many milliseconds.
    fn is_strong(self, now: Moment, millis: u64) -> bool {
        self.before.is_some_and(|before| now.since(before) <= millis)
    }
}

impl Machine {
    /// This node has done nothing for a while. Others seem silent, and what they have sent is old.
    /// So it begins anew to wait for them, and believes no report until it has read what came. Open
    /// PINGs stay as old as they are: an answer to one of them is none to the fence.
    pub(super) fn woke(&mut self) {
        let now = self.now.at;
        self.woke_at = now;
        self.behind_until = now.after(self.settings.node_timeout_ms / 2);
        for (_, node) in self.nodes.iter_mut() {
            node.contact.heard = now;
            node.evidence = None;
            node.reports.clear();
            if node.health == Health::Suspected {
                node.health = Health::Fit;
            }
        }
        self.todo.state = true;
    }

    /// Something has come from a node, by whatever link.
    pub(super) fn heard(&mut self, key: Key) {
        let now = self.now.at;
        let node = self.nodes.at_mut(key);
        node.contact.heard = now;
        node.evidence = None;
        if node.health == Health::Suspected {
            node.health = Health::Fit;
            node.doubt.note(now);
            self.stats.recanted += 1;
            self.todo.state = true;
        }
    }

    /// Takes nodes for PFAIL that answer nothing and say nothing.
    pub(super) fn suspect_silent_nodes(&mut self) {
        let timeout = self.settings.node_timeout_ms;
        for key in self.nodes.keys() {
            let node = self.nodes.at(key);
            let Some(ping_sent) = node.contact.ping_sent else { continue };
            let silence = self.since(ping_sent).min(self.since(node.contact.heard));
            let is_member = key != self.nodes.myself() && !node.is_in_handshake();
            if is_member && node.is_fit() && timeout < silence {
                self.stats.suspected_by_timeout += 1;
                self.suspect(key);
            }
        }
    }

    /// Takes a node for PFAIL, and says so to those whom it concerns at once.
    fn suspect(&mut self, key: Key) {
        self.judge(key, Health::Suspected);
        self.todo.state = true;
        if !self.nodes.me().is_voting() {
            let shown = self.shown(key);
            self.log(LogLevel::Debug, format!("NODE {shown} possibly failing."));
        }
        self.decide(key);
        let concerns = |node: &Node| node.is_voting() || node.role == Role::Replica(Some(key));
        let others = self.nodes.others().filter(|(other, node)| *other != key && concerns(node));
        let others: Vec<Key> = others.map(|(other, _)| other).collect();
        others.into_iter().for_each(|other| self.ping(other));
    }

    /// Takes a node for PFAIL or FAIL. What spoke for that has had its effect: nothing more is
    /// tried to find it.
    fn judge(&mut self, key: Key, health: Health) {
        let node = self.nodes.at_mut(key);
        (node.health, node.evidence) = (health, None);
    }

    /// What a node says of another node's health.
    pub(super) fn reported(&mut self, sender: Key, key: Key, flags: Flags) {
        let fails = flags.has_any(Flags::FAIL.with(Flags::PFAIL));
        let now = self.now.at;
        if !self.nodes.at(sender).is_voting() || sender == key || now < self.behind_until {
            return;
        }
        if !fails {
            self.nodes.at_mut(key).reports.remove(&sender);
            return;
        }
        match self.nodes.at(key).health {
            Health::Failed(_) => {
                if !flags.has(Flags::FAIL) {
                    self.remind(sender, key);
                }
            }
            Health::Fit | Health::Suspected => {
                if self.nodes.at_mut(key).reports.insert(sender, now).is_none() {
                    let (by, shown) = (self.shown(sender), self.shown(key));
                    let text = format!("Node {by} reported node {shown} as not reachable.");
                    self.log(LogLevel::Verbose, text);
                    self.look_after(key);
                }
                self.decide(key);
            }
        }
    }

    /// A node that others miss is asked at once.
    fn look_after(&mut self, key: Key) {
        let node = self.nodes.at(key);
        if node.contact.outbound.is_none() {
            self.connect(key);
        } else if node.contact.ping_sent.is_none() {
            self.ping(key);
        }
    }

    /// Tells a node that another one is FAIL, which it only takes for PFAIL: it may wait for
    /// primaries that are gone.
    fn remind(&mut self, sender: Key, failed: Key) {
        let now = self.now.at;
        let id = self.nodes.at(failed).id;
        let contact = &mut self.nodes.at_mut(sender).contact;
        if contact.reminded.is_some_and(|last| now.since(last) < REMINDER_MS) {
            return;
        }
        contact.reminded = Some(now);
        self.send(sender, Body::Fail(id));
    }

    /// Tells a primary that is held for FAIL and speaks that it is: it must not write yet.
    pub(super) fn remind_failed(&mut self, sender: Key) {
        let now = self.now.at;
        let node = self.nodes.at(sender);
        let is_due = node.contact.warned.is_none_or(|last| REMINDER_MS <= now.since(last));
        if node.is_failed() && node.is_voting() && is_due {
            let id = node.id;
            self.nodes.at_mut(sender).contact.warned = Some(now);
            self.send(sender, Body::Fail(id));
        }
    }

    /// Takes a node that is PFAIL for FAIL if a majority of primaries misses it.
    fn decide(&mut self, key: Key) {
        if self.nodes.at(key).health != Health::Suspected {
            return;
        }
        self.nodes.drop_old_reports(key, self.now.at, self.settings.report_ms());
        let votes = |reporter: &&Key| self.nodes.at(**reporter).is_voting();
        let reports = self.nodes.at(key).reports.keys().filter(votes).count();
        let mine = usize::from(self.nodes.me().is_voting());
        if reports + mine < self.nodes.quorum() {
            return;
        }
        let shown = self.shown(key);
        self.log(LogLevel::Notice, format!("Marking node {shown} as failing (quorum reached)."));
        self.mark_failed(key);
        self.tell_failed(key);
    }

    /// Takes a node for FAIL.
    pub(super) fn mark_failed(&mut self, key: Key) {
        self.judge(key, Health::Failed(self.now.at));
        self.todo.nodes_changed();
        if self.nodes.me().role == Role::Replica(Some(key)) {
            self.todo.election = true;
        }
    }

    /// Tells all nodes that a node is FAIL.
    pub(super) fn tell_failed(&mut self, key: Key) {
        let id = self.nodes.at(key).id;
        self.broadcast(&Body::Fail(id), Marks::default());
    }

    /// Another node says that a node is FAIL.
    pub(super) fn fail_came(&mut self, sender: Option<Key>, failed: NodeId, header: &Header) {
        let Some(sender) = sender else {
            let text =
                format!("Ignoring FAIL message from unknown node {} about {failed}", header.sender);
            self.log(LogLevel::Notice, text);
            return;
        };
        if failed == self.nodes.me().id {
            return self.held_failed();
        }
        let key = self.nodes.find(failed);
        let Some(key) = key.filter(|key| !self.nodes.at(*key).is_failed()) else { return };
        let (by, shown) = (self.shown(sender), self.shown(key));
        self.log(LogLevel::Notice, format!("FAIL message received from {by} about {shown}"));
        self.stats.failed_by_report += 1;
        self.mark_failed(key);
    }

    /// A node has answered a PING.
    pub(super) fn pong_received(&mut self, key: Key) {
        let now = self.now.at;
        let contact = &mut self.nodes.at_mut(key).contact;
        if let Some(sent) = contact.ping_sent.take() {
            contact.answered = contact.answered.max(Some(sent));
            self.stats.round_trips.add(now.since(sent));
        }
        contact.pong_received = Some(now);
        self.renew_lease();
        self.ask_for_lease(key);
        let Health::Failed(since) = self.nodes.at(key).health else { return };
        let shown = self.shown(key);
        let node = self.nodes.at(key);
        let why = match (node.is_replica(), node.is_voting()) {
            (true, _) => "replica is reachable again.",
            (false, false) => "primary without slots is reachable again.",
            (false, true) if self.settings.report_ms() < self.since(since) => {
                "is reachable again and nobody is serving its slots after some time."
            }
            // A replica may be about to take its slots.
            (false, true) => return,
        };
        self.log(LogLevel::Notice, format!("Clear FAIL state for node {shown}: {why}"));
        self.nodes.at_mut(key).health = Health::Fit;
        self.stats.recanted += 1;
        self.todo.nodes_changed();
    }

    /// The system of a node ended this node's link to it.
    pub(super) fn peer_ended(&mut self, key: Key) {
        let node = self.nodes.at(key);
        if !self.settings.detects_fast || node.is_in_handshake() || !node.is_fit() {
            return;
        }
        let now = self.now.at;
        let evidence = Evidence { ended: now, attempts: 0, refusals: 0, first_refusal: now };
        self.nodes.at_mut(key).evidence = Some(evidence);
    }

    /// A process listens again: nothing is known to be wrong.
    pub(super) fn connect_succeeded(&mut self, key: Key) {
        self.nodes.at_mut(key).evidence = None;
    }

    /// A connect failed in a way that says nothing of the process.
    pub(super) fn not_refused(&mut self, key: Key) {
        if let Some(evidence) = &mut self.nodes.at_mut(key).evidence {
            evidence.refusals = 0;
        }
    }

    /// A connect was refused: no process listens.
    pub(super) fn refused(&mut self, key: Key) {
        let now = self.now.at;
        let Some(evidence) = &mut self.nodes.at_mut(key).evidence else { return };
        if evidence.refusals == 0 {
            evidence.first_refusal = now;
        }
        evidence.refusals += 1;
        if self.is_convincing(key) {
            let shown = self.shown(key);
            self.log(LogLevel::Notice, format!("NODE {shown} is gone: its address refuses."));
            self.stats.suspected_by_refusal += 1;
            self.suspect(key);
        }
    }

    /// Whether all of the evidence is there: no link of the node is open, connects were refused for
    /// long enough, not a byte has come, and a replica may take over.
    fn is_convincing(&self, key: Key) -> bool {
        let node = self.nodes.at(key);
        let Some(evidence) = node.evidence else { return false };
        let doubt_ms = self.settings.node_timeout_ms.saturating_mul(DOUBT_TIMEOUTS);
        let is_doubted = node.doubt.is_strong(self.now.at, doubt_ms);
        let confirm = self.settings.refused_confirm_ms * if is_doubted { 2 } else { 1 };
        let is_refused =
            REFUSALS_MIN <= evidence.refusals && confirm <= self.since(evidence.first_refusal);
        let is_silent = node.contact.inbound.is_none() && node.contact.heard <= evidence.ended;
        is_refused && is_silent && node.is_fit() && node.is_voting() && self.has_successor(key)
    }

    /// Whether a replica of a primary may take over. If none may, FAIL would only keep the primary
    /// out for twice the node timeout when it comes back.
    fn has_successor(&self, key: Key) -> bool {
        let may = |(replica, node): (Key, &Node)| {
            let is_me = replica == self.nodes.myself();
            let offset = if is_me { self.mine.offset } else { node.offset };
            let is_there = is_me || (node.is_linked() && node.is_fit());
            is_there && !node.flags.has(Flags::NOFAILOVER) && offset != 0
        };
        self.nodes.replicas_of(key).any(may)
    }

    /// Connects to nodes whose links were ended, when it is time to.
    pub(super) fn probe(&mut self) {
        let is_due = |node: &Node| {
            let due = node.evidence.map(Evidence::next_attempt);
            node.contact.outbound.is_none() && due.is_some_and(|due| due <= self.now.at)
        };
        let others = self.nodes.others().filter(|(_, node)| is_due(node));
        let due: Vec<Key> = others.map(|(key, _)| key).collect();
        for key in due {
            if let Some(evidence) = &mut self.nodes.at_mut(key).evidence {
                evidence.attempts += 1;
            }
            self.connect(key);
        }
    }

    /// When to connect to such a node next.
    pub(super) fn probe_deadline(&self) -> Option<Moment> {
        let idle = self.nodes.others().filter(|(_, node)| node.contact.outbound.is_none());
        idle.filter_map(|(_, node)| node.evidence).map(Evidence::next_attempt).min()
    }
}

impl Evidence {
    fn next_attempt(self) -> Moment {
        let attempt = usize::try_from(self.attempts).unwrap_or(usize::MAX);
        let later = u64::from(self.attempts).saturating_sub(PROBES_MS.len() as u64 - 1);
        let last = PROBES_MS[PROBES_MS.len() - 1] + later * PROBE_MS;
        self.ended.after(PROBES_MS.get(attempt).copied().unwrap_or(last))
    }
}

#[cfg(test)]
mod tests;
