//! What a node of a cluster tells others of itself: host names, addresses, names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::kinds::{Examples, FileLine, Kind, Mention, Name, Reason};

/// Bytes of a host name.
const HOSTNAME_MAX: usize = 255;

/// A text that other nodes are told; empty for none.
#[derive(Debug)]
pub enum Announced {
    /// A host name.
    Hostname,
    /// A name that nodes.conf holds beside others. It has none of the characters that part them.
    /// The text is the reason why another name is refused.
    NodeName(&'static str),
    /// The address of the node. A Valkey takes a name, and looks it up each time that it connects:
    /// meanwhile it does nothing else, and its cluster fails.
    Ip,
    /// An address for clients of one network.
    ClientIpv4,
    /// Likewise.
    ClientIpv6,
}

impl Announced {
    /// Why a text that is not empty is refused, if it is.
    fn refusal(&self, text: &str) -> Option<&'static str> {
        let is_of = |is_fit: fn(u8) -> bool| text.bytes().all(is_fit);
        let (is_fit, reason) = match self {
            Self::Hostname if HOSTNAME_MAX < text.len() => {
                (false, "Hostnames must be less than 256 characters")
            }
            Self::Hostname => (
                is_of(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)),
                "Hostnames may only contain alphanumeric characters, hyphens or dots",
            ),
            Self::NodeName(reason) => (
                is_of(|byte| byte.is_ascii_graphic() && !b",;<=>?@[]^{|}~\\".contains(&byte)),
                *reason,
            ),
            Self::Ip => (
                text.parse::<IpAddr>().is_ok(),
                "cluster-announce-ip must be an IPv4 or IPv6 address",
            ),
            Self::ClientIpv4 => (text.parse::<Ipv4Addr>().is_ok(), "Invalid IPv4 address"),
            Self::ClientIpv6 => (text.parse::<Ipv6Addr>().is_ok(), "Invalid IPv6 address"),
        };
        (!is_fit).then_some(reason)
    }
}

impl Kind for Announced {
    type Value = String;

    fn read(&self, words: &[&[u8]], _: &String, _: Mention) -> Result<String, Reason> {
        let text = String::from_utf8_lossy(words.first().copied().unwrap_or_default());
        match self.refusal(&text).filter(|_| !text.is_empty()) {
            Some(reason) => Err(reason.into()),
            None => Ok(text.into_owned()),
        }
    }

    fn print(&self, value: &String) -> Vec<u8> {
        Name.print(value)
    }

    fn lines(&self, value: &String, default: &String) -> Vec<FileLine> {
        Name.lines(value, default)
    }

    fn limits(&self) -> String {
        let limits = match self {
            Self::Hostname => "letters, digits, `-` and `.`",
            Self::NodeName(_) => "a name without blanks and `,;<=>?@[]^{}~\\`",
            Self::Ip => "an address",
            Self::ClientIpv4 => "an IPv4 address",
            Self::ClientIpv6 => "an IPv6 address",
        };
        limits.into()
    }

    fn examples(&self) -> Examples {
        match self {
            Self::Hostname => {
                Examples::of(&["", "a-1.example"], &["a_b", "a b", &"a".repeat(HOSTNAME_MAX + 1)])
            }
            Self::NodeName(_) => Examples::of(
                &["", "node-1", "eu/west:2"],
                &["a b", "a,b", "a=b", "a\nb", "a@b", "a\\b"],
            ),
            Self::Ip => Examples::of(&["", "10.0.0.1", "::1"], &["node", "10.0.0", "a\nb"]),
            Self::ClientIpv4 => {
                Examples::of(&["", "10.0.0.1"], &["::1", "a", "10.0.0.1.2", "10.0.0.1 "])
            }
            Self::ClientIpv6 => Examples::of(&["", "::1", "fe80::1"], &["10.0.0.1", "a", "::1 "]),
        }
    }
}
