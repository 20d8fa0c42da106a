//! What a shard answers control: figures, client lists, orders carried out.

use std::sync::Arc;

use shards::base::trigonometry::Trigonometry;
use shards::keyspace::settings::{OnExpiry, Policy, Settings};
use shards::types::limits::{
    HashLimits, Limits, ListLimits, SetLimits, SortedSetLimits, StreamLimits,
};

use crate::clients::client::{Client, State};
use crate::clients::filter::{ClientFilter, Subject};
use crate::clients::limits::calm_bytes;
use crate::clients::line::line;
use crate::config::choices::{MaxmemoryPolicy, VersionCheck};
use crate::config::table::Config;
use crate::flows::served::{Served, limits};
use crate::mail::query::{Answer, DbFigures, Figures, LogFigures, Query, Waiting};
use crate::pubsub::kind::Kind;
use crate::reactor::allocator::{Aside, thread_bytes};
use crate::reactor::clock::{self, Monotonic};
use crate::reactor::heap;
use crate::reactor::system;
use crate::routing::node::Condition;
use crate::shard::core::Core;

/// Keys looked at for the average time to live of a database.
const TTL_SAMPLES: usize = 100;

impl Core {
    /// Answers a question or carries out an order. `None` if the answer follows later.
    pub(crate) fn answer(&mut self, number: u64, query: Query) -> Option<Answer> {
        match query {
            Query::Configure(config) => self.configure(config),
            Query::Totals | Query::Figures | Query::FiguresWithSlots => {
                return Some(Answer::Figures(self.figures(&query)));
            }
            Query::ResetStats => {
                self.counters.reset();
                self.observers.slot_stats.reset();
                self.observers.hot_keys.reset();
                self.shard.keyspace.stats = Default::default();
            }
            Query::ListClients(filter) => return Some(Answer::Clients(self.list_clients(&filter))),
            Query::KillClients(filter) => return Some(Answer::Count(self.kill_clients(&filter))),
            Query::Pause { millis, holds } => {
                self.begin_pause(number, millis, holds);
                return None;
            }
            Query::Unblock(client, ending) => {
                return Some(Answer::Count(u64::from(self.unblock(client, ending))));
            }
            Query::EndLoading => self.change(|condition| condition.loading = false),
            Query::SaveFailed(failed) => {
                self.change(|condition| condition.save_failed = failed);
            }
            Query::Role(role) => {
                self.take_role(number, role);
                return None;
            }
            Query::Own(ownership) => {
                self.own(number, ownership);
                return None;
            }
            Query::Stale(is_stale) => {
                self.change(|condition| condition.is_stale = is_stale);
            }
            Query::Emptied(is_emptied) => {
                self.change(|condition| condition.is_emptied = is_emptied);
            }
            Query::HoldForFailover => {
                self.begin_failover_hold(number);
                return None;
            }
            Query::EndFailoverHold => self.end_failover_hold(),
            Query::GoodReplicas(good) => {
                self.change(|condition| condition.good_replicas = good);
            }
            Query::CountKeys => return Some(Answer::Count(self.key_count())),
            Query::CountKeysInSlot(slot, db) => {
                return Some(Answer::Count(self.slot_key_count(slot, db)));
            }
            Query::KeysInSlot(slot, db, count) => {
                return Some(Answer::Keys(self.keys_in_slot(slot, db, count)));
            }
            Query::SlotFigures(slots) => return Some(self.slot_figures(&slots)),
            Query::UsedSlots => return Some(Answer::Slots(self.used_slots())),
            Query::DeleteSlots(slots) => self.lose_slots(&slots),
            Query::Unpause => self.end_pause(),
            Query::ActiveExpire(on) => self.shard.keyspace.settings.active_expire = on,
            Query::Stall(micros) => {
                let start = Monotonic::now();
                while Monotonic::now().micros_since(start) < micros {
                    std::hint::spin_loop();
                }
            }
        }
        Some(Answer::Done)
    }

    /// Changes what stands between requests and their run.
    fn change(&mut self, change: impl FnOnce(&mut Condition)) {
        change(&mut self.node.condition);
        self.renew_guards();
    }

