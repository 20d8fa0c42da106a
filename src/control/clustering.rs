//! The node of a cluster, as the control thread drives it: what happens at sockets, to the file, to
//! the stream and by commands is told to the machine of the room `cluster`, and what that asks for
//! is done.
//!
//! ```text
//! links, nodes.conf, time, CLUSTER, the stream --events--> machine --actions--> links, nodes.conf,
//!   shards (who owns what), the link to the primary, clients
//! ```
//! Nothing here waits: what stands behind a durable save is done when that has ended.

mod acting;
pub mod asking;
pub mod external;
mod owning;
mod publishing;
mod reconciling;
mod resetting;
pub mod settings;
pub mod shown;
mod telling;

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::path::Path;

use crate::bus::file::{NodesFile, Outcome, Saver};
use crate::bus::links::Links;
use crate::cluster::file;
use crate::cluster::health::turning::Watch;
use crate::cluster::ids::{NodeId, ShardId};
use crate::cluster::machine::Machine;
use crate::cluster::machine::action::{Actions, Durability};
use crate::cluster::machine::event::{Event, Replicated, Ticket};
use crate::cluster::machine::orders::Order;
use crate::cluster::moment::{Moment, Now};
use crate::cluster::nodes::node::{Node, Role as NodeRole};
use crate::cluster::ownership::Ownership;
use crate::config::choices::SaveBehavior;
use crate::config::primary::Primary;
use crate::config::table::Config;
use crate::control::core::Control;
use crate::log;
use crate::mail::board::{ANY_TIME, NO_TIME};
use crate::mail::query::Answer;
use crate::mail::to_relay::ToRelay;
use crate::mail::upstream::UpstreamWord;
use crate::process::plain;
use crate::reactor::clock::{self, Monotonic};
use crate::reactor::system;
use crate::reactor::wake::{Awaited, Wake};
use crate::replication::address::Address;
use crate::replication::greeting::member::Identity;
use crate::replication::history::Scalar;
use crate::routing::node::Role;
use crate::topology::desired::Goal;
use asking::{Kept, Resting};
use external::External;
use owning::Owning;
use publishing::Publishing;
use reconciling::Reconciling;
use resetting::{Clearing, Reset};
use telling::Telling;

/// How often the log says that nodes.conf cannot be written.
const COMPLAIN_MS: u64 = 30_000;

/// This node of the cluster.
#[derive(Debug)]
pub struct Clustering {
    /// What decides.
    pub machine: Machine,
    /// What decides that for the machine, with `cluster-topology external`.
    pub external: Option<External>,
    reconciling: Reconciling,
    /// Connections with other nodes.
    pub links: Links,
    saver: Saver,
    actions: Actions,
    /// Requests that the machine answers.
    kept: BTreeMap<Ticket, Kept>,
    next_ticket: u64,
    owning: Owning,
    /// Resets that wait until there is no child.
    resets: VecDeque<Reset>,
    clearing: Option<Clearing>,
    /// Requests for which writes are held back.
    resting: Vec<Resting>,
    /// How many there are, those included whose keys are being counted.
    holds_to_count: usize,
    /// Writes wait until this node is a primary.
    holds_until_promoted: bool,
    publishing: Publishing,
    turns: Watch,
    /// SETSLOTs that wait for replicas.
    tellings: Vec<Telling>,
    next_telling: u64,
    /// What the machine was last told of the stream.
    replicated: Replicated,
    /// The primary whose stream this node has had.
    synced_with: Option<Address>,
    /// Whether what was loaded at the start is at a place of the history of a primary.
    pub(super) has_loaded_place: bool,
    /// Whether the link to the primary knows that the data are to be kept.
    pub(super) keeps_data: bool,
    /// When the log last said that nodes.conf cannot be written.
    complained: Option<Monotonic>,
    /// How often it was written, and how often it could not be.
    saves: (u64, u64),
}

impl Clustering {
    /// Whether writes are held back for something else than a failover.
    pub fn holds_writes(&self) -> bool {
        self.holds_until_promoted || self.holds_to_count != 0
    }

    /// Nothing is held back any more until this node is a primary: it is one.
    pub fn forget_promotion(&mut self) {
        self.holds_until_promoted = false;
    }

