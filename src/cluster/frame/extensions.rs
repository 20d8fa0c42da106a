//! Extensions of a heartbeat: what of its sender has no place in the header.
//!
//! ```text
//! length u32 with these 8 bytes, a multiple of 8 | type u16 | zeros | content
//! texts end with a zero, then zeros up to the length
//! ```
//! Only nodes that have shown that they take extensions are sent some.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::reader::{Reader, text};
use crate::cluster::ids::{ID_LEN, NodeId, ShardId};

const HEAD_LEN: usize = 8;
/// Bytes of a host name at most.
pub const HOSTNAME_BYTES_MAX: usize = 255;

/// One more thing that a sender says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extension {
    /// `cluster-announce-hostname`
    Hostname(String),
    /// `cluster-announce-human-nodename`
    Nodename(String),
    /// A node was forgotten, and is not to be learned of for so many seconds.
    Forgotten(NodeId, u64),
    /// Its shard.
    Shard(ShardId),
    /// `cluster-announce-client-ipv4`
    ClientIpv4(String),
    /// `cluster-announce-client-ipv6`
    ClientIpv6(String),
    /// `cluster-announce-client-port`
    ClientPort(u16),
    /// `cluster-announce-client-tls-port`
    ClientTlsPort(u16),
    /// `availability-zone`
    Zone(String),
    /// A type that a later version knows, or content that no sender may send.
    Unknown(u16, Vec<u8>),
}

impl Extension {
    /// The next one. `None` if its length is odd or there is not enough.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let length = usize::try_from(reader.u32()?).ok()?;
        let kind = reader.u16()?;
        reader.u16()?;
        if length % 8 != 0 {
            return None;
        }
        let content = reader.bytes(length.checked_sub(HEAD_LEN)?)?;
        let known = Self::of_content(kind, content);
        Some(known.unwrap_or_else(|| Self::Unknown(kind, content.to_vec())))
    }

    fn of_content(kind: u16, content: &[u8]) -> Option<Self> {
        let owned = || text(content).map(str::to_owned);
        let mut reader = Reader::new(content);
        match kind {
            0 => owned().filter(|name| is_hostname(name)).map(Self::Hostname),
            1 => owned().filter(|name| is_label(name)).map(Self::Nodename),
            2 => {
                let node = NodeId::parse(&reader.array::<ID_LEN>()?)?;
                Some(Self::Forgotten(node, reader.u64()?))
            }
            3 => ShardId::parse(&reader.array::<ID_LEN>()?).map(Self::Shard),
            4 => owned().filter(|ip| ip.parse::<Ipv4Addr>().is_ok()).map(Self::ClientIpv4),
            5 => owned().filter(|ip| ip.parse::<Ipv6Addr>().is_ok()).map(Self::ClientIpv6),
            6 => reader.u16().map(Self::ClientPort),
            7 => reader.u16().map(Self::ClientTlsPort),
            8 => owned().filter(|name| is_label(name)).map(Self::Zone),
            _ => None,
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; HEAD_LEN]);
        let kind: u16 = match self {
            Self::Hostname(name) => write_text(0, name, out),
            Self::Nodename(name) => write_text(1, name, out),
            Self::Forgotten(node, seconds) => {
                out.extend_from_slice(node.as_bytes());
                out.extend_from_slice(&seconds.to_be_bytes());
                2
            }
            Self::Shard(shard) => {
                out.extend_from_slice(shard.as_bytes());
                3
            }
            Self::ClientIpv4(ip) => write_text(4, ip, out),
            Self::ClientIpv6(ip) => write_text(5, ip, out),
            Self::ClientPort(port) => write_port(6, *port, out),
            Self::ClientTlsPort(port) => write_port(7, *port, out),
            Self::Zone(name) => write_text(8, name, out),
            Self::Unknown(kind, content) => {
                out.extend_from_slice(content);
                *kind
            }
        };
        let length = (out.len() - start).next_multiple_of(8);
        out.resize(start + length, 0);
        let length = u32::try_from(length).expect("extensions are short");
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        out[start + 4..start + 6].copy_from_slice(&kind.to_be_bytes());
    }
}

fn write_text(kind: u16, text: &str, out: &mut Vec<u8>) -> u16 {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
    kind
}

fn write_port(kind: u16, port: u16, out: &mut Vec<u8>) -> u16 {
    out.extend_from_slice(&port.to_be_bytes());
    kind
}

/// Whether `name` may be a host name: letters, digits, hyphens and dots, at most
/// [`HOSTNAME_BYTES_MAX`]. So no file and no reply is torn by it.
pub fn is_hostname(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    name.len() <= HOSTNAME_BYTES_MAX && name.bytes().all(is_part)
}

/// Whether `name` may be the name of a node or a zone: no space, no control character and none
/// that means something in nodes.conf or in CLUSTER NODES.
pub fn is_label(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_graphic() && !b",;<=>?@[]^{|}~\\".contains(&byte);
    name.len() <= HOSTNAME_BYTES_MAX && name.bytes().all(is_part)
}
