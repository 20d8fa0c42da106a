//! What a shard does besides requests: expiry, eviction, freeing, timeouts.

use shards::keyspace::chores::{Chore, Left};

use crate::clients::client::Client;
use crate::clients::line::line_for_log;
use crate::log;
use crate::reactor::allocator::used_memory;
use crate::reactor::ring::Token;
use crate::shard::core::Core;
use crate::stats::latency_events::Event;

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
    pub(crate) fn out_pause(&self) -> usize {
        let limits = self.node.config.client_output_buffer_limit.normal;
        usize::try_from(OUT_PAUSE.max(limits.hard).max(limits.soft)).unwrap_or(usize::MAX)
    }

    /// A slice of background work; true if there is more to do at once.
    pub fn background(&mut self) -> bool {
        let mut more = false;
        if self.shard.keyspace.settings.active_expire {
            more |= self.timed(Event::ExpireCycle, |core| {
                let Self { shard, locks, .. } = core;
                let locked = |_: usize, hash: u64| !locks.idle() && locks.claimed(hash);
                let keys = shard.work(Chore::ExpireKeys, SLICE_KEYS, &locked).left;
                let fields = shard.work(Chore::ExpireFields, SLICE_KEYS, &locked).left;
                let is_cut = keys == Left::More || fields == Left::More;
                shard.keyspace.stats.expire_slices_cut += u64::from(is_cut);
                is_cut
            });
        }
        let freed = self.shard.work(Chore::FreeGarbage, SLICE_ENTRIES, &|_, _| false);
        more |= freed.left == Left::More;
        let limit = self.node.config.maxmemory;
        if limit != 0 && limit < used_memory() {
            more |= self.evict(limit, SLICE_KEYS) == SLICE_KEYS;
        }
        more
    }

    /// Evicts up to `keys_max` keys while more memory is in use than `limit`: how many.
    fn evict(&mut self, limit: u64, keys_max: usize) -> usize {
        self.timed(Event::EvictionCycle, |core| {
            let Self { shard, locks, .. } = core;
            let locked = |_: usize, hash: u64| !locks.idle() && locks.claimed(hash);
            let mut evicted = 0;
            while evicted < keys_max && limit < used_memory() && shard.evict(&locked) {
                evicted += 1;
            }
            evicted
        })
    }

    /// What is due some times a second: timeouts of clients, the end of a pause.
    pub fn tick(&mut self) {
        let now = self.node.now;
        self.tell_those_who_wait();
        self.samples.take(&self.counters, now);
        if self.pause.is_some_and(|pause| pause.is_over(now)) {
            self.end_pause();
            self.settle();
        }
        let timeout = u64::from(self.node.config.timeout);
        let limits = self.node.config.client_output_buffer_limit;
        let late = |client: &Client| {
            let idle = now.millis_since(client.figures.active) / 1000;
            let waits = client.away || client.subscriptions.is_some() || client.monitors;
            timeout != 0 && timeout < idle && !waits
        };
        let slow = |client: &Client| {
            let over = client.over_soft_limit.map(|since| now.millis_since(since) / 1000);
            let patience = client.output_limit(&limits).soft_seconds;
            over.is_some_and(|seconds| u64::from(patience) < seconds)
        };
        let clients = || self.clients.iter().flatten();
        let late: Vec<Token> = clients().filter(|c| late(c)).map(|c| c.token).collect();
        let slow: Vec<Token> = clients().filter(|c| slow(c)).map(|c| c.token).collect();
        for token in late {
            log::verbose("Closing idle client");
            self.remove_client(token);
        }
        for token in slow {
            self.note_output_cut(token);
            self.remove_client(token);
        }
    }

    /// Says in the log that a client is cut because too much waits for it.
    #[cold]
    pub fn note_output_cut(&self, token: Token) {
        let line = self.line_of(token);
        log::warning(&format!(
            "Client {line} scheduled to be closed ASAP for overcoming of output buffer limits."
        ));
    }

    /// Says in the log that a client is cut because what it sent is too long.
    #[cold]
    pub(crate) fn note_query_cut(&self, token: Token) {
        let line = self.line_of(token);
        log::warning(&format!("Closing client that reached max query buffer length: {line}"));
    }

    fn line_of(&self, token: Token) -> String {
        let client = self.clients.get(token.index as usize).and_then(Option::as_ref);
        client.map_or_else(String::new, |client| line_for_log(client, &self.node))
    }

    /// Evicts until there is room. False if nothing can be evicted.
    pub(crate) fn make_room(&mut self) -> bool {
        let limit = self.node.config.maxmemory;
        let evicted = self.evict(limit, EVICTED_PER_COMMAND);
        self.memory_short = limit < used_memory();
        !self.memory_short || evicted == EVICTED_PER_COMMAND
    }
}
