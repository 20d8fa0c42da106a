//! Sockets on their way to a shard: connections, and listeners.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// A connection that was accepted and given to a shard.
#[derive(Debug)]
pub struct Connection {
    /// Its socket.
    pub fd: OwnedFd,
    /// Its client's id.
    pub id: u64,
    /// The other end; `None` on a unix socket.
    pub peer: Option<SocketAddr>,
    /// Our end; `None` on a unix socket.
    pub local: Option<SocketAddr>,
}

/// Listeners for the shard that accepts.
#[derive(Debug)]
pub struct Listeners {
    /// New ones.
    pub opened: Vec<OwnedFd>,
    /// The addresses of those that it closes; `None` stands for the unix socket.
    pub closed: Vec<Option<SocketAddr>>,
}
