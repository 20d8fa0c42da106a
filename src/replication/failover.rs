//! FAILOVER of a primary without a cluster, as a machine: writes are paused until a replica has
//! all, then this node becomes that replica's replica, and asks it to promote itself.
//!
//! ```text
//!                 FAILOVER                  a replica has the fence
//! no-failover -------------> waiting-for-sync ---------------------> failover-in-progress
//!      ^                        |   '--- time is up, with FORCE --------^     |
//!      +---- time is up, ABORT -+                                             |
//!      +---- the target promoted itself, or refused, or cannot be reached, or ABORT
//! ```
//! Writes that come during the pause are held until one of both is the primary for sure: then they
//! run here, or are refused since this node is a replica.
//!
//! Each state ends by itself. Without TIMEOUT writes are paused for [`WAIT_MS_MAX`] at most, where
//! Valkey pauses them for ever. When this node has become a replica, and the target
//! - was never asked, or refuses and is no primary: this node becomes a primary again, with the
//!   same history, since nothing was written meanwhile;
//! - is a primary already: this node stays its replica. An answer was lost, or another promoted it;
//! - was asked and does not answer: it may be a primary, so this node asks again and, in the end,
//!   stays its replica. Two primaries are worse than none; ABORT decides otherwise.

pub mod request;

use std::mem;

use shards::resp::error::Error;

use crate::config::choices::LogLevel;
use crate::replication::acks::Position;
use crate::replication::address::Address;
use crate::replication::failover::request::{Request, Target};
use crate::replication::history::Fence;
use crate::replication::moment::Moment;

/// Milliseconds for which writes are paused at most, if FAILOVER says no TIMEOUT.
pub const WAIT_MS_MAX: u64 = 60_000;
/// Milliseconds for which this node, a replica by now, tries to have the target promote itself.
pub const HANDOVER_MS_MAX: u64 = 10_000;

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// Writes are paused, and this fence is behind all that was written.
    Fenced(Fence),
    /// A replica that is online is so far.
    Acked(Address, Position),
    /// The session of a replica ended.
    Gone(Address),
    /// The process ends, or the role changes for another reason.
    Ending,
    /// News of the link to the target.
    Link(News),
}

/// News of the link to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// `PSYNC ... FAILOVER` was sent.
    Asked,
    /// The target promoted itself, and this node follows it.
    Accepted,
    /// The target refused, and is a primary.
    IsPrimary,
    /// The target refused for another reason.
    Refused,
}

impl News {
    /// What it means that the target answered `PSYNC ... FAILOVER` by this error.
    pub fn of_refusal(error: &str) -> Self {
        let is_primary = error.contains(IS_PRIMARY);
        if is_primary { Self::IsPrimary } else { Self::Refused }
    }
}

/// What a primary answers to `PSYNC ... FAILOVER`, Valkey and Keylane alike.
const IS_PRIMARY: &str = "PSYNC FAILOVER can't be sent to a master.";

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Pause writes for the purpose of a failover; when they rest, write a fence at the gate of a
    /// barrier and a GETACK behind it, and say [`Event::Fenced`].
    Pause,
    /// End that pause. What was held back is looked at anew: on a primary it runs, on a replica
    /// it is refused.
    Unpause,
    /// Become a replica of the target, whose link asks by `PSYNC ... FAILOVER`, and again after
    /// each attempt that ends without an answer. The history stays. Writes that come from now on
    /// are refused; those that are held back stay so.
    Demote(Address),
    /// Follow the target, whose link asks by a plain `PSYNC` from now on.
    Follow(Address),
    /// End the link and become a primary again, with the same history. When that is done, end the
    /// pause.
    Restore,
    /// Write this line into the log.
    Log(LogLevel, String),
}

/// What FAILOVER needs to know of the node.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Whether it is a replica.
    pub is_replica: bool,
    /// Its replicas.
    pub replicas: &'a [Candidate],
}

/// A replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it can be reached.
    pub address: Address,
    /// Whether it is sent the stream.
    pub is_online: bool,
}

/// The machine.
#[derive(Debug, Default)]
pub struct Failover {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    None,
    Waiting(Waiting),
    InProgress(InProgress),
}

#[derive(Debug)]
struct Waiting {
    /// The one replica that it may be.
    target: Option<Address>,
    /// FORCE: whether the target takes over although it lacks something when time is up.
    forced: bool,
    until: Moment,
    reach_ms: u64,
    fence: Option<Fence>,
    /// Replicas that said how far they are while there was no fence.
    acked: Vec<(Address, Position)>,
}

