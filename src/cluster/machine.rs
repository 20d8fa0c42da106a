//! The machine: what happens goes in, what is to be done comes out, in this order of steps.
//!
//! ```text
//! event -> its table (links, members, failure, claims, votes, manual) -> what follows from it:
//!   the state (health) -> a manual failover's next step -> an election's next step
//!   -> Own: shards have a new copy -> Save -> frames and replies, which may tell of all that
//! ```
//! Time passes in rounds of [`CRON_MS`], and at the moments that [`Machine::deadline`] names.

pub mod event;
pub mod action;
pub mod imposed;
pub mod orders;
pub mod settings;
pub mod stats;
pub(super) mod frames;
mod outbox;
pub mod requests;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use shards::base::random::Random;
use shards::base::slot::Slot;

use crate::cluster::election::Election;
use crate::cluster::file::Memory;
use crate::cluster::frame::header::Flags;
use crate::cluster::health::State;
use crate::cluster::health::keeping::{Followed, Keeping};
use crate::cluster::health::yielding::Yielding;
use crate::cluster::ids::{Epoch, NodeId, ShardId};
use crate::cluster::manual::Manual;
use crate::cluster::moment::{Moment, Now};
use crate::cluster::nodes::node::{Names, Node, Role};
use crate::cluster::nodes::{Key, Nodes};
use crate::cluster::slot_set::SlotSet;
use crate::cluster::votes::Postponed;
use crate::config::choices::LogLevel;
use action::{Action, Actions, Durability};
use event::{Event, LinkId, Replicated};
use outbox::Outgoing;
use settings::{CRON_MS, Settings};
use stats::Stats;

/// Milliseconds for which changes of nodes.conf are gathered that need not be durable.
const SAVE_MS: u64 = 100;
/// Milliseconds after which a save that failed is tried again.
const RETRY_MS: u64 = 1000;
/// Milliseconds between two lines about saves that fail.
const COMPLAINT_MS: u64 = 30_000;

/// A node of a cluster.
#[derive(Debug)]
pub struct Machine {
    pub(super) settings: Settings,
    pub(super) nodes: Nodes,
    pub(super) current_epoch: Epoch,
    pub(super) last_vote_epoch: Epoch,
    /// Nodes that were forgotten, and until when they are not to be learned of.
    pub(super) forgotten: BTreeMap<NodeId, Moment>,
    /// Links that others have made.
    pub(super) inbound: BTreeMap<LinkId, Inbound>,
    /// Links that this node makes, and to whom.
    pub(super) outbound: BTreeMap<LinkId, Key>,
    pub(super) state: State,
    pub(super) election: Election,
    /// A request for a vote that is decided again.
    pub(super) postponed: Option<Postponed>,
    pub(super) manual: Manual,
    /// How far this node's stream is.
    pub(super) mine: Replicated,
    /// That a replica is to take over, since this node has started without data.
    pub(super) yielding: Option<Yielding>,
    /// That this node does not take what its primary offers, and is to take over.
    pub(super) keeping: Option<Keeping>,
    /// Up to when this node knew what its primary did.
    pub(super) followed: Option<Followed>,
    /// When this node, a primary up to then, began to follow its heir with all that it has.
    pub(super) stepped_down: Option<Moment>,
    /// Slots that this primary has got by SETSLOT, and the former owner of each, which has not
    /// heard of that so far.
    pub(super) given: BTreeMap<Slot, NodeId>,
    /// The slots of the last DELSLOTS, and when that was.
    pub(super) deleted: Option<(Moment, SlotSet)>,
    /// Of slots that are on their way to other nodes, or were: by which epoch the target was known
    /// when that began.
    pub(super) opened: BTreeMap<Slot, Epoch>,
    /// Whether a shard hangs.
    pub(super) is_stuck: bool,
    /// Whether the data is still being loaded.
    pub(super) is_loading: bool,
    /// When this node last went on after it had done nothing for a while.
    pub(super) woke_at: Moment,
    /// Until when reports of others may be old: this node did not read them for a while.
    pub(super) behind_until: Moment,
    /// Whether the last durable save failed: nothing is promised until one succeeds.
    pub(super) cannot_save: bool,
    /// The config epochs of this node in durable saves that are under way, and in the last one that
    /// succeeded. No node is told of a greater one.
    saving: VecDeque<Epoch>,
    durable_epoch: Epoch,
    /// When a save that failed is tried again, and when that was last logged.
    retry: Option<Moment>,
    complained: Option<Moment>,
    pub(super) stats: Stats,
    pub(super) now: Now,
    pub(super) random: Random,
    pub(super) todo: Todo,
    next_link: u64,
    next_cron: Moment,
    /// When nodes.conf is to be written, if nothing makes it urgent.
    save_due: Option<Moment>,
    pub(super) rounds: u64,
    out: Vec<Action>,
    later: Vec<Outgoing>,
}

