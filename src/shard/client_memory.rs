//! Limits on what all clients together hold: `maxmemory-clients`, for which the largest clients are
//! closed, and what those may take that have not authenticated.
//!
//! Each shard shows the sum over its clients and the largest of them. The shard that has the
//! largest of all closes it, at a tick at the latest.

use crate::clients::totals::Counted;
use crate::config::client_memory::ClientMemory;
use crate::log;
use crate::mail::board::Board;
use crate::reactor::ring::Token;
use crate::shard::core::Core;

/// Bytes that all clients together may hold which have not authenticated.
const UNAUTHENTICATED_BYTES_MAX: u64 = 64 << 20;

impl Core {
    /// Counts a client for what it holds now. False if it was closed, because too much is held by
    /// those that have not authenticated.
    #[inline]
    pub(crate) fn count_client(&mut self, token: Token) -> bool {
        let is_limited = self.node.config.maxmemory_clients != ClientMemory::UNLIMITED;
        let Some(client) = self.clients.get(token) else { return false };
        if !is_limited && client.session.authenticated && client.counted == Counted::default() {
            return true;
        }
        let counts = client.counts(is_limited);
        self.client_totals.count(client, counts);
        counts.unauthenticated == 0 || self.may_hold_unauthenticated(token)
    }

    /// Whether clients that have not authenticated hold no more than they may. If they do, this
    /// one is closed, because it has just asked for more.
    fn may_hold_unauthenticated(&mut self, token: Token) -> bool {
        let here = self.client_totals.sum().unauthenticated;
        let all = here + self.of_others(|board| board.unauthenticated.get());
        if all <= UNAUTHENTICATED_BYTES_MAX {
            return true;
        }
        let line = self.line_of(token);
        log::warning(&format!("Closing client, for too much is held unauthenticated: {line}"));
        self.remove_client(token);
        false
    }

    /// Counts all clients anew: what they are counted for has changed.
    pub(crate) fn recount_clients(&mut self) {
        for token in self.clients.tokens(|_| true) {
            self.count_client(token);
        }
        self.find_largest_client();
        self.show_figures();
    }

    /// Finds the largest client that may be closed, if there is one.
    fn find_largest_client(&mut self) -> Option<Token> {
        let may_go = self.clients.iter().filter(|client| !client.session.no_evict);
        let largest = may_go.max_by_key(|client| client.counted.bytes);
        self.client_totals.set_largest(largest.map_or(0, |client| client.counted.bytes));
        largest.filter(|client| client.counted.bytes != 0).map(|client| client.token)
    }

    /// Some times a second: what is shown of the largest client is made exact, as that client may
    /// be gone.
    pub(crate) fn tick_client_memory(&mut self) {
        if self.node.config.maxmemory_clients != ClientMemory::UNLIMITED {
            self.find_largest_client();
            self.limit_client_memory();
        }
    }

    /// Closes the largest client while all together hold more than they may and it is on this
    /// shard.
    #[inline]
    pub(crate) fn limit_client_memory(&mut self) {
        let config = &self.node.config;
        if let Some(limit) = config.maxmemory_clients.limit(config.maxmemory) {
            while self.client_totals.sum().bytes + self.of_others(|it| it.client_bytes.get())
                > limit
                && self.evict_client()
            {}
        }
    }

    /// Closes the largest client. False if it is elsewhere, or there is none.
    #[cold]
    fn evict_client(&mut self) -> bool {
        let largest = |board: &Board| board.largest_client.get();
        let elsewhere = self.other_shards().map(|shard| largest(self.mailbox.board(shard))).max();
        let elsewhere = elsewhere.unwrap_or(0);
        if self.client_totals.largest() < elsewhere {
            return false;
        }
        let Some(token) = self.find_largest_client() else { return false };
        if self.client_totals.largest() < elsewhere {
            return false;
        }
        let line = self.line_of(token);
        log::notice(&format!("Evicting client: {line}"));
        self.counters.clients_evicted += 1;
        self.remove_client(token);
        true
    }
}
