//! Every setting, in one entry: what it means, its name, other names, field, type, default,
//! bounds, and when it may change. All else about settings follows from this table.

use super::announced::Announced;
use super::choices::{
    Allowed, ClusterTopology, DisklessLoad, EmptyRestart, EndpointType, LogFormat, LogLevel,
    LogTime, MaxmemoryPolicy, PipelineOrder, SaveBehavior, Supervised, SyslogFacility,
    VersionCheck,
};
use super::client_memory::{ClientMemory, MemoryOrPercent};
use super::kinds::{
    Choice, Clamped, FileName, FilePath, ForTests, Integer, Kind, Memory, Name, NamedPath, Octal,
    Password, YesNo,
};
use super::lists::{Addresses, CpuList, Percentiles, Rename, Renames, SavePoint, SavePoints};
use super::notify::{Events, NotifyFlags};
use super::on_signal::{OnSignal, ShutdownOptions};
use super::output_limits::{ClassLimits, OutputLimits};
use super::primary::{Primary, PrimaryOrNone};
use super::setting::{Change, Setting, settings, traits_of};
use std::path::PathBuf;

/// The setting of this name, in any case, and the name as the table has it.
pub fn find(name: &[u8]) -> Option<(&'static Setting, &'static str)> {
    SETTINGS.iter().find_map(|setting| {
        let found = setting.names().find(|listed| name.eq_ignore_ascii_case(listed.as_bytes()))?;
        Some((setting, found))
    })
}

/// C's INT_MAX, the upper bound of many settings.
const INT: u32 = i32::MAX.unsigned_abs();
/// C's LONG_MAX, the upper bound of the wide ones.
const LONG: u64 = i64::MAX.unsigned_abs();
/// Shards in one process: far more than there are cores.
const SHARDS_MAX: u16 = 1024;