/// A link that another node has made.
#[derive(Clone, Copy, Debug)]
pub struct Inbound {
    /// Where it comes from.
    pub peer: IpAddr,
    /// The address of this node that it used.
    pub local: IpAddr,
    /// Which node it is, if that is known.
    pub node: Option<Key>,
    /// Since when it is there.
    pub since: Moment,
    /// The former node that has made it, as to a node of its cluster.
    pub former: Option<NodeId>,
}

/// What is to be done at the end of an event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Todo {
    /// The state of the cluster may be another.
    pub state: bool,
    /// A manual failover may get on.
    pub manual: bool,
    /// An election may get on.
    pub election: bool,
    /// Shards need a new copy.
    pub own: bool,
    /// nodes.conf is to be on the disk before anything is told.
    pub save: bool,
    /// nodes.conf is to be written soon.
    pub remember: bool,
    /// All nodes are to know this node's claim.
    pub pong_all: bool,
    /// This node has taken over: that is on the disk before anything else is done.
    pub takes_over: bool,
}

impl Todo {
    /// Slots may have other owners, or this node another role: that is on the disk before it is
    /// told.
    pub fn owners_changed(&mut self) {
        (self.state, self.save, self.own) = (true, true, true);
    }

    /// What is known of nodes has changed, and the state may depend on it.
    pub fn nodes_changed(&mut self) {
        self.state = true;
        self.shown_changed();
    }

    /// What clients are shown of nodes has changed.
    pub fn shown_changed(&mut self) {
        (self.remember, self.own) = (true, true);
    }
}

impl Machine {
    /// A node that knows no other: with this id, of this shard. All chance comes from `seed`.
    pub fn new(now: Now, id: NodeId, shard: ShardId, settings: Settings, seed: u64) -> Self {
        let mut me = Node::new(id, Role::Primary, now.at);
        me.shard = Some(shard);
        let warnings = vec![format!("No cluster configuration found, I'm {id}")];
        let nodes = Nodes::new(me);
        let (current_epoch, last_vote_epoch) = (Epoch(0), Epoch(0));
        let memory = Memory { nodes, current_epoch, last_vote_epoch, warnings };
        let mut machine = Self::of(now, memory, settings, seed);
        machine.todo.save = true;
        machine
    }

    /// A node that goes on with what it remembers; `shard` is its shard if it remembers none.
    pub fn load(
        now: Now,
        mut memory: Memory,
        shard: ShardId,
        settings: Settings,
        seed: u64,
    ) -> Self {
        if memory.nodes.me().shard.is_none() {
            memory.nodes.me_mut().shard = Some(shard);
        }
        let text = format!("Node configuration loaded, I'm {}", memory.nodes.me().id);
        memory.warnings.push(text);
        Self::of(now, memory, settings, seed)
    }

