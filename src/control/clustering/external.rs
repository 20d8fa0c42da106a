//! A topology from outside, as the control thread sees to it: CLUSTERX changes what is desired, the
//! machine of `topology` says what follows, and that is done.
//!
//! ```text
//! CLUSTERX --> desired --> the table of nodes, shards' copies, nodes.conf --> +OK
//!                             saved --> reconciler --> follow, unfollow, promote, cut
//! ```
//! No role changes before the topology that asks for it is on the disk. No command waits for one.

use std::collections::VecDeque;
use std::path::Path;

use shards::resp::error::Error;

use crate::cluster::file::Memory;
use crate::cluster::ids::{Epoch, NodeId, ShardId};
use crate::cluster::machine::Machine;
use crate::cluster::machine::action::Actions;
use crate::cluster::machine::event::{Command, Event, Ticket};
use crate::cluster::machine::settings::Settings;
use crate::cluster::moment::Now;
use crate::cluster::nodes::Nodes;
use crate::cluster::nodes::node::{Node, Role as NodeRole};
use crate::config::table::Config;
use crate::control::clustering::shown::Shown;
use crate::control::clustering::{chance_of, cluster_now, settings};
use crate::control::core::Control;
use crate::control::saving::KeptRequest;
use crate::log;
use crate::mail::query::Query;
use crate::mail::replica::{Arrival, SessionView};
use crate::mail::to_relay::ToRelay;
use crate::reactor::clock::Monotonic;
use crate::reactor::system;
use crate::relay::deciding::refuse;
use crate::replication::address::Address;
use crate::replication::greeting::member::{Member, refusal};
use crate::replication::link::events::By;
use crate::replication::session::SessionId;
use crate::replication::session::ended::Cut;
use crate::routing::node::Role;
use crate::topology::desired::{Change, Desired, Goal, Outcome, Own};
use crate::topology::file;
use crate::topology::membership::{Peer, Verdict, judge};
use crate::topology::reconciler::{self, Action, Link, Observed, Reconciler, Standing, State};

/// A topology is not taken by a node whose keys are on their way out.
const RESETTING: Error = Error::Text("ERR A reset of this node is under way");
/// No request of the machine has this number.
const NO_TICKET: Ticket = Ticket(u64::MAX);

/// What an outside controller wants of this node.
#[derive(Debug, Default)]
pub struct External {
    /// What is to be.
    pub desired: Desired,
    reconciler: Reconciler,
    /// How often `desired` has changed, what saves under way write of it, and the last one written.
    revision: u64,
    saving: VecDeque<u64>,
    saved: u64,
    /// The last save failed, and the process goes on all the same.
    is_unsaved: bool,
    /// A primary is followed no more, and what came of it is being applied.
    ends: bool,
    /// Attached replicas that the topology does not give to this node.
    orphans: usize,
    pub(super) waits: Vec<Wait>,
}

/// CLUSTERX WAIT
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) kept: KeptRequest,
    version: i64,
    since: Monotonic,
    millis: u64,
}

/// What a command of a node asks of a topology from outside.
#[derive(Clone, Debug)]
pub enum Request {
    /// That it is another one.
    Change(Change),
    /// To be answered when this version, or a later one, is in force and replication is as it says;
    /// an error after so many milliseconds.
    Wait(i64, u64),
}

/// Begins with what nodes.conf says. What the machine asks for is to be done first.
///
/// # Errors
/// A sentence that says why the process cannot start.
pub(super) fn begin(
    config: &Config,
    path: &Path,
    text: &str,
) -> Result<(Machine, External, Actions), String> {
    let desired = file::load(text).map_err(|corrupt| {
        let (path, line, reason) = (path.display(), corrupt.line, corrupt.reason);
        let place = if line == 0 { String::new() } else { format!(", line {line}") };
        format!(
            "Unrecoverable error: corrupted cluster config file {path}{place}: {reason}. With \
             cluster-topology external it is not the file of a node that gossips: put a whole file \
             in its place, or move it away to start as a new node."
        )
    })?;
    let (now, settings) = (cluster_now(), settings::of(config));
    let mut actions = Actions::default();
    let mut machine = machine_of(now, &desired, settings);
    if desired.is_set() {
        let imposed = Box::new(desired.imposed(machine.nodes().me().id));
        machine.handle(now, Event::Asked(NO_TICKET, Command::Impose(imposed)), &mut actions);
    }
    let mut external = External { desired, ..External::default() };
    external.aim(now);
    Ok((machine, external, actions))
}

