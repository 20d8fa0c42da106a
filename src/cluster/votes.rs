//! T-V: whether to vote for a replica. One vote an epoch, on the disk before it is told.

use crate::cluster::frame::Body;
use crate::cluster::frame::bodies::Update;
use crate::cluster::frame::header::{Flags, Header, Marks};
use crate::cluster::ids::Epoch;
use crate::cluster::machine::Machine;
use crate::cluster::moment::Moment;
use crate::cluster::nodes::Key;
use crate::cluster::nodes::node::{Node, Role};
use crate::config::choices::LogLevel;

/// Primaries in a cluster from which a healthy one does not vote itself out.
const SIZE_MIN: usize = 3;
/// How many node timeouts long a primary may be thought to have been replaced by a node that is not
/// heard of: then it is gone, more likely, and shortly behind it replicas are too old to be elected
/// (by the usual `cluster-replica-validity-factor`).
const DOUBT_TIMEOUTS: u64 = 8;

/// Which row of the table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// This node has no vote.
    NoVote,
    /// It has just started.
    NotSafe,
    /// The request is of a past epoch.
    OldEpoch,
    /// The vote of this epoch is given.
    Voted,
    /// The requester is a primary.
    OfPrimary,
    /// This node does not know the requester's primary.
    NoPrimary,
    /// Its primary is alive.
    PrimaryUp,
    /// Another node has a newer claim to one of its slots.
    OldClaim,
    /// Another replica of its primary has lately got this node's vote, by which it may write.
    Promised,
    /// A primary may have a successor by this node's vote, of which this node has not heard, and
    /// without that one no majority answers, or that primary is this node.
    Unsettled,
    /// No majority answers this node, which may have been replaced itself: its successor votes.
    Fenced,
    /// Its primary is this node, which is well.
    Myself,
    /// It gets the vote.
    Granted,
}

/// Why votes are denied, as the metrics call it.
pub const DENIALS: [&str; 11] = [
    "not-safe",
    "old-epoch",
    "voted",
    "of-primary",
    "no-primary",
    "primary-up",
    "old-claim",
    "promised",
    "unsettled",
    "myself",
    "fenced",
];

impl Row {
    /// What the metrics call it.
    const fn name(self) -> &'static str {
        match self {
            Self::NoVote => "no-vote",
            Self::NotSafe => DENIALS[0],
            Self::OldEpoch => DENIALS[1],
            Self::Voted => DENIALS[2],
            Self::OfPrimary => DENIALS[3],
            Self::NoPrimary => DENIALS[4],
            Self::PrimaryUp => DENIALS[5],
            Self::OldClaim => DENIALS[6],
            Self::Promised => DENIALS[7],
            Self::Unsettled => DENIALS[8],
            Self::Myself => DENIALS[9],
            Self::Fenced => DENIALS[10],
            Self::Granted => "granted",
        }
    }
}

/// What a vote depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whether this node is a primary with slots.
    pub is_voting: bool,
    /// Whether it can trust what it holds of others.
    pub is_safe: bool,
    /// The epoch of the request.
    pub epoch: Epoch,
    /// The greatest epoch that this node knows.
    pub current: Epoch,
    /// The epoch of its last vote.
    pub last_vote: Epoch,
    /// Whom the requester replicates.
    pub requester: Requester,
    /// Whether the request says FORCEACK.
    pub is_forced: bool,
    /// Whether one of the slots has an owner with a greater epoch.
    pub is_old_claim: bool,
    /// Whether another replica of the same primary may have been elected by this node's last vote.
    pub is_promised: bool,
    /// Whether no majority answers without primaries that may have been replaced by this node's
    /// vote, or this node is such a primary.
    pub is_unsettled: bool,
    /// Whether the requester thinks that its primary is FAIL.
    pub thinks_failed: bool,
    /// Primaries with slots.
    pub size: usize,
    /// Whether this node refuses writes.
    pub is_fenced: bool,
    /// Whether it hands over, or waits for a replica that is to take over.
    pub is_leaving: bool,
    /// Whether nothing can be made durable.
    pub cannot_save: bool,
}

