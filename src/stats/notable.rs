//! Of which commands observers want to know, and for whom a command runs as they see it.

use std::net::SocketAddr;

use crate::batches::batch::Batch;
use crate::clients::client::Client;
use crate::reactor::ring::Token;
use crate::routing::slots::Peer;

/// Bytes that the protocol adds to an argument, at most.
const ARG_OVERHEAD: usize = 32;

/// The client for whom commands run, as those see it who are told of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serving {
    /// Its home.
    pub home: Peer,
    /// What its home knows it by.
    pub token: Token,
    /// The other end of its connection; `None` on a unix socket.
    pub peer: Option<SocketAddr>,
    /// The database it has selected.
    pub db: usize,
}

impl Serving {
    /// The client of a batch.
    #[inline]
    pub fn of_batch(batch: &Batch) -> Self {
        let Batch { home, token, peer, passport, .. } = batch;
        Self { home: *home, token: *token, peer: *peer, db: passport.db }
    }

    /// A client that is at home, which is shard `home`.
    #[inline]
    pub fn of_client(client: &Client, home: Peer) -> Self {
        Self { home, token: client.token, peer: client.peer, db: client.session.db }
    }
}

/// From which size on observers want to know of a command.
#[derive(Clone, Copy, Debug)]
pub struct Notable {
    /// Cycles it took.
    pub cycles: u64,
    /// Bytes of its request.
    pub request_bytes: usize,
    /// Bytes of its reply.
    pub reply_bytes: usize,
}

impl Default for Notable {
    fn default() -> Self {
        Self { cycles: u64::MAX, request_bytes: usize::MAX, reply_bytes: usize::MAX }
    }
}

impl Notable {
    /// Whether observers want to know of a command with these arguments.
    #[inline]
    pub fn is_met(&self, args: &[&[u8]], took: u64, reply_bytes: usize) -> bool {
        // What the protocol adds is only estimated here, and not too low.
        let large = self.request_bytes != usize::MAX
            && self.request_bytes <= args.iter().map(|arg| arg.len() + ARG_OVERHEAD).sum::<usize>();
        self.cycles <= took || large || self.reply_bytes <= reply_bytes
    }
}