    /// Puts a configuration in force.
    pub(crate) fn configure(&mut self, config: Arc<Config>) {
        let settings = &mut self.shard.keyspace.settings;
        let active_expire = settings.active_expire;
        let slot_run_ends = std::mem::take(&mut settings.slot_run_ends);
        *settings = Settings { active_expire, slot_run_ends, ..engine_settings(&config) };
        self.publish_events(None);
        self.counters.tracks_latency = config.latency_tracking;
        self.calm_bytes = calm_bytes(&config);
        let recounts = self.node.config.maxmemory_clients != config.maxmemory_clients;
        if let Some(own) = &mut self.own_log {
            own.resize(limits(&config, self.node.slots.shards()));
        }
        self.flows.kept_mut().resize(&config);
        self.node.config = config;
        self.store_is_resized();
        self.tell_engine();
        self.choose_events();
        self.choose_notable();
        self.renew_guards();
        if recounts {
            self.recount_clients();
        }
    }

    fn figures(&self, query: &Query) -> Box<Figures> {
        let before = thread_bytes();
        let of_slots = matches!(query, Query::FiguresWithSlots);
        let of_calls = of_slots || matches!(query, Query::Figures);
        let calls = || self.counters.called().map(|(id, call)| (id, call.clone())).collect();
        let keyspace = &self.shard.keyspace;
        let clients = || self.clients.iter();
        let memories = || self.clients.iter().map(Client::memory);
        let db = |db: &shards::keyspace::db::Db| {
            let due = db.due().iter().take(TTL_SAMPLES);
            let left: Vec<u64> = due.map(|due| due.0.0.saturating_sub(keyspace.now.0)).collect();
            DbFigures {
                keys: db.len() as u64,
                expires: db.volatile_len() as u64,
                with_volatile_items: db.keys_with_volatile_items() as u64,
                ttl_sum: left.iter().copied().map(u128::from).sum(),
                ttl_samples: left.len() as u64,
                table_bytes: db.table().memory() as u64,
                due_bytes: (db.memory() - db.table().memory()) as u64,
            }
        };
        let kept = clients().filter(|client| client.state == State::Kept).count();
        let mut figures = Box::new(Figures {
            shard: self.me(),
            counters: self.counters.without_calls(),
            commands: (self.counters.commands(), self.counters.command_cycles()),
            calls: of_calls.then(calls),
            stats: keyspace.stats,
            dirty: self.shard.effects.dirty,
            dbs: keyspace.dbs.iter().map(db).collect(),
            clients: clients().count(),
            client_bytes: memories().map(|memory| memory.total()).sum(),
            client_bytes_max: (
                memories().map(|memory| memory.input()).max().unwrap_or(0),
                memories().map(|memory| memory.output()).max().unwrap_or(0),
            ),
            trackers: self.copies.trackers as u64,
            tracked: (self.copies.table.len() as u64, self.copies.table.readers() as u64),
            listening: clients().filter(|client| client.subscriptions.is_some()).count() as u64,
            names: Kind::ALL.map(|kind| self.pubsub.interest.len(kind) as u64),
            watching: (
                clients().filter(|client| !client.watched.is_empty()).count() as u64,
                clients().map(|client| client.watched.len() as u64).sum(),
            ),
            waiting: Waiting {
                clients: (self.waits.len().0 + self.quiesce.held() + kept) as u64,
                with_end: self.waits.len().1 as u64,
                keys: keyspace.waiters.keys().0 as u64,
                keys_or_none: keyspace.waiters.keys().1 as u64,
            },
            mailbox_depth: self.mailbox.depth(),
            couriers: self.handovers.couriers.count() as u64,
            hot_keys: self.observers.hot_keys.list(),
            slots: self.observers.slot_stats.used().filter(|_| of_slots).collect(),
            rates: self.samples.rates(),
            garbage: keyspace.garbage.len() as u64,
            cpu_nanos: clock::thread_cpu_nanos(),
            cpu: system::cpu_time_of_thread(),
            log: self.log_figures(),
            aside: Aside::since(before),
            arena: heap::arena(),
        });
        // Now with the box.
        figures.aside = Aside::since(before);
        figures
    }

