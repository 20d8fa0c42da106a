//! Who owns what, as shards know it: a copy that never changes, and a new one when something does.
//!
//! A copy that is behind is harmless: a shard refuses too much, or sends a client on once more.

use std::collections::BTreeMap;

use shards::base::slot::{SLOTS, Slot};

use crate::cluster::ids::NodeId;
use crate::cluster::machine::Machine;
use crate::cluster::nodes::node::Node;
use crate::cluster::nodes::{Key, Nodes};
use crate::cluster::report::endpoint::{Network, Security, Viewer};
use crate::cluster::slot_set::all_slots;

/// Slots that are looked up together as long as all of them are served here.
const BLOCK_SLOTS: usize = 64;
const BLOCKS: usize = SLOTS as usize / BLOCK_SLOTS;

/// What a shard knows of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// It grows with each copy.
    pub version: u64,
    /// Whether the cluster serves.
    pub is_ok: bool,
    /// Whether this node may not write, since no majority answers it.
    pub is_fenced: bool,
    /// Whether this node is a primary.
    pub is_primary: bool,
    /// `cluster-allow-reads-when-down`
    pub allows_reads_when_down: bool,
    /// `cluster-allow-pubsubshard-when-down`
    pub allows_pubsub_when_down: bool,
    /// Whether nodes hand messages on to each other. If not, shard channels are at primaries only.
    pub has_bus: bool,
    /// One for each block: whether a command on any of its slots runs here whatever it is.
    blocks: [bool; BLOCKS],
    places: Box<[Place]>,
    owners: Box<[Option<NodeIndex>]>,
    /// Slots on their way from here, and to which node.
    migrating: BTreeMap<Slot, NodeIndex>,
    /// Slots on their way here, and from which node.
    importing: BTreeMap<Slot, NodeIndex>,
    addresses: Vec<Addresses>,
    ids: Vec<NodeId>,
}

/// Where a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Place {
    /// Here, and nowhere else.
    Served,
    /// Here, and on its way to another node.
    Migrating,
    /// At another node.
    Elsewhere,
    /// At the primary of this node.
    AtPrimary,
    /// At the primary of this node, and on its way to another one.
    MigratingAtPrimary,
    /// At another node, and on its way here.
    Importing,
    /// At no node.
    Unbound,
}

/// A node, by its place among the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeIndex(u16);

/// What clients are told of a node, for each kind of client: `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Addresses {
    v4: String,
    v4_tls: String,
    v6: String,
    v6_tls: String,
}

impl Addresses {
    fn of(node: &Node, viewer: Viewer) -> Self {
        let shown = |network, security| {
            let viewer = Viewer { network, security, ..viewer };
            format!("{}:{}", viewer.host(node).unwrap_or_default(), viewer.port(node))
        };
        Self {
            v4: shown(Network::V4, Security::Plain),
            v4_tls: shown(Network::V4, Security::Tls),
            v6: shown(Network::V6, Security::Plain),
            v6_tls: shown(Network::V6, Security::Tls),
        }
    }
}

impl Machine {
    /// A copy for shards; each version is greater than the ones before.
    pub fn ownership(&self, version: u64) -> Ownership {
        let nodes = &self.nodes;
        let endpoint = self.settings.endpoint;
        let viewer = Viewer { endpoint, network: Network::V4, security: Security::Plain };
        let keys: Vec<Key> = nodes.keys();
        let indices: BTreeMap<Key, NodeIndex> =
            keys.iter().copied().zip((0..).map(NodeIndex)).collect();
        let open = |slots: &BTreeMap<Slot, Key>| {
            let known = slots.iter().filter_map(|(slot, key)| Some((*slot, *indices.get(key)?)));
            known.collect::<BTreeMap<_, _>>()
        };
        // Gossip moves replicas of replicas to their primary.
        let root =
            if nodes.is_imposed { Some(nodes.root_of(nodes.myself())) } else { nodes.my_primary() };
        let places: Box<[Place]> = all_slots().map(|slot| place(nodes, root, slot)).collect();
        let (is_ok, is_fenced) = (self.state.is_ok(), self.state.is_fenced());
        let mut blocks = [false; BLOCKS];
        for (block, places) in blocks.iter_mut().zip(places.chunks(BLOCK_SLOTS)) {
            let is_served = places.iter().all(|place| *place == Place::Served);
            *block = is_served && is_ok && !is_fenced;
        }
        let owners = all_slots().map(|slot| indices.get(&nodes.owner(slot)?).copied());
        Ownership {
            version,
            is_ok,
            is_fenced,
            is_primary: self.is_primary(),
            allows_reads_when_down: self.settings.allows_reads_when_down,
            allows_pubsub_when_down: self.settings.allows_pubsub_when_down,
            has_bus: !self.settings.is_external,
            blocks,
            owners: owners.collect(),
            places,
            migrating: open(&nodes.migrating),
            importing: open(&nodes.importing),
            addresses: keys.iter().map(|key| Addresses::of(nodes.at(*key), viewer)).collect(),
            ids: keys.iter().map(|key| nodes.at(*key).id).collect(),
        }
    }
}

