//! What a shard does besides requests: expiry, eviction, freeing, timeouts.

use shards::keyspace::chores::{Chore, Left};

use crate::clients::client::{Client, State};
use crate::flows::served::Served;
use crate::log;
use crate::reactor::clock::{Monotonic, cycles};
use crate::shard::core::Core;
use crate::stats::latency_events::Event;

/// Effort of one piece of background work, between two looks at the clock.
const PIECE_EFFORT: usize = 128;
/// Of the time that passes, background work takes at least one in so many parts while there is
/// some, however many requests there are.
const SHARE_LEAST: u64 = 20;
/// The same for work that is this late or more, in milliseconds: half of the time.
const LATE_MS: u64 = 1000;
const SHARE_MOST: u64 = 2;
/// For how long a client that sends nothing keeps a large query buffer, in milliseconds.
const QUERY_KEPT_MS: u64 = 2000;

impl Core {
    /// Does background work for up to so many microseconds. True if there is more to do at once.
    pub fn background(&mut self, micros: u64) -> bool {
        let since = Monotonic::now();
        loop {
            let more = self.background_piece(since);
            if !more || micros <= Monotonic::now().micros_since(since) {
                return more;
            }
        }
    }

    /// How many of the microseconds that have passed background work may take, beside requests:
    /// the later it is, the more.
    pub fn background_share(&self, passed_micros: u64) -> u64 {
        let backlog = self.shard.keyspace.backlog();
        let late = backlog.keys_late_ms.max(backlog.fields_late_ms).min(LATE_MS);
        let (least, most) = (passed_micros / SHARE_LEAST, passed_micros / SHARE_MOST);
        least + (most - least) * late / LATE_MS
    }

    fn background_piece(&mut self, since: Monotonic) -> bool {
        let mut more = false;
        if self.shard.keyspace.settings.active_expire {
            let before = cycles();
            more |= self.timed(Event::ExpireCycle, |core| {
                let Self { shard, claims, .. } = core;
                let locked = |_: usize, hash: u64| claims.claimed(hash);
                let keys = shard.work(Chore::ExpireKeys, PIECE_EFFORT, &locked).left;
                let fields = shard.work(Chore::ExpireFields, PIECE_EFFORT, &locked).left;
                let is_cut = keys == Left::More || fields == Left::More;
                shard.keyspace.stats.expire_slices_cut += u64::from(is_cut);
                is_cut
            });
            let took = cycles().wrapping_sub(before);
            self.counters.expiry_cycles = self.counters.expiry_cycles.wrapping_add(took);
        }
        more |= self.delete_lost(PIECE_EFFORT);
        let freed = self.shard.work(Chore::FreeGarbage, PIECE_EFFORT, &|_, _| false);
        more |= freed.left == Left::More;
        more |= self.own_log.as_mut().is_some_and(Served::trim);
        more |= self.flows.kept_mut().trim();
        self.look_for_room();
        more | self.evict_in_background(since)
    }

    /// What is due some times a second: timeouts of clients.
    pub fn tick(&mut self) {
        let now = self.node.now;
        self.tell_those_who_wait();
        self.samples.take(&self.counters, now);
        self.close_late_clients();
        self.tick_client_memory();
        self.handovers.couriers.dismiss_idle(now);
        for client in self.clients.iter_mut() {
            if QUERY_KEPT_MS <= now.millis_since(client.figures.active) {
                client.query.trim();
            }
        }
        // What was too much at the last look may be so for too long by now.
        for token in self.clients.tokens(|client| client.over_soft_limit.is_some()) {
            self.clients.mark_dirty_at(token);
        }
    }

    fn close_late_clients(&mut self) {
        let now = self.node.now;
        let timeout = u64::from(self.node.config.timeout);
        let patience = u64::from(self.node.config.authentication_timeout);
        let seconds = |since: Monotonic| now.millis_since(since) / 1000;
        let late = |client: &Client| {
            if !client.session.authenticated {
                return patience != 0 && patience <= seconds(client.figures.connected);
            }
            let waits =
                client.state != State::Home || client.subscriptions.is_some() || client.monitors;
            timeout != 0 && timeout < seconds(client.figures.active) && !waits
        };
        for token in self.clients.tokens(late) {
            log::verbose("Closing idle client");
            self.remove_client(token);
        }
    }
}