/// A request that was denied for a vote of this node that has not lost its force yet, or while it
/// refuses writes. Who asked does not ask again before its election is long over: four node
/// timeouts.
#[derive(Debug)]
pub(super) struct Postponed {
    came: Moment,
    until: Moment,
    header: Box<Header>,
}

/// Whom a requester replicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester {
    /// No node: it is a primary.
    Primary,
    /// A node that this one does not know.
    ReplicaOfUnknown,
    /// A node that is FAIL.
    ReplicaOfFailed,
    /// A node that is not.
    ReplicaOfLive,
    /// This node.
    ReplicaOfMe,
}

/// The first row that holds.
pub fn row(facts: &Facts) -> Row {
    let is_mine = facts.requester == Requester::ReplicaOfMe;
    let thinks_me_dead = is_mine && facts.thinks_failed;
    let is_leaving = facts.is_leaving || facts.is_fenced;
    match facts {
        facts if !facts.is_voting => Row::NoVote,
        facts if !facts.is_safe || facts.cannot_save => Row::NotSafe,
        facts if facts.epoch < facts.current => Row::OldEpoch,
        facts if facts.last_vote == facts.current => Row::Voted,
        facts if facts.requester == Requester::Primary => Row::OfPrimary,
        facts if facts.requester == Requester::ReplicaOfUnknown => Row::NoPrimary,
        facts if facts.requester != Requester::ReplicaOfFailed && !facts.is_forced => {
            Row::PrimaryUp
        }
        facts if facts.is_old_claim => Row::OldClaim,
        facts if facts.is_promised => Row::Promised,
        facts if facts.is_unsettled => Row::Unsettled,
        facts if facts.is_fenced && !is_mine => Row::Fenced,
        facts if thinks_me_dead && SIZE_MIN <= facts.size && !is_leaving => Row::Myself,
        _ => Row::Granted,
    }
}

impl Machine {
    /// A replica asks for a vote.
    pub(super) fn vote_asked(&mut self, sender: Key, header: &Header) {
        self.decide_vote(sender, header, self.now.at);
    }

    /// Decides a request that came at a moment.
    fn decide_vote(&mut self, sender: Key, header: &Header, came: Moment) {
        let newer = self.newer_owner(header);
        let row = row(&self.vote_facts(sender, header, newer.is_some()));
        let shown = self.shown(sender);
        let (epoch, current) = (header.current_epoch, self.current_epoch);
        let why = match row {
            Row::NoVote => return,
            Row::NotSafe => "it is not safe to vote in this moment)".to_string(),
            Row::OldEpoch => format!("reqEpoch ({epoch}) < curEpoch({current})"),
            Row::Voted => format!("already voted for epoch {current}"),
            Row::OfPrimary => "it is a primary node".to_string(),
            Row::NoPrimary => "I don't know its primary".to_string(),
            Row::PrimaryUp | Row::Myself => "its primary is up".to_string(),
            Row::OldClaim => {
                let Some((slot, owner)) = newer else { return };
                self.tell_update(sender, owner);
                let (has, asks) = (self.nodes.at(owner).config_epoch, header.config_epoch);
                format!("slot {slot} epoch ({has}) > reqConfigEpoch ({asks})")
            }
            Row::Promised => {
                let millis = self.promised_ms(sender).unwrap_or_default();
                self.postpone(header, came, self.now.at.after(millis));
                format!("can't vote about its primary before {millis} milliseconds")
            }
            Row::Fenced => {
                let until = came.after(self.settings.lease_ms());
                if self.now.at < until {
                    self.postpone(header, came, until);
                }
                "no majority of primaries answers this node".to_string()
            }
            Row::Unsettled => "a primary that answers may have been replaced".to_string(),
            Row::Granted => return self.grant(sender),
        };
        *self.stats.votes_denied.entry(row.name()).or_default() += 1;
        self.log(LogLevel::Notice, format!("Failover auth denied to {shown}: {why}"));
    }

