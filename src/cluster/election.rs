//! T-E: a replica asks to be elected when its primary has failed, or has lost its data.
//!
//! ```text
//!         schedule         time, save            quorum of votes
//! none ------------> waiting --------> requested ---------------> primary
//!  ^                    |                  |
//!  +--------------------+-- expired, reset-+
//! ```

use std::collections::BTreeSet;

use crate::cluster::frame::Body;
use crate::cluster::frame::header::{Flags, Marks};
use crate::cluster::health::Elected;
use crate::cluster::ids::{Epoch, NodeId};
use crate::cluster::machine::Machine;
use crate::cluster::machine::action::Action;
use crate::cluster::machine::stats::Elections;
use crate::cluster::moment::Moment;
use crate::cluster::nodes::Key;
use crate::cluster::nodes::node::{Health, Node, Role};
use crate::cluster::slot_set::SlotSet;
use crate::config::choices::LogLevel;

/// Milliseconds that a replica without data waits longer.
const EMPTY_MS: u64 = 500;
/// Milliseconds between two lines that say the same.
const LOG_MS: u64 = 1000;
/// Milliseconds after which voters are asked again that may not have been ready to vote.
const AGAIN_MS: u64 = 200;
/// Steps that one event can lead to: schedule, request, win.
const STEPS_MAX: usize = 4;

/// Where an election is.
#[derive(Clone, Debug, Default)]
pub struct Election {
    /// When it was to begin; `None`: there was none.
    time: Option<Moment>,
    /// When votes were asked for, in which epoch, and whose came.
    requested: Option<Moment>,
    /// When they were asked for last.
    asked: Option<Moment>,
    epoch: Epoch,
    votes: BTreeSet<NodeId>,
    rank: u64,
    primary_rank: u64,
    /// The line that was logged last, and when.
    logged: Option<(Row, Moment)>,
}

impl Election {
    /// When it goes on by itself.
    pub fn deadline(&self) -> Option<Moment> {
        self.time.filter(|_| self.requested.is_none())
    }
}

/// Which row of the table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// There is nothing to be elected for.
    None,
    /// The data is too old.
    TooOld,
    /// An election is to be scheduled.
    Schedule,
    /// Its time has not come.
    Wait,
    /// It has taken too long.
    Expired,
    /// Votes are to be asked for.
    Request,
    /// A majority has voted for this node.
    Won,
    /// Votes are missing.
    Missing,
}

/// What an election depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whether this node may take over from its primary.
    pub is_candidate: bool,
    /// Whether an operator asks for it.
    pub is_manual: bool,
    /// Whether the data is older than `cluster-replica-validity-factor` allows.
    pub is_too_old: bool,
    /// Milliseconds until the election begins; 0 if it has.
    pub wait_ms: u64,
    /// Milliseconds since it began; `None`: there was none.
    pub age_ms: Option<u64>,
    /// Whether votes were asked for.
    pub requested: bool,
    /// Votes that came.
    pub votes: usize,
    /// Votes that are needed.
    pub quorum: usize,
    /// How long it may take: as long as votes bind those who have given them.
    pub timeout_ms: u64,
    /// When the next one may begin.
    pub retry_ms: u64,
}

/// The first row that holds.
pub fn row(facts: &Facts) -> Row {
    let age_ms = facts.age_ms.filter(|age| *age <= facts.retry_ms);
    match (facts, age_ms) {
        (facts, _) if !facts.is_candidate => Row::None,
        (facts, _) if facts.is_too_old && !facts.is_manual => Row::TooOld,
        (_, None) => Row::Schedule,
        (facts, Some(_)) if 0 < facts.wait_ms => Row::Wait,
        (facts, Some(age)) if facts.timeout_ms < age => Row::Expired,
        (facts, Some(_)) if !facts.requested => Row::Request,
        (facts, Some(_)) if facts.quorum <= facts.votes => Row::Won,
        (_, Some(_)) => Row::Missing,
    }
}

impl Machine {
    /// Does what an election needs now.
    pub(super) fn step_election(&mut self) {
        for _ in 0..STEPS_MAX {
            self.todo.election = false;
            self.look_at_ranks();
            let row = row(&self.election_facts());
            match row {
                Row::None | Row::TooOld => {
                    self.give_up();
                    return self.log_row(row);
                }
                Row::Wait | Row::Expired => return self.log_row(row),
                Row::Missing => {
                    self.log_row(row);
                    return self.ask_again();
                }
                Row::Schedule => self.schedule(),
                Row::Request if self.cannot_save => return,
                Row::Request => return self.request(),
                Row::Won => return self.win(),
            }
        }
    }

