//! What shards write each other about subscriptions, stale copies and lines of MONITOR.

use std::sync::Arc;

use crate::pubsub::kind::Kind;
use crate::pubsub::messages::Messages;
use crate::reactor::ring::Token;

/// Bytes of messages that one thread may have on its way to another, for or from other nodes of a
/// cluster. The receiver says what it has taken.
pub const UNDER_WAY_MAX: usize = 16 << 20;
/// Bytes after which it says so.
pub const RECEIPT_BYTES: usize = 1 << 20;

/// What shards write each other about subscriptions. It is read in the order of writing.
#[derive(Debug)]
pub enum Word {
    /// The sender's subscriptions have changed.
    News(Box<News>),
    /// The announcement of this number is noted, and this client found that was looked for.
    Noted(u64, Option<Token>),
    /// For subscribers.
    Messages(Box<Messages>),
    /// For subscribers, from other nodes of the cluster: control's word.
    FromNodes(Arc<Messages>),
    /// So many bytes of the receiver's messages are on their way to other nodes: control's word.
    Passed(usize),
    /// Copies that clients may have are stale.
    Stale(Vec<StaleKey>),
    /// The same for a client that is told in place of one of the sender's.
    Redirected(Box<Redirected>),
    /// Who was to be told in place of this client is gone.
    RedirectionBroken(Token),
    /// For monitors.
    Lines(Vec<u8>),
    /// Lines for monitors are lost.
    LinesLost,
}

/// How many subscribers a shard has now.
#[derive(Debug)]
pub struct News {
    /// The announcement's number at that shard.
    pub number: u64,
    /// Kind, channel or pattern, and subscribers.
    pub counts: Vec<(Kind, Box<[u8]>, usize)>,
    /// The id of a client that is looked for.
    pub finds: Option<i64>,
}

/// A key whose copies are stale, as one shard tells another.
#[derive(Debug)]
pub struct StaleKey {
    /// The key.
    pub key: Vec<u8>,
    /// The id of the client that changed it; 0 if it changed by itself.
    pub by: u64,
    /// Clients of the other shard that have read it.
    pub readers: Vec<u64>,
    /// Clients of the other shard may have prefixes that it has.
    pub broadcast: bool,
}

impl StaleKey {
    /// A key that has changed.
    pub fn new(key: &[u8], by: u64, readers: &[u64], broadcast: bool) -> Self {
        Self { key: key.to_vec(), by, readers: readers.to_vec(), broadcast }
    }
}

/// A client is told in place of another one.
#[derive(Debug)]
pub struct Redirected {
    /// Who is told.
    pub to: Token,
    /// Who asked for it.
    pub tracker: Token,
    /// Stale keys; all if there is no list.
    pub keys: Option<Vec<Vec<u8>>>,
}