    fn postpone(&mut self, header: &Header, came: Moment, until: Moment) {
        self.postponed = Some(Postponed { came, until, header: Box::new(header.clone()) });
    }

    /// This node takes writes again: what it was asked meanwhile is decided.
    pub(super) fn postpone_no_more(&mut self) {
        if let Some(postponed) = &mut self.postponed {
            postponed.until = self.now.at;
        }
    }

    /// When a request is decided again.
    pub(super) fn postponed_until(&self) -> Option<Moment> {
        self.postponed.as_ref().map(|postponed| postponed.until)
    }

    /// Decides a request again whose time has come, if there is one.
    pub(super) fn decide_postponed(&mut self) {
        let now = self.now.at;
        let Some(Postponed { came, header, .. }) =
            self.postponed.take_if(|postponed| postponed.until <= now)
        else {
            return;
        };
        if let Some(sender) = self.nodes.find(header.sender) {
            self.decide_vote(sender, &header, came);
        }
    }

    fn grant(&mut self, sender: Key) {
        self.last_vote_epoch = self.current_epoch;
        self.todo.save = true;
        self.stats.votes_granted += 1;
        if let Some(primary) = self.nodes.primary_of(sender) {
            let vote = (self.nodes.at(sender).id, self.now.at);
            self.nodes.at_mut(primary).voted = Some(vote);
        }
        // A requester that has just come back may have a link here, and this node none there yet.
        let contact = self.nodes.at(sender).contact;
        if let Some(link) = self.nodes.at(sender).link().or(contact.inbound) {
            self.send_by(link, Body::AuthAck, Marks::default());
        }
        let (shown, epoch) = (self.shown(sender), self.current_epoch);
        let text = format!("Failover auth granted to {shown} for epoch {epoch}");
        self.log(LogLevel::Notice, text);
        self.look_at_lease();
    }

    fn vote_facts(&self, sender: Key, header: &Header, is_old_claim: bool) -> Facts {
        let me = self.nodes.myself();
        let node = self.nodes.at(sender);
        let primary = self.nodes.primary_of(sender);
        let requester = match primary {
            _ if !node.is_replica() => Requester::Primary,
            None => Requester::ReplicaOfUnknown,
            Some(primary) if primary == me => Requester::ReplicaOfMe,
            Some(primary) if self.nodes.at(primary).is_failed() => Requester::ReplicaOfFailed,
            Some(_) => Requester::ReplicaOfLive,
        };
        Facts {
            is_voting: self.nodes.me().is_voting(),
            is_safe: self.is_safe_to_join(),
            epoch: header.current_epoch,
            current: self.current_epoch,
            last_vote: self.last_vote_epoch,
            requester,
            is_forced: header.marks.has(Marks::FORCEACK),
            is_old_claim,
            is_promised: self.promised_ms(sender).is_some(),
            is_unsettled: self.is_unsettled(sender, primary),
            thinks_failed: header.flags.has(Flags::PRIMARY_FAIL),
            size: self.nodes.size(),
            is_fenced: self.state.is_fenced(),
            is_leaving: self.manual.is_under_way() || self.is_yielding(),
            cannot_save: self.cannot_save,
        }
    }

    /// How many milliseconds this node votes for no other replica of the requester's primary: it
    /// has voted for one that may write by that vote, if it was elected and this node has not heard
    /// of it. Two may ask in two epochs, one behind the other. Redis 7.0 denies such votes for
    /// twice the node timeout.
    fn promised_ms(&self, requester: Key) -> Option<u64> {
        let primary = self.nodes.primary_of(requester)?;
        let (_, at) = self.open_vote(primary).filter(|(rival, _)| *rival != requester)?;
        let left = at.after(self.settings.lease_ms()).since(self.now.at);
        Some(left).filter(|left| 0 < *left)
    }

    /// The replica of a primary that had this node's vote, and when, if this node has not heard
    /// that it was elected.
    fn open_vote(&self, primary: Key) -> Option<(Key, Moment)> {
        let (voted, at) = self.nodes.at(primary).voted?;
        let heir = self.nodes.find(voted)?;
        let is_open = self.nodes.at(heir).role == Role::Replica(Some(primary));
        is_open.then_some((heir, at))
    }

