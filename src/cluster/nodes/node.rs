//! What is known of one node.

use std::collections::BTreeMap;
use std::net::IpAddr;

use shards::base::slot::Slot;

use super::Key;
use crate::cluster::failure::{Doubt, Evidence};
use crate::cluster::frame::header::{Flags, Ports};
use crate::cluster::ids::{Epoch, NodeId, ShardId};
use crate::cluster::machine::event::LinkId;
use crate::cluster::moment::Moment;
use crate::cluster::report::endpoint;
use crate::cluster::slot_set::SlotSet;

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its id; as long as it is in handshake a random one.
    pub id: NodeId,
    /// Its shard, if it has announced it.
    pub shard: Option<ShardId>,
    /// What it is.
    pub role: Role,
    /// Whether it is a member.
    pub standing: Standing,
    /// What is thought of its health.
    pub health: Health,
    /// What it can do, and what it says of itself.
    pub flags: Flags,
    /// Where it is; `None` if that is not known.
    pub ip: Option<IpAddr>,
    /// Where it listens.
    pub ports: Ports,
    /// What it announces by extensions.
    pub names: Names,
    /// The epoch of its claim to its slots. Of a replica, 0.
    pub config_epoch: Epoch,
    /// The greatest one by which it has told itself which slots it has.
    pub claimed_epoch: Epoch,
    /// When it last told so by the epoch that is known of it.
    pub claimed_at: Option<Moment>,
    /// How far its stream of changes is.
    pub offset: u64,
    /// When it became known.
    pub since: Moment,
    /// What is known by links.
    pub contact: Contact,
    /// Which primaries report that it may have failed, and when they last did.
    pub reports: BTreeMap<Key, Moment>,
    /// What speaks for it that its process is dead.
    pub evidence: Option<Evidence>,
    /// When it was taken for dead by mistake.
    pub doubt: Doubt,
    /// Which replica of it this node voted for last, and when.
    pub voted: Option<(NodeId, Moment)>,
    /// Since when it is a primary with slots and without a live replica.
    pub orphaned: Option<Moment>,
    slots: SlotSet,
    slot_count: usize,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A primary.
    Primary,
    /// A replica of this one; of one that is not known, if `None`.
    Replica(Option<Key>),
    /// It is only named by others.
    Unknown,
}

/// Whether a node is a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is.
    Member,
    /// It has not told its id.
    Handshake,
}

/// What is thought of a node's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It is fit.
    Fit,
    /// This node thinks that it has failed: PFAIL.
    Suspected,
    /// A majority thinks so, since this moment: FAIL.
    Failed(Moment),
}

/// What a node announces by extensions, and what clients are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// `cluster-announce-hostname`; empty if there is none, as all of these.
    pub hostname: String,
    /// `cluster-announce-human-nodename`
    pub nodename: String,
    /// `cluster-announce-client-ipv4`
    pub client_ipv4: String,
    /// `cluster-announce-client-ipv6`
    pub client_ipv6: String,
    /// `cluster-announce-client-port`; 0 if there is none.
    pub client_port: u16,
    /// `cluster-announce-client-tls-port`; 0 if there is none.
    pub client_tls_port: u16,
    /// `availability-zone`
    pub zone: String,
}

impl Names {
    /// Whether nothing is announced, as by most nodes.
    pub const fn are_none(&self) -> bool {
        self.hostname.is_empty()
            && self.nodename.is_empty()
            && self.client_ipv4.is_empty()
            && self.client_ipv6.is_empty()
            && self.client_port == 0
            && self.client_tls_port == 0
            && self.zone.is_empty()
    }
}

/// What is known of a node by links with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Contact {
    /// The link that this node makes.
    pub outbound: Option<Outbound>,
    /// The link that the other node makes.
    pub inbound: Option<LinkId>,
    /// Since when there is no inbound link; the moment at which it became known at first.
    pub inbound_lost: Moment,
    /// When this node last tried to connect.
    pub tried: Option<Moment>,
    /// When the PING was sent that is not answered.
    pub ping_sent: Option<Moment>,
    /// When the last PONG came, to this node or, if others told of a later one, to them.
    pub pong_received: Option<Moment>,
    /// When the last byte came, by whatever link.
    pub heard: Moment,
    /// When this node last sent what the other one has answered, a PING by a PONG or a request by
    /// its vote: what a fence may count on.
    pub answered: Option<Moment>,
    /// When its address last refused a connection: no process listened there.
    pub refused: Option<Moment>,
    /// Whether the next frame is to be a MEET.
    pub meets: bool,
    /// When it was last told that a node is FAIL that it holds PFAIL.
    pub reminded: Option<Moment>,
    /// When it was last told that it is FAIL itself.
    pub warned: Option<Moment>,
}