    fn election_facts(&self) -> Facts {
        let me = self.nodes.me();
        let primary = match me.role {
            Role::Replica(Some(primary)) => Some(self.nodes.at(primary)),
            Role::Replica(None) | Role::Primary | Role::Unknown => None,
        };
        let is_manual = self.manual.may_start();
        let may = primary.is_some_and(|primary| {
            let is_needed = primary.is_failed() || is_manual || self.outdoes_primary();
            let by_itself = is_manual || !self.settings.never_fails_over;
            is_needed && by_itself && 0 < primary.slot_count()
        });
        let time = self.election.time;
        let settings = &self.settings;
        // While this node keeps what its primary has lost, or that one waits, there is no time to
        // lose: a new election begins when the votes of the last one bind no more.
        let is_urgent = is_manual || self.outdoes_primary();
        let retry_ms =
            if is_urgent { settings.election_ms() } else { settings.election_retry_ms() };
        Facts {
            is_candidate: may,
            is_manual,
            is_too_old: self.is_too_old(),
            wait_ms: time.map_or(0, |time| time.since(self.now.at)),
            age_ms: time.map(|time| self.since(time)),
            requested: self.election.requested.is_some(),
            votes: self.election.votes.len(),
            quorum: self.nodes.quorum(),
            timeout_ms: settings.election_ms(),
            retry_ms,
        }
    }

    /// Whether this node was without its primary for too long before that one failed, or has given
    /// up what it had.
    fn is_too_old(&self) -> bool {
        let settings = &self.settings;
        if self.mine.lacks_keys {
            return true;
        }
        if settings.validity_factor == 0 {
            return false;
        }
        // One that was the primary itself up to the failover has no link to its heir yet, and all
        // data. For as long as it may take to link what it knows of its heir may be old.
        let settled = self.stepped_down.filter(|at| settings.node_timeout_ms <= self.since(*at));
        let Some(heard) = self.mine.heard.or(settled) else { return true };
        let age = self.since(heard).saturating_sub(settings.node_timeout_ms);
        let allowed = settings.node_timeout_ms.saturating_mul(settings.validity_factor);
        settings.repl_ping_ms.saturating_add(allowed) < age
    }

    /// How many replicas of the same primary have more of its data. Equal ones go by their ids.
    fn rank(&self) -> u64 {
        let Some(primary) = self.nodes.my_primary() else { return 0 };
        let (me, mine) = (self.nodes.me().id, self.mine.offset);
        // What its heir wrote others may have, whatever its own offset was.
        let is_behind = self.mine.heard.is_none();
        let is_better = |(key, node): &(Key, &Node)| {
            let has_more = is_behind || mine < node.offset || (mine == node.offset && node.id < me);
            *key != self.nodes.myself() && !node.flags.has(Flags::NOFAILOVER) && has_more
        };
        u64::try_from(self.nodes.replicas_of(primary).filter(is_better).count()).unwrap_or(u64::MAX)
    }

    /// How many primaries of other shards failed, too, and are replaced first. So their replicas
    /// ask in different epochs.
    fn failed_primary_rank(&self) -> u64 {
        let Some(primary) = self.nodes.my_primary() else { return 0 };
        let mine = self.nodes.shard(primary);
        let factor = self.settings.validity_factor;
        let recent = self.settings.node_timeout_ms.saturating_mul(factor);
        let is_first = |(key, node): &(Key, &Node)| {
            let Health::Failed(since) = node.health else { return false };
            let is_recent = factor == 0 || self.since(since) <= recent;
            let has_replicas = self.nodes.replicas_of(*key).next().is_some();
            is_recent && node.is_voting() && has_replicas && self.nodes.shard(*key) < mine
        };
        u64::try_from(self.nodes.iter().filter(is_first).count()).unwrap_or(u64::MAX)
    }

    /// Whether no other replica can have a reason to begin: all know that the primary has failed,
    /// and none has more data.
    fn is_best_ranked(&self) -> bool {
        let Some(primary) = self.nodes.my_primary() else { return false };
        let knows = |(key, node): (Key, &Node)| {
            key == self.nodes.myself() || node.flags.has(Flags::PRIMARY_FAIL)
        };
        self.nodes.at(primary).is_failed()
            && self.mine.offset != 0
            && self.rank() == 0
            && self.failed_primary_rank() == 0
            && self.nodes.replicas_of(primary).all(knows)
    }