    fn of(now: Now, memory: Memory, settings: Settings, seed: u64) -> Self {
        let Memory { nodes, current_epoch, last_vote_epoch, warnings } = memory;
        let durable_epoch = nodes.me().config_epoch;
        let known = |target: &Key| nodes.at(*target).config_epoch;
        let opened = nodes.migrating.iter().map(|(slot, target)| (*slot, known(target))).collect();
        let mut machine = Self {
            settings,
            nodes,
            current_epoch,
            last_vote_epoch,
            forgotten: BTreeMap::new(),
            inbound: BTreeMap::new(),
            outbound: BTreeMap::new(),
            state: State::default(),
            election: Election::default(),
            postponed: None,
            manual: Manual::default(),
            mine: Replicated::default(),
            yielding: None,
            keeping: None,
            followed: None,
            stepped_down: None,
            deleted: None,
            given: BTreeMap::new(),
            opened,
            is_stuck: false,
            is_loading: true,
            woke_at: now.at,
            behind_until: now.at,
            cannot_save: false,
            saving: VecDeque::new(),
            durable_epoch,
            retry: None,
            complained: None,
            stats: Stats::default(),
            now,
            random: Random::new(seed),
            todo: Todo { own: true, ..Todo::default() },
            next_link: 0,
            next_cron: now.at,
            save_due: None,
            rounds: 0,
            out: Vec::new(),
            later: Vec::new(),
        };
        machine.announce();
        for text in warnings {
            machine.log(LogLevel::Notice, text);
        }
        machine
    }

    /// Acts on what has happened.
    pub fn handle(&mut self, now: Now, event: Event, actions: &mut Actions) {
        self.wake(now);
        match event {
            Event::Accepted { link, peer, local } => self.accepted(link, peer, local),
            Event::Connected(link) => self.connected(link),
            Event::ConnectFailed(link, failure) => self.connect_failed(link, failure),
            Event::Received(link, packet) => self.received(link, packet),
            Event::Unreadable(link, broken) => self.unreadable(link, broken),
            Event::Ended(link, end) => self.ended(link, end),
            Event::Overflowing(link, bytes) => self.overflowing(link, bytes),
            Event::Heard(id) => {
                if let Some(key) = self.nodes.find(id) {
                    self.heard(key);
                }
            }
            Event::Ordered(order) => self.ordered(order),
            Event::Publish(message) => self.publish(message),
            Event::Tick => {}
            Event::Asked(ticket, command) => self.asked(ticket, command),
            Event::Saved => self.saved(),
            Event::SaveFailed => self.save_failed(),
            Event::Replicated(replicated) => self.replicated(replicated),
            Event::Refused => self.snapshot_refused(),
            Event::Turned(last) => self.turned(last),
            Event::Quiesced => self.quiesced(),
            Event::Rests(rests) => self.state.note_rest(rests),
            Event::HeirAgreed(id) => self.heir_agreed(id),
            Event::Loaded(slots) => self.loaded(&slots),
            Event::Copied => self.copied(),
            Event::Settings(settings) => self.configured(*settings),
        }
        if self.next_cron <= now.at {
            self.stats.lateness.add(now.at.since(self.next_cron));
            self.cron();
        }
        self.look_at_deadlines();
        self.settle(actions);
    }

    /// When to [`Event::Tick`] at the latest.
    pub fn deadline(&self) -> Moment {
        let (election, manual) = (self.election.deadline(), self.manual.deadline());
        let others =
            [election, manual, self.postponed_until(), self.probe_deadline(), self.save_due];
        let others = others.into_iter().flatten().filter(|moment| self.now.at < *moment);
        others.fold(self.next_cron, Moment::min)
    }

    /// Who owns what, and who is who.
    pub const fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// What nodes.conf is to say.
    pub fn file(&self) -> String {
        crate::cluster::file::text(&self.nodes, self.current_epoch, self.last_vote_epoch, self.now)
    }

    /// The greatest epoch that it knows.
    pub const fn current_epoch(&self) -> Epoch {
        self.current_epoch
    }

    /// Whether a node was forgotten, and has not been met since: it is not learned of for now.
    pub fn has_forgotten(&self, id: NodeId) -> bool {
        self.forgotten.contains_key(&id) && self.nodes.find(id).is_none()
    }

    /// The epoch of its last vote.
    pub const fn last_vote_epoch(&self) -> Epoch {
        self.last_vote_epoch
    }

    /// What it goes by.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What it has counted.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Counts messages from zero again.
    pub fn reset_messages(&mut self) {
        self.stats.sent.clear();
        self.stats.received.clear();
    }

