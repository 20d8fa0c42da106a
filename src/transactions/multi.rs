//! Commands between MULTI and EXEC, and what EXEC makes of them.

use shards::resp::parser::Range;

use crate::pubsub::interest::Changes;
use crate::routing::request::Parsed;

/// Commands queued after MULTI.
#[derive(Debug, Default)]
pub struct Multi {
    /// Their bytes.
    pub input: Vec<u8>,
    /// Their arguments.
    pub ranges: Vec<Range>,
    /// The commands.
    pub requests: Vec<Parsed>,
    /// One of them was refused, so EXEC will be.
    pub refused: bool,
}

/// A transaction that EXEC began.
#[derive(Debug)]
pub struct Exec {
    /// The queued commands.
    pub multi: Box<Multi>,
    /// The command that is next.
    pub next: usize,
    /// Keys that must be unchanged.
    pub watched: Vec<Watch>,
    /// The shard that has all it touches, if its commands need nothing but that shard.
    pub place: Option<u16>,
    /// A watched key has changed.
    pub aborted: bool,
    /// What has become of the client's subscriptions, if a command was about them.
    pub changes: Option<Changes>,
}

/// A key a client watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The database.
    pub db: usize,
    /// The key's hash.
    pub hash: u64,
    /// What the key's version was.
    pub version: u64,
}