/// A link that this node makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// Its number.
    pub link: LinkId,
    /// When it was begun.
    pub since: Moment,
    /// Whether it is connected.
    pub is_up: bool,
}

impl Role {
    /// What these flags say. They do not say whose replica a replica is.
    pub const fn of(flags: Flags) -> Self {
        if flags.has(Flags::PRIMARY) {
            Self::Primary
        } else if flags.has(Flags::REPLICA) {
            Self::Replica(None)
        } else {
            Self::Unknown
        }
    }
}

impl Node {
    /// A node of which nothing is known but its id.
    pub fn new(id: NodeId, role: Role, now: Moment) -> Self {
        Self {
            id,
            shard: None,
            role,
            standing: Standing::Member,
            health: Health::Fit,
            flags: Flags::default(),
            ip: None,
            ports: Ports::default(),
            names: Names::default(),
            config_epoch: Epoch(0),
            claimed_epoch: Epoch(0),
            claimed_at: None,
            offset: 0,
            since: now,
            contact: Contact { inbound_lost: now, ..Contact::default() },
            reports: BTreeMap::new(),
            evidence: None,
            doubt: Doubt::default(),
            voted: None,
            orphaned: None,
            slots: SlotSet::default(),
            slot_count: 0,
        }
    }

    /// Whether it is a primary.
    pub fn is_primary(&self) -> bool {
        self.role == Role::Primary
    }

    /// Whether it is a replica.
    pub const fn is_replica(&self) -> bool {
        matches!(self.role, Role::Replica(_))
    }

    /// Whether it is a primary with slots: it votes, and reports what it thinks of others.
    pub fn is_voting(&self) -> bool {
        self.is_primary() && 0 < self.slot_count
    }

    /// Whether its id is not known.
    pub fn is_in_handshake(&self) -> bool {
        self.standing == Standing::Handshake
    }

    /// Whether it is FAIL.
    pub const fn is_failed(&self) -> bool {
        matches!(self.health, Health::Failed(_))
    }

    /// Whether it is neither PFAIL nor FAIL.
    pub fn is_fit(&self) -> bool {
        self.health == Health::Fit
    }

    /// Whether this node's link to it is connected.
    pub fn is_linked(&self) -> bool {
        self.contact.outbound.is_some_and(|link| link.is_up)
    }

    /// The number of this node's link to it, if it is connected.
    pub fn link(&self) -> Option<LinkId> {
        self.contact.outbound.filter(|link| link.is_up).map(|link| link.link)
    }

    /// Its slots.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.slots.iter()
    }

    /// Its slots.
    pub const fn slot_set(&self) -> &SlotSet {
        &self.slots
    }

    /// How many slots it has.
    pub const fn slot_count(&self) -> usize {
        self.slot_count
    }

    /// Its flags as frames and files have them.
    pub fn all_flags(&self) -> Flags {
        let role = match self.role {
            Role::Primary => Flags::PRIMARY,
            Role::Replica(_) => Flags::REPLICA,
            Role::Unknown => Flags::default(),
        };
        let health = match self.health {
            Health::Fit => Flags::default(),
            Health::Suspected => Flags::PFAIL,
            Health::Failed(_) => Flags::FAIL,
        };
        let mut flags = self.flags.with(role).with(health);
        if self.is_in_handshake() {
            flags = flags.with(Flags::HANDSHAKE);
        }
        if self.ip.is_none() {
            flags = flags.with(Flags::NOADDR);
        }
        flags
    }

    /// How logs name it: its own name for humans, else its address.
    pub fn name(&self) -> String {
        if !self.names.nodename.is_empty() {
            return self.names.nodename.clone();
        }
        format!("{}:{}", endpoint::shown(self.ip), self.ports.client)
    }

    /// Notes that it has `slot`. Only [`super::Nodes`] calls this, which knows the owners.
    pub(super) fn give(&mut self, slot: Slot) {
        assert!(!self.slots.contains(slot), "a slot is given once");
        self.slots.insert(slot);
        self.slot_count += 1;
    }

    /// Notes that it has `slots`, of which it had none.
    pub(super) fn give_all(&mut self, slots: &SlotSet) {
        self.slots = self.slots.with(slots);
        self.slot_count += slots.len();
    }

    /// Notes that it does not have those of `slots` any more that it had.
    pub(super) fn take_all(&mut self, slots: &SlotSet) {
        if self.slots.first_common(slots).is_some() {
            self.slots = self.slots.without(slots);
            self.slot_count = self.slots.len();
        }
    }

    /// Notes that it does not have `slot` any more.
    pub(super) fn take(&mut self, slot: Slot) {
        assert!(self.slots.contains(slot), "only an owned slot is taken");
        self.slots.remove(slot);
        self.slot_count -= 1;
    }
}
