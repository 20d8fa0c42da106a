//! Where a client is told that a node is: `cluster-preferred-endpoint-type`, and what nodes
//! announce for clients.

use std::net::IpAddr;

use crate::cluster::nodes::node::Node;

/// `cluster-preferred-endpoint-type`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Its address.
    Ip,
    /// Its host name.
    Hostname,
    /// None: the client is to use the address that it used before.
    Unknown,
}

/// By which kind of address a client reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

/// How a client talks to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// As it is.
    Plain,
    /// Encrypted.
    Tls,
}

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// What the node prefers to show.
    pub endpoint: Endpoint,
    /// How the client reaches it.
    pub network: Network,
    /// How the client talks to it.
    pub security: Security,
}

impl Viewer {
    /// The host that the client is to use; `None`: the one that it used before.
    pub fn host(self, node: &Node) -> Option<String> {
        let hostname = &node.names.hostname;
        match self.endpoint {
            Endpoint::Ip => Some(self.ip(node)),
            Endpoint::Hostname if hostname.is_empty() => Some("?".to_string()),
            Endpoint::Hostname => Some(hostname.clone()),
            Endpoint::Unknown => None,
        }
    }

    /// The address that the client is told; empty if it is not known.
    pub fn ip(self, node: &Node) -> String {
        let announced = match self.network {
            Network::V4 => &node.names.client_ipv4,
            Network::V6 => &node.names.client_ipv6,
        };
        if announced.is_empty() { shown(node.ip) } else { announced.clone() }
    }

    /// The port that the client is told.
    pub const fn port(self, node: &Node) -> u16 {
        match self.security {
            Security::Plain => plain_port(node),
            Security::Tls if node.names.client_tls_port == 0 => node.ports.other,
            Security::Tls => node.names.client_tls_port,
        }
    }
}

/// The port without TLS that clients are told.
pub const fn plain_port(node: &Node) -> u16 {
    if node.names.client_port == 0 { node.ports.client } else { node.names.client_port }
}

/// An address as texts show it; empty if it is not known.
pub fn shown(ip: Option<IpAddr>) -> String {
    ip.map(|ip| ip.to_string()).unwrap_or_default()
}
