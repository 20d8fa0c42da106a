//! Replication is what the topology says it is to be, on both sides of each link, as the control
//! thread sees to it.
//!
//! ```text
//! CLUSTERX: a topology that is saved --.
//!                                       > goal --> reconciler --> follow, unfollow, promote, cut
//! nodes agree: the machine's word -----'            ^
//!                the link, the role, attached replicas
//! ```
//! Where nodes agree, their machine's word is acted on at once; what has no effect is done again.
//! No command waits for any of that.

use crate::cluster::ids::NodeId;
use crate::cluster::nodes::node::Role as NodeRole;
use crate::cluster::report;
use crate::config::primary::Primary;
use crate::control::clustering::shown::Shown;
use crate::control::clustering::{Clustering, cluster_now, is_of};
use crate::control::core::Control;
use crate::log;
use crate::mail::query::Query;
use crate::mail::replica::Arrival;
use crate::mail::to_relay::ToRelay;
use crate::relay::deciding::refuse;
use crate::replication::address::Address;
use crate::replication::greeting::member::{Identity, refusal};
use crate::replication::link::events::By;
use crate::replication::session::SessionId;
use crate::replication::session::ended::Cut;
use crate::routing::node::Role;
use crate::topology::desired::Goal;
use crate::topology::membership::Verdict;
use crate::topology::reconciler::{self, Action, Link, Observed, Reconciler, Standing, State};

/// What replication of this node is to be, and what became of that.
#[derive(Debug, Default)]
pub(super) struct Reconciling {
    reconciler: Reconciler,
    /// A primary is followed no more, and what came of it is being applied.
    ends: bool,
    /// Attached replicas that the topology does not give to this node.
    orphans: usize,
}

impl Reconciling {
    /// Something else is to be from now on.
    pub(super) fn aim(&mut self, goal: Goal) {
        let goal = reconciler::Event::Goal(goal);
        self.reconciler.handle(cluster_now().at, goal, &mut Vec::new());
    }

    /// Milliseconds until something is tried again; `None` if nothing is to be.
    pub(super) fn patience(&self) -> Option<u64> {
        let now = cluster_now().at;
        self.reconciler.deadline().map(|due| due.0.saturating_sub(now.0))
    }
}

impl Clustering {
    /// What replication of this node is to be by the topology that is in force.
    pub(super) fn goal(&self) -> Goal {
        if let Some(external) = &self.external {
            return external.desired.goal();
        }
        let nodes = self.machine.nodes();
        match nodes.me().role {
            NodeRole::Primary | NodeRole::Unknown => Goal::Lead,
            NodeRole::Replica(None) => Goal::Leave,
            NodeRole::Replica(Some(primary)) => {
                let node = nodes.at(primary);
                let followed =
                    |host: String| Goal::Follow(Primary { host, port: node.ports.client });
                node.ip.map_or(Goal::Lost(node.id), |ip| followed(ip.to_string()))
            }
        }
    }

    /// What INFO and the metrics show.
    pub fn shown(&self) -> Shown {
        let Reconciling { reconciler, orphans, .. } = &self.reconciling;
        let is_under_way = self.external.as_ref().is_some_and(|it| it.is_under_way());
        let state = match reconciler.state() {
            State::InSync if is_under_way => State::Pending,
            state => state,
        };
        let nodes = self.machine.nodes();
        let (version, hash, is_member) = match &self.external {
            Some(external) => {
                let desired = &external.desired;
                (desired.version(), desired.hash(), desired.me().is_some())
            }
            None => {
                let epoch = self.machine.current_epoch().0;
                (i64::try_from(epoch).unwrap_or(i64::MAX), report::nodes::content(nodes), true)
            }
        };
        Shown {
            version,
            hash: format!("{hash:016x}"),
            is_member,
            state,
            last_error: reconciler.last_error().unwrap_or_default().to_owned(),
            pending_ms: reconciler.pending_ms(cluster_now().at),
            orphans: *orphans,
        }
    }

    /// What a replica is that is attached, or wants to be.
    fn verdict(&self, identity: &Identity, address: &Address) -> Verdict {
        if let Some(external) = &self.external {
            return external.verdict(identity.member.as_ref(), address);
        }
        let nodes = self.machine.nodes();
        if nodes.replicas_of(nodes.myself()).any(|(_, node)| is_of(identity, address, node)) {
            return Verdict::Member;
        }
        // CLUSTER FORGET has removed it, and it has not heard of that.
        let told = identity.node_id.as_deref().and_then(NodeId::parse);
        match told.is_some_and(|id| self.machine.has_forgotten(id)) {
            true => Verdict::Stranger,
            // This node may know less than the replica does, or that is none of a cluster.
            false => Verdict::Tolerated,
        }
    }
}

impl Control {
    /// Replication is to be something else from now on.
    pub(super) fn aim(&mut self, goal: Goal) {
        self.clustering.iter_mut().for_each(|it| it.reconciling.aim(goal.clone()));
    }

