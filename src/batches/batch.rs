//! A client's requests on their journey through the cores.

use crate::routing::call::Call;
use crate::routing::request::with_args;
use shards::effects::ScanRest;
use std::net::SocketAddr;

use shards::resp::parser::Range;
use shards::resp::reply::Protocol;
use shards::shard::Origin;

use crate::batches::epochs::Epoch;
use crate::batches::round::Round;
use crate::batches::waiting::Waiting;
use crate::cluster::redirect::Asker;
use crate::cluster::report::endpoint::Network;
use crate::reactor::ring::Token;
use crate::routing::admission::Guards;
use crate::routing::request::Parsed;
use crate::routing::slots::Peer;
use crate::transactions::locks::Ticket;
use crate::transactions::multi::Exec;
use crate::transactions::transaction::Transaction;

/// Requests of one batch whose buckets and entries are loaded ahead: enough to overlap misses, few
/// enough that what is loaded is still in the first-level cache when it is used.
pub const AHEAD_MAX: usize = 64;

/// What of a client's session commands need that run away from home.
#[derive(Clone, Copy, Debug)]
pub struct Passport {
    /// The selected database.
    pub db: usize,
    /// The protocol of replies.
    pub protocol: Protocol,
    /// Whether lookups leave LRU and LFU as they are.
    pub no_touch: bool,
    /// Where its requests come from: an import source is one only in import mode.
    pub origin: Origin,
    /// Whether it is connected from this machine.
    pub local: bool,
    /// Whether it is told when keys change that it reads.
    pub reads: bool,
    /// The node's guards that do not concern it.
    pub exempt: Guards,
    /// What decides where its requests run, in a cluster.
    pub asker: Asker,
    /// By which kind of address it reaches the server.
    pub network: Network,
    /// Bytes of replies from which on no more requests run before these are delivered.
    pub reply_pause: usize,
    /// Bytes that its replies may have: one byte more stands for a reply that was broken off.
    pub reply_max: usize,
}

impl Default for Passport {
    fn default() -> Self {
        Self {
            db: 0,
            protocol: Protocol::default(),
            no_touch: false,
            origin: Origin::Client,
            local: false,
            reads: false,
            exempt: Guards::NONE,
            asker: Asker::default(),
            network: Network::V4,
            reply_pause: usize::MAX,
            reply_max: usize::MAX,
        }
    }
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
    /// What it is at.
    pub at: At,
    /// The claims that its next request waited for on this shard, and holds.
    pub ticket: Option<Ticket>,
    /// The shard of the client.
    pub home: Peer,
    /// The client.
    pub token: Token,
    /// The client's id, for logs.
    pub client: u64,
    /// The other end of the client's connection; `None` on a unix socket.
    pub peer: Option<SocketAddr>,
    /// When it set out, as its home counts. `None` while it rests: then it sets out again from
    /// there.
    pub epoch: Option<Epoch>,
    /// Its client does not want the reply to its one request (CLIENT REPLY).
    pub is_muted: bool,
    /// What it is of a primary's stream, if it is no client's.
    pub applies: Option<Applies>,
    /// What it may see.
    pub passport: Passport,
    /// The requests' bytes.
    pub input: Vec<u8>,
    /// All arguments, as ranges of `input`.
    pub ranges: Vec<Range>,
    /// The requests.
    pub requests: Vec<Parsed>,
    /// Of requests that are done shard by shard. Kept for its room when there are none.
    pub round: Round,
    /// The request that is next has found nothing so far and waits, or has its turn.
    pub waiting: Option<Box<Waiting>>,
}

/// A batch of what a primary has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applies {
    /// Who is told when it is applied.
    pub source: Source,
    /// Its number there.
    pub number: BatchNumber,
}

/// Who takes apart what a primary sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The relay: the stream of all logs.
    Relay,
    /// This shard: a log of the primary.
    Flow {
        /// The shard.
        shard: Peer,
        /// The log.
        flow: u16,
    },
    /// This shard: transactions of several logs of the primary.
    Barrier {
        /// The shard.
        shard: Peer,
    },
}

/// A number of a batch of a primary's stream, in the order of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchNumber(pub u64);

/// What a batch is at.
#[derive(Debug, Default)]
pub enum At {
    /// Its next request.
    #[default]
    Request,
    /// Some of its next requests, shard by shard.
    Round,
    /// A SCAN, which goes on in another shard.
    Scan(Scan),
    /// Its next request, which spans shards.
    Visits(Box<Transaction>),
    /// An EXEC whose commands run in place.
    Exec(Box<Exec>),
    /// An EXEC whose commands run at home, on what is brought together there.
    ExecVisits(Box<Exec>, Box<Transaction>),
    /// An EXEC that goes home to be looked at anew: something stood in its way.
    TurnedBack(Box<Exec>),
}

/// A SCAN that came to the end of a shard's slots before its COUNT was used up.
#[derive(Clone, Copy, Debug)]
pub struct Scan {
    /// How it goes on.
    pub rest: ScanRest,
    /// Where its reply begins among those of the batch.
    pub reply: usize,
    /// Cycles that it took.
    pub cycles: u64,
}

impl Batch {
    /// Forgets everything but its room.
    pub fn clear(&mut self) {
        self.input.clear();
        self.ranges.clear();
        self.requests.clear();
        self.replies.clear();
        self.next = 0;
        self.at = At::Request;
        self.round.clear();
        self.ticket = None;
        self.epoch = None;
        self.waiting = None;
        self.applies = None;
        self.prefetched = 0;
    }

    /// Bytes of its buffers, whatever is in them.
    pub fn capacity(&self) -> usize {
        let ranges = self.ranges.capacity() * size_of::<Range>();
        let requests = self.requests.capacity() * size_of::<Parsed>();
        self.input.capacity() + self.replies.capacity() + ranges + requests + self.round.capacity()
    }

    /// Adds a request: its bytes, which began at `start` where it was parsed, the ranges of its
    /// arguments there, and what is known of it.
    pub fn append(&mut self, bytes: &[u8], start: u32, ranges: &[Range], parsed: Parsed) {
        let small = |number: usize| u32::try_from(number).expect("a batch is below 4 GiB");
        let (base, first) = (small(self.input.len()), small(self.ranges.len()));
        self.input.extend_from_slice(bytes);
        let moved = |range: &Range| Range { start: range.start - start + base, len: range.len };
        self.ranges.extend(ranges.iter().map(moved));
        self.requests.push(Parsed { first, end: small(self.input.len()), ..parsed });
    }

    /// Whether its replies are so long that no more requests run before they are delivered.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.passport.reply_pause < self.replies.len()
    }

    /// What its next request visits, if that spans shards.
    pub fn transaction(&mut self) -> Option<&mut Transaction> {
        match &mut self.at {
            At::Visits(transaction) | At::ExecVisits(_, transaction) => Some(transaction),
            At::Request | At::Round | At::Scan(_) | At::Exec(_) | At::TurnedBack(_) => None,
        }
    }

    /// Whether it is at an EXEC.
    pub fn is_exec(&self) -> bool {
        matches!(self.at, At::Exec(_) | At::ExecVisits(..) | At::TurnedBack(_))
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

    /// Whether something holds for a request of it: its command and its arguments.
    pub fn holds(
        &self,
        parsed: &Parsed,
        holds: impl FnOnce(&'static Call, &[&[u8]]) -> bool,
    ) -> bool {
        let Some(call) = parsed.call else { return false };
        with_args(&self.input, &self.ranges, parsed, |args| holds(call, args))
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
