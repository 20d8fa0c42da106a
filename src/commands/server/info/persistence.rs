//! INFO persistence: nothing is written to disk yet, so most of it is 0.

use crate::commands::server::gathered::Gathered;
use crate::commands::server::info::Fields;

pub(super) fn write(gathered: &Gathered<'_>, fields: &mut Fields) {
    let first = [
        "loading",
        "async_loading",
        "current_cow_peak",
        "current_cow_size",
        "current_cow_size_age",
    ];
    fields.put_all(&first, 0);
    fields.put("current_fork_perc", "0.00");
    fields.put_all(&["current_save_keys_processed", "current_save_keys_total"], 0);
    fields.put("rdb_changes_since_last_save", gathered.sum(|shard| shard.dirty));
    fields.put("rdb_bgsave_in_progress", 0);
    fields.put("rdb_last_save_time", gathered.control.started_at);
    fields.put("rdb_last_bgsave_status", "ok");
    fields.put_all(&["rdb_last_bgsave_time_sec", "rdb_current_bgsave_time_sec"], -1);
    let of_rdb = [
        "rdb_saves",
        "rdb_last_cow_size",
        "rdb_last_load_keys_expired",
        "rdb_last_load_keys_loaded",
        "aof_enabled",
        "aof_rewrite_in_progress",
        "aof_rewrite_scheduled",
    ];
    fields.put_all(&of_rdb, 0);
    fields.put_all(&["aof_last_rewrite_time_sec", "aof_current_rewrite_time_sec"], -1);
    fields.put("aof_last_bgrewrite_status", "ok");
    fields.put_all(&["aof_rewrites", "aof_rewrites_consecutive_failures"], 0);
    fields.put("aof_last_write_status", "ok");
    let last = [
        "aof_last_cow_size",
        "module_fork_in_progress",
        "module_fork_last_cow_size",
        "slot_migration_fork_in_progress",
    ];
    fields.put_all(&last, 0);
}