    /// What time it was when it last acted.
    pub const fn now(&self) -> Now {
        self.now
    }

    /// Takes note of the time. A machine that was suspended must not act on what it held before.
    fn wake(&mut self, now: Now) {
        let asleep_ms = now.at.since(self.now.at);
        self.now = now;
        self.look_at_lease();
        if self.settings.node_timeout_ms / 2 < asleep_ms {
            self.woke();
        }
    }

    fn cron(&mut self) {
        self.next_cron = self.now.at.after(CRON_MS);
        self.rounds += 1;
        if self.settings.is_external {
            return self.todo.save |= self.retry.take_if(|retry| *retry <= self.now.at).is_some();
        }
        self.forgotten.retain(|_, until| self.now.at < *until);
        self.tend_links();
        self.send_pings();
        self.suspect_silent_nodes();
        self.look_at_unsaved();
        self.look_at_lease();
        self.look_at_orphans();
        self.look_at_heirs();
        self.look_at_keeping();
        self.todo.manual = true;
        self.todo.election = true;
        self.todo.state |= !self.state.is_ok();
        self.todo.save |= self.retry.take_if(|retry| *retry <= self.now.at).is_some();
    }

    /// Has those steps taken whose time has come. Any event may be the first one at that moment,
    /// and [`Self::deadline`] does not name it again.
    fn look_at_deadlines(&mut self) {
        let now = self.now.at;
        let is_due = |deadline: Option<Moment>| deadline.is_some_and(|deadline| deadline <= now);
        self.todo.election |= is_due(self.election.deadline());
        self.todo.manual |= is_due(self.manual.deadline());
        self.decide_postponed();
    }

    /// Does what follows from an event.
    fn settle(&mut self, actions: &mut Actions) {
        self.probe();
        if self.todo.state {
            self.update_state();
        }
        if self.todo.manual {
            self.step_manual();
        }
        if self.todo.election {
            self.step_election();
        }
        // A step may have changed who owns what.
        if self.todo.state {
            self.update_state();
        }
        let todo = std::mem::take(&mut self.todo);
        if todo.pong_all {
            self.pong_all();
        }
        // Keys of slots that this node has lost are deleted when no shard answers for them any
        // more: no client is told that they are not there.
        let is_delete = |action: &mut Action| matches!(action, Action::DeleteKeys(_));
        let deletes: Vec<Action> = self.out.extract_if(.., is_delete).collect();
        if todo.takes_over {
            self.save(actions);
        }
        self.out.drain(..).for_each(|action| actions.push(action));
        if todo.own {
            actions.push(Action::Own);
        }
        deletes.into_iter().for_each(|action| actions.push(action));
        if todo.remember {
            self.save_due = self.save_due.or(Some(self.now.at.after(SAVE_MS)));
        }
        let is_due = self.save_due.is_some_and(|due| due <= self.now.at);
        if todo.takes_over {
            // It is saved.
        } else if todo.save {
            self.save(actions);
        } else if is_due {
            actions.push(Action::Save(Durability::Lazy));
        }
        if todo.save || is_due {
            self.save_due = None;
        }
        self.flush(actions);
    }

    fn save(&mut self, actions: &mut Actions) {
        self.saving.push_back(self.nodes.me().config_epoch);
        actions.push(Action::Save(Durability::Durable));
    }

    fn saved(&mut self) {
        let epoch = self.saving.pop_front().unwrap_or(self.durable_epoch);
        let former = std::mem::replace(&mut self.durable_epoch, epoch);
        (self.cannot_save, self.retry) = (false, None);
        self.hold_if_saved_late(former..epoch);
        self.look_at_lease();
    }

    fn save_failed(&mut self) {
        self.saving.pop_front();
        self.cannot_save = true;
        self.retry = Some(self.now.at.after(RETRY_MS));
        self.look_at_lease();
        if self.complained.is_none_or(|at| COMPLAINT_MS <= self.since(at)) {
            self.complained = Some(self.now.at);
            let text = "The cluster config file cannot be written: this node does not vote, is not \
                        elected, and tells of no new epoch.";
            self.log(LogLevel::Warning, text.to_string());
        }
    }

