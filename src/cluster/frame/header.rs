//! The header of a full frame: what a node says of itself with whatever it sends.
//!
//! ```text
//!    0 RCmb       4 length u32    8 version u16    10 client port u16   12 type u16
//!   14 gossip entries u16        16 current epoch u64                   24 config epoch u64
//!   32 replication offset u64    40 id, 40 bytes   80 slots, 2048 bytes
//! 2128 primary's id or zeros   2168 address, 46  2214 extensions u16  2216 30 zeros
//! 2246 the port with or without TLS, whichever the client port is not, u16
//! 2248 bus port u16            2250 flags u16    2252 state: 1 is fail, 0 is ok
//! 2253 marks, 3 bytes
//! ```
//! Slots and config epoch of a replica are its primary's.

use std::net::IpAddr;

use super::Counts;
use super::reader::{Reader, write_address};
use crate::cluster::ids::{Epoch, ID_LEN, NodeId};
use crate::cluster::slot_set::{SLOT_SET_LEN, SlotSet};

const RESERVED: usize = 30;

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its id.
    pub sender: NodeId,
    /// Its primary, if it is a replica.
    pub primary: Option<NodeId>,
    /// The address that it announces; `None`: the one that its socket shows.
    pub ip: Option<IpAddr>,
    /// Where it listens.
    pub ports: Ports,
    /// What it is.
    pub flags: Flags,
    /// The greatest epoch that it knows.
    pub current_epoch: Epoch,
    /// The epoch of its claim to its slots.
    pub config_epoch: Epoch,
    /// How far its stream of changes is.
    pub offset: u64,
    /// The slots that it claims.
    pub slots: SlotSet,
    /// Whether the cluster's state is fail, as it sees it.
    pub sees_fail: bool,
    /// What holds for this frame.
    pub marks: Marks,
}

/// How much the port of the bus is greater than that for clients, unless it is named.
pub const BUS_PORT_BEHIND: u16 = 10_000;

/// Where a node listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// For clients. Where the bus uses TLS it is the port with TLS.
    pub client: u16,
    /// For clients, with TLS if the other is without; 0 if there is none.
    pub other: u16,
    /// For the bus.
    pub bus: u16,
}

/// What a node is, and what others hold of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u16);

impl Flags {
    /// A primary.
    pub const PRIMARY: Self = Self(1);
    /// A replica.
    pub const REPLICA: Self = Self(2);
    /// It may have failed.
    pub const PFAIL: Self = Self(4);
    /// It has failed.
    pub const FAIL: Self = Self(8);
    /// It is the sender itself.
    pub const MYSELF: Self = Self(16);
    /// It is not known to be a node of the cluster yet.
    pub const HANDSHAKE: Self = Self(32);
    /// Its address is not known.
    pub const NOADDR: Self = Self(64);
    /// It is to be sent a MEET.
    pub const MEET: Self = Self(128);
    /// Replicas of others may come to it.
    pub const MIGRATE_TO: Self = Self(256);
    /// A replica that never takes over by itself.
    pub const NOFAILOVER: Self = Self(512);
    /// It takes extensions.
    pub const EXTENSIONS: Self = Self(1024);
    /// It takes light headers of PUBLISH and SPUBLISH.
    pub const LIGHT_PUBLISH: Self = Self(2048);
    /// It takes light headers of modules, and MEET from nodes that it knows.
    pub const LIGHT_MODULE: Self = Self(4096);
    /// A replica that knows that its primary is FAIL.
    pub const PRIMARY_FAIL: Self = Self(8192);

    /// Whether all of `flags` are set.
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These and `flags`.
    pub const fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    /// These but for `flags`.
    pub const fn without(self, flags: Self) -> Self {
        Self(self.0 & !flags.0)
    }

    /// Those that are in `flags`, too.
    pub const fn only(self, flags: Self) -> Self {
        Self(self.0 & flags.0)
    }

    /// Whether one of `flags` is set.
    pub const fn has_any(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }
}

/// What holds for a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(pub u8);

impl Marks {
    /// The sender's clients cannot write, for a manual failover: its offset stands still.
    pub const PAUSED: Self = Self(1);
    /// A vote is asked for although the primary may be alive.
    pub const FORCEACK: Self = Self(2);
    /// The sender takes extensions.
    pub const EXTENSIONS: Self = Self(4);

    /// Whether all of `marks` are set.
    pub const fn has(self, marks: Self) -> bool {
        self.0 & marks.0 == marks.0
    }

    /// These and `marks`.
    pub const fn with(self, marks: Self) -> Self {
        Self(self.0 | marks.0)
    }
}

impl Header {
    /// What follows the version. `None` if it is too short, or an id is none.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<(Self, Counts)> {
        let client = reader.u16()?;
        reader.skip(2);
        let gossip = reader.u16()?;
        let (current_epoch, config_epoch) = (Epoch(reader.u64()?), Epoch(reader.u64()?));
        let offset = reader.u64()?;
        let sender = NodeId::parse(&reader.array::<ID_LEN>()?)?;
        let slots = SlotSet::of_bytes(&reader.array::<SLOT_SET_LEN>()?);
        let primary = match reader.array::<ID_LEN>()? {
            [0, ..] => None,
            id => Some(NodeId::parse(&id)?),
        };
        let ip = reader.address()?;
        let extensions = reader.u16()?;
        reader.skip(RESERVED);
        let ports = Ports { client, other: reader.u16()?, bus: reader.u16()? };
        let flags = Flags(reader.u16()?);
        let [state, marks, _, _] = reader.array::<4>()?;
        let header = Self {
            sender,
            primary,
            ip,
            ports,
            flags,
            current_epoch,
            config_epoch,
            offset,
            slots,
            sees_fail: state != 0,
            marks: Marks(marks),
        };
        Some((header, Counts { gossip, extensions }))
    }

    /// Appends what follows the version.
    pub(super) fn encode(&self, kind: u16, counts: Counts, out: &mut Vec<u8>) {
        let Ports { client, other, bus } = self.ports;
        let mut u16 = |number: u16| out.extend_from_slice(&number.to_be_bytes());
        [client, kind, counts.gossip].into_iter().for_each(&mut u16);
        for number in [self.current_epoch.0, self.config_epoch.0, self.offset] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(self.sender.as_bytes());
        self.slots.write(out);
        out.extend_from_slice(&self.primary.map_or([0; ID_LEN], |id| *id.as_bytes()));
        write_address(self.ip, out);
        out.extend_from_slice(&counts.extensions.to_be_bytes());
        out.extend_from_slice(&[0; RESERVED]);
        for number in [other, bus, self.flags.0] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&[u8::from(self.sees_fail), self.marks.0, 0, 0]);
    }
}