fn machine_of(now: Now, desired: &Desired, settings: Settings) -> Machine {
    let id = desired.id.unwrap_or_else(|| NodeId::of_random(system::random()));
    let (shard, seed) = (ShardId::of_random(system::random()), chance_of());
    if !desired.is_set() {
        return Machine::new(now, id, shard, settings, seed);
    }
    let memory = Memory {
        nodes: Nodes::new(Node::new(id, NodeRole::Primary, now.at)),
        current_epoch: Epoch(0),
        last_vote_epoch: Epoch(0),
        warnings: Vec::new(),
    };
    Machine::load(now, memory, shard, settings, seed)
}

impl External {
    /// What nodes.conf is to say; it is about to be written.
    pub(super) fn file(&mut self) -> String {
        self.saving.push_back(self.revision);
        file::text(&self.desired)
    }

    /// A save has ended.
    pub(super) fn save_ended(&mut self, is_ok: bool) {
        // A topology that is in force is followed, also if a restart would forget it.
        self.saved = self.saving.pop_front().unwrap_or(self.saved);
        self.is_unsaved = !is_ok;
        if self.saved == self.revision {
            self.aim(cluster_now());
        }
    }

    /// What replication is to be when this node begins: of a node that has left, of no primary's.
    pub(super) fn role(&self) -> Role {
        match self.desired.goal() {
            Goal::Unset | Goal::Lead => Role::Primary,
            Goal::Leave | Goal::Follow(_) | Goal::Lost(_) => Role::Replica,
        }
    }

    /// What INFO and the metrics show.
    pub fn shown(&self) -> Shown {
        let now = cluster_now().at;
        let is_under_way = self.saved != self.revision;
        let state = match self.reconciler.state() {
            State::InSync if is_under_way => State::Pending,
            state => state,
        };
        Shown {
            version: self.desired.version(),
            hash: format!("{:016x}", self.desired.hash()),
            is_member: self.desired.me().is_some(),
            state,
            last_error: self.reconciler.last_error().unwrap_or_default().to_owned(),
            pending_ms: self.reconciler.pending_ms(now),
            orphans: self.orphans,
        }
    }

    /// Milliseconds until something is due; `None` if nothing is.
    pub(super) fn patience(&self, now: Now, at: Monotonic) -> Option<u64> {
        let retry = self.reconciler.deadline().map(|due| due.0.saturating_sub(now.at.0));
        let waits =
            self.waits.iter().map(|wait| wait.millis.saturating_sub(at.millis_since(wait.since)));
        waits.chain(retry).min()
    }

    /// Forgets all: CLUSTER RESET.
    pub(super) fn reset(&mut self) {
        self.desired.reset();
        self.revision += 1;
        // The former primary is not to be followed meanwhile.
        self.aim(cluster_now());
    }

    fn aim(&mut self, now: Now) {
        let goal = reconciler::Event::Goal(self.desired.goal());
        self.reconciler.handle(now.at, goal, &mut Vec::new());
    }

    /// Which node this one is, as its primaries are told.
    pub(super) fn member(&self) -> Option<Member> {
        let version = self.desired.version();
        self.desired.id.map(|id| Member { id: id.to_string(), version })
    }

    fn verdict(&self, member: Option<&Member>, address: &Address) -> Verdict {
        let told =
            member.and_then(|member| Some((NodeId::given(member.id.as_bytes())?, member.version)));
        let Address { host, port } = address.clone();
        judge(&self.desired, &Peer { told, host, port })
    }
}

impl Control {
    /// The topology from outside, if that is what this node goes by.
    pub fn external(&self) -> Option<&External> {
        self.clustering.as_ref()?.external.as_ref()
    }