/// Where `slot` is; `root` is the primary at the head of this node's chain of replicas.
fn place(nodes: &Nodes, root: Option<Key>, slot: Slot) -> Place {
    let me = nodes.myself();
    let is_replica = nodes.me().is_replica();
    let (migrates, imports) =
        (nodes.migrating.contains_key(&slot), nodes.importing.contains_key(&slot));
    match nodes.owner(slot) {
        None => Place::Unbound,
        Some(owner) if owner == me && migrates => Place::Migrating,
        Some(owner) if owner == me => Place::Served,
        Some(owner) if is_replica && Some(owner) == root && migrates => Place::MigratingAtPrimary,
        Some(owner) if is_replica && Some(owner) == root => Place::AtPrimary,
        Some(_) if imports => Place::Importing,
        Some(_) => Place::Elsewhere,
    }
}

impl Ownership {
    /// Whether any command on `slot` runs here, so that there is nothing to decide. One load and
    /// one compare for most slots; the byte of the slot is read in mixed blocks only.
    #[inline]
    pub fn serves(&self, slot: Slot) -> bool {
        let number = usize::from(slot.number());
        self.blocks[number / BLOCK_SLOTS]
            || (self.places[number] == Place::Served && self.is_ok && !self.is_fenced)
    }

    /// The same, but that this node may not write.
    #[must_use]
    pub fn fenced(&self) -> Self {
        Self { is_fenced: true, blocks: [false; BLOCKS], ..self.clone() }
    }

    /// Whether a node of the cluster has this id.
    pub fn knows(&self, id: &[u8]) -> bool {
        self.ids.iter().any(|known| known.as_bytes() == id)
    }

    /// Where `slot` is.
    pub fn place(&self, slot: Slot) -> Place {
        self.places[usize::from(slot.number())]
    }

    /// Whether shard channels of `slot` have subscribers here.
    pub fn has_channels(&self, slot: Slot) -> bool {
        match self.place(slot) {
            Place::Served | Place::Migrating | Place::Importing => true,
            // A message reaches subscribers at a replica by the bus only.
            Place::AtPrimary | Place::MigratingAtPrimary => self.has_bus,
            Place::Elsewhere | Place::Unbound => false,
        }
    }

    /// Behind which slots others follow that are at another place: the number of the first of
    /// these, and of all slots at the end. Ascending.
    pub fn run_ends(&self) -> Box<[u16]> {
        let at = |slot: u16| (self.places[usize::from(slot)], self.owners[usize::from(slot)]);
        (1..SLOTS).filter(|slot| at(*slot) != at(*slot - 1)).chain([SLOTS]).collect()
    }

    /// The owner of `slot`; `None` if it has none.
    pub fn owner(&self, slot: Slot) -> Option<NodeIndex> {
        self.owners[usize::from(slot.number())]
    }

    /// Where `slot` goes; `None` if it stays.
    pub fn target(&self, slot: Slot) -> Option<NodeIndex> {
        self.migrating.get(&slot).copied()
    }

    /// Where `slot` comes from; `None` if it does not come here.
    pub fn source(&self, slot: Slot) -> Option<NodeIndex> {
        self.importing.get(&slot).copied()
    }

    /// What a client is told of a node: `host:port`.
    pub fn address(&self, node: NodeIndex, network: Network, security: Security) -> &str {
        let addresses = &self.addresses[usize::from(node.0)];
        match (network, security) {
            (Network::V4, Security::Plain) => &addresses.v4,
            (Network::V4, Security::Tls) => &addresses.v4_tls,
            (Network::V6, Security::Plain) => &addresses.v6,
            (Network::V6, Security::Tls) => &addresses.v6_tls,
        }
    }
}

#[cfg(test)]
mod tests;
