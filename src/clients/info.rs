//! A client as CLIENT LIST shows it.

use std::net::SocketAddr;

use crate::clients::client::Client;
use crate::config::table::Config;
use crate::coordination::node::Node;

/// An end of a connection as text: that of a unix socket is its path and `:0`.
pub fn address(address: Option<SocketAddr>, config: &Config) -> String {
    match address {
        Some(address) => address.to_string(),
        None => format!("{}:0", config.unixsocket.display()),
    }
}

/// The line of a client.
pub fn line(client: &Client, node: &Node) -> String {
    format!("id={} addr={}", client.id, address(client.peer, &node.config))
}