    /// Row 3.
    fn schedule(&mut self) {
        let is_manual = self.manual.may_start();
        let delay = self.settings.election_delay_ms();
        let (rank, primary_rank) =
            if is_manual { (0, 0) } else { (self.rank(), self.failed_primary_rank()) };
        let offset = self.mine.offset;
        let is_best = !is_manual && self.is_best_ranked();
        let wait = if is_manual || is_best {
            0
        } else {
            let random = if delay == 0 { 0 } else { self.random.below(delay) };
            let of_rank = rank.saturating_mul(2 * delay);
            let of_primary = primary_rank.saturating_mul(delay);
            let empty = if offset == 0 { EMPTY_MS } else { 0 };
            [random, of_rank, of_primary, empty].into_iter().fold(delay, u64::saturating_add)
        };
        self.election = Election {
            time: Some(self.now.at.after(wait)),
            rank,
            primary_rank,
            ..Election::default()
        };
        if is_best {
            let text = "This is the best ranked replica and can initiate the election immediately.";
            self.log(LogLevel::Notice, text.to_string());
        }
        let text = format!(
            "Start of election delayed for {wait} milliseconds (rank #{rank}, primary rank \
             #{primary_rank}, offset {offset})."
        );
        self.log(LogLevel::Notice, text);
        // The other replicas learn the offset before they rank themselves.
        self.pong_to_shard();
    }

    fn pong_to_shard(&mut self) {
        let Some(primary) = self.nodes.my_primary() else { return };
        let replicas: Vec<Key> = self.nodes.replicas_of(primary).map(|(key, _)| key).collect();
        replicas.into_iter().for_each(|key| self.pong(key));
    }

    /// Row 4: others have told their offsets meanwhile.
    fn look_at_ranks(&mut self) {
        let Some(time) = self.election.time else { return };
        if self.election.requested.is_some() || time <= self.now.at || self.manual.may_start() {
            return;
        }
        let delay = self.settings.election_delay_ms();
        let shift = |time: Moment, new: u64, old: u64, each: u64| {
            let later = time.after(new.saturating_sub(old).saturating_mul(each));
            later.before(old.saturating_sub(new).saturating_mul(each))
        };
        let (rank, primary_rank) = (self.rank(), self.failed_primary_rank());
        let Election { rank: old_rank, primary_rank: old_primary, .. } = self.election;
        let time = shift(time, rank, old_rank, 2 * delay);
        let time = shift(time, primary_rank, old_primary, delay);
        if rank != old_rank {
            let text = format!("Replica rank updated to #{rank}, was #{old_rank}.");
            self.log(LogLevel::Notice, text);
        }
        if primary_rank != old_primary {
            let text =
                format!("Failed primary rank updated to #{primary_rank}, was #{old_primary}.");
            self.log(LogLevel::Notice, text);
        }
        (self.election.rank, self.election.primary_rank) = (rank, primary_rank);
        self.election.time = Some(time);
        if self.is_best_ranked() && self.now.at < time {
            self.election.time = Some(self.now.at);
            let text = "Myself become the best ranked replica, initiate the election immediately.";
            self.log(LogLevel::Notice, text.to_string());
        }
    }

    /// Row 7. The epoch is on the disk before any node is asked in it.
    fn request(&mut self) {
        self.current_epoch = self.current_epoch.next();
        self.election.epoch = self.current_epoch;
        self.election.requested = Some(self.now.at);
        self.election.votes.clear();
        let primary = self.nodes.my_primary().map(|primary| self.nodes.at(primary).config_epoch);
        let text = format!(
            "Starting a failover election for epoch {}, node config epoch is {}",
            self.current_epoch,
            primary.unwrap_or_default()
        );
        self.log(LogLevel::Notice, text);
        self.todo.save = true;
        self.ask_for_votes();
    }

    fn ask_for_votes(&mut self) {
        let is_forced = self.manual.may_start() || self.is_best_ranked() || self.outdoes_primary();
        self.election.asked = Some(self.now.at);
        let marks = if is_forced { Marks::FORCEACK } else { Marks::default() };
        self.broadcast(&Body::AuthRequest, marks);
    }

    /// Asks again, in the same epoch, while this node keeps what its primary has lost: a voter that
    /// has just started does not vote yet, and that primary is one.
    fn ask_again(&mut self) {
        let is_due = self.election.asked.is_some_and(|asked| AGAIN_MS <= self.since(asked));
        // An epoch that is not saved is told to no node.
        if !is_due || self.cannot_save || !self.outdoes_primary() {
            return;
        }
        if self.election.epoch != self.current_epoch {
            // In a past epoch no node votes.
            self.drop_election();
            self.todo.election = true;
            return;
        }
        self.ask_for_votes();
    }

    /// A node votes for this one.
    pub(super) fn vote_came(&mut self, sender: Key, epoch: Epoch) {
        let node = self.nodes.at_mut(sender);
        let Some(asked) = self.election.requested.filter(|_| node.is_voting()) else { return };
        if self.election.epoch <= epoch {
            // It answers what was asked then, as a PONG does.
            node.contact.answered = node.contact.answered.max(Some(asked));
            self.election.votes.insert(node.id);
            self.todo.election = true;
        }
    }