    /// What waits to be tried again is tried at once.
    pub(super) fn kick_reconciler(&mut self) {
        if let Some(clustering) = &mut self.clustering {
            let (now, kick) = (cluster_now().at, reconciler::Event::Kick);
            clustering.reconciling.reconciler.handle(now, kick, &mut Vec::new());
        }
    }

    /// Compares what replication is with what it is to be, and does what follows.
    pub(super) fn see_to_topology(&mut self) {
        if self.clustering.is_none() || self.node.condition.loading {
            return;
        }
        let observed = self.observe();
        let mut actions = Vec::new();
        if let Some(clustering) = &mut self.clustering {
            let event = reconciler::Event::Observed(observed);
            clustering.reconciling.reconciler.handle(cluster_now().at, event, &mut actions);
        }
        for action in actions {
            self.reconcile(action);
        }
        self.hold_for_topology();
        self.answer_waits();
    }

    fn observe(&mut self) -> Observed {
        let ends = self.clustering.as_ref().is_some_and(|it| it.reconciling.ends);
        let standing = match (&self.node.config.replicaof, self.node.condition.role) {
            (Some(primary), _) => {
                let link = match self.link_view() {
                    Some(link) if link.status.is_up() => Link::Up,
                    link => Link::Down(link.and_then(|link| link.last_failure.clone())),
                };
                Standing::Follows(primary.clone(), link)
            }
            (None, Role::Primary) => Standing::Leads,
            (None, Role::Replica) if ends => Standing::Ends,
            (None, Role::Replica) => Standing::Left,
        };
        let mut strangers = Vec::new();
        if let Some(clustering) = &mut self.clustering {
            let mut orphans = 0;
            for session in &self.replicating.view.sessions {
                let verdict = clustering.verdict(&session.identity, &session.standing.address);
                orphans += usize::from(verdict != Verdict::Member);
                if verdict == Verdict::Stranger {
                    strangers.push(session.session.0);
                }
            }
            clustering.reconciling.orphans = orphans;
        }
        Observed { standing, strangers }
    }

    fn reconcile(&mut self, action: Action) {
        match action {
            Action::Follow(primary) => {
                let (host, port) = (&primary.host, primary.port);
                log::notice(&format!("By the topology this node follows {host}:{port}"));
                self.hold_until_promoted(false);
                self.begin_to_follow();
                self.follow(primary, By::Cluster);
                self.order(&Query::Role(Role::Replica));
            }
            Action::Unfollow => {
                log::notice("By the topology this node follows no other node any more");
                self.note_end_of_link(true);
                self.unfollow(By::Cluster);
            }
            Action::Promote => self.promote(),
            Action::Cut(sessions) => {
                let count = sessions.len();
                log::notice(&format!("By the topology {count} attached replicas are cut"));
                let sessions: Vec<SessionId> = sessions.into_iter().map(SessionId).collect();
                self.mailbox.tell_relay(ToRelay::Kill(sessions, Cut::Stranger));
            }
        }
    }

    /// Another primary is about to be followed, of whose stream this node has nothing.
    pub(super) fn begin_to_follow(&mut self) {
        self.note_end_of_link(false);
        self.clustering.iter_mut().for_each(|clustering| clustering.synced_with = None);
    }

    /// Notes whether what came of a former primary is being applied.
    pub(super) fn note_end_of_link(&mut self, ends: bool) {
        self.clustering.iter_mut().for_each(|clustering| clustering.reconciling.ends = ends);
    }

    /// The link to the primary has ended, and all that came by it is applied. True if this node is
    /// not to be promoted: it has left the topology.
    pub(crate) fn leaves_topology(&mut self) -> bool {
        let is_followed = self.node.config.replicaof.is_some();
        let Some(clustering) = self.clustering.as_mut().filter(|_| !is_followed) else {
            return false;
        };
        let Reconciling { reconciler, ends, .. } = &mut clustering.reconciling;
        let leaves = *reconciler.goal() == Goal::Leave;
        *ends &= !leaves;
        leaves
    }

    /// Refuses a replica that is none of this node by the topology. The arrival, if it is let in.
    pub(crate) fn admit_replica(&self, arrival: Box<Arrival>) -> Option<Box<Arrival>> {
        let Some(clustering) = &self.clustering else { return Some(arrival) };
        let identity = arrival.greeting.identity();
        let host = arrival.known.peer.map_or_else(String::new, |peer| peer.ip().to_string());
        let address = arrival.greeting.address(&host);
        if clustering.verdict(identity, &address) != Verdict::Stranger {
            return Some(arrival);
        }
        let (id, version) = (identity.id(), clustering.shown().version);
        log::verbose(&format!(
            "Replica {address} is refused: node {id} is none of this node's in version {version} \
             of the topology"
        ));
        refuse(arrival.socket, &refusal(&id, version));
        None
    }
}