    fn external_mut(&mut self) -> Option<&mut External> {
        self.clustering.as_mut()?.external.as_mut()
    }

    /// Does what CLUSTERX asks for.
    pub(super) fn ask_external(&mut self, kept: KeptRequest, request: Request) {
        match request {
            Request::Change(change) => self.change_topology(kept, &change),
            Request::Wait(version, millis) => {
                let since = Monotonic::now();
                let millis = if kept.batch.is_exec() { 0 } else { millis };
                if let Some(external) = self.external_mut() {
                    external.waits.push(Wait { kept, version, since, millis });
                }
                self.see_to_topology();
            }
        }
    }

    fn change_topology(&mut self, kept: KeptRequest, change: &Change) {
        if self.is_resetting() {
            return self.answer_kept(kept, Err(RESETTING));
        }
        let own = own(&self.node.config);
        let Some(Clustered { external, unnamed }) = self.clustered() else { return };
        let taken = match external.desired.take(change, &own) {
            // What could not be written is written anew.
            Ok(Outcome::Same) if external.is_unsaved => Ok(Outcome::Changed),
            taken => taken,
        };
        match taken {
            Err(error) => self.answer_kept(kept, Err(error)),
            Ok(Outcome::Same) => {
                let kick = reconciler::Event::Kick;
                external.reconciler.handle(cluster_now().at, kick, &mut Vec::new());
                self.introduce();
                self.answer_kept(kept, Ok("OK"));
                self.see_to_topology();
            }
            Ok(Outcome::Changed) => {
                external.revision += 1;
                let imposed = Box::new(external.desired.imposed(unnamed));
                self.hold_for_topology();
                self.introduce();
                self.put_to_cluster(kept, Command::Impose(imposed));
            }
        }
    }

