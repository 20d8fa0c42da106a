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

use crate::clients::client::{Client, Figures, Life, Session};
use crate::replication::greeting::Greeting;
use crate::replication::psync::Request;
use crate::replication::replid::ReplId;

/// What is left of the client while the ring gets its socket back from the kernel.
#[derive(Debug)]
pub struct Leaving {
    /// What it had sent behind its request by then.
    pub unread: Vec<u8>,
    /// What it has told by REPLCONF.
    pub greeting: Box<Greeting>,
    /// What it asks for.
    pub errand: Errand,
    /// What CLIENT LIST goes on to show of it.
    pub known: Known,
}

/// What a client leaves its shard for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// The stream of all changes.
    Stream(Request),
    /// One of the logs that a session was told of.
    Flow(FlowRequest),
    /// A part of the snapshot that a session was told of.
    Snapshot(SnapshotRequest),
}

/// A part of a snapshot that a replica asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// By what its session was told.
    pub name: ReplId,
    /// The connection's number.
    pub connection: u16,
}

/// A log that a replica asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRequest {
    /// By what its session was told.
    pub name: ReplId,
    /// The log's number.
    pub flow: u16,
    /// Where it begins.
    pub offset: u64,
}

/// What of a client that has left CLIENT LIST goes on to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The id that it had, and keeps.
    pub id: u64,
    /// Its descriptor's number.
    pub fd: i32,
    /// Where its connection comes from; `None` for a unix socket.
    pub peer: Option<SocketAddr>,
    /// Our end of it; `None` for a unix socket.
    pub local: Option<SocketAddr>,
    /// CLIENT SETNAME
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME
    pub lib_name: Vec<u8>,
    /// CLIENT SETINFO LIB-VER
    pub lib_ver: Vec<u8>,
    /// What it has done, as a client and since.
    pub figures: Figures,
}

impl Leaving {
    /// What is left of a client that is dismissed.
    pub fn of(client: Client, errand: Errand) -> Self {
        let Client { id, fd, peer, local, session, query, greeting, figures, .. } = client;
        let Session { name, lib_name, lib_ver, .. } = session;
        let known = Known { id, fd, peer, local, name, lib_name, lib_ver, figures };
        let greeting = greeting.unwrap_or_default();
        Self { unread: query.into_unused(), greeting, errand, known }
    }
}

impl Client {
    /// Has its socket leave the shard for the stream that it asks for. A client that can be given
    /// nothing any more is through: what it has sent behind its request is no request.
    pub fn leave(&mut self, errand: Errand) {
        if self.life < Life::Leaving {
            self.life = Life::Leaving;
            self.asked = Some(Box::new(errand));
        } else {
            self.end();
        }
    }
}
