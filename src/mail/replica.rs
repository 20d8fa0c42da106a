//! A connection that asks for the stream of all changes, on its way from its shard to the relay.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use crate::clients::leaving::Leaving;
use crate::replication::greeting::Greeting;
use crate::replication::psync::Request;

/// A replica, or a tool that takes itself for one, which has sent PSYNC or SYNC.
#[derive(Debug)]
pub struct Arrival {
    /// Its connection. No byte of an answer to the request was sent.
    pub socket: OwnedFd,
    /// What came behind the request.
    pub unread: Vec<u8>,
    /// What it has told by REPLCONF.
    pub greeting: Box<Greeting>,
    /// What it asks for.
    pub request: Request,
    /// The id that it had as a client.
    pub client: u64,
    /// Where its connection comes from; `None` for a unix socket.
    pub peer: Option<SocketAddr>,
}

impl Arrival {
    /// A client whose socket has left its shard, and what came in while it left.
    pub fn new(leaving: Leaving, socket: OwnedFd, came: &[u8]) -> Self {
        let Leaving { mut unread, greeting, request, client, peer } = leaving;
        unread.extend_from_slice(came);
        Self { socket, unread, greeting, request, client, peer }
    }
}