#[derive(Debug)]
struct InProgress {
    target: Address,
    /// Whether it may have been asked.
    asked: bool,
    /// Until when it must have been.
    reached_until: Moment,
    until: Moment,
}

impl Failover {
    /// Begins, as FAILOVER asks; the client is answered `+OK` at once.
    ///
    /// # Errors
    /// As Valkey words them: if one is in progress, or the node has no such replica.
    pub fn start(
        &mut self,
        now: Moment,
        request: &Request,
        facts: Facts<'_>,
        actions: &mut Vec<Action>,
    ) -> Result<(), Error> {
        let refuse = |text| Err(Error::Text(text));
        if self.is_under_way() {
            return refuse("ERR FAILOVER already in progress.");
        }
        if facts.is_replica {
            return refuse("ERR FAILOVER is not valid when server is a replica.");
        }
        if facts.replicas.is_empty() {
            return refuse("ERR FAILOVER requires connected replicas.");
        }
        let target = match (&request.target, request.forced, request.timeout_ms) {
            (None, true, _) | (Some(_), true, None) => {
                return refuse(
                    "ERR FAILOVER with force option requires both a timeout and target HOST and \
                     IP.",
                );
            }
            (None, false, _) => None,
            (Some(target), _, _) => Some(online(target, facts.replicas)?),
        };
        let (until, forced) =
            (now.after(request.timeout_ms.unwrap_or(WAIT_MS_MAX)), request.forced);
        let text = format!("FAILOVER requested to {}.", shown(target.as_ref()));
        actions.push(Action::Log(LogLevel::Notice, text));
        actions.push(Action::Pause);
        let reach_ms = request.reach_ms.unwrap_or(HANDOVER_MS_MAX);
        let (fence, acked) = (None, Vec::new());
        let waiting = Waiting { target, forced, until, reach_ms, fence, acked };
        self.state = State::Waiting(waiting);
        Ok(())
    }

    /// Ends it, as FAILOVER ABORT asks.
    ///
    /// # Errors
    /// If none is in progress.
    pub fn abort(&mut self, actions: &mut Vec<Action>) -> Result<(), Error> {
        if !self.is_under_way() {
            return Err(Error::Text("ERR No failover in progress."));
        }
        self.state = mem::take(&mut self.state).give_up("Failover manually aborted", actions);
        Ok(())
    }

    /// Acts on what has happened.
    pub fn handle(&mut self, now: Moment, event: Event, actions: &mut Vec<Action>) {
        self.state = match (mem::take(&mut self.state), event) {
            (State::None, _) => State::None,
            (State::Waiting(waiting), event) => waiting.handle(now, event, actions),
            (State::InProgress(progress), event) => progress.handle(now, event, actions),
        };
    }

    /// When to [`Event::Tick`] at the latest.
    pub fn deadline(&self) -> Option<Moment> {
        match &self.state {
            State::None => None,
            State::Waiting(waiting) => Some(waiting.until),
            State::InProgress(progress) => Some(progress.due()),
        }
    }

    /// `master_failover_state` of INFO.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            State::None => "no-failover",
            State::Waiting(_) => "waiting-for-sync",
            State::InProgress(_) => "failover-in-progress",
        }
    }

    /// Whether one is under way. Then REPLICAOF is refused, by [`REPLICAOF_REFUSED`].
    pub fn is_under_way(&self) -> bool {
        !matches!(self.state, State::None)
    }
}

/// What REPLICAOF is answered meanwhile.
pub const REPLICAOF_REFUSED: Error = Error::Text("ERR REPLICAOF not allowed while failing over.");

/// The replica that FAILOVER names.
fn online(target: &Target, replicas: &[Candidate]) -> Result<Address, Error> {
    let is_target = |replica: &&Candidate| replica.address.is(target.host.as_bytes(), target.port);
    let Some(replica) = replicas.iter().find(is_target) else {
        return Err(Error::Text("ERR FAILOVER target HOST and PORT is not a replica."));
    };
    if !replica.is_online {
        return Err(Error::Text("ERR FAILOVER target replica is not online."));
    }
    Ok(replica.address.clone())
}

/// A target as logs name it.
fn shown(target: Option<&Address>) -> String {
    target.map_or("any replica".to_string(), Address::to_string)
}