    fn log_figures(&self) -> LogFigures {
        let own_bytes = self.own_log.as_ref().map_or(0, Served::memory_bytes);
        let memory_bytes = (own_bytes + self.flows.memory_bytes()) as u64;
        let log = &self.shard.effects.log;
        LogFigures { offset: log.offset(), weight: log.weight(), memory_bytes }
    }

    fn list_clients(&self, filter: &ClientFilter) -> Vec<(u64, String)> {
        let clients = self.clients.iter();
        let matching = clients.filter(|client| filter.matches(&Subject::of(client), &self.node));
        matching.map(|client| (client.id, line(client, &self.node))).collect()
    }

    fn kill_clients(&mut self, filter: &ClientFilter) -> u64 {
        let tokens = self.clients.tokens(|client| filter.matches(&Subject::of(client), &self.node));
        tokens.iter().for_each(|token| self.close_soon(*token));
        tokens.len() as u64
    }
}

/// What of the configuration the engine needs.
fn engine_settings(config: &Config) -> Settings {
    let policy = match config.maxmemory_policy {
        MaxmemoryPolicy::NoEviction => Policy::NoEviction,
        MaxmemoryPolicy::AllKeysLru => Policy::AllKeysLru,
        MaxmemoryPolicy::AllKeysLfu => Policy::AllKeysLfu,
        MaxmemoryPolicy::AllKeysRandom => Policy::AllKeysRandom,
        MaxmemoryPolicy::VolatileLru => Policy::VolatileLru,
        MaxmemoryPolicy::VolatileLfu => Policy::VolatileLfu,
        MaxmemoryPolicy::VolatileRandom => Policy::VolatileRandom,
        MaxmemoryPolicy::VolatileTtl => Policy::VolatileTtl,
    };
    let wide = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    Settings {
        policy,
        samples: wide(config.maxmemory_samples),
        lfu_log_factor: config.lfu_log_factor,
        lfu_decay_minutes: config.lfu_decay_time,
        string_bytes_max: usize::try_from(config.proto_max_bulk_len).unwrap_or(usize::MAX),
        takes_any_dump: config.rdb_version_check == VersionCheck::Relaxed,
        expiry: OnExpiry::Removes,
        in_cluster: config.cluster_enabled,
        slot_run_ends: Box::default(),
        obeys: false,
        is_replica: false,
        active_expire: true,
        lazy_user_flush: config.lazyfree_lazy_user_flush,
        lazy_user_del: config.lazyfree_lazy_user_del,
        lazy_expire: config.lazyfree_lazy_expire,
        lazy_eviction: config.lazyfree_lazy_eviction,
        lazy_server_del: config.lazyfree_lazy_server_del,
        limits: type_limits(config),
        // Those that Valkey computes with on this machine.
        trigonometry: Trigonometry {
            sin: f64::sin,
            cos: f64::cos,
            asin: f64::asin,
            atan2: f64::atan2,
        },
    }
}

/// Up to what size collections keep their compact encodings.
fn type_limits(config: &Config) -> Limits {
    let wide = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Limits {
        hash: HashLimits {
            listpack_entries: wide(config.hash_max_listpack_entries),
            listpack_value: wide(config.hash_max_listpack_value),
        },
        list: ListLimits {
            listpack_size: config.list_max_listpack_size,
            compress_depth: config.list_compress_depth,
        },
        set: SetLimits {
            intset_entries: wide(config.set_max_intset_entries),
            listpack_entries: wide(config.set_max_listpack_entries),
            listpack_value: wide(config.set_max_listpack_value),
        },
        sorted_set: SortedSetLimits {
            listpack_entries: wide(config.zset_max_listpack_entries),
            listpack_value: wide(config.zset_max_listpack_value),
        },
        stream: StreamLimits {
            node_bytes: wide(config.stream_node_max_bytes),
            node_entries: wide(config.stream_node_max_entries),
        },
        hll_sparse_bytes: wide(config.hll_sparse_max_bytes),
    }
}