    /// Begins with what nodes.conf says, or as a new node.
    ///
    /// # Errors
    /// A sentence that says why the process cannot start.
    pub fn begin(config: &Config, sockets: Vec<OwnedFd>, bell: Wake) -> Result<Self, String> {
        let path = config.dir.join(&config.cluster_config_file);
        let (nodes_file, text) = NodesFile::open(&path)?;
        let (machine, external, actions) = if config.is_topology_external() {
            let (machine, external, actions) = external::begin(config, &path, &text)?;
            (machine, Some(external), actions)
        } else {
            (machine_of(config, &path, &text)?, None, Actions::default())
        };
        let links = Links::new(sockets, settings::limits(config))
            .map_err(|error| format!("Can't use the sockets of the bus: {}.", plain(&error)))?;
        let saver = nodes_file
            .start(bell)
            .map_err(|error| format!("Can't start a thread for nodes.conf: {}.", plain(&error)))?;
        let mut clustering = Self {
            machine,
            external,
            reconciling: Reconciling::default(),
            links,
            saver,
            actions,
            kept: BTreeMap::new(),
            next_ticket: 0,
            owning: Owning::default(),
            resets: VecDeque::new(),
            resting: Vec::new(),
            holds_to_count: 0,
            clearing: None,
            holds_until_promoted: false,
            publishing: Publishing::default(),
            turns: Watch::default(),
            tellings: Vec::new(),
            next_telling: 0,
            replicated: Replicated::default(),
            synced_with: None,
            has_loaded_place: false,
            keeps_data: false,
            complained: None,
            saves: (0, 0),
        };
        clustering.reconciling.aim(clustering.goal());
        Ok(clustering)
    }

    /// What shards know at first of who owns what.
    pub fn first_ownership(&self) -> Ownership {
        self.machine.ownership(0)
    }

    /// What this node was when it last ran.
    pub fn role(&self) -> Role {
        if let Some(external) = &self.external {
            return external.role();
        }
        match self.machine.nodes().me().role {
            NodeRole::Replica(_) => Role::Replica,
            NodeRole::Primary | NodeRole::Unknown => Role::Primary,
        }
    }

    /// The primary that this node follows, if it is a replica and the address is known.
    pub fn primary(&self) -> Option<Primary> {
        match self.goal() {
            Goal::Follow(primary) => Some(primary),
            Goal::Unset | Goal::Lead | Goal::Leave | Goal::Lost(_) => None,
        }
    }

    /// Messages that were dropped: that other nodes were too slow for, and shards of this one.
    pub fn messages_dropped(&self) -> (u64, u64) {
        (self.links.dropped() + self.actions.dropped(), self.publishing.dropped())
    }

    /// Counts messages and bytes of the bus from zero again.
    pub fn reset_counts(&mut self) {
        self.machine.reset_messages();
        self.links.reset_bytes();
    }

    /// How often nodes.conf was written, and how often it could not be.
    pub const fn saves(&self) -> (u64, u64) {
        self.saves
    }

    /// What is to be waited for.
    pub fn awaited(&self) -> impl Iterator<Item = Awaited<'_>> {
        self.links.awaited()
    }

    /// Milliseconds until something is due.
    pub fn patience(&self) -> u64 {
        let now = cluster_now();
        let machine = self.machine.deadline().0.saturating_sub(now.at.0);
        let external = self.external.as_ref();
        let external = external.and_then(|it| it.patience(Monotonic::now()));
        let others = [external, self.reconciling.patience()].into_iter().flatten();
        others.chain([machine]).min().unwrap_or(machine)
    }

    /// Writes nodes.conf a last time, and ends all links.
    pub fn close(self) {
        let Self { machine, external, saver, .. } = self;
        let text = external.map_or_else(|| machine.file(), |mut external| external.file());
        if let Err(error) = saver.close(text) {
            log::warning(&format!("Can't write nodes.conf: {}", plain(&error)));
        }
    }
}

fn machine_of(config: &Config, path: &Path, text: &str) -> Result<Machine, String> {
    let now = cluster_now();
    let memory = file::load(text, now.at).map_err(|corrupt| {
        let (path, line, reason) = (path.display(), corrupt.line, corrupt.reason);
        let place = if line == 0 { String::new() } else { format!(", line {line}") };
        format!(
            "Unrecoverable error: corrupted cluster config file {path}{place}: {reason}. Put a \
             whole file in its place, or move it away to start as a new node."
        )
    })?;
    let (settings, shard) = (settings::of(config), ShardId::of_random(system::random()));
    let seed = chance_of();
    Ok(match memory {
        Some(memory) => Machine::load(now, memory, shard, settings, seed),
        None => Machine::new(now, NodeId::of_random(system::random()), shard, settings, seed),
    })
}