impl State {
    /// Goes back to where it began, and says why.
    fn give_up(self, why: &str, actions: &mut Vec<Action>) -> Self {
        let (target, back) = match self {
            Self::None => return Self::None,
            Self::Waiting(waiting) => (waiting.target, Action::Unpause),
            Self::InProgress(progress) => (Some(progress.target), Action::Restore),
        };
        let text = format!("FAILOVER to {} aborted: {why}", shown(target.as_ref()));
        actions.push(Action::Log(LogLevel::Notice, text));
        actions.push(back);
        Self::None
    }
}

impl Waiting {
    fn handle(mut self, now: Moment, event: Event, actions: &mut Vec<Action>) -> State {
        match event {
            Event::Fenced(fence) => {
                let acked = mem::take(&mut self.acked);
                let synced = acked.into_iter().find(|(_, position)| position.covers(&fence));
                self.fence = Some(fence);
                if let Some((address, _)) = synced {
                    return self.demote_to_synced(address, now, actions);
                }
            }
            Event::Acked(address, position) if self.may_be(&address) => match &self.fence {
                Some(fence) if position.covers(fence) => {
                    return self.demote_to_synced(address, now, actions);
                }
                Some(_) => {}
                None => {
                    self.acked.retain(|(other, _)| *other != address);
                    self.acked.push((address, position));
                }
            },
            Event::Gone(address) => self.acked.retain(|(other, _)| *other != address),
            Event::Tick if self.until <= now => match (self.forced, self.target.take()) {
                (true, Some(target)) => {
                    let text = format!("FAILOVER to {target} time out exceeded, failing over.");
                    actions.push(Action::Log(LogLevel::Notice, text));
                    return self.demote(target, now, actions);
                }
                (_, target) => {
                    self.target = target;
                    let why = "Replica never caught up before timeout";
                    return State::Waiting(self).give_up(why, actions);
                }
            },
            Event::Ending => {
                return State::Waiting(self).give_up("The process ends", actions);
            }
            // Replicas that it cannot be, time that is left, and news of a link that is none yet.
            Event::Acked(..) | Event::Tick | Event::Link(_) => {}
        }
        State::Waiting(self)
    }

    fn demote_to_synced(&self, target: Address, now: Moment, actions: &mut Vec<Action>) -> State {
        let text = format!("Failover target {target} is synced, failing over.");
        actions.push(Action::Log(LogLevel::Notice, text));
        self.demote(target, now, actions)
    }

    fn demote(&self, target: Address, now: Moment, actions: &mut Vec<Action>) -> State {
        actions.push(Action::Demote(target.clone()));
        let (reached_until, until) = (now.after(self.reach_ms), now.after(HANDOVER_MS_MAX));
        State::InProgress(InProgress { target, asked: false, reached_until, until })
    }

    /// Whether the replica at `address` may take over. One that did not say where it listens
    /// cannot be followed.
    fn may_be(&self, address: &Address) -> bool {
        address.port != 0 && self.target.as_ref().is_none_or(|target| target == address)
    }
}

impl InProgress {
    /// When this is over whatever happens.
    fn due(&self) -> Moment {
        if self.asked { self.until } else { self.reached_until.min(self.until) }
    }

    fn handle(mut self, now: Moment, event: Event, actions: &mut Vec<Action>) -> State {
        match event {
            Event::Link(News::Asked) => self.asked = true,
            Event::Link(News::Accepted) => {
                actions.push(Action::Unpause);
                return State::None;
            }
            Event::Link(News::IsPrimary) => return self.stay("is a primary already", actions),
            Event::Link(News::Refused) => {
                let why = "Failover target rejected psync request";
                return State::InProgress(self).give_up(why, actions);
            }
            Event::Tick if self.due() <= now && self.asked => {
                return self.stay("was asked and does not answer", actions);
            }
            Event::Tick if self.due() <= now => {
                let why = "Failover target cannot be reached";
                return State::InProgress(self).give_up(why, actions);
            }
            // A process that ends does not change its role any more.
            Event::Ending => {
                actions.push(Action::Unpause);
                return State::None;
            }
            // Time that is left, and replicas of before.
            Event::Tick | Event::Fenced(_) | Event::Acked(..) | Event::Gone(_) => {}
        }
        State::InProgress(self)
    }

    /// Ends it: this node stays a replica.
    fn stay(self, why: &str, actions: &mut Vec<Action>) -> State {
        let target = self.target;
        let text = format!("FAILOVER to {target} ends: it {why}. This node stays its replica.");
        actions.push(Action::Log(LogLevel::Warning, text));
        actions.push(Action::Follow(target));
        actions.push(Action::Unpause);
        State::None
    }
}

#[cfg(test)]
mod tests;
