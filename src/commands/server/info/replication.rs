//! INFO replication, cluster: a primary without replicas, a node without others.

use crate::commands::server::gathered::Gathered;
use crate::commands::server::info::Fields;

/// What a node without a second history says of it.
const NO_REPLID: &str = "0000000000000000000000000000000000000000";
/// What Valkey's backlog has at its defaults.
const BACKLOG_BYTES: u64 = 10 << 20;

pub(super) fn write(gathered: &Gathered<'_>, fields: &mut Fields) {
    fields.put("role", "master");
    fields.put_all(&["connected_slaves", "replicas_waiting_psync"], 0);
    fields.put("master_failover_state", "no-failover");
    fields.put("master_replid", &gathered.control.replicating.replid.to_string());
    fields.put("master_replid2", NO_REPLID);
    fields.put("master_repl_offset", 0);
    fields.put("second_repl_offset", -1);
    fields.put("repl_backlog_active", 0);
    fields.put("repl_backlog_size", BACKLOG_BYTES);
    fields.put_all(&["repl_backlog_first_byte_offset", "repl_backlog_histlen"], 0);
}

pub(super) fn write_cluster(_: &Gathered<'_>, fields: &mut Fields) {
    fields.put("cluster_enabled", 0);
}
