//! What can happen to a node of a cluster.

use std::net::IpAddr;

use shards::base::slot::Slot;

use crate::cluster::frame::{Broken, Message, Packet};
use crate::cluster::ids::{Epoch, NodeId, ShardId};
use crate::cluster::machine::imposed::Imposed;
use crate::cluster::machine::orders::Order;
use crate::cluster::machine::settings::Settings;
use crate::cluster::moment::Moment;
use crate::cluster::slot_set::SlotSet;

/// The number of a connection of the bus. It is never given to another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkId {
    /// This node has made it; the machine counts these.
    Outbound(u64),
    /// Another node has made it; the bus counts these.
    Inbound(u64),
}

/// What can happen.
#[derive(Clone, Debug)]
pub enum Event {
    /// A node has connected, from `peer` to `local`.
    Accepted {
        /// Its link.
        link: LinkId,
        /// Where it comes from.
        peer: IpAddr,
        /// The address of this node that it used.
        local: IpAddr,
    },
    /// A link that was asked for is connected.
    Connected(LinkId),
    /// It is not, and is closed.
    ConnectFailed(LinkId, Failure),
    /// A frame has come.
    Received(LinkId, Packet),
    /// Bytes have come that are none.
    Unreadable(LinkId, Broken),
    /// A link has ended by itself.
    Ended(LinkId, End),
    /// So many bytes wait to be sent by a link, more than `cluster-link-sendbuf-limit`.
    Overflowing(LinkId, usize),
    /// Bytes of this node have come by its replication stream.
    Heard(NodeId),
    /// The primary of this node says this by its stream.
    Ordered(Order),
    /// A client of this node publishes a message.
    Publish(Message),
    /// Time has passed.
    Tick,
    /// A client, or the primary's stream, asks for something.
    Asked(Ticket, Command),
    /// The durable save that was asked for first is on the disk.
    Saved,
    /// It is not.
    SaveFailed,
    /// How far this node's stream of changes is, and what its link to its primary is like.
    Replicated(Replicated),
    /// The primary of this node has less of its data than this node has, and offers all it has:
    /// that is not taken.
    Refused,
    /// The shard of this node that has not turned for longest has not since this moment.
    Turned(Moment),
    /// Writes rest, for the manual failover of this node's replica, and the offset stands still.
    Quiesced,
    /// This node ends, and no client writes here until it has, or until it goes on.
    Rests(bool),
    /// This node ends. Its writes rest, and a replica that has all of them has agreed to take over.
    HeirAgreed(NodeId),
    /// The data is loaded; it has keys in these slots.
    Loaded(SlotSet),
    /// What this node has is a copy of what its primary had, and behind it that one tells which
    /// slots are on their way.
    Copied,
    /// The configuration has changed.
    Settings(Box<Settings>),
}

/// Why a connect failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// ECONNREFUSED: no process listens there.
    Refused,
    /// Anything else, of which nothing follows.
    Other,
}

/// How a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer's system ended it: FIN or RST.
    ByPeer,
    /// Anything else.
    Other,
}

/// How far the stream of this node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replicated {
    /// Its offset. Of a replica 0 until a full sync from its primary is complete.
    pub offset: u64,
    /// Of a replica: whether its link to its primary works.
    pub is_linked: bool,
    /// Of a replica: when its primary last said something; `None`: never.
    pub heard: Option<Moment>,
    /// Its keys are gone, and those of its primary are on their way.
    pub lacks_keys: bool,
    /// It has keys.
    pub has_keys: bool,
}

/// Who is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What CLUSTER can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// MEET
    Meet {
        /// Where the node is.
        ip: IpAddr,
        /// Where it listens for clients.
        port: u16,
        /// Where it listens for nodes.
        bus_port: u16,
    },
    /// FORGET
    Forget(NodeId),
    /// ADDSLOTS, ADDSLOTSRANGE
    AddSlots(SlotSet),
    /// DELSLOTS, DELSLOTSRANGE
    DelSlots(SlotSet),
    /// FLUSHSLOTS, without keys in any database.
    FlushSlots,
    /// SETSLOT
    SetSlot(Slot, SetSlot),
    /// BUMPEPOCH
    BumpEpoch,
    /// SET-CONFIG-EPOCH
    SetConfigEpoch(Epoch),
    /// REPLICATE, of a node with or without keys.
    Replicate {
        /// The primary.
        primary: NodeId,
        /// Whether this node has no keys.
        is_empty: bool,
    },
    /// REPLICATE NO ONE; the shard that the node moves to.
    ReplicateNoOne(ShardId),
    /// FAILOVER
    Failover(Failover),
    /// RESET SOFT; the shard that the node moves to.
    ResetSoft(ShardId),
    /// RESET HARD; the shard that the node moves to, and its new id.
    ResetHard(ShardId, NodeId),
    /// SAVECONFIG
    SaveConfig,
    /// CLUSTERX: the whole table.
    Impose(Box<Imposed>),
}

/// What SETSLOT asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetSlot {
    /// MIGRATING to this node.
    Migrating(NodeId),
    /// IMPORTING from this node.
    Importing(NodeId),
    /// STABLE
    Stable,
    /// NODE: the slot is this node's.
    Node {
        /// The owner.
        owner: NodeId,
        /// Keys that this node has in the slot.
        keys: usize,
    },
}

/// How CLUSTER FAILOVER asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failover {
    /// With the primary's help.
    Plain,
    /// Without the primary.
    Force,
    /// Without the voters.
    Takeover,
}
