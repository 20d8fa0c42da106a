//! T-M: a manual failover: a replica takes over while its primary lives, and no write is lost.
//!
//! ```text
//! replica: FAILOVER -> asks (MFSTART) -> notes the primary's offset -> has it -> election
//! primary: MFSTART  -> lets writes wait -> they rest: tells its offset until time is up
//! ```

use shards::resp::error::Error;

use crate::cluster::frame::Body;
use crate::cluster::frame::header::Marks;
use crate::cluster::ids::NodeId;
use crate::cluster::machine::Machine;
use crate::cluster::machine::action::{Action, Answer};
use crate::cluster::machine::event::Failover;
use crate::cluster::machine::requests::CANNOT_SAVE;
use crate::cluster::moment::Moment;
use crate::cluster::nodes::Key;
use crate::cluster::nodes::node::Role;
use crate::config::choices::LogLevel;

/// Where a manual failover is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manual {
    /// There is none.
    #[default]
    None,
    /// This replica takes over.
    Takes {
        /// When it is given up.
        until: Moment,
        /// What it waits for.
        stage: Stage,
    },
    /// This primary hands over to a replica.
    Gives {
        /// When it is given up.
        until: Moment,
        /// The replica.
        replica: Key,
        /// Whether its writes rest, so its offset stands still.
        rests: bool,
    },
}

/// What a replica that takes over waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The offset at which its primary stands still.
    Asked,
    /// To be so far.
    Noted(u64),
    /// Nothing: it may be elected.
    Ready,
}

impl Manual {
    /// Whether an election may start though the primary lives.
    pub fn may_start(self) -> bool {
        matches!(self, Self::Takes { stage: Stage::Ready, .. })
    }

    /// Whether this node takes over or hands over.
    pub fn is_under_way(self) -> bool {
        self != Self::None
    }

    /// Whether it gets on when the offset changes.
    pub fn waits_for_offset(self) -> bool {
        matches!(self, Self::Takes { stage: Stage::Noted(_), .. })
    }

    /// What all frames say of it.
    pub fn mark(self) -> Marks {
        match self {
            Self::Gives { rests: true, .. } => Marks::PAUSED,
            Self::None | Self::Takes { .. } | Self::Gives { .. } => Marks::default(),
        }
    }

    /// Whether this node is to take over.
    pub const fn is_taking(self) -> bool {
        matches!(self, Self::Takes { .. })
    }

    /// When it is given up.
    pub fn deadline(self) -> Option<Moment> {
        match self {
            Self::None => None,
            Self::Takes { until, .. } | Self::Gives { until, .. } => Some(until.after(1)),
        }
    }
}

impl Machine {
    /// CLUSTER FAILOVER.
    pub(super) fn failover(&mut self, how: Failover) -> Result<Answer, Error> {
        let refuse = |text| Err(Error::Text(text));
        let primary = match self.nodes.me().role {
            Role::Primary | Role::Unknown => {
                return refuse("ERR You should send CLUSTER FAILOVER to a replica");
            }
            Role::Replica(None) => {
                return refuse("ERR I'm a replica but my master is unknown to me");
            }
            Role::Replica(Some(primary)) => primary,
        };
        let node = self.nodes.at(primary);
        let is_reachable = node.is_linked() && !node.is_failed();
        match how {
            Failover::Plain if !is_reachable => {
                return refuse("ERR Master is down or failed, please use CLUSTER FAILOVER FORCE");
            }
            Failover::Takeover if self.cannot_save => {
                return Err(CANNOT_SAVE);
            }
            Failover::Takeover => {
                let text = "Taking over the primary (user request).";
                self.log(LogLevel::Notice, text.to_string());
                self.raise_epoch();
                self.stats.manual_failovers_won += 1;
                self.take_over();
            }
            Failover::Force => {
                let text = "Forced failover user request accepted (user request).";
                self.log(LogLevel::Notice, text.to_string());
                self.take_manual(Stage::Ready);
            }
            Failover::Plain => {
                let text = "Manual failover user request accepted (user request).";
                self.log(LogLevel::Notice, text.to_string());
                if self.take_manual(Stage::Asked) {
                    self.send(primary, Body::MfStart);
                }
            }
        }
        Ok(Answer::Ok)
    }

