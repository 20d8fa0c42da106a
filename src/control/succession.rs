//! A replica takes over before the process ends, as control drives it. No write is under way any
//! more when this begins.
//!
//! ```text
//! fence, GETACK --> a replica has it
//!   cluster:   --CLUSTER FAILOVER FORCE--> it is elected, and claims the slots
//!   otherwise: --FAILOVER TO it--> it promotes itself
//!   --> this node is its replica
//! ```
//! In a cluster the request goes by a connection of its own, so replicas of all versions understand
//! it; one that has agreed hears on the bus that this node stands still. This node votes, as all
//! primaries do: also where it is the only one.

use std::sync::mpsc::TryRecvError;

use shards::effects::handover::{Failure, Target};

use crate::cluster::frame::header::Flags;
use crate::cluster::ids::NodeId;
use crate::cluster::machine::action::Heir;
use crate::cluster::machine::event::Event as ClusterEvent;
use crate::cluster::nodes::node::Node;
use crate::control::clustering::is_of;
use crate::control::core::Control;
use crate::control::ending::NO_HEIR;
use crate::control::fences::Purpose;
use crate::control::standing::Wish;
use crate::log;
use crate::mail::replica::SessionView;
use crate::migration::message::{self, Said};
use crate::reactor::clock::Monotonic;
use crate::replication::acks::ReplicaId;
use crate::replication::address::Address;
use crate::replication::failover::request::{Request, Target as Successor};
use crate::replication::history::Fence;
use crate::replication::session::SessionId;
use crate::routing::node::Role;
use crate::shutdown::Event;
use crate::shutdown::Uptime;
use crate::shutdown::heirs::{self, Candidate};
use crate::shutdown::succession::{ASKED_MILLIS, Step, Succession};

/// Milliseconds for a replica to reply to the request.
const REPLY_MILLIS: u64 = 1000;
/// Milliseconds for a replica that had all, outside of a cluster, to say so once more.
const SYNC_MILLIS: u64 = 500;

/// The hand-over that is under way.
#[derive(Debug)]
pub(crate) struct Succeeding {
    choice: Succession<HeirId>,
    /// What the replica says that was asked last.
    said: Option<Said>,
    began: Monotonic,
    /// Milliseconds that it may take.
    millis: u64,
}

/// A replica that may take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum HeirId {
    /// A node of the cluster.
    Node(NodeId),
    /// Outside of one, whose session this is.
    Session(SessionId),
}

/// What a replica that was asked has said.
enum Reply {
    /// Nothing new.
    Open,
    /// This node takes over.
    Agreed(NodeId),
    /// It does not, for this reason.
    Refused(String),
}

impl Succeeding {
    /// When to look again at the latest.
    pub(crate) fn deadline(&self) -> Option<Uptime> {
        self.choice.deadline()
    }

    fn took(&self) -> u64 {
        Monotonic::now().millis_since(self.began)
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
        self.end.succeeding = Some(Succeeding { choice, said, began, millis });
        self.cluster_hears(ClusterEvent::Rests(true));
    }

    /// Goes on with it.
    pub(crate) fn see_to_handover(&mut self) {
        let Some(mut succeeding) = self.end.succeeding.take() else { return };
        let over = self.see_to_succession(&mut succeeding);
        let took = succeeding.took();
        match over {
            None => self.end.succeeding = Some(succeeding),
            Some(true) => {
                log::notice(&format!("A replica has taken over after {took} milliseconds."));
                self.happens(Event::HandedOver);
            }
            Some(false) => {
                self.cluster_hears(ClusterEvent::Rests(false));
                log::warning(NO_HEIR);
                self.happens(Event::NoSuccessor);
            }
        }
    }

    /// Whether a replica has taken over; `None` as long as that is open.
    fn see_to_succession(&mut self, succeeding: &mut Succeeding) -> Option<bool> {
        // A FAILOVER that is given up has this node lead again, and that takes a moment.
        let is_between = self.node.condition.role == Role::Replica && !self.is_replica();
        if self.handing_over.machine.is_under_way() || is_between {
            return None;
        }
        if self.is_replica() {
            return Some(true);
        }
        if let Some(asked) = succeeding.choice.asked() {
            match answer(asked, succeeding.said.as_ref()) {
                Reply::Open => {}
                Reply::Agreed(heir) => self.cluster_hears(ClusterEvent::HeirAgreed(heir)),
                Reply::Refused(why) => {
                    let name = self.name(asked);
                    log::warning(&format!("Replica {name} does not take over: {why}"));
                    succeeding.choice.refused(asked);
                    succeeding.said = None;
                    // Clients may have written since.
                    self.replicating.last_fence.take_if(|_| matches!(asked, HeirId::Session(_)));
                }
            }
        }
        let Some(fence) = &self.replicating.last_fence else {
            if !self.has_wish() {
                self.wish(Wish::Fence(Purpose::End));
            }
            return None;
        };
        let choice = heirs::in_order(self.heirs(fence));
        match succeeding.choice.step(self.uptime(), &choice) {
            Step::Wait => None,
            Step::GiveUp => Some(false),
            Step::Ask(id) => {
                let name = self.name(id);
                log::notice(&format!("Perform auto failover to replica {name} on shutdown."));
                let is_asked = match id {
                    HeirId::Node(node) => {
                        let target = self.target(node);
                        succeeding.said =
                            target.and_then(|target| self.send_for_takeover(node, target));
                        succeeding.said.is_some()
                    }
                    HeirId::Session(session) => self
                        .fail_over_to(session, succeeding.millis.saturating_sub(succeeding.took())),
                };
                if !is_asked {
                    succeeding.choice.refused(id);
                }
                None
            }
        }
    }

