//! What a shard does besides requests: expiry, eviction, freeing, timeouts.

use crate::coordination::client::Client;
use crate::coordination::core::Core;
use crate::reactor::allocator::used_memory;
use crate::reactor::ring::Token;

/// Keys removed by one slice of background expiry or eviction.
const SLICE_KEYS: usize = 64;
/// Entries of a flushed database freed by one slice.
const SLICE_ENTRIES: usize = 2048;
/// Keys evicted at most before one command runs: then it runs though memory is still short.
const EVICTED_PER_COMMAND: usize = 1024;

/// Bytes of replies that wait for a client before no more of its requests run.
const OUT_PAUSE: u64 = 1 << 20;

impl Core {
    /// How many bytes of replies may wait for a client before no more of its requests run: as many
    /// as its limits let it have, if there are any, so that it reaches them and is cut.
    pub(super) fn out_pause(&self) -> usize {
        let limits = self.node.config.client_output_buffer_limit.normal;
        usize::try_from(OUT_PAUSE.max(limits.hard).max(limits.soft)).unwrap_or(usize::MAX)
    }

    /// A slice of background work; true if there is more to do at once.
    pub fn background(&mut self) -> bool {
        let locks = &self.locks;
        let locked = |_: usize, hash: u64| !locks.idle() && locks.claimed(hash);
        let mut more = false;
        if self.shard.keyspace.settings.active_expire {
            more |= self.shard.expire(SLICE_KEYS, &locked);
        }
        more |= self.shard.free_garbage(SLICE_ENTRIES);
        let limit = self.node.config.maxmemory;
        if limit != 0 {
            let mut left = SLICE_KEYS;
            while limit < used_memory() && 0 < left && self.shard.evict(&locked) {
                left -= 1;
            }
            more |= left == 0;
        }
        more
    }

    /// What is due some times a second: timeouts of clients, the end of a pause.
    pub fn tick(&mut self) {
        let now = self.node.now;
        self.samples.take(&self.counters, now);
        if self.pause.is_some_and(|pause| pause.millis <= now.millis_since(pause.since)) {
            self.end_pause();
            self.settle();
        }
        let timeout = u64::from(self.node.config.timeout);
        let limits = self.node.config.client_output_buffer_limit.normal;
        let late = |client: &Client| {
            let idle = now.millis_since(client.figures.active) / 1000;
            timeout != 0 && timeout < idle && !client.away
        };
        let slow = |client: &Client| {
            let over = client.over_soft_limit.map(|since| now.millis_since(since) / 1000);
            over.is_some_and(|seconds| u64::from(limits.soft_seconds) < seconds)
        };
        let clients = self.clients.iter().flatten();
        let gone: Vec<Token> =
            clients.filter(|client| late(client) || slow(client)).map(|c| c.token).collect();
        for token in gone {
            self.remove_client(token);
        }
    }

    /// Whether a client may have so many bytes of replies waiting; notes when it exceeds its soft
    /// limit.
    pub fn within_output_limits(&mut self, token: Token) -> bool {
        let now = self.node.now;
        let limits = self.node.config.client_output_buffer_limit.normal;
        let Some(client) = self.client(token) else { return true };
        let unsent = client.unsent() as u64;
        if limits.hard != 0 && limits.hard < unsent {
            return false;
        }
        if limits.soft != 0 && limits.soft < unsent {
            client.over_soft_limit.get_or_insert(now);
        } else {
            client.over_soft_limit = None;
        }
        true
    }

    /// Evicts until there is room. False if nothing can be evicted.
    pub(super) fn make_room(&mut self) -> bool {
        let limit = self.node.config.maxmemory;
        let locks = &self.locks;
        let locked = |_: usize, hash: u64| !locks.idle() && locks.claimed(hash);
        for _ in 0..EVICTED_PER_COMMAND {
            if used_memory() <= limit {
                self.memory_short = false;
                return true;
            }
            if !self.shard.evict(&locked) {
                return false;
            }
        }
        true
    }
}
