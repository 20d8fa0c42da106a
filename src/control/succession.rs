//! A replica takes over before the process ends, as control drives it. No write is under way any
//! more when this begins.
//!
//! ```text
//! cluster:    fence, GETACK --> a replica has it --CLUSTER FAILOVER FORCE--> it is elected
//!             --> it claims the slots: this node is its replica
//! otherwise:  as FAILOVER does
//! ```
//! The request goes by a connection of its own, so replicas of all versions understand it. This
//! node votes, as all primaries do: also where it is the only one.

use std::sync::mpsc::TryRecvError;

use shards::effects::handover::{Failure, Target};

use crate::cluster::frame::header::Flags;
use crate::cluster::ids::NodeId;
use crate::cluster::machine::action::Heir;
use crate::cluster::nodes::node::Node;
use crate::control::clustering::is_of;
use crate::control::core::Control;
use crate::control::ending::NO_HEIR;
use crate::control::fences::Purpose;
use crate::control::standing::Wish;
use crate::log;
use crate::migration::message::{self, Said};
use crate::reactor::clock::Monotonic;
use crate::replication::acks::ReplicaId;
use crate::replication::failover::request::Request;
use crate::replication::history::Fence;
use crate::shutdown::Event;
use crate::shutdown::Uptime;
use crate::shutdown::heirs::{self, Candidate};
use crate::shutdown::succession::{Step, Succession};

/// Milliseconds for a replica to reply to the request.
const REPLY_MILLIS: u64 = 1000;

/// The hand-over that is under way.
#[derive(Debug)]
pub(crate) struct Succeeding {
    choice: Succession<NodeId>,
    /// What the replica says that was asked last.
    said: Option<Said>,
    began: Monotonic,
}

impl Succeeding {
    /// When to look again at the latest.
    pub(crate) fn deadline(&self) -> Option<Uptime> {
        self.choice.deadline()
    }
}

impl Control {
    /// Whether a replica could take over: this is a primary that has one, and in a cluster has
    /// slots.
    pub(crate) fn may_hand_over(&self) -> bool {
        let sessions = &self.replicating.view.sessions;
        let has_replica = sessions.iter().any(|session| session.standing.is_online());
        let has_slots = self
            .clustering
            .as_ref()
            .is_none_or(|clustering| clustering.machine.nodes().me().is_voting());
        // Without elections none can.
        let is_external = self.node.config.is_topology_external();
        has_replica && has_slots && !is_external && !self.is_replica()
    }

    /// Has a replica take over, in so many milliseconds at most.
    pub(crate) fn begin_handover(&mut self, millis: u64) {
        self.replicating.last_fence = None;
        let (choice, said, began) = (Succession::default(), None, Monotonic::now());
        self.end.succeeding = Some(Succeeding { choice, said, began });
        if self.clustering.is_none() {
            let request = Request { timeout_ms: Some(millis.max(1)), ..Request::default() };
            // Where none begins, [`Self::see_to_handover`] finds none under way.
            let _ = self.start_failover(&request);
        }
    }

    /// Goes on with it.
    pub(crate) fn see_to_handover(&mut self) {
        let Some(mut succeeding) = self.end.succeeding.take() else { return };
        let over = match self.clustering {
            Some(_) => self.see_to_election(&mut succeeding),
            None if self.handing_over.machine.is_under_way() => None,
            None => Some(self.is_replica()),
        };
        let took = Monotonic::now().millis_since(succeeding.began);
        match over {
            None => self.end.succeeding = Some(succeeding),
            Some(true) => {
                log::notice(&format!("A replica has taken over after {took} milliseconds."));
                self.happens(Event::HandedOver);
            }
            Some(false) => {
                log::warning(NO_HEIR);
                self.happens(Event::NoSuccessor);
            }
        }
    }

