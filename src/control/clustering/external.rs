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
use crate::reactor::clock::Monotonic;
use crate::reactor::system;
use crate::replication::address::Address;
use crate::replication::greeting::member::Member;
use crate::routing::node::Role;
use crate::topology::desired::{Change, Desired, Goal, Outcome, Own};
use crate::topology::file;
use crate::topology::membership::{Peer, Verdict, judge};
use crate::topology::reconciler::State;

/// A topology is not taken by a node whose keys are on their way out.
const RESETTING: Error = Error::Text("ERR A reset of this node is under way");
/// No request of the machine has this number.
const NO_TICKET: Ticket = Ticket(u64::MAX);

/// What an outside controller wants of this node.
#[derive(Debug, Default)]
pub struct External {
    /// What is to be.
    pub desired: Desired,
    /// How often `desired` has changed, what saves under way write of it, and the last one written.
    revision: u64,
    saving: VecDeque<u64>,
    saved: u64,
    /// The last save failed, and the process goes on all the same.
    is_unsaved: bool,
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
    Ok((machine, External { desired, ..External::default() }, actions))
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

    /// A save has ended. What replication is to be from now on, if nothing else is to be saved.
    pub(super) fn save_ended(&mut self, is_ok: bool) -> Option<Goal> {
        // A topology that is in force is followed, also if a restart would forget it.
        self.saved = self.saving.pop_front().unwrap_or(self.saved);
        self.is_unsaved = !is_ok;
        (self.saved == self.revision).then(|| self.desired.goal())
    }

    /// Whether a topology is being saved: then replication is not as it says yet.
    pub(super) fn is_under_way(&self) -> bool {
        self.saved != self.revision
    }

    /// What replication is to be when this node begins: of a node that has left, of no primary's.
    pub(super) fn role(&self) -> Role {
        match self.desired.goal() {
            Goal::Unset | Goal::Lead => Role::Primary,
            Goal::Leave | Goal::Follow(_) | Goal::Lost(_) => Role::Replica,
        }
    }

    /// Milliseconds until something is due; `None` if nothing is.
    pub(super) fn patience(&self, at: Monotonic) -> Option<u64> {
        let waits = self.waits.iter();
        waits.map(|wait| wait.millis.saturating_sub(at.millis_since(wait.since))).min()
    }

    /// Forgets all: CLUSTER RESET. The former primary is not to be followed meanwhile.
    pub(super) fn reset(&mut self) -> Goal {
        self.desired.reset();
        self.revision += 1;
        self.desired.goal()
    }

    /// Which node this one is, as its primaries are told.
    pub(super) fn member(&self) -> Option<Member> {
        let version = self.desired.version();
        self.desired.id.map(|id| Member { id: id.to_string(), version })
    }

    pub(super) fn verdict(&self, member: Option<&Member>, address: &Address) -> Verdict {
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

    pub(super) fn external_mut(&mut self) -> Option<&mut External> {
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
                self.kick_reconciler();
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
    pub(super) fn hold_for_topology(&mut self) {
        let Some(external) = self.external() else { return };
        match external.desired.goal() {
            Goal::Lead => self.hold_until_promoted(self.node.condition.role == Role::Replica),
            Goal::Leave | Goal::Follow(_) => self.hold_until_promoted(false),
            // A reset ends its hold by itself.
            Goal::Unset | Goal::Lost(_) => {}
        }
    }

    pub(super) fn answer_waits(&mut self) {
        let now = Monotonic::now();
        if self.external().is_none_or(|external| external.waits.is_empty()) {
            return;
        }
        let Some(Shown { version, state, last_error, .. }) = self.topology() else { return };
        let Some(external) = self.external_mut() else { return };
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