/// Whether this node of the cluster is a replica that tells this of itself. One that does not tell
/// its id, as older versions do not, is known by its address.
pub(crate) fn is_of(identity: &Identity, address: &Address, node: &Node) -> bool {
    let Address { host, port } = address;
    match &identity.node_id {
        Some(told) => *told == node.id.as_bytes(),
        None => *port == node.ports.client && node.ip.is_some_and(|ip| ip.to_string() == *host),
    }
}

/// A seed by chance.
fn chance_of() -> u64 {
    system::random().iter().fold(0_u64, |seed, byte| seed << 8 | u64::from(*byte))
}

/// What time it is, for the machine.
fn cluster_now() -> Now {
    Now { at: Moment(clock::since_boot_millis()), unix: clock::wall() }
}

impl Control {
    /// Does what the cluster has to do now. True if there is more to do at once.
    pub fn see_to_cluster(&mut self) -> bool {
        let now = self.node.now;
        let Some(clustering) = &mut self.clustering else { return false };
        clustering.links.turn(now);
        while let Some(event) = self.clustering.as_mut().and_then(|it| it.links.next_event()) {
            self.cluster_hears(event);
        }
        while let Some(outcome) = self.clustering.as_ref().and_then(|it| it.saver.next_outcome()) {
            self.nodes_saved(outcome);
        }
        self.see_to_topology();
        self.see_to_resets();
        self.see_to_tellings();
        self.tell_cluster_of_stream();
        let deadline = self.clustering.as_ref().map(|clustering| clustering.machine.deadline());
        if deadline.is_some_and(|deadline| deadline <= cluster_now().at) {
            self.look_at_turns();
            self.cluster_hears(Event::Tick);
        }
        let is_left = self.pass_messages_on();
        self.deliver_messages();
        self.complain_of_messages();
        if let Some(clustering) = &mut self.clustering {
            clustering.links.flush();
        }
        is_left
    }

    /// Tells the machine what has happened, and does what it asks for.
    pub(crate) fn cluster_hears(&mut self, event: Event) {
        let Some(clustering) = &mut self.clustering else { return };
        clustering.machine.handle(cluster_now(), event, &mut clustering.actions);
        // Shards know it at once: a copy that comes by letter is read when what was read before is
        // done.
        let until = clustering.machine.writes_until().map_or(NO_TIME, |until| match until.0 {
            u64::MAX => ANY_TIME,
            millis => millis.max(NO_TIME),
        });
        self.mailbox.own_board().writes_until.set(until);
        self.act_for_cluster();
    }

    /// Has the relay tell primaries which node this is.
    pub(crate) fn introduce(&mut self) {
        let Some(clustering) = self.clustering.as_deref() else { return };
        let id = clustering.machine.nodes().me().id;
        let identity = match &clustering.external {
            Some(external) => Identity { member: external.member(), node_id: None },
            None => Identity { node_id: Some(id.as_bytes().to_vec()), member: None },
        };
        if self.replicating.has_relay() {
            self.mailbox.tell_relay(ToRelay::Introduce(identity));
        }
    }

    /// The primary of this node says something by its stream that concerns no key.
    pub(crate) fn primary_says(&mut self, words: &[Vec<u8>]) {
        if let Some(order) = Order::parse(words) {
            self.cluster_hears(Event::Ordered(order));
        }
    }

    /// The data is complete; shards have said in which slots they have keys.
    pub(crate) fn tell_cluster_of_data(&mut self, answers: Vec<Answer>) {
        let slots = answers.into_iter().flat_map(|answer| match answer {
            Answer::Slots(slots) => slots,
            _ => unreachable!("slots were asked for"),
        });
        let slots = slots.collect();
        let following = self.link();
        if let Some(clustering) = &mut self.clustering {
            let is_of = std::mem::take(&mut clustering.has_loaded_place)
                && clustering.machine.is_of_primary(&slots);
            let primary = following.filter(|_| is_of).map(|following| following.primary);
            clustering.synced_with = primary.or(clustering.synced_with.take());
        }
        self.cluster_hears(Event::Loaded(slots));
    }

    /// Another configuration is in force.
    pub(crate) fn configure_cluster(&mut self) {
        let Some(clustering) = &mut self.clustering else { return };
        let config = &self.node.config;
        let settings = settings::of(config);
        clustering.links.limit(settings::limits(config));
        if clustering.machine.settings() != &settings {
            self.cluster_hears(Event::Settings(Box::new(settings)));
        }
    }