    /// Whether a replica was elected; `None` as long as that is open.
    fn see_to_election(&mut self, succeeding: &mut Succeeding) -> Option<bool> {
        if self.is_replica() {
            return Some(true);
        }
        if let Some(asked) = succeeding.choice.asked()
            && let Some(why) = refusal(succeeding.said.as_ref())
        {
            log::warning(&format!("Replica {asked} does not take over: {why}"));
            succeeding.choice.refused(asked);
            succeeding.said = None;
        }
        let Some(fence) = &self.replicating.last_fence else {
            if !self.has_wish() {
                self.wish(Wish::Fence(Purpose::End));
            }
            return None;
        };
        let (candidates, targets) = self.heirs(fence);
        let choice = heirs::in_order(candidates);
        match succeeding.choice.step(self.uptime(), &choice) {
            Step::Wait => None,
            Step::GiveUp => Some(false),
            Step::Ask(id) => {
                let target = targets.into_iter().find(|(heir, _)| *heir == id);
                succeeding.said = target.and_then(|(_, target)| {
                    log::notice(&format!("Perform auto failover to replica {id} on shutdown."));
                    self.send_for_takeover(id, target)
                });
                if succeeding.said.is_none() {
                    succeeding.choice.refused(id);
                }
                None
            }
        }
    }

    /// The replicas that are online, and where they are.
    fn heirs(&self, fence: &Fence) -> (Vec<Candidate<NodeId>>, Vec<(NodeId, Target)>) {
        let Some(clustering) = &self.clustering else { return Default::default() };
        let nodes = clustering.machine.nodes();
        let zone = &nodes.me().names.zone;
        let fit = nodes.replicas_of(nodes.myself());
        let fit = fit.filter(|(_, node)| node.is_fit() && node.ports.client != 0);
        let heir = |node: &Node| {
            let sessions = self.replicating.view.sessions.iter();
            let mut online = sessions.filter(|session| session.standing.is_online());
            let session = online.find(|session| is_of(session, node))?;
            let (host, port) = (node.ip?.to_string().into_bytes(), node.ports.client);
            let target = Target { host, port, auth: self.credentials() };
            let candidate = Candidate {
                id: node.id,
                has_all: self.replicating.acks.has(ReplicaId(session.session.0), fence),
                may: !node.flags.has(Flags::NOFAILOVER),
                priority: session.standing.priority,
                is_near: !zone.is_empty() && node.names.zone == *zone,
                unsent_bytes: session.unsent_bytes,
            };
            Some((candidate, (node.id, target)))
        };
        fit.filter_map(|(_, node)| heir(node)).unzip()
    }

    /// By what this node authenticates itself at others of its shard.
    fn credentials(&self) -> Vec<Vec<u8>> {
        let config = &self.node.config;
        let (user, password) = (&config.primaryuser, &config.primaryauth);
        match (password.is_empty(), user.is_empty()) {
            (true, _) => Vec::new(),
            (false, true) => vec![password.clone()],
            (false, false) => vec![user.clone(), password.clone()],
        }
    }

    /// Asks a replica to take over, since this node has started without data. What it says is not
    /// waited for: the machine asks the next one.
    pub(crate) fn ask_to_take_over(&self, heir: Heir) {
        let Heir { id, ip, port } = heir;
        let host = ip.to_string().into_bytes();
        log::notice(&format!("Replica {id} is asked to take over."));
        self.send_for_takeover(id, Target { host, port, auth: self.credentials() });
    }

    fn send_for_takeover(&self, id: NodeId, target: Target) -> Option<Said> {
        let due = Monotonic::now().after_millis(REPLY_MILLIS)?;
        let bell = self.mailbox.bell().clone();
        let said = message::send(target, &[b"CLUSTER", b"FAILOVER", b"FORCE"], due, bell);
        if let Err(error) = &said {
            log::warning(&format!("Replica {id} can't be asked to take over: {error}"));
        }
        said.ok()
    }
}

/// Why a replica that was asked does not take over, if it has said so.
fn refusal(said: Option<&Said>) -> Option<String> {
    match said?.try_recv() {
        Ok(Ok(())) | Err(TryRecvError::Empty) => None,
        Ok(Err(Failure::Refused(text))) => Some(String::from_utf8_lossy(&text).into_owned()),
        Ok(Err(Failure::Connecting)) => Some("it is not reached".to_owned()),
        Ok(Err(Failure::Writing | Failure::Reading)) => Some("it has not replied".to_owned()),
        // That it has said yes was read before.
        Err(TryRecvError::Disconnected) => None,
    }
}