    /// Whether a primary may have been replaced by a replica that had this node's vote, of which
    /// nothing was heard since: then it is no voter any more, and its successor is one.
    pub(super) fn may_be_replaced(&self, primary: Key) -> bool {
        let Some((heir, at)) = self.open_vote(primary) else { return false };
        // A replica that answers as one what it is asked when its election is over has not won it,
        // and one whose address refuses has no use of it.
        let over = at.after(self.settings.lease_ms());
        let heir = &self.nodes.at(heir).contact;
        heir.answered <= Some(over)
            && heir.refused < Some(at)
            && !self.has_settled(primary, over)
            && self.since(at) < DOUBT_TIMEOUTS.saturating_mul(self.settings.node_timeout_ms)
    }

    /// Whether so many voters, without a primary, have answered what this node asked behind a
    /// moment that one of them is in any majority that has replaced that primary before: the
    /// successor would be known. This node does not know more than its vote.
    fn has_settled(&self, primary: Key, over: Moment) -> bool {
        let voters = self.nodes.others().filter(|(key, node)| *key != primary && node.is_voting());
        let answered = voters.filter(|(_, node)| Some(over) < node.contact.answered);
        let (size, quorum) = (self.nodes.size(), self.nodes.quorum());
        let is_mine = primary == self.nodes.myself();
        // Of those who are left, less than a majority, which this node's own vote may complete.
        let needed = if is_mine { (1 + size).saturating_sub(quorum) } else { quorum - 1 };
        needed <= answered.count()
    }

    /// Whether this node's vote for a replica of `about` could make a majority beside another one:
    /// those who have replaced a primary elect without it, also if it is this node. A replica that
    /// asks this node again was not elected before, and of an only primary no voter can know more.
    fn is_unsettled(&self, requester: Key, about: Option<Key>) -> bool {
        let me = self.nodes.myself();
        let asks_again = self.open_vote(me).is_some_and(|(heir, _)| heir == requester);
        if 1 < self.nodes.size() && !asks_again && self.may_be_replaced(me) {
            return true;
        }
        let voters = || self.nodes.others().filter(|(_, node)| node.is_voting());
        let is_open = |key: Key| Some(key) != about && self.may_be_replaced(key);
        if !voters().any(|(key, _)| is_open(key)) {
            return false;
        }
        let lease = self.settings.lease_ms();
        let answers = |node: &Node| node.contact.answered.is_some_and(|at| self.since(at) < lease);
        let sure = voters().filter(|(key, node)| !is_open(*key) && answers(node));
        1 + sure.count() < self.nodes.quorum()
    }

    /// A slot that a header claims and whose owner has a newer claim, with that owner. Slots that
    /// their owners do not claim any more say nothing.
    pub(super) fn newer_owner(&self, header: &Header) -> Option<(u16, Key)> {
        let is_newer = |node: &Node| {
            header.config_epoch < node.config_epoch && node.id != header.sender && node.is_voting()
        };
        let newer = self.nodes.iter().filter(|(_, node)| is_newer(node));
        let claimed = |(key, node): (Key, &Node)| {
            // Most claims are of no slot of another node.
            node.slot_set().first_common(&header.slots)?;
            let owned = node.slot_set().without(self.nodes.unclaimed());
            Some((owned.first_common(&header.slots)?.number(), key))
        };
        newer.filter_map(claimed).min_by_key(|(slot, _)| *slot)
    }

    /// Tells a node who owns what it claims: what that one claims itself, as far as this one knows.
    pub(super) fn tell_update(&mut self, to: Key, owner: Key) {
        let node = self.nodes.at(owner);
        let slots = node.slot_set().without(self.nodes.unclaimed());
        let update = Update { node: node.id, config_epoch: node.config_epoch, slots };
        self.send(to, Body::Update(update));
    }
}

#[cfg(test)]
mod tests;