    fn clustered(&mut self) -> Option<Clustered<'_>> {
        let clustering = self.clustering.as_mut()?;
        let unnamed = clustering.machine.nodes().me().id;
        Some(Clustered { external: clustering.external.as_mut()?, unnamed })
    }

    /// Why a request that the machine has granted is an error all the same, if it is.
    pub(super) fn is_topology_unsaved(&self) -> Option<Error> {
        let is_unsaved = self.external().is_some_and(|external| external.is_unsaved);
        is_unsaved.then_some(Error::Text(
            "ERR The topology is in force, but can't be written: a restart forgets it",
        ))
    }

    /// Holds writes until this node is the primary that it is to be: clients may be sent here as
    /// soon as its table says so.
    fn hold_for_topology(&mut self) {
        let Some(external) = self.external() else { return };
        match external.desired.goal() {
            Goal::Lead => self.hold_until_promoted(self.node.condition.role == Role::Replica),
            Goal::Leave | Goal::Follow(_) => self.hold_until_promoted(false),
            // A reset ends its hold by itself.
            Goal::Unset | Goal::Lost(_) => {}
        }
    }

    /// Compares what replication is with what it is to be, and does what follows.
    pub(super) fn see_to_topology(&mut self) {
        if self.external().is_none() || self.node.condition.loading {
            return;
        }
        let observed = self.observe();
        let mut actions = Vec::new();
        if let Some(external) = self.external_mut() {
            let event = reconciler::Event::Observed(observed);
            external.reconciler.handle(cluster_now().at, event, &mut actions);
        }
        for action in actions {
            self.reconcile(action);
        }
        self.hold_for_topology();
        self.answer_waits();
    }

    fn observe(&mut self) -> Observed {
        let ends = self.external().is_some_and(|external| external.ends);
        let standing = match (&self.node.config.replicaof, self.node.condition.role) {
            (Some(primary), _) => {
                let link = match self.link() {
                    Some(link) if link.status.is_up() => Link::Up,
                    link => Link::Down(link.and_then(|link| link.last_error)),
                };
                Standing::Follows(primary.clone(), link)
            }
            (None, Role::Primary) => Standing::Leads,
            (None, Role::Replica) if ends => Standing::Ends,
            (None, Role::Replica) => Standing::Left,
        };
        let mut strangers = Vec::new();
        let mut orphans = 0;
        let sessions = &self.replicating.view.sessions;
        if let Some(external) = self.external() {
            for SessionView { session, identity, standing, .. } in sessions {
                match external.verdict(identity.member.as_ref(), &standing.address) {
                    Verdict::Member => {}
                    Verdict::Tolerated => orphans += 1,
                    Verdict::Stranger => {
                        orphans += 1;
                        strangers.push(session.0);
                    }
                }
            }
        }
        if let Some(external) = self.external_mut() {
            external.orphans = orphans;
        }
        Observed { standing, strangers }
    }

    fn reconcile(&mut self, action: Action) {
        match action {
            Action::Follow(primary) => {
                let (host, port) = (&primary.host, primary.port);
                log::notice(&format!("By the topology this node follows {host}:{port}"));
                self.hold_until_promoted(false);
                if let Some(clustering) = &mut self.clustering {
                    clustering.synced_with = None;
                }
                self.note_end_of_link(false);
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

    /// Notes whether what came of a former primary is being applied.
    pub(super) fn note_end_of_link(&mut self, ends: bool) {
        if let Some(external) = self.external_mut() {
            external.ends = ends;
        }
    }

    /// The link to the primary has ended, and all that came by it is applied. True if this node is
    /// not to be promoted: it has left the topology.
    pub(crate) fn leaves_topology(&mut self) -> bool {
        let is_followed = self.node.config.replicaof.is_some();
        let Some(external) = self.external_mut().filter(|_| !is_followed) else { return false };
        let leaves = *external.reconciler.goal() == Goal::Leave;
        if leaves {
            external.ends = false;
        }
        leaves
    }

    fn answer_waits(&mut self) {
        let now = Monotonic::now();
        let Some(external) = self.external_mut().filter(|it| !it.waits.is_empty()) else { return };
        let Shown { version, state, last_error, .. } = external.shown();
        let is_there = |wait: &Wait| wait.version <= version && state == State::InSync;
        let is_over = |wait: &Wait| wait.millis <= now.millis_since(wait.since);
        let over = external.waits.extract_if(.., |wait| is_there(wait) || is_over(wait));
        let over: Vec<Wait> = over.collect();
        for wait in over {
            let is_there = is_there(&wait);
            let late = || {
                let state = state.name();
                let text = format!("TIMEOUT version {version} is {state}: {last_error}");
                Error::Owned(text.trim_end_matches([':', ' ']).to_owned())
            };
            self.answer_kept(wait.kept, if is_there { Ok("OK") } else { Err(late()) });
        }
    }

    /// Refuses a replica that is none of this node by the topology. The arrival, if it is let in.
    pub(crate) fn admit_replica(&mut self, arrival: Box<Arrival>) -> Option<Box<Arrival>> {
        let Some(external) = self.external() else { return Some(arrival) };
        let member = arrival.greeting.identity().member.as_ref();
        let host = arrival.known.peer.map_or_else(String::new, |peer| peer.ip().to_string());
        let address = arrival.greeting.address(&host);
        let version = external.desired.version();
        match external.verdict(member, &address) {
            Verdict::Member | Verdict::Tolerated => Some(arrival),
            Verdict::Stranger => {
                let id = member.map_or("", |member| &member.id);
                log::verbose(&format!(
                    "Replica {address} is refused: node {id} is none of this node's in version \
                     {version} of the topology"
                ));
                refuse(arrival.socket, &refusal(id, version));
                None
            }
        }
    }
}

/// Both that a change needs of the cluster.
struct Clustered<'a> {
    external: &'a mut External,
    /// The id that this node has as long as it was told none.
    unnamed: NodeId,
}

/// Where this node can be reached, as far as the configuration says it.
fn own(config: &Config) -> Own {
    let bound = config.bind.iter().map(|host| host.trim_start_matches('-').to_owned());
    let announced = Some(config.cluster_announce_ip.clone()).filter(|ip| !ip.is_empty());
    let port = match config.cluster_announce_port {
        0 => config.port,
        port => port,
    };
    Own { hosts: bound.chain(announced).collect(), port }
}
