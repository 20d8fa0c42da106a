//! A session as INFO and ROLE show it.

use crate::replication::address::Address;
use crate::replication::greeting::Version;
use crate::replication::history::Scalar;
use crate::replication::moment::Moment;
use crate::replication::session::{Session, State};

/// How far a replica is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Where it can be reached.
    pub address: Address,
    /// Valkey's word for its state: one of [`STATES`].
    pub state: &'static str,
    /// What it has acknowledged; 0 unless it is online.
    pub acked: Scalar,
    /// Seconds since it was last heard; 0 unless it is online.
    pub silent_seconds: u64,
    /// The version that it told.
    pub version: Option<Version>,
    /// Its `replica-priority`. A stock replica tells its primary none, and has the usual one here;
    /// its INFO tells it to those that ask.
    pub priority: u32,
}

/// The priority of a replica that tells none: the default of `replica-priority`.
pub const PRIORITY_USUAL: u32 = 100;

impl Standing {
    /// Whether it is sent the stream.
    pub fn is_online(&self) -> bool {
        self.state == STATES[2]
    }
}

/// Valkey's words for the states of replicas, in the order in which they come.
pub const STATES: [&str; 3] = ["wait_bgsave", "send_bulk", "online"];

impl Session {
    /// Its state by Valkey's word, until it has ended. A replica that loads is not `online`
    /// here before it says so.
    pub fn state_name(&self) -> Option<&'static str> {
        match self.state {
            State::Waiting { .. } | State::Lent { .. } => Some(STATES[0]),
            State::Receiving { .. } | State::Loading { .. } => Some(STATES[1]),
            State::Online(_) => Some(STATES[2]),
            State::Ended => None,
        }
    }

    /// Whether it has its snapshot, if it needed one.
    pub fn is_online(&self) -> bool {
        matches!(self.state, State::Online(_))
    }

    /// What it has acknowledged, while it is online and has done so.
    pub fn acked(&self) -> Option<Scalar> {
        match self.state {
            State::Online(online) => online.acked,
            _ => None,
        }
    }

    /// Its line in INFO, as the replica of this number, until it has ended.
    pub fn info_line(&self, number: usize, now: Moment) -> Option<String> {
        let state = self.state_name()?;
        let Address { host, port } = &self.address;
        let (offset, lag) = self.standing(now);
        Some(format!(
            "slave{number}:ip={host},port={port},state={state},offset={offset},lag={lag},\
             type=replica"
        ))
    }

    /// How far it is, until it has ended.
    pub fn shown(&self, now: Moment) -> Option<Standing> {
        let (state, (acked, silent_seconds)) = (self.state_name()?, self.standing(now));
        let (address, version) = (self.address.clone(), self.terms.version);
        let priority = self.priority;
        Some(Standing { address, state, acked, silent_seconds, version, priority })
    }

    /// What it has acknowledged, and the seconds since it was last heard. Unless it is online both
    /// are zero.
    fn standing(&self, now: Moment) -> (Scalar, u64) {
        match self.state {
            State::Online(online) => {
                (online.acked.unwrap_or_default(), now.since(online.heard) / 1000)
            }
            State::Waiting { .. }
            | State::Lent { .. }
            | State::Receiving { .. }
            | State::Loading { .. }
            | State::Ended => (Scalar(0), 0),
        }
    }

    /// The line in the log that says, as Valkey words it, how far it is behind `end` when the
    /// process ends; `None` if it has all, or is no session any more.
    pub fn lagging_line(&self, end: Scalar, now: Moment) -> Option<String> {
        let (state, (offset, lag)) = (self.state_name()?, self.standing(now));
        let behind = end.0.checked_sub(offset.0).filter(|behind| *behind != 0)?;
        let address = &self.address;
        Some(format!(
            "Lagging replica {address} reported offset {behind} behind master, lag={lag}, \
             state={state}."
        ))
    }

    /// What ROLE says of it: host, port and acknowledged offset. Only replicas that are online
    /// are there.
    pub fn role_entry(&self) -> Option<[String; 3]> {
        let State::Online(online) = self.state else { return None };
        let Address { host, port } = &self.address;
        Some([host.clone(), port.to_string(), online.acked.unwrap_or_default().to_string()])
    }
}
