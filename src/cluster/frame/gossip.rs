//! Gossip: what a heartbeat says of a node that is not its sender, in 104 bytes.
//!
//! ```text
//! 0 id, 40 bytes   40 PING sent u32 s   44 PONG received u32 s   48 address, 46 bytes
//! 94 client port u16   96 bus port u16   98 flags u16   100 the other client port u16   102 zeros
//! ```

use std::net::IpAddr;

use super::header::{Flags, Ports};
use super::reader::{Reader, write_address};
use crate::cluster::ids::{ID_LEN, NodeId};

/// What a sender says of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which node.
    pub node: NodeId,
    /// When the sender sent the PING that is not answered yet, in seconds of the calendar; 0: none.
    pub ping_sent_s: u32,
    /// When the sender got the last PONG, in seconds of the calendar; 0: never.
    pub pong_received_s: u32,
    /// Where the node is.
    pub ip: Option<IpAddr>,
    /// Where it listens.
    pub ports: Ports,
    /// What the sender holds of it.
    pub flags: Flags,
}

/// An entry's id is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoId;

impl Entry {
    /// The next entry. `None` if there is not enough.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Result<Self, NoId>> {
        let id = reader.array::<ID_LEN>()?;
        let (ping_sent_s, pong_received_s) = (reader.u32()?, reader.u32()?);
        let ip = reader.address()?;
        let (client, bus, flags, other) =
            (reader.u16()?, reader.u16()?, Flags(reader.u16()?), reader.u16()?);
        reader.u16()?;
        let ports = Ports { client, other, bus };
        let entry = |node| Self { node, ping_sent_s, pong_received_s, ip, ports, flags };
        Some(NodeId::parse(&id).map(entry).ok_or(NoId))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.node.as_bytes());
        out.extend_from_slice(&self.ping_sent_s.to_be_bytes());
        out.extend_from_slice(&self.pong_received_s.to_be_bytes());
        write_address(self.ip, out);
        for number in [self.ports.client, self.ports.bus, self.flags.0, self.ports.other, 0] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}