    /// The replicas that are online.
    fn heirs(&self, fence: &Fence) -> Vec<Candidate<HeirId>> {
        let sessions = self.replicating.view.sessions.iter();
        let online = sessions.filter(|session| session.standing.is_online());
        let heir = |session: &SessionView| {
            let candidate = Candidate {
                id: HeirId::Session(session.session),
                has_all: self.replicating.acks.has(ReplicaId(session.session.0), fence),
                // One that does not say where it listens can't be followed.
                may: session.standing.address.port != 0,
                priority: session.standing.priority,
                is_near: false,
                unsent_bytes: session.unsent_bytes,
            };
            let Some(clustering) = &self.clustering else { return Some(candidate) };
            let nodes = clustering.machine.nodes();
            let zone = &nodes.me().names.zone;
            let mut fit = nodes.replicas_of(nodes.myself()).filter(|(_, node)| is_fit(node));
            let address = &session.standing.address;
            let (_, node) = fit.find(|(_, node)| is_of(&session.identity, address, node))?;
            Some(Candidate {
                id: HeirId::Node(node.id),
                may: !node.flags.has(Flags::NOFAILOVER),
                is_near: !zone.is_empty() && node.names.zone == *zone,
                ..candidate
            })
        };
        online.filter_map(heir).collect()
    }

    /// Where a replica of this node in the cluster can be reached.
    fn target(&self, id: NodeId) -> Option<Target> {
        let nodes = self.clustering.as_ref()?.machine.nodes();
        let mut replicas = nodes.replicas_of(nodes.myself());
        let (_, node) = replicas.find(|(_, node)| node.id == id && is_fit(node))?;
        let (host, port) = (node.ip?.to_string().into_bytes(), node.ports.client);
        Some(Target { host, port, auth: self.credentials() })
    }

    /// The end is called off: no replica takes over any more.
    pub(crate) fn end_handover(&mut self) {
        self.cluster_hears(ClusterEvent::Rests(false));
        let asked = self.end.succeeding.take().and_then(|succeeding| succeeding.choice.asked());
        if let Some(HeirId::Session(_)) = asked {
            // Where none is under way there is nothing to abort.
            let _ = self.abort_failover();
        }
    }

    /// Begins as FAILOVER TO does. False if it does not.
    fn fail_over_to(&mut self, session: SessionId, left_ms: u64) -> bool {
        let mut all = self.replicating.view.sessions.iter();
        let Some(heir) = all.find(|view| view.session == session) else { return false };
        let Address { host, port } = heir.standing.address.clone();
        let target = Some(Successor { host, port: port.into() });
        let request = Request {
            target,
            forced: false,
            timeout_ms: Some(left_ms.clamp(1, SYNC_MILLIS)),
            reach_ms: Some(left_ms.clamp(1, ASKED_MILLIS)),
        };
        self.start_failover(&request).is_ok()
    }

    /// What the log calls a replica.
    fn name(&self, heir: HeirId) -> String {
        let sessions = self.replicating.view.sessions.iter();
        match heir {
            HeirId::Node(id) => id.to_string(),
            HeirId::Session(id) => sessions
                .filter(|view| view.session == id)
                .map(|view| view.standing.address.to_string())
                .next()
                .unwrap_or_else(|| "that has gone".to_owned()),
        }
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

/// Whether a node can be asked.
fn is_fit(node: &Node) -> bool {
    node.is_fit() && node.ports.client != 0
}

/// What a replica that was asked to take over has said, if that is news.
fn answer(asked: HeirId, said: Option<&Said>) -> Reply {
    let HeirId::Node(node) = asked else {
        // None is under way any more, and has told the log why.
        return Reply::Refused("FAILOVER to it has ended".to_owned());
    };
    let refused = |why: &str| Reply::Refused(why.to_owned());
    match said.map(Said::try_recv) {
        Some(Ok(Ok(()))) => Reply::Agreed(node),
        Some(Ok(Err(Failure::Refused(text)))) => refused(&String::from_utf8_lossy(&text)),
        Some(Ok(Err(Failure::Connecting))) => refused("it is not reached"),
        Some(Ok(Err(Failure::Writing | Failure::Reading))) => refused("it has not replied"),
        // That it has said yes was read before.
        None | Some(Err(TryRecvError::Empty | TryRecvError::Disconnected)) => Reply::Open,
    }
}