    /// CLUSTER FAILOVER FORCE REPLICAID, by the stream of this node's primary, which ends.
    pub(super) fn handed_over(&mut self, id: NodeId) {
        if id == self.nodes.me().id && matches!(self.nodes.me().role, Role::Replica(Some(_))) {
            let text = "Forced failover primary request accepted (primary request).";
            self.log(LogLevel::Notice, text.to_string());
            self.take_manual(Stage::Ready);
        }
    }

    /// Begins to take over. False if a request before this one is under way: a second one would
    /// split the votes. It only makes the first one quicker.
    fn take_manual(&mut self, stage: Stage) -> bool {
        let was_ready = self.manual.may_start();
        if let Manual::Takes { stage: known, .. } = &mut self.manual {
            if stage == Stage::Ready {
                *known = Stage::Ready;
            }
            if !was_ready || self.is_election_young() {
                self.todo.election |= stage == Stage::Ready;
                return false;
            }
        }
        self.drop_election();
        self.reset_manual();
        let until = self.now.at.after(self.settings.manual_failover_ms);
        self.manual = Manual::Takes { until, stage };
        self.todo.election |= stage == Stage::Ready;
        true
    }

    /// MFSTART: a replica asks this node to hand over.
    pub(super) fn manual_asked(&mut self, sender: Key) {
        let is_mine = self.nodes.at(sender).role == Role::Replica(Some(self.nodes.myself()));
        if !is_mine || !self.is_primary() {
            return;
        }
        self.reset_manual();
        let shown = self.shown(sender);
        self.log(LogLevel::Notice, format!("Manual failover requested by replica {shown}."));
        let millis = self.settings.manual_failover_ms;
        let until = self.now.at.after(millis);
        self.manual = Manual::Gives { until, replica: sender, rests: false };
        self.act(Action::Pause(millis.saturating_mul(2)));
    }

    /// Writes rest.
    pub(super) fn quiesced(&mut self) {
        if let Manual::Gives { replica, rests, .. } = &mut self.manual {
            *rests = true;
            let replica = *replica;
            self.ping(replica);
        }
    }

    /// A replica has agreed to take over, by a command. A Redis 7.0 looks at that only ten times a
    /// second, unless it hears where its primary stands still; and it asks for votes when the next
    /// thing happens to it, which is that it answers.
    pub(super) fn heir_agreed(&mut self, id: NodeId) {
        let role = Role::Replica(Some(self.nodes.myself()));
        if let Some(heir) = self.nodes.find(id).filter(|key| self.nodes.at(*key).role == role) {
            self.ping_with(heir, Marks::PAUSED);
        }
    }

    /// The primary of this node says where it stands still.
    pub(super) fn primary_paused(&mut self, sender: Key, offset: u64) {
        if self.nodes.me().role != Role::Replica(Some(sender)) {
            return;
        }
        if let Manual::Takes { stage: stage @ Stage::Asked, .. } = &mut self.manual {
            *stage = Stage::Noted(offset);
            let text =
                format!("Received replication offset for paused primary manual failover: {offset}");
            self.log(LogLevel::Notice, text);
            self.todo.manual = true;
        }
    }

    /// Gets on with it.
    pub(super) fn step_manual(&mut self) {
        self.todo.manual = false;
        let now = self.now.at;
        match self.manual {
            Manual::Takes { until, .. } | Manual::Gives { until, .. } if until < now => {
                self.log(LogLevel::Warning, "Manual failover timed out.".to_string());
                if self.manual.is_taking() {
                    self.stats.manual_failovers_expired += 1;
                }
                self.reset_manual();
            }
            Manual::Takes { until, stage: Stage::Noted(offset) } if offset == self.mine.offset => {
                let text = "All primary replication stream processed, manual failover can start.";
                self.log(LogLevel::Notice, text.to_string());
                self.manual = Manual::Takes { until, stage: Stage::Ready };
                self.todo.election = true;
            }
            Manual::Gives { replica, rests: true, .. } => self.ping(replica),
            Manual::None | Manual::Takes { .. } | Manual::Gives { .. } => {}
        }
    }

    /// Ends it, and the pause that goes with it.
    pub(super) fn reset_manual(&mut self) {
        match std::mem::take(&mut self.manual) {
            Manual::Gives { .. } => self.act(Action::Unpause),
            Manual::None | Manual::Takes { .. } => {}
        }
    }

    /// A node is forgotten: there is nothing to hand over to it.
    pub(super) fn manual_lost(&mut self, key: Key) {
        if matches!(self.manual, Manual::Gives { replica, .. } if replica == key) {
            self.reset_manual();
        }
    }
}

#[cfg(test)]
mod tests;