    /// Whether this node's claim is one that a restart would forget. Then it says nothing: frames
    /// without the claim would be wrong, and frames with it must not be sent. And it writes
    /// nothing: another one may be elected.
    pub(super) fn is_claim_unsaved(&self) -> bool {
        let me = self.nodes.me();
        self.cannot_save
            && self.saving.is_empty()
            && me.is_primary()
            && self.durable_epoch < me.config_epoch
    }

    /// Whether a restart would remember that this node has had this epoch, if it has not been reset
    /// since.
    pub(super) fn is_durable(&self, epoch: Epoch) -> bool {
        epoch <= self.durable_epoch || self.nodes.me().config_epoch < epoch
    }

    fn replicated(&mut self, replicated: Replicated) {
        if replicated.is_linked || self.mine.is_linked {
            self.note_followed(replicated.heard);
        }
        self.mine = replicated;
        self.nodes.me_mut().offset = replicated.offset;
        self.todo.manual |= self.manual.waits_for_offset();
        self.look_at_keeping();
    }

    /// The configuration has changed. What this node announces is saved, and told to all at once:
    /// by PINGs, since no other frame moves an address.
    fn configured(&mut self, settings: Settings) {
        let former = std::mem::replace(&mut self.settings, settings);
        if self.settings.announced_ip.is_none() && former.announced_ip.is_some() {
            // The next frame shows by its socket which address others use.
            self.nodes.me_mut().ip = None;
        }
        self.announce();
        (self.todo.state, self.todo.own) = (true, true);
        let Settings { announced_ip, ports, ref names, never_fails_over, .. } = self.settings;
        let is_same = (former.announced_ip, former.ports) == (announced_ip, ports)
            && (&former.names, former.never_fails_over) == (names, never_fails_over);
        if !is_same {
            self.todo.remember = true;
            self.ping_all();
        }
    }

    /// Says what the settings say of this node.
    fn announce(&mut self) {
        let Settings { announced_ip, ports, ref names, never_fails_over, .. } = self.settings;
        let names = names.clone();
        let able = Flags::EXTENSIONS.with(Flags::LIGHT_PUBLISH).with(Flags::LIGHT_MODULE);
        let is_imposed = self.nodes.is_imposed;
        let me = self.nodes.me_mut();
        if is_imposed {
            // A table from outside says where this node is.
            let Names { hostname, nodename, zone, .. } = names;
            me.names = Names { hostname, nodename, zone, ..me.names.clone() };
        } else {
            (me.ip, me.ports, me.names) = (announced_ip.or(me.ip), ports, names);
        }
        me.flags = me.flags.with(able).without(Flags::NOFAILOVER);
        if never_fails_over {
            me.flags = me.flags.with(Flags::NOFAILOVER);
        }
    }

    /// The number of a link that is to be made.
    pub(super) fn new_link(&mut self) -> LinkId {
        self.next_link += 1;
        LinkId::Outbound(self.next_link)
    }

    /// Something to do before the state is saved, and before anything is told.
    pub(super) fn act(&mut self, action: Action) {
        self.out.push(action);
    }

    pub(super) fn log(&mut self, level: LogLevel, text: String) {
        self.out.push(Action::Log(level, text));
    }

    /// How a log names a node.
    pub(super) fn shown(&self, key: Key) -> String {
        self.nodes.shown(key)
    }

    /// Whether this node is a primary.
    pub(super) fn is_primary(&self) -> bool {
        self.nodes.me().is_primary()
    }

    /// Milliseconds that have passed since `moment`.
    pub(super) fn since(&self, moment: Moment) -> u64 {
        self.now.at.since(moment)
    }

    /// A random id, for a node whose own one is not known.
    pub(super) fn random_id(&mut self) -> NodeId {
        let mut bytes = [0; 20];
        bytes.chunks_mut(4).for_each(|part| {
            let bits = self.random.bits().to_be_bytes();
            part.copy_from_slice(&bits[..part.len()]);
        });
        NodeId::of_random(bytes)
    }
}

#[cfg(test)]
pub(crate) mod bench;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
