//! Figures of the whole node: a table of names, meanings and where each is read. Names beginning
//! with `redis_` are redis_exporter's (github.com/oliver006/redis_exporter) for the same thing.

use crate::commands::server::gathered::{Gathered, Memory, difference, ratio};
use crate::config::choices::MaxmemoryPolicy;
use crate::metrics::page::{Name, Page};
use crate::metrics::readiness;
use crate::pubsub::kind::Kind;
use crate::reactor::clock;
use crate::reactor::system::{self, CpuTime};
use crate::stats::command_log::LogKind;
use crate::version::{REDIS_VERSION, VALKEY_VERSION, VERSION};

/// Where figures are read.
struct Scene<'a> {
    gathered: &'a Gathered<'a>,
    memory: Memory,
    own: CpuTime,
    children: CpuTime,
}

/// One figure.
struct Figure {
    name: &'static str,
    /// What redis_exporter calls it; empty if it does not have it, or if its name would break
    /// Prometheus' rules for names, as those in milliseconds do.
    redis: &'static str,
    help: &'static str,
    read: Read,
}

/// How it is read.
enum Read {
    Count(fn(&Scene<'_>) -> u64),
    Seconds(fn(&Scene<'_>) -> f64),
    Gauge(fn(&Scene<'_>) -> f64),
}

const fn count(
    name: &'static str,
    redis: &'static str,
    help: &'static str,
    read: fn(&Scene<'_>) -> u64,
) -> Figure {
    Figure { name, redis, help, read: Read::Count(read) }
}

const fn seconds(
    name: &'static str,
    redis: &'static str,
    help: &'static str,
    read: fn(&Scene<'_>) -> f64,
) -> Figure {
    Figure { name, redis, help, read: Read::Seconds(read) }
}

const fn gauge(
    name: &'static str,
    redis: &'static str,
    help: &'static str,
    read: fn(&Scene<'_>) -> f64,
) -> Figure {
    Figure { name, redis, help, read: Read::Gauge(read) }
}

pub(super) fn write(gathered: &Gathered<'_>, page: &mut Page) {
    let scene = Scene {
        gathered,
        memory: gathered.memory(),
        own: system::cpu_time(),
        children: system::cpu_time_of_children(),
    };
    for figure in [PROCESS, CLIENTS, TRAFFIC, MEMORY, SNAPSHOTS].into_iter().flatten() {
        for name in [figure.name, figure.redis].into_iter().filter(|name| !name.is_empty()) {
            let name = Name { name, help: figure.help };
            match figure.read {
                Read::Count(read) => page.count(name, &[], read(&scene)),
                Read::Seconds(read) => page.fractions.seconds(name, &[], read(&scene)),
                Read::Gauge(read) => page.gauge(name, &[], read(&scene)),
            }
        }
    }
    write_names(gathered, page);
    write_stage(gathered, page);
    write_logs(gathered, page);
}

/// The process and its processor time.
const PROCESS: &[Figure] = &[
    gauge("keylane_up", "redis_up", "Always 1: who answers is up.", |_| 1.0),
    gauge("keylane_uptime_seconds", "redis_uptime_in_seconds", "Since the process started.", |s| {
        let node = &s.gathered.control.node;
        node.now.millis_since(node.started) as f64 / 1e3
    }),
    gauge(
        "keylane_start_time_seconds",
        "redis_start_time_seconds",
        "When the process started, since the epoch.",
        |s| s.gathered.control.started_at as f64,
    ),
    gauge("keylane_process_id", "redis_process_id", "The process's number.", |_| {
        f64::from(std::process::id())
    }),
    gauge("keylane_shards", "", "Shards, each with its thread.", |s| {
        s.gathered.shards.len() as f64
    }),
    gauge("keylane_slots", "", "Slots that the node owns.", |s| {
        let slots = &s.gathered.control.node.slots;
        (0..slots.shards()).map(|shard| slots.range(shard).len()).sum::<usize>() as f64
    }),
    seconds(
        "keylane_cpu_system_seconds_total",
        "redis_cpu_sys_seconds_total",
        "Processor time of all threads in the kernel.",
        |s| s.own.system as f64 / 1e6,
    ),
    seconds(
        "keylane_cpu_user_seconds_total",
        "redis_cpu_user_seconds_total",
        "Processor time of all threads outside of the kernel.",
        |s| s.own.user as f64 / 1e6,
    ),
    seconds(
        "keylane_cpu_system_children_seconds_total",
        "redis_cpu_sys_children_seconds_total",
        "Processor time of ended children in the kernel.",
        |s| s.children.system as f64 / 1e6,
    ),
    seconds(
        "keylane_cpu_user_children_seconds_total",
        "redis_cpu_user_children_seconds_total",
        "Processor time of ended children outside of the kernel.",
        |s| s.children.user as f64 / 1e6,
    ),
    seconds(
        "keylane_control_cpu_seconds_total",
        "",
        "Processor time of the control thread, which serves this page, too.",
        |_| clock::thread_cpu_nanos() as f64 / 1e9,
    ),
];

/// Who is connected.
const CLIENTS: &[Figure] = &[
    gauge("keylane_clients_connected", "redis_connected_clients", "Connected clients.", |s| {
        s.gathered.sum(|shard| shard.clients as u64) as f64
    }),
    gauge(
        "keylane_clients_blocked",
        "redis_blocked_clients",
        "Clients whose request waits.",
        |s| s.gathered.sum(|shard| shard.waiting.clients) as f64,
    ),
    gauge(
        "keylane_clients_blocked_with_timeout",
        "redis_clients_in_timeout_table",
        "Those of the waiting clients that do not wait for ever.",
        |s| s.gathered.sum(|shard| shard.waiting.with_end) as f64,
    ),
    gauge(
        "keylane_clients_tracking",
        "redis_tracking_clients",
        "Clients that are told of stale copies.",
        |s| s.gathered.sum(|shard| shard.trackers) as f64,
    ),
    gauge(
        "keylane_clients_pubsub",
        "redis_pubsub_clients",
        "Clients that listen to channels or patterns.",
        |s| s.gathered.sum(|shard| shard.listening) as f64,
    ),
    gauge("keylane_clients_watching", "redis_watching_clients", "Clients that watch keys.", |s| {
        s.gathered.sum(|shard| shard.watching.0) as f64
    }),
    gauge("keylane_watched_keys", "redis_total_watched_keys", "Keys that are watched.", |s| {
        s.gathered.sum(|shard| shard.watching.1) as f64
    }),
    gauge(
        "keylane_blocking_keys",
        "redis_total_blocking_keys",
        "Keys that clients wait for.",
        |s| s.gathered.sum(|shard| shard.waiting.keys) as f64,
    ),
    gauge("keylane_clients_max", "redis_max_clients", "The setting maxclients.", |s| {
        f64::from(s.gathered.control.node.config.maxclients)
    }),
    gauge(
        "keylane_client_input_buffer_max_bytes",
        "redis_client_recent_max_input_buffer_bytes",
        "The longest query buffer of a client.",
        |s| s.gathered.max(|shard| shard.client_bytes_max.0) as f64,
    ),
    gauge(
        "keylane_client_output_buffer_max_bytes",
        "redis_client_recent_max_output_buffer_bytes",
        "The longest reply buffer of a client.",
        |s| s.gathered.max(|shard| shard.client_bytes_max.1) as f64,
    ),
    gauge("keylane_pubsub_channels", "redis_pubsub_channels", "Channels with listeners.", |s| {
        s.gathered.max(|shard| shard.names[Kind::Channel.index()]) as f64
    }),
    gauge("keylane_pubsub_patterns", "redis_pubsub_patterns", "Patterns with listeners.", |s| {
        s.gathered.max(|shard| shard.names[Kind::Pattern.index()]) as f64
    }),
];

/// What has come and gone, and what became of it.
const TRAFFIC: &[Figure] = &[
    count(
        "keylane_connections_received_total",
        "redis_connections_received_total",
        "Connections that came, those rejected included.",
        |s| s.gathered.counters.clients_opened + s.gathered.counters.clients_refused,
    ),
    count(
        "keylane_connections_rejected_total",
        "redis_rejected_connections_total",
        "Connections that were rejected.",
        |s| s.gathered.counters.clients_refused,
    ),
    count(
        "keylane_clients_cut_for_input_total",
        "",
        "Clients that were cut because their request outgrew its buffer.",
        |s| s.gathered.counters.query_limit_cuts,
    ),
    count(
        "keylane_clients_evicted_total",
        "redis_evicted_clients_total",
        "Clients that were closed for maxmemory-clients.",
        |s| s.gathered.counters.clients_evicted,
    ),
    count(
        "keylane_clients_cut_for_output_total",
        "",
        "Clients that were cut because they did not read their replies.",
        |s| s.gathered.counters.output_limit_cuts,
    ),
    count(
        "keylane_commands_processed_total",
        "redis_commands_processed_total",
        "Commands that ran.",
        |s| s.gathered.commands.0,
    ),
    count(
        "keylane_network_received_bytes_total",
        "redis_net_input_bytes_total",
        "Bytes received, those of replication included.",
        |s| s.gathered.counters.bytes_in,
    ),
    count(
        "keylane_network_sent_bytes_total",
        "redis_net_output_bytes_total",
        "Bytes sent, those of replication included.",
        |s| s.gathered.counters.bytes_out,
    ),
    count(
        "keylane_network_replication_received_bytes_total",
        "redis_net_repl_input_bytes_total",
        "Bytes received from a primary.",
        |s| s.gathered.counters.repl_bytes_in,
    ),
    count(
        "keylane_network_replication_sent_bytes_total",
        "redis_net_repl_output_bytes_total",
        "Bytes sent to replicas.",
        |s| s.gathered.counters.repl_bytes_out,
    ),
    count("keylane_network_reads_total", "", "Times something was received.", |s| {
        s.gathered.counters.reads
    }),
    count("keylane_network_writes_total", "", "Times something was sent.", |s| {
        s.gathered.counters.writes
    }),
    count("keylane_authentications_denied_total", "", "Wrong passwords.", |s| {
        s.gathered.counters.auth_denied
    }),
    count(
        "keylane_keyspace_hits_total",
        "redis_keyspace_hits_total",
        "Lookups for reading that found a key.",
        |s| s.gathered.stats.hits,
    ),
    count(
        "keylane_keyspace_misses_total",
        "redis_keyspace_misses_total",
        "Lookups for reading that found none.",
        |s| s.gathered.stats.misses,
    ),
    count(
        "keylane_expired_keys_total",
        "redis_expired_keys_total",
        "Keys whose time had passed.",
        |s| s.gathered.stats.expired,
    ),
    count("keylane_expired_fields_total", "", "Fields of hashes whose time had passed.", |s| {
        s.gathered.stats.expired_fields
    }),
    count(
        "keylane_expired_time_cap_reached_total",
        "redis_expired_time_cap_reached_total",
        "Slices of background expiry that ran out of time.",
        |s| s.gathered.stats.expire_slices_cut,
    ),
    count(
        "keylane_evicted_keys_total",
        "redis_evicted_keys_total",
        "Keys that had to go because of maxmemory.",
        |s| s.gathered.stats.evicted,
    ),
];

/// Where the memory is.
const MEMORY: &[Figure] = &[
    gauge(
        "keylane_memory_used_bytes",
        "redis_memory_used_bytes",
        "Given out by the allocator, and for logs and backlog of replicas.",
        |s| s.memory.used as f64,
    ),
    gauge(
        "keylane_memory_resident_bytes",
        "redis_memory_used_rss_bytes",
        "Of the process, in RAM.",
        |s| s.memory.resident as f64,
    ),
    gauge(
        "keylane_memory_peak_bytes",
        "redis_memory_used_peak_bytes",
        "The most that was in use.",
        |s| s.memory.peak as f64,
    ),
    gauge(
        "keylane_memory_overhead_bytes",
        "redis_memory_used_overhead_bytes",
        "In use for anything but entries.",
        |s| s.memory.overhead as f64,
    ),
    gauge(
        "keylane_memory_startup_bytes",
        "redis_memory_used_startup_bytes",
        "In use when the process had started.",
        |s| s.memory.startup as f64,
    ),
    gauge(
        "keylane_memory_dataset_bytes",
        "redis_memory_used_dataset_bytes",
        "In use for entries.",
        |s| s.memory.dataset() as f64,
    ),
    gauge("keylane_memory_tables_bytes", "", "Tables of keys, without the entries.", |s| {
        s.memory.tables as f64
    }),
    gauge("keylane_memory_clients_bytes", "redis_mem_clients_normal", "Buffers of clients.", |s| {
        s.memory.clients as f64
    }),
    gauge(
        "keylane_memory_max_bytes",
        "redis_memory_max_bytes",
        "The setting maxmemory; 0 is no limit.",
        |s| s.gathered.control.node.config.maxmemory as f64,
    ),
    gauge(
        "keylane_memory_fragmentation_ratio",
        "redis_mem_fragmentation_ratio",
        "Memory in RAM by memory in use.",
        |s| ratio(s.memory.resident, s.memory.used),
    ),
    gauge(
        "keylane_memory_fragmentation_bytes",
        "redis_mem_fragmentation_bytes",
        "Memory in RAM less memory in use.",
        |s| difference(s.memory.resident, s.memory.used) as f64,
    ),
    gauge(
        "keylane_allocator_allocated_bytes",
        "redis_allocator_allocated_bytes",
        "In use, as the allocator counts it.",
        |s| s.memory.heap.allocated as f64,
    ),
    gauge(
        "keylane_allocator_active_bytes",
        "redis_allocator_active_bytes",
        "Of pages that have something in use.",
        |s| s.memory.heap.active as f64,
    ),
    gauge(
        "keylane_allocator_resident_bytes",
        "redis_allocator_resident_bytes",
        "Of the allocator's pages that are in RAM.",
        |s| s.memory.heap.resident as f64,
    ),
    gauge(
        "keylane_lazyfree_pending_objects",
        "redis_lazyfree_pending_objects",
        "Entries that are still to be freed.",
        |s| s.gathered.sum(|shard| shard.garbage) as f64,
    ),
];

/// Snapshots that are written and read.
const SNAPSHOTS: &[Figure] = &[
    gauge(
        "keylane_snapshot_in_progress",
        "redis_rdb_bgsave_in_progress",
        "Whether a child writes a snapshot.",
        |s| f64::from(u8::from(s.gathered.control.saving.child.is_some())),
    ),
    gauge(
        "keylane_snapshot_last_success",
        "redis_rdb_last_bgsave_status",
        "Whether the last snapshot by a child succeeded.",
        |s| f64::from(u8::from(s.gathered.control.saving.last_ok)),
    ),
    gauge(
        "keylane_snapshot_last_timestamp_seconds",
        "redis_rdb_last_save_timestamp_seconds",
        "When a snapshot last succeeded, or the process started, since the epoch.",
        |s| s.gathered.control.saving.last_save as f64,
    ),
    gauge(
        "keylane_snapshot_last_duration_seconds",
        "",
        "How long the last child took, in whole seconds; -1 if there was none.",
        |s| s.gathered.control.saving.last_seconds.map_or(-1.0, |seconds| seconds as f64),
    ),
    count("keylane_snapshots_total", "redis_rdb_saves_total", "Snapshots that succeeded.", |s| {
        s.gathered.control.saving.saves
    }),
    gauge(
        "keylane_snapshot_changes",
        "redis_rdb_changes_since_last_save",
        "Changes that no snapshot has yet.",
        |s| {
            let changes = s.gathered.sum(|shard| shard.dirty);
            changes.saturating_sub(s.gathered.control.saving.changes_saved) as f64
        },
    ),
    gauge("keylane_snapshot_keys_written", "", "Keys that the child has written so far.", |s| {
        let child = s.gathered.control.saving.child.as_ref();
        child.map_or(0, |child| child.forked.progress.keys) as f64
    }),
    gauge("keylane_snapshot_keys_expected", "", "Keys that the child is to write.", |s| {
        let saving = &s.gathered.control.saving;
        saving.child.as_ref().map_or(0, |_| saving.keys_total) as f64
    }),
    gauge(
        "keylane_snapshot_private_bytes",
        "",
        "Memory that the child has for itself: copied on write.",
        |s| {
            let child = s.gathered.control.saving.child.as_ref();
            child.map_or(0, |child| child.forked.progress.private_bytes) as f64
        },
    ),
    gauge(
        "keylane_snapshot_last_private_bytes",
        "redis_rdb_last_cow_size_bytes",
        "The most memory that the last child had for itself.",
        |s| s.gathered.control.saving.last_cow_bytes as f64,
    ),
    count("keylane_forks_total", "", "Forks.", |s| s.gathered.control.saving.forks),
    gauge(
        "keylane_fork_last_seconds",
        "redis_latest_fork_seconds",
        "How long the last fork took.",
        |s| s.gathered.control.saving.fork_micros as f64 / 1e6,
    ),
    gauge(
        "keylane_fork_last_stand_seconds",
        "",
        "How long all shards stood still for the last snapshot.",
        |s| s.gathered.control.saving.stand_micros as f64 / 1e6,
    ),
    gauge("keylane_loading", "redis_loading_dump_file", "Whether a snapshot is being read.", |s| {
        f64::from(u8::from(s.gathered.control.loading.is_some()))
    }),
    gauge("keylane_loading_read_bytes", "", "Bytes of the snapshot that were read so far.", |s| {
        let control = s.gathered.control;
        let loading = control.loading.as_ref();
        loading.map_or(0, |loading| loading.progress(control.node.now).read) as f64
    }),
    gauge("keylane_loading_size_bytes", "", "Bytes of the snapshot that is being read.", |s| {
        let control = s.gathered.control;
        let loading = control.loading.as_ref();
        loading.map_or(0, |loading| loading.progress(control.node.now).total) as f64
    }),
    gauge(
        "keylane_loaded_keys",
        "redis_rdb_last_load_loaded_keys",
        "Keys of the last snapshot that was read.",
        |s| s.gathered.control.load_keys as f64,
    ),
    gauge(
        "keylane_loaded_expired_keys",
        "redis_rdb_last_load_expired_keys",
        "Those of them whose time had passed.",
        |s| s.gathered.control.load_expired as f64,
    ),
];

/// What has no number, as labels of a series that is 1.
fn write_names(gathered: &Gathered<'_>, page: &mut Page) {
    let control = gathered.control;
    let config = &control.node.config;
    let policy = MaxmemoryPolicy::WORDS.iter().find(|(_, it)| *it == config.maxmemory_policy);
    let policy = policy.expect("every policy has a word").0;
    let (port, pid, os) = (config.port.to_string(), std::process::id().to_string(), system::name());
    let help = "Versions and names; always 1.";
    let own =
        [("version", VERSION), ("valkey_version", VALKEY_VERSION), ("run_id", &control.run_id)];
    page.gauge(Name { name: "keylane_instance_info", help }, &own, 1.0);
    let redis = [
        ("role", if control.is_replica() { "slave" } else { "master" }),
        ("redis_version", REDIS_VERSION),
        ("redis_build_id", "0"),
        ("redis_mode", "standalone"),
        ("os", &os),
        ("maxmemory_policy", policy),
        ("tcp_port", &port),
        ("run_id", &control.run_id),
        ("process_id", &pid),
    ];
    page.gauge(Name { name: "redis_instance_info", help }, &redis, 1.0);
}

/// A series for each stage of the end: 1 where it is.
fn write_stage(gathered: &Gathered<'_>, page: &mut Page) {
    let help = "How far the end of the process has come: 1 at its stage, 0 elsewhere.";
    let here = readiness::stage(gathered.control);
    for stage in readiness::stages() {
        let value = f64::from(u8::from(stage == here));
        page.gauge(Name { name: "keylane_shutdown_stage", help }, &[("stage", stage)], value);
    }
}

/// How full the command logs are.
fn write_logs(gathered: &Gathered<'_>, page: &mut Page) {
    let logs = &gathered.control.logs;
    let name = Name { name: "keylane_commandlog_entries", help: "Entries of a command log." };
    for (log, kind) in [
        ("slow", LogKind::Slow),
        ("large-request", LogKind::LargeRequest),
        ("large-reply", LogKind::LargeReply),
    ] {
        page.gauge(name, &[("log", log)], logs.len(kind) as f64);
    }
    let name = Name { name: "redis_slowlog_length", help: "Entries of the slow log." };
    page.gauge(name, &[], logs.len(LogKind::Slow) as f64);
}
