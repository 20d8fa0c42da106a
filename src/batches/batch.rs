//! A client's requests on their journey through the cores.

use std::net::SocketAddr;

use shards::resp::parser::Range;
use shards::resp::reply::Protocol;

use crate::batches::round::Round;
use crate::batches::waiting::Waiting;
use crate::reactor::ring::Token;
use crate::routing::request::Parsed;
use crate::routing::slots::Peer;
use crate::transactions::locks::Ticket;
use crate::transactions::multi::Exec;
use crate::transactions::transaction::Transaction;

/// What of a client's session commands need that run away from home.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passport {
    /// The selected database.
    pub db: usize,
    /// The protocol of replies.
    pub protocol: Protocol,
    /// Whether lookups leave LRU and LFU as they are.
    pub no_touch: bool,
    /// Whether it is connected from this machine.
    pub local: bool,
    /// Whether it is told when keys change that it reads.
    pub reads: bool,
}

/// Requests of one client that travel together. A client has at most one batch under way, so its
/// requests run in the order it sent them.
///
/// What every stop writes lies in the first cache line, so that the others stay in the caches of
/// all cores the batch comes by.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Batch {
    /// The request that is next.
    pub next: usize,
    /// Replies so far.
    pub replies: Vec<u8>,
    /// On which shards its requests' entries were prefetched: a bit for each of the first 64.
    prefetched: u64,
    /// The request that is next spans shards and is at work.
    pub transaction: Option<Box<Transaction>>,
    /// The request that is next is an EXEC whose commands run one by one.
    pub exec: Option<Box<Exec>>,
    /// The requests that are next are done shard by shard.
    pub round: Round,
    /// The shard of the client.
    pub home: Peer,
    /// The client.
    pub token: Token,
    /// The client's id, for logs.
    pub client: u64,
    /// The other end of the client's connection; `None` on a unix socket.
    pub peer: Option<SocketAddr>,
    /// What it may see.
    pub passport: Passport,
    /// The requests' bytes.
    pub input: Vec<u8>,
    /// All arguments, as ranges of `input`.
    pub ranges: Vec<Range>,
    /// The requests.
    pub requests: Vec<Parsed>,
    /// The request that is next waited for its keys here and holds this ticket.
    pub ticket: Option<Ticket>,
    /// The request that is next has found nothing so far and waits, or has its turn.
    pub waiting: Option<Box<Waiting>>,
    /// Its last request has removed all keys.
    pub flushed: bool,
}

impl Batch {
    /// Forgets everything but its room. False if that is too much to keep.
    pub fn clear(&mut self, bytes_max: usize) -> bool {
        self.input.clear();
        self.ranges.clear();
        self.requests.clear();
        self.replies.clear();
        self.next = 0;
        self.transaction = None;
        self.exec = None;
        self.round.clear();
        self.ticket = None;
        self.waiting = None;
        self.flushed = false;
        self.prefetched = 0;
        self.input.capacity() <= bytes_max && self.replies.capacity() <= bytes_max
    }

    /// Notes that what it needs of this shard's table is on its way to the cache. False if that
    /// was known: a batch comes by often, and once is enough.
    #[inline]
    pub fn prefetched_at(&mut self, shard: Peer) -> bool {
        let bit = 1_u64.checked_shl(u32::try_from(shard).unwrap_or(u32::MAX)).unwrap_or(0);
        let first = self.prefetched & bit == 0;
        self.prefetched |= bit;
        first
    }

    /// The request that is next.
    pub fn request(&self) -> Option<&Parsed> {
        self.requests.get(self.next)
    }
}

/// The arguments of the request that is next in a batch, as its wait has rewritten them.
pub fn with_rewritten<R>(
    args: &[&[u8]],
    waiting: Option<&Waiting>,
    run: impl FnOnce(&[&[u8]]) -> R,
) -> R {
    match waiting {
        Some(Waiting { rewritten, .. }) if !rewritten.is_empty() => {
            let mut args = args.to_vec();
            rewritten.iter().for_each(|(place, arg)| args[*place] = arg);
            run(&args)
        }
        _ => run(args),
    }
}
