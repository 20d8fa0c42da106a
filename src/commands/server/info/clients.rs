//! INFO clients

use crate::commands::server::gathered::Gathered;
use crate::commands::server::info::Fields;
use crate::routing::node::Holds;
use crate::shutdown::stage::Stage;

pub(super) fn write(gathered: &Gathered<'_>, fields: &mut Fields) {
    let control = gathered.control;
    fields.put("connected_clients", gathered.sum(|shard| shard.clients as u64));
    fields.put("cluster_connections", 0);
    fields.put("maxclients", control.node.config.maxclients);
    let (input, output) =
        (gathered.max(|s| s.client_bytes_max.0), gathered.max(|s| s.client_bytes_max.1));
    fields.put("client_recent_max_input_buffer", input);
    fields.put("client_recent_max_output_buffer", output);
    fields.put("blocked_clients", gathered.sum(|shard| shard.waiting.clients));
    fields.put("tracking_clients", gathered.sum(|shard| shard.trackers));
    fields.put("pubsub_clients", gathered.sum(|shard| shard.listening));
    fields.put("watching_clients", gathered.sum(|shard| shard.watching.0));
    fields.put("clients_in_timeout_table", gathered.sum(|shard| shard.waiting.with_end));
    fields.put("total_watched_keys", gathered.sum(|shard| shard.watching.1));
    fields.put("total_blocking_keys", gathered.sum(|shard| shard.waiting.keys));
    fields.put("total_blocking_keys_on_nokey", gathered.sum(|shard| shard.waiting.keys_or_none));
    let left = control.pause.map_or(0, |pause| pause.left(control.node.now));
    let ending = control.end.shutdown.stage().is_some_and(Stage::holds_writes);
    let (reason, actions) = match control.pause {
        _ if ending => ("shutdown_in_progress", "write"),
        Some(pause) if 0 < left && pause.holds == Holds::All => ("client_pause", "all"),
        Some(_) if 0 < left => ("client_pause", "write"),
        _ => ("none", "none"),
    };
    fields.put("paused_reason", reason);
    fields.put("paused_actions", actions);
    let left = if ending { control.end_remaining().unwrap_or(0) } else { left };
    fields.put("paused_timeout_milliseconds", left);
}
