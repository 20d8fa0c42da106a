//! INFO stats

use std::fmt;

use crate::commands::server::gathered::Gathered;
use crate::commands::server::info::Fields;
use crate::pubsub::kind::Kind;

/// What comes after the channels and does not happen here: defragmentation.
const ABSENT: &[&str] = &[
    "slave_expires_tracked_keys",
    "active_defrag_hits",
    "active_defrag_misses",
    "active_defrag_key_hits",
    "active_defrag_key_misses",
    "total_active_defrag_time",
    "current_active_defrag_time",
];
/// Slots go to other nodes key by key, not as a whole.
const OF_SLOTS_ON_THEIR_WAY: &[&str] =
    &["total_net_cluster_slot_import_bytes", "total_net_cluster_slot_export_bytes"];
/// What is listened to.
const OF_CHANNELS: [(&str, Kind); 3] = [
    ("pubsub_channels", Kind::Channel),
    ("pubsub_patterns", Kind::Pattern),
    ("pubsubshard_channels", Kind::ShardChannel),
];
/// Threads for I/O alone: a shard does its own.
const OF_IO_THREADS: &[&str] = &[
    "io_threaded_reads_processed",
    "io_threaded_writes_processed",
    "io_threaded_freed_objects",
    "io_threaded_accept_processed",
    "io_threaded_poll_processed",
    "io_threaded_total_prefetch_batches",
    "io_threaded_total_prefetch_entries",
];
/// Refusals for which there are no rules yet.
const OF_ACL: &[&str] = &[
    "acl_access_denied_cmd",
    "acl_access_denied_key",
    "acl_access_denied_channel",
    "acl_access_denied_tls_cert",
    "acl_access_denied_db",
];

pub(super) fn write(gathered: &Gathered<'_>, fields: &mut Fields) {
    let rate = gathered.control.node.cycle_rate;
    let (counters, stats, rates) = (&gathered.counters, &gathered.stats, &gathered.rates);
    fields.put("total_connections_received", counters.clients_opened + counters.clients_refused);
    fields.put("total_commands_processed", gathered.commands.0);
    fields.put("instantaneous_ops_per_sec", rates.commands);
    fields.put("total_net_input_bytes", counters.bytes_in);
    fields.put("total_net_output_bytes", counters.bytes_out);
    fields.put("total_net_repl_input_bytes", counters.repl_bytes_in);
    fields.put("total_net_repl_output_bytes", counters.repl_bytes_out);
    fields.put_all(OF_SLOTS_ON_THEIR_WAY, 0);
    fields.put("instantaneous_input_kbps", Kilobytes(rates.bytes_in));
    fields.put("instantaneous_output_kbps", Kilobytes(rates.bytes_out));
    fields.put("instantaneous_input_repl_kbps", Kilobytes(rates.repl_bytes_in));
    fields.put("instantaneous_output_repl_kbps", Kilobytes(rates.repl_bytes_out));
    fields.put("rejected_connections", counters.clients_refused);
    let relay = &gathered.control.replicating.view;
    fields.put("sync_full", relay.syncs_full);
    fields.put("sync_partial_ok", relay.syncs_partial_ok);
    fields.put("sync_partial_err", relay.syncs_partial_err);
    fields.put("expired_keys", stats.expired);
    fields.put("expired_fields", stats.expired_fields);
    // Keys that are due are known exactly, not estimated: they go as soon as there is time.
    let stale = ["expired_stale_perc", "expired_keys_with_volatile_items_stale_perc"];
    fields.put_all(&stale, "0.00");
    fields.put("expired_time_cap_reached_count", stats.expire_slices_cut);
    fields.put("expire_cycle_cpu_milliseconds", rate.micros(counters.expiry_cycles) / 1000);
    fields.put("evicted_keys", stats.evicted);
    fields.put("evicted_clients", counters.clients_evicted);
    fields.put("evicted_scripts", 0);
    let (exceeded, now) = (&gathered.control.exceeded, gathered.control.node.now);
    fields.put("total_eviction_exceeded_time", exceeded.total_millis(now));
    fields.put("current_eviction_exceeded_time", exceeded.current_millis(now));
    fields.put("keyspace_hits", stats.hits);
    fields.put("keyspace_misses", stats.misses);
    // Every shard knows of all.
    for (name, kind) in OF_CHANNELS {
        fields.put(name, gathered.max(|shard| shard.names[kind.index()]));
    }
    fields.put("latest_fork_usec", gathered.control.saving.fork_micros);
    fields.put("total_forks", gathered.control.saving.forks);
    fields.put("migrate_cached_sockets", gathered.sum(|shard| shard.couriers));
    fields.put_all(ABSENT, 0);
    fields.put("tracking_total_keys", gathered.sum(|shard| shard.tracked.0));
    fields.put("tracking_total_items", gathered.sum(|shard| shard.tracked.1));
    let prefixes = gathered.max(|shard| shard.names[Kind::Prefix.index()]);
    fields.put("tracking_total_prefixes", prefixes);
    fields.put("unexpected_error_replies", 0);
    fields.put("total_error_replies", counters.error_replies);
    fields.put("dump_payload_sanitizations", 0);
    fields.put("total_reads_processed", counters.reads);
    fields.put("total_writes_processed", counters.writes);
    fields.put_all(OF_IO_THREADS, 0);
    fields.put("client_query_buffer_limit_disconnections", counters.query_limit_cuts);
    fields.put("client_output_buffer_limit_disconnections", counters.output_limit_cuts);
    fields.put_all(&["reply_buffer_shrinks", "reply_buffer_expands"], 0);
    fields.put("eventloop_cycles", counters.turns);
    fields.put("eventloop_duration_sum", rate.micros(counters.busy_cycles));
    fields.put("eventloop_duration_cmd_sum", rate.micros(gathered.commands.1));
    fields.put("instantaneous_eventloop_cycles_per_sec", rates.turns);
    let each = rates.busy_cycles.checked_div(rates.turns).unwrap_or(0);
    fields.put("instantaneous_eventloop_duration_usec", rate.micros(each));
    fields.put("acl_access_denied_auth", counters.auth_denied);
    fields.put_all(OF_ACL, 0);
}

/// Bytes, shown as kilobytes.
#[derive(Clone, Copy)]
struct Kilobytes(u64);

impl fmt::Display for Kilobytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.0 as f64 / 1024.0)
    }
}
