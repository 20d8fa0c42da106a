//! What a client has asked for with CLIENT TRACKING.

use crate::clients::client::Client;
use crate::pubsub::tracking::options::Mode;
use crate::reactor::ring::Token;
use crate::routing::call::Call;
use crate::routing::slots::Peer;

/// A client that was looked for.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// The id that was looked for.
    pub id: i64,
    /// The client, if there is one.
    pub client: Option<Redirect>,
}

/// A client that is told of stale copies.
#[derive(Debug)]
pub struct Tracker {
    /// Of which keys it is told.
    pub mode: Mode,
    /// Bytes of its prefixes.
    pub prefix_bytes: usize,
    /// Not of what it changes itself.
    pub no_loop: bool,
    /// Who is told in its place.
    pub redirect: Option<Redirect>,
    /// The one that was to be told in its place is gone.
    pub broken: bool,
    /// CLIENT CACHING.
    pub caching: Caching,
}

/// Another client.
#[derive(Clone, Copy, Debug)]
pub struct Redirect {
    /// Its id.
    pub id: u64,
    /// The shard that has its connection.
    pub home: Peer,
    /// What that shard knows it by.
    pub token: Token,
}

/// Whether CLIENT CACHING stands before a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// It does not.
    Not,
    /// It does, before the next command that is not about the client.
    Next,
    /// It does, before the command (or transaction) that is at work or was the last one.
    Now,
}

impl Tracker {
    /// Whether keys are noted that it reads.
    pub fn reads(&self) -> bool {
        match self.mode {
            Mode::Read => true,
            Mode::OptIn => self.caching != Caching::Not,
            Mode::OptOut => self.caching == Caching::Not,
            Mode::Broadcast(_) => false,
        }
    }
}

/// CLIENT CACHING is over after one command, or one transaction.
pub fn note_caching(client: &mut Client, call: Option<&Call>) {
    let Some(tracker) = &mut client.tracker else { return };
    if tracker.caching == Caching::Now && client.multi.is_none() {
        tracker.caching = Caching::Not;
    }
    let about_clients = call.is_some_and(|call| call.spec.name.starts_with("client|"));
    if tracker.caching == Caching::Next && !about_clients {
        tracker.caching = Caching::Now;
    }
}