    /// Leaves nodes.conf as it is to be read again: the process ends.
    pub fn leave_cluster(&mut self) {
        if let Some(clustering) = self.clustering.take() {
            clustering.close();
        }
    }

    /// A save of nodes.conf has ended.
    fn nodes_saved(&mut self, outcome: Outcome) {
        let Outcome { durability, result } = outcome;
        let Some(clustering) = &mut self.clustering else { return };
        let external = clustering.external.as_mut();
        if let Some(goal) = external.and_then(|external| external.save_ended(result.is_ok())) {
            clustering.reconciling.aim(goal);
        }
        let (saved, failed) = &mut clustering.saves;
        *if result.is_ok() { saved } else { failed } += 1;
        if let Err(error) = &result {
            let now = self.node.now;
            let is_due =
                clustering.complained.is_none_or(|before| COMPLAIN_MS <= now.millis_since(before));
            if is_due {
                clustering.complained = Some(now);
                log::warning(&format!("Can't write nodes.conf: {}", plain(error)));
            }
            if self.node.config.cluster_config_save_behavior == SaveBehavior::Sync {
                self.process.fail("Fatal: can't update cluster config file.");
            }
        }
        match (durability, result.is_ok()) {
            (Durability::Lazy, _) => {}
            (Durability::Durable, true) => {
                (0..clustering.actions.saved()).for_each(|_| self.cluster_hears(Event::Saved));
            }
            (Durability::Durable, false) => {
                let saves = clustering.actions.save_failed();
                (0..saves).for_each(|_| self.cluster_hears(Event::SaveFailed));
            }
        }
    }

    /// Tells the machine whether all shards turn.
    fn look_at_turns(&mut self) {
        let Some(clustering) = &mut self.clustering else { return };
        let boards = (0..self.mailbox.shards()).map(|shard| self.mailbox.board(shard));
        let last = clustering.turns.look(cluster_now().at, boards.map(|board| board.turns.get()));
        self.cluster_hears(Event::Turned(last));
    }

    /// Tells the machine how far this node's stream is, if that is news.
    fn tell_cluster_of_stream(&mut self) {
        if self.clustering.is_none() {
            return;
        }
        let replicated = self.replicated();
        let Some(clustering) = &mut self.clustering else { return };
        if clustering.replicated != replicated {
            clustering.replicated = replicated;
            self.cluster_hears(Event::Replicated(replicated));
        }
        self.tell_link_what_to_keep();
    }

    /// Tells the link to the primary whether the data are to be kept when that one has less of it.
    fn tell_link_what_to_keep(&mut self) {
        let Some(clustering) = &mut self.clustering else { return };
        let keeps = clustering.machine.keeps_data();
        if clustering.keeps_data != keeps && self.replicating.has_relay() {
            clustering.keeps_data = keeps;
            self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::Keep(keeps)));
        }
    }

    fn replicated(&mut self) -> Replicated {
        // What shards have shown may be behind a fence that is written.
        let stands_at = self.hold.and_then(|hold| hold.stands_at()).unwrap_or(Scalar(0));
        let offset = self.replication().offset.max(stands_at).0;
        let now = self.moment();
        let Some(Primary { host, port }) = self.node.config.replicaof.clone() else {
            return Replicated { offset, ..Replicated::default() };
        };
        let primary = Address { host, port };
        let link = self.link_view();
        let is_linked = link.is_some_and(|link| link.status.is_up());
        let heard = link.and_then(|link| link.last_io);
        let silent_ms = heard.map(|heard| now.since(heard));
        let heard = silent_ms.map(|millis| cluster_now().at.before(millis));
        let is_between = link.is_some_and(|link| self.is_between_places(link));
        let lacks_keys = is_between || self.lacks_keys();
        let has_keys = (0..self.shards()).any(|shard| self.mailbox.board(shard).keys.get() != 0);
        let Some(clustering) = &mut self.clustering else { return Replicated::default() };
        if is_linked {
            clustering.synced_with = Some(primary.clone());
        }
        // What this node has of another primary's history says nothing of this one's.
        let is_synced = clustering.synced_with.as_ref() == Some(&primary);
        let offset = if is_synced { offset } else { 0 };
        Replicated { offset, is_linked, heard, lacks_keys, has_keys }
    }
}