settings! {
    /// How hard expired keys that no client asks for are looked for: each step costs more CPU
    /// and leaves less memory to keys that are gone.
    "active-expire-effort" active_expire_effort: u32 = 1, Integer(1..=10), AtRuntime;

    /// Seconds that a client has to authenticate where a password is set; 0 for any time.
    "authentication-timeout" authentication_timeout: u32 = 10, Integer(0..=86_400), AtRuntime;

    /// Whether a replica is to take over whenever a primary ends, as SHUTDOWN FAILOVER and
    /// `shutdown-on-sigterm failover` say for one way to end.
    "auto-failover-on-shutdown" auto_failover_on_shutdown: bool = false, YesNo, AtRuntime;

    /// Where the server stands, for clients that prefer one near them: HELLO and INFO say so.
    "availability-zone" availability_zone: String = String::new(),
        Announced::NodeName("Availability zone contained invalid character"), AtRuntime;

    /// Addresses to listen on.
    "bind" bind: Vec<String> = vec!["*".into(), "-::*".into()], Addresses, AtRuntime;

    /// Bytes that may wait for a client that does not read: it is cut beyond the hard limit,
    /// or after so many seconds beyond the soft one. 0 is no limit.
    "client-output-buffer-limit" client_output_buffer_limit: OutputLimits = OutputLimits::DEFAULT,
        ClassLimits, AtRuntime;

    /// Bytes of a request that may be waiting for its end; a client that sends more is cut.
    "client-query-buffer-limit" client_query_buffer_limit: u64 = 1 << 30,
        Memory(1 << 20..=LONG), AtRuntime;

    /// Whether shard channels are served while the cluster is down.
    "cluster-allow-pubsubshard-when-down" cluster_allow_pubsubshard_when_down: bool = true, YesNo,
        AtRuntime;

    /// Whether reads are served while the cluster is down.
    "cluster-allow-reads-when-down" cluster_allow_reads_when_down: bool = false, YesNo, AtRuntime;

    /// Whether a replica goes to another primary that has none, and a primary without slots follows
    /// the one that took its last.
    "cluster-allow-replica-migration" cluster_allow_replica_migration: bool = true, YesNo,
        AtRuntime;

    /// The port of the bus that the node announces; 0 for its own.
    "cluster-announce-bus-port" cluster_announce_bus_port: u16 = 0, Integer(0..=65535), AtRuntime;

    /// The IPv4 address that clients are told; empty for the one of the bus.
    "cluster-announce-client-ipv4" cluster_announce_client_ipv4: String = String::new(),
        Announced::ClientIpv4, AtRuntime;

    /// The IPv6 address that clients are told; empty for the one of the bus.
    "cluster-announce-client-ipv6" cluster_announce_client_ipv6: String = String::new(),
        Announced::ClientIpv6, AtRuntime;

    /// The port that clients are told; 0 for its own.
    "cluster-announce-client-port" cluster_announce_client_port: u16 = 0, Integer(0..=65535),
        AtRuntime;

    /// The host name that the node announces; empty for none.
    "cluster-announce-hostname" cluster_announce_hostname: String = String::new(),
        Announced::Hostname, AtRuntime;

    /// What logs of other nodes call this one; empty for none.
    "cluster-announce-human-nodename" cluster_announce_human_nodename: String = String::new(),
        Announced::NodeName("Announced human node name contained invalid character"), AtRuntime;

    /// The address that the node announces; empty for the one by which others reach it.
    "cluster-announce-ip" cluster_announce_ip: String = String::new(), Announced::Ip, AtRuntime;

    /// The port for clients that the node announces; 0 for its own.
    "cluster-announce-port" cluster_announce_port: u16 = 0, Integer(0..=65535), AtRuntime;

    /// Seconds for which a node that was forgotten is not learned of again.
    "cluster-blacklist-ttl" cluster_blacklist_ttl: u64 = 60, Integer(0..=LONG), AtRuntime;

    /// The file in which the server remembers its cluster; it writes it by itself.
    "cluster-config-file" cluster_config_file: PathBuf = PathBuf::from("nodes.conf"),
        NamedPath("cluster-config-file can't be empty"), AtStart;

    /// What becomes of the process when that file cannot be written.
    "cluster-config-save-behavior" cluster_config_save_behavior: SaveBehavior = SaveBehavior::Sync,
        Choice(SaveBehavior::WORDS), AtRuntime;

    /// Databases of a node of a cluster, in place of `databases`.
    "cluster-databases" cluster_databases: u32 = 1, Integer(1..=INT), AtStart;

    /// Whether a primary that starts without data asks its replicas to take over (`yield`, for
    /// twice `cluster-node-timeout` at most, or twice `cluster-manual-failover-timeout` if that is
    /// longer), or serves at once, so that they drop theirs (`serve`). With `yield`, a replica
    /// whose primary has come back with less data than it has keeps its own and asks to take over,
    /// too, for `cluster-node-timeout` at most, or 4 seconds if that is longer; not if that
    /// primary may have served for longer meanwhile. No effect with `cluster-topology external`.
    "cluster-empty-restart" cluster_empty_restart: EmptyRestart = EmptyRestart::Yield,
        Choice(EmptyRestart::WORDS), AtRuntime;

    /// Whether the server is a node of a cluster.
    "cluster-enabled" cluster_enabled: bool = false, YesNo, AtStart;

    /// Whether a node counts as failing as soon as nothing listens at its port.
    "cluster-fast-detection" cluster_fast_detection: bool = true, YesNo, AtRuntime;

    /// Bytes that may wait to be sent to a node of the cluster; 0 is no limit.
    "cluster-link-sendbuf-limit" cluster_link_sendbuf_limit: u64 = 0, Memory(0..=u64::MAX),
        AtRuntime;

    /// Milliseconds that CLUSTER FAILOVER may take; writes wait twice as long at most.
    "cluster-manual-failover-timeout" cluster_manual_failover_timeout: u32 = 5000,
        Integer(1..=INT), AtRuntime;

    /// Share of the nodes that each frame of the bus tells of, in percent.
    "cluster-message-gossip-perc" cluster_message_gossip_perc: u32 = 10,
        ForTests(Integer(1..=100)), AtRuntime;

    /// Replicas that a primary keeps when one of them goes to a primary that has none.
    "cluster-migration-barrier" cluster_migration_barrier: u32 = 1, Integer(0..=INT), AtRuntime;

    /// Milliseconds of silence after which a node counts as failing.
    "cluster-node-timeout" cluster_node_timeout: u64 = 15_000, Integer(0..=LONG), AtRuntime;

    /// Milliseconds without news of a node after which it is sent a PING; 0 for half of
    /// `cluster-node-timeout`.
    "cluster-ping-interval" cluster_ping_interval: u64 = 0, ForTests(Integer(0..=LONG)), AtRuntime;

    /// The port on which nodes of the cluster talk; 0 for 10000 more than `port`.
    "cluster-port" cluster_port: u16 = 0, Integer(0..=65535), AtStart;

    /// By what clients are told to reach a node.
    "cluster-preferred-endpoint-type" cluster_preferred_endpoint_type: EndpointType =
        EndpointType::Ip, Choice(EndpointType::WORDS), AtRuntime;

    /// Milliseconds for which nothing has to listen at a node's port until it counts as failing.
    "cluster-refused-confirm" cluster_refused_confirm: u32 = 200, Integer(100..=5000), AtRuntime;

    /// Whether this replica never takes the place of its primary by itself.
    "cluster-replica-no-failover" | "cluster-slave-no-failover" cluster_replica_no_failover: bool =
        false, YesNo, AtRuntime;

    /// How many times `cluster-node-timeout` a replica may have been without its primary to take
    /// its place; 0 for any time.
    "cluster-replica-validity-factor" | "cluster-slave-validity-factor"
        cluster_replica_validity_factor: u32 = 10, Integer(0..=INT), AtRuntime;

    /// Whether the cluster is down while a slot is not served.
    "cluster-require-full-coverage" cluster_require_full_coverage: bool = true, YesNo, AtRuntime;

    /// Milliseconds without a turn of one of its shards after which a primary says nothing to other
    /// nodes, so that a replica takes over; 0 for ever, -1 for twice `cluster-node-timeout`.
    "cluster-shard-stall" cluster_shard_stall: i64 = -1, Integer(-1..=3_600_000), AtRuntime;

    /// Whether the time and the bytes that commands take are counted for each slot.
    "cluster-slot-stats-enabled" cluster_slot_stats_enabled: bool = false, YesNo, AtRuntime;

    /// What sets the topology of the cluster: its nodes by the cluster bus, or CLUSTERX.
    "cluster-topology" cluster_topology: ClusterTopology = ClusterTopology::Gossip,
        Choice(ClusterTopology::WORDS), AtStart;

    /// Milliseconds without having heard most primaries after which a primary refuses writes; 0 for
    /// ever, -1 for half of `cluster-node-timeout`.
    "cluster-write-lease" cluster_write_lease: i64 = -1, Integer(-1..=3_600_000), AtRuntime;

    /// Microseconds from which on a command is put into the slow log; -1 for never, 0 for all.
    "commandlog-execution-slower-than" | "slowlog-log-slower-than"
        commandlog_execution_slower_than: i64 = 10_000, Integer(-1..=i64::MAX), AtRuntime;

    /// Entries of the log of large replies.
    "commandlog-large-reply-max-len" commandlog_large_reply_max_len: u64 = 128,
        Integer(0..=LONG), AtRuntime;

    /// Entries of the log of large requests.
    "commandlog-large-request-max-len" commandlog_large_request_max_len: u64 = 128,
        Integer(0..=LONG), AtRuntime;

    /// Bytes of a reply from which on its command is logged as large; -1 for never.
    "commandlog-reply-larger-than" commandlog_reply_larger_than: i64 = 1 << 20,
        Integer(-1..=i64::MAX), AtRuntime;

    /// Bytes of a request from which on it is logged as large; -1 for never.
    "commandlog-request-larger-than" commandlog_request_larger_than: i64 = 1 << 20,
        Integer(-1..=i64::MAX), AtRuntime;

    /// Entries of the slow log.
    "commandlog-slow-execution-max-len" | "slowlog-max-len"
        commandlog_slow_execution_max_len: u64 = 128, Integer(0..=LONG), AtRuntime;

    /// Whether a crash leaves a report in the log.
    "crash-log-enabled" crash_log_enabled: bool = true, YesNo, AtRuntime;

    /// Databases that SELECT can choose from.
    "databases" databases: u32 = 16, Integer(1..=INT), AtStart;

    /// The file of the snapshot, in `dir`.
    "dbfilename" dbfilename: PathBuf = PathBuf::from("dump.rdb"), FileName, Protected;

    /// The working folder: relative paths begin here.
    "dir" dir: PathBuf = PathBuf::from("."), NamedPath("dir can't be empty"), Protected;

    /// Who may use DEBUG.
    "enable-debug-command" enable_debug_command: Allowed = Allowed::No, Choice(Allowed::WORDS),
        AtStart;

    /// Who may change protected settings (`dir`) by CONFIG SET.
    "enable-protected-configs" enable_protected_configs: Allowed = Allowed::No,
        Choice(Allowed::WORDS), AtStart;

    /// Whether HELLO, INFO and LOLWUT tell clients that they talk to a Redis 7.2.
    "extended-redis-compatibility" extended_redis_compatibility: bool = false, YesNo, AtRuntime;

    /// Fields up to which a hash is kept in one allocation.
    "hash-max-listpack-entries" | "hash-max-ziplist-entries" hash_max_listpack_entries: u64 = 512,
        Integer(0..=LONG), AtRuntime;

    /// Bytes up to which a field or value leaves a hash in one allocation.
    "hash-max-listpack-value" | "hash-max-ziplist-value" hash_max_listpack_value: u64 = 64,
        Memory(0..=LONG), AtRuntime;

    /// Whether names, keys and values that clients send are left out of the log.
    "hide-user-data-from-log" hide_user_data_from_log: bool = true, YesNo, AtRuntime;

    /// Bytes up to which a HyperLogLog is kept in its sparse form.
    "hll-sparse-max-bytes" hll_sparse_max_bytes: u64 = 3000, Memory(0..=LONG), AtRuntime;

    /// Keys that each shard counts when it looks for the hottest: those with a larger share of
    /// all looks than one in so many are found for certain.
    "hotkeys-max" hotkeys_max: u32 = 64, Integer(1..=4096), AtRuntime;

    /// Of how many commands the keys of one are looked at, to find the hottest (INFO hotkeys); 0
    /// for none. A change begins anew.
    "hotkeys-sample-rate" hotkeys_sample_rate: u32 = 0, Integer(0..=INT), AtRuntime;

    /// Whether the keys are kept in huge pages, where the system gives some: requests take less CPU
    /// time, and a fork for a snapshot does not stop the server for long.
    "huge-pages" huge_pages: bool = true, YesNo, AtStart;

    /// Times a second that background work gets its turn. Values out of bounds are pulled in.
    "hz" hz: u32 = 10, Clamped { taken: 0..=INT, kept: 1..=500 }, AtRuntime;

    /// Whether keys come from another server, which says by the connections of CLIENT IMPORT-SOURCE
    /// what expires: nothing expires by itself or is evicted meanwhile.
    "import-mode" import_mode: bool = false, YesNo, AtRuntime;

    /// Whether the allocator has a thread of its own that gives empty pages back to the system.
    /// Else the shards do so between requests.
    "jemalloc-bg-thread" jemalloc_bg_thread: bool = true, YesNo, AtRuntime;

    /// Milliseconds from which on LATENCY remembers what took so long; 0 for never.
    "latency-monitor-threshold" latency_monitor_threshold: u64 = 0, Integer(0..=LONG), AtRuntime;

    /// Whether the time of each command is counted, for INFO latencystats.
    "latency-tracking" latency_tracking: bool = true, YesNo, AtRuntime;

    /// The percentiles that INFO latencystats shows.
    "latency-tracking-info-percentiles" latency_tracking_info_percentiles: Vec<f64> =
        vec![50.0, 99.0, 99.9], Percentiles, AtRuntime;

    /// Whether evicted values are freed in the background.
    "lazyfree-lazy-eviction" lazyfree_lazy_eviction: bool = true, YesNo, AtRuntime;

    /// Whether expired values are freed in the background.
    "lazyfree-lazy-expire" lazyfree_lazy_expire: bool = true, YesNo, AtRuntime;

    /// Whether overwritten values (RENAME, SET, stores) are freed in the background.
    "lazyfree-lazy-server-del" lazyfree_lazy_server_del: bool = true, YesNo, AtRuntime;

    /// Whether DEL frees in the background, as UNLINK does.
    "lazyfree-lazy-user-del" lazyfree_lazy_user_del: bool = true, YesNo, AtRuntime;

    /// Whether FLUSHALL and FLUSHDB free in the background when they do not say.
    "lazyfree-lazy-user-flush" lazyfree_lazy_user_flush: bool = true, YesNo, AtRuntime;

    /// Minutes after which an unused key's LFU counter loses one; 0 for never.
    "lfu-decay-time" lfu_decay_time: u32 = 1, Integer(0..=INT), AtRuntime;

    /// How slowly the LFU counter of a busy key grows.
    "lfu-log-factor" lfu_log_factor: u32 = 10, Integer(0..=INT), AtRuntime;

    /// Nodes at either end of a list that Valkey does not compress. Taken, but without effect:
    /// nothing is ever compressed.
    "list-compress-depth" list_compress_depth: u32 = 0, Integer(0..=INT), AtRuntime;

    /// Elements of a list's node; -1 to -5 for nodes of 4, 8, 16, 32 or 64 KB.
    "list-max-listpack-size" | "list-max-ziplist-size" list_max_listpack_size: i32 = -2,
        Integer(i32::MIN..=i32::MAX), AtRuntime;

    /// Shape of log lines: text (`legacy` or `text`), pairs of names and values (`logfmt`), or one
    /// JSON object each.
    "log-format" log_format: LogFormat = LogFormat::Text, Choice(LogFormat::WORDS), AtRuntime;

    /// Shape of the time in log lines.
    "log-timestamp-format" log_timestamp_format: LogTime = LogTime::Legacy,
        Choice(LogTime::WORDS), AtRuntime;

    /// The file to log into; empty for standard output.
    "logfile" logfile: PathBuf = PathBuf::new(), FilePath, AtStart;

    /// The least severe lines that are logged.
    "loglevel" loglevel: LogLevel = LogLevel::Notice, Choice(LogLevel::WORDS), AtRuntime;

    /// Clients that may be connected at once.
    "maxclients" maxclients: u32 = 10_000, Integer(1..=u32::MAX), AtRuntime;

    /// Memory for keys and buffers, over all shards; 0 for no limit.
    "maxmemory" maxmemory: u64 = 0, Memory(0..=u64::MAX), AtRuntime;

    /// Memory for all clients together, as bytes or as a share of `maxmemory`; 0 for no limit. The
    /// largest clients are closed when they exceed it.
    "maxmemory-clients" maxmemory_clients: ClientMemory = ClientMemory::UNLIMITED, MemoryOrPercent,
        AtRuntime;

    /// Which keys may go when `maxmemory` is reached.
    "maxmemory-policy" maxmemory_policy: MaxmemoryPolicy = MaxmemoryPolicy::NoEviction,
        Choice(MaxmemoryPolicy::WORDS), AtRuntime;

    /// Keys looked at for each that is evicted.
    "maxmemory-samples" maxmemory_samples: u32 = 5, Integer(1..=64), AtRuntime;

    /// Addresses on which metrics are served.
    "metrics-bind" metrics_bind: Vec<String> = vec!["127.0.0.1".into()], Addresses, AtStart;

    /// TCP port that serves metrics to Prometheus: /metrics, /healthz and /readyz; 0 for none.
    "metrics-port" metrics_port: u16 = 0, Integer(0..=65535), AtStart;

    /// Seconds of silence after which a replica does not count for `min-replicas-to-write`; 0 for
    /// asking for none.
    "min-replicas-max-lag" | "min-slaves-max-lag" min_replicas_max_lag: u32 = 10,
        Integer(0..=INT), AtRuntime;

    /// Replicas that must keep up, or writes are refused; 0 for none.
    "min-replicas-to-write" | "min-slaves-to-write" min_replicas_to_write: u32 = 0,
        Integer(0..=INT), AtRuntime;

    /// Keyspace events to publish: `K` and `E` choose the channels, `A` stands for `g$lshzxetd`.
    "notify-keyspace-events" notify_keyspace_events: NotifyFlags = NotifyFlags::default(), Events,
        AtRuntime;

    /// The file that holds the process id while the server runs; empty for none.
    "pidfile" pidfile: PathBuf = PathBuf::new(), FilePath, AtStart;

    /// How commands of one pipeline take effect on several shards: `strict` is in the order sent;
    /// with `relaxed` commands on one key each are done shard by shard, which is faster.
    "pipeline-order" pipeline_order: PipelineOrder = PipelineOrder::Strict,
        Choice(PipelineOrder::WORDS), AtRuntime;

    /// TCP port; 0 for none.
    "port" port: u16 = 6379, Integer(0..=65535), AtRuntime;

    /// The password by which a replica authenticates at its primary; empty for none.
    "primaryauth" | "masterauth" primaryauth: Vec<u8> = Vec::new(), Password, AtRuntime;

    /// The user that it authenticates as; empty for the default one.
    "primaryuser" | "masteruser" primaryuser: Vec<u8> = Vec::new(), Password, AtRuntime;

    /// Whether only this machine is served while the default user has no password.
    "protected-mode" protected_mode: bool = true, YesNo, AtRuntime;

    /// Bytes that one argument, and one string, may have.
    "proto-max-bulk-len" proto_max_bulk_len: u64 = 512 << 20, Memory(1 << 20..=LONG), AtRuntime;

    /// Microseconds to wait after each key that is saved, for tests; below zero, one microsecond
    /// after each so many keys.
    "rdb-key-save-delay" rdb_key_save_delay: i32 = 0,
        ForTests(Integer(i32::MIN..=i32::MAX)), AtRuntime;

    /// Threads that write a snapshot, at most as many as there are shards. 0: one for each four
    /// shards, and as many as shards where no child can be made, so that these stand still.
    "rdb-save-threads" rdb_save_threads: u32 = 0, Integer(0..=1024), AtRuntime;

    /// Whether snapshots and dumps of Redis 7.4 and later, and of a Valkey later than 9, are
    /// refused (`strict`), or taken as far as what is in them is known here (`relaxed`).
    "rdb-version-check" rdb_version_check: VersionCheck = VersionCheck::Strict,
        Choice(VersionCheck::WORDS), AtRuntime;

    /// Whether a snapshot ends in its checksum.
    "rdbchecksum" rdbchecksum: bool = true, YesNo, AtStart;

    /// Whether long strings are compressed in snapshots.
    "rdbcompression" rdbcompression: bool = true, YesNo, AtRuntime;

    /// Gives a command another name, or takes it away.
    "rename-command" rename_command: Vec<Rename> = Vec::new(), Renames, AtStart;

    /// Bytes of recent writes from which replicas resume after a lost connection.
    "repl-backlog-size" repl_backlog_size: u64 = 10 << 20, Memory(16384..=LONG), AtRuntime;

    /// Seconds for which recent writes are kept when there is no replica; 0 for ever.
    "repl-backlog-ttl" repl_backlog_ttl: u32 = 3600, Integer(0..=INT), AtRuntime;

    /// Seconds that a replica gives its primary to accept the connection.
    "repl-connect-timeout" repl_connect_timeout: u32 = 3, Integer(1..=INT), AtRuntime;

    /// What a replica does with its keys when all of its primary's are to come. `swapdb`: they are
    /// served until the new ones are complete, if there is memory for both; if there is not, as
    /// the others, which remove them first: clients are answered `-LOADING` until the new ones are
    /// complete. No file is written in any case.
    "repl-diskless-load" repl_diskless_load: DisklessLoad = DisklessLoad::SwapDb,
        Choice(DisklessLoad::WORDS), AtRuntime;

    /// Seconds that a replica waits for others that want the same snapshot.
    "repl-diskless-sync-delay" repl_diskless_sync_delay: u32 = 5, Integer(0..=INT), AtRuntime;

    /// Seconds of silence after which a primary that sends a connection for each log, and a PING
    /// each second, counts as gone.
    "repl-idle-timeout" repl_idle_timeout: u32 = 5, Integer(1..=INT), AtRuntime;

    /// Whether the log of each shard goes by a connection of its own between this server and its
    /// primary or replicas, if they are Keylane and want it too.
    "repl-native" repl_native: bool = true, YesNo, AtRuntime;

    /// Seconds between the PINGs that replicas get.
    "repl-ping-replica-period" | "repl-ping-slave-period" repl_ping_replica_period: u32 = 10,
        Integer(1..=INT), AtRuntime;

    /// Seconds in each of which a replica takes 64 KiB of a snapshot, or is dropped.
    "repl-progress-timeout" repl_progress_timeout: u32 = 5, Integer(1..=INT), AtRuntime;

    /// Seconds that a replica gives its primary to reply to each step of the handshake.
    "repl-step-timeout" repl_step_timeout: u32 = 5, Integer(1..=INT), AtRuntime;

    /// Bytes of its primary's logs that a replica stores while a snapshot comes; 0 for 256 MiB, or
    /// a tenth of `maxmemory` if that is more.
    "repl-sync-log-limit" repl_sync_log_limit: u64 = 0, Memory(0..=LONG), AtRuntime;

    /// Seconds of silence after which a replica, or a primary, counts as gone.
    "repl-timeout" repl_timeout: u32 = 60, Integer(1..=INT), AtRuntime;

    /// The address that a replica gives its primary for clients; empty for its socket's.
    "replica-announce-ip" | "slave-announce-ip" replica_announce_ip: String = String::new(),
        Name, AtRuntime;

    /// The port that a replica gives its primary for clients; 0 for the one it listens on.
    "replica-announce-port" | "slave-announce-port" replica_announce_port: u16 = 0,
        Integer(0..=65535), AtRuntime;

    /// Which replica Sentinel makes a primary first: the one with the lowest number; 0 for never.
    "replica-priority" | "slave-priority" replica_priority: u32 = 100, Integer(0..=INT), AtRuntime;

    /// Whether a replica shows what it has while it cannot tell whether that is old.
    "replica-serve-stale-data" | "slave-serve-stale-data" replica_serve_stale_data: bool = true,
        YesNo, AtRuntime;

    /// Host and port of the primary that the server follows; REPLICAOF changes them.
    "replicaof" | "slaveof" replicaof: Option<Primary> = None, PrimaryOrNone, AtStart;

    /// The password of the default user; empty for none.
    "requirepass" requirepass: Vec<u8> = Vec::new(), Password, AtRuntime;

    /// When to write a snapshot: after so many seconds, if so many changes were made.
    "save" save: Vec<SavePoint> = default_save(), SavePoints, AtRuntime;

    /// Members up to which a set of integers is kept as a sorted array.
    "set-max-intset-entries" set_max_intset_entries: u64 = 512, Integer(0..=LONG), AtRuntime;

    /// Members up to which a set is kept in one allocation.
    "set-max-listpack-entries" set_max_listpack_entries: u64 = 128, Integer(0..=LONG), AtRuntime;

    /// Bytes up to which a member leaves a set in one allocation.
    "set-max-listpack-value" set_max_listpack_value: u64 = 64, Integer(0..=LONG), AtRuntime;

    /// Processors to pin the shards to, in their order; empty for those the process may use.
    "shard-cpus" shard_cpus: Vec<usize> = Vec::new(), CpuList, AtStart;

    /// Shards, each with its own thread; 0 for as many as processors the process may use.
    "shards" shards: u16 = 0, Integer(0..=SHARDS_MAX), AtStart;

    /// Seconds for which clients are told who has taken over, before the server ends, at most a
    /// tenth of `shutdown-total-timeout`. It is less if all of them have left before.
    "shutdown-linger" shutdown_linger: u32 = 1, Integer(0..=INT), AtRuntime;

    /// The options of SHUTDOWN with which SIGINT ends the server.
    "shutdown-on-sigint" shutdown_on_sigint: OnSignal = OnSignal::default(), ShutdownOptions,
        AtRuntime;

    /// The options of SHUTDOWN with which SIGTERM ends the server.
    "shutdown-on-sigterm" shutdown_on_sigterm: OnSignal = OnSignal::default(), ShutdownOptions,
        AtRuntime;

    /// Seconds to wait for replicas before the server ends, out of `shutdown-total-timeout`; 0 for
    /// none.
    "shutdown-timeout" shutdown_timeout: u32 = 10, Integer(0..=INT), AtRuntime;

    /// Seconds that the server takes to end, at most, but for a last snapshot that gets on. Choose
    /// less than the service manager waits before it kills the process.
    "shutdown-total-timeout" shutdown_total_timeout: u32 = 20, Integer(1..=86_400), AtRuntime;

    /// Whether writes are refused while snapshots that `save` asks for cannot be written.
    "stop-writes-on-bgsave-error" stop_writes_on_bgsave_error: bool = true, YesNo, AtRuntime;

    /// Bytes of a stream's node; 0 is no limit.
    "stream-node-max-bytes" stream_node_max_bytes: u64 = 4096, Memory(0..=LONG), AtRuntime;

    /// Entries of a stream's node; 0 is no limit.
    "stream-node-max-entries" stream_node_max_entries: u64 = 100, Integer(0..=LONG), AtRuntime;

    /// Who supervises the process and wants to be told that it is ready.
    "supervised" supervised: Supervised = Supervised::No, Choice(Supervised::WORDS), AtStart;

    /// Whether the log goes to the system's log too, by its socket `/dev/log`.
    "syslog-enabled" syslog_enabled: bool = false, YesNo, AtStart;

    /// What the system's log takes the server for.
    "syslog-facility" syslog_facility: SyslogFacility = SyslogFacility::Local0,
        Choice(SyslogFacility::WORDS), AtStart;

    /// What the server calls itself in the system's log.
    "syslog-ident" syslog_ident: String = "valkey".into(), Name, AtStart;

    /// Connections that may wait to be accepted.
    "tcp-backlog" tcp_backlog: u32 = 511, Integer(0..=INT), AtStart;

    /// Seconds of silence after which the kernel asks whether the peer is there; 0 for never.
    "tcp-keepalive" tcp_keepalive: u32 = 300, Integer(0..=INT), AtRuntime;

    /// Seconds after which a silent client is closed; 0 for never.
    "timeout" timeout: u32 = 0, Integer(0..=INT), AtRuntime;

    /// Keys up to which the server remembers who has copies of them (CLIENT TRACKING); 0 is no
    /// limit. When there are more, some are forgotten and who has copies is told that they are
    /// stale.
    "tracking-table-max-keys" tracking_table_max_keys: u64 = 1_000_000,
        Integer(0..=LONG), AtRuntime;

    /// Path of the unix socket; empty for none.
    "unixsocket" unixsocket: PathBuf = PathBuf::new(), FilePath, Protected;

    /// Permissions of the unix socket; 0 to leave them to the umask.
    "unixsocketperm" unixsocketperm: u32 = 0, Octal(0..=0o777), AtStart;

    /// Members up to which a sorted set is kept in one allocation.
    "zset-max-listpack-entries" | "zset-max-ziplist-entries" zset_max_listpack_entries: u64 = 128,
        Integer(0..=LONG), AtRuntime;

    /// Bytes up to which a member leaves a sorted set in one allocation.
    "zset-max-listpack-value" | "zset-max-ziplist-value" zset_max_listpack_value: u64 = 64,
        Memory(0..=LONG), AtRuntime;
}

fn default_save() -> Vec<SavePoint> {
    let point = |(seconds, changes)| SavePoint { seconds, changes };
    [(3600, 1), (300, 100), (60, 10_000)].map(point).into()
}

#[cfg(test)]
mod tests;
