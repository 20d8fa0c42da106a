//! A client that has asked for the stream of all changes, by PSYNC or SYNC, and leaves its shard.
//!
//! ```text
//! PSYNC is run --> Leaving: no more of what it has sent runs; its socket is read no longer
//!              --> it has all replies to what stood in front of PSYNC: it is a client no more
//!              --> the ring hands its socket over --> `mail::replica::Arrival`
//! ```
//! Until it is a client no more it can be closed and killed like any other, and may be cut for what
//! it does not take; nothing arrives then.

use std::net::SocketAddr;

use crate::clients::client::{Client, Life};
use crate::replication::greeting::Greeting;
use crate::replication::psync::Request;

/// What is left of the client while the ring gets its socket back from the kernel.
#[derive(Debug)]
pub struct Leaving {
    /// What it had sent behind its request by then.
    pub unread: Vec<u8>,
    /// What it has told by REPLCONF.
    pub greeting: Box<Greeting>,
    /// What it asks for.
    pub request: Request,
    /// The id that it had.
    pub client: u64,
    /// Where its connection comes from; `None` for a unix socket.
    pub peer: Option<SocketAddr>,
}

impl Leaving {
    /// What is left of a client that is dismissed.
    pub fn of(client: Client, request: Request) -> Self {
        let Client { id, peer, query, greeting, .. } = client;
        let greeting = greeting.unwrap_or_default();
        Self { unread: query.into_unused(), greeting, request, client: id, peer }
    }
}

impl Client {
    /// Has its socket leave the shard for the stream that it asks for. A client that can be given
    /// nothing any more is through: what it has sent behind its request is no request.
    pub fn leave(&mut self, request: Request) {
        if self.life < Life::Leaving {
            self.life = Life::Leaving;
            self.asked = Some(Box::new(request));
        } else {
            self.end();
        }
    }
}
