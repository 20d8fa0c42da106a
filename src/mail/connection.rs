//! A connection on its way to its shard.

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