    /// Row 8.
    fn win(&mut self) {
        self.log(LogLevel::Notice, "Failover election won: I'm the new primary.".to_string());
        let epoch = self.election.epoch;
        self.nodes.me_mut().config_epoch = epoch;
        self.election_stats().won += 1;
        let failed = self.nodes.my_primary().map(|primary| self.nodes.at(primary).health);
        if let Some(Health::Failed(since)) = failed {
            self.stats.failovers.add(self.since(since));
        }
        let text = format!("configEpoch set to {epoch} after successful failover");
        self.log(LogLevel::Notice, text);
        self.stats.manual_failovers_won += u64::from(self.manual.is_taking());
        let asked = self.election.requested.unwrap_or(self.now.at);
        let former = self.nodes.my_primary().map(|former| self.nodes.at(former).id);
        self.take_over();
        self.trust_lease(Elected { asked, won: self.now.at, epoch, former });
    }

    /// T-W: this node has the slots of its primary from now on.
    pub(super) fn take_over(&mut self) {
        let Some(former) = self.nodes.my_primary() else { return };
        let me = self.nodes.myself();
        let (shown, shard) = (self.shown(former), self.nodes.shown_shard(me));
        let text = format!(
            "Setting myself to primary in shard {shard} after failover; my old primary is {shown}"
        );
        self.log(LogLevel::Notice, text);
        self.nodes.set_primary(me);
        self.nodes.move_slots(former, me);
        // Those that the primary was given, and of which it had said nothing so far.
        let own = self.nodes.me().slot_set().clone();
        let given: Vec<_> =
            self.nodes.importing.extract_if(.., |slot, _| own.contains(*slot)).collect();
        given.into_iter().for_each(|(slot, source)| self.note_given(slot, source));
        self.act(Action::Promote);
        self.act(Action::DeleteKeys(SlotSet::all().without(&self.nodes.slots_with_keys())));
        self.reset_manual();
        self.election = Election::default();
        self.todo.owners_changed();
        (self.todo.takes_over, self.todo.pong_all) = (true, true);
        self.state.note_taken(self.nodes.me().config_epoch);
        self.renew_lease();
    }

    /// A primary claims an epoch: an election of an older one cannot be won any more.
    pub(super) fn election_outrun(&mut self, sender: Key, epoch: Epoch) {
        if self.election.requested.is_none() || epoch < self.election.epoch {
            return;
        }
        let (shown, mine) = (self.shown(sender), self.election.epoch);
        let text = format!(
            "Failover election in progress for epoch {mine}, but received a claim from node \
             {shown} with an equal or higher epoch {epoch}. Resetting the election since we cannot \
             win an election in the past."
        );
        self.log(LogLevel::Notice, text);
        self.drop_election();
        self.todo.election = true;
    }

    /// What is counted of elections of the kind of the present one.
    fn election_stats(&mut self) -> &mut Elections {
        if self.manual.is_taking() { &mut self.stats.manual } else { &mut self.stats.automatic }
    }

    /// Ends an election, if there is one.
    pub(super) fn drop_election(&mut self) {
        if self.election.time.is_some() {
            self.election_stats().reset += 1;
        }
        self.election = Election::default();
    }

    /// Ends an election in which votes were asked for, as this node may not win it now. They are of
    /// a past by the time that it may: another node may have been elected in between.
    fn give_up(&mut self) {
        if self.election.requested.is_some() {
            let logged = self.election.logged;
            self.drop_election();
            self.election.logged = logged;
        }
    }

    /// Whether an election is younger than it may become.
    pub(super) fn is_election_young(&self) -> bool {
        let age = self.election.time.map(|time| self.since(time));
        age.is_some_and(|age| age <= self.settings.election_ms())
    }

    fn log_row(&mut self, row: Row) {
        let (now, last) = (self.now.at, self.election.logged);
        if last.is_some_and(|(last, at)| last == row && now.since(at) < LOG_MS) {
            return;
        }
        let why = match row {
            Row::None | Row::Schedule | Row::Request | Row::Won => return,
            Row::TooOld => {
                "Disconnected from primary for longer than allowed. Please check the \
                 'cluster-replica-validity-factor' configuration option."
            }
            Row::Wait => "Waiting the delay before I can start a new failover.",
            Row::Expired => "Failover attempt expired.",
            Row::Missing => "Waiting for votes, but majority still not reached.",
        };
        if row == Row::Expired && last.is_none_or(|(last, _)| last != row) {
            self.election_stats().expired += 1;
        }
        self.election.logged = Some((row, now));
        self.log(LogLevel::Notice, format!("Currently unable to failover: {why}"));
        if row == Row::Missing {
            let (quorum, votes) = (self.nodes.quorum(), self.election.votes.len());
            let text = format!("Needed quorum: {quorum}. Number of votes received so far: {votes}");
            self.log(LogLevel::Notice, text);
        }
    }
}

#[cfg(test)]
mod tests;
