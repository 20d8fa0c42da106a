//! A session as INFO and ROLE show it.

use crate::replication::address::Address;
use crate::replication::history::Scalar;
use crate::replication::moment::Moment;
use crate::replication::session::{Session, State};

impl Session {
    /// Its state by Valkey's word, until it has ended. A replica that loads is not `online`
    /// here before it says so.
    pub fn state_name(&self) -> Option<&'static str> {
        match self.state {
            State::Waiting { .. } | State::Lent => Some("wait_bgsave"),
            State::Receiving { .. } | State::Loading { .. } => Some("send_bulk"),
            State::Online(_) => Some("online"),
            State::Ended => None,
        }
    }

    /// Its line in INFO, as the replica of this number, until it has ended.
    pub fn info_line(&self, number: usize, now: Moment) -> Option<String> {
        let state = self.state_name()?;
        let Address { host, port } = &self.address;
        let (offset, lag) = match self.state {
            State::Online(online) => {
                (online.acked.unwrap_or_default(), now.since(online.heard) / 1000)
            }
            State::Waiting { .. }
            | State::Lent
            | State::Receiving { .. }
            | State::Loading { .. }
            | State::Ended => (Scalar(0), 0),
        };
        Some(format!(
            "slave{number}:ip={host},port={port},state={state},offset={offset},lag={lag},\
             type=replica"
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
