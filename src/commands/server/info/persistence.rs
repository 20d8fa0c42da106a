//! INFO persistence: snapshots that are read and written. There is no append-only file.

use crate::commands::server::gathered::{Gathered, ratio};
use crate::commands::server::info::Fields;

pub(super) fn write(gathered: &Gathered<'_>, fields: &mut Fields) {
    write_loading(gathered, fields);
    write_child(gathered, fields);
    write_last(gathered, fields);
    fields.put_all(&["aof_enabled", "aof_rewrite_in_progress", "aof_rewrite_scheduled"], 0);
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
    if let Some(loading) = &gathered.control.loading {
        let progress = loading.progress(gathered.control.node.now);
        let percent = 100.0 * ratio(progress.read, progress.total);
        fields.put("loading_start_time", progress.began_at);
        fields.put("loading_total_bytes", progress.total);
        fields.put("loading_rdb_used_mem", progress.used_memory);
        fields.put("loading_loaded_bytes", progress.read);
        fields.put("loading_loaded_perc", format_args!("{percent:.2}"));
        fields.put("loading_eta_seconds", progress.eta_seconds);
    }
}

fn write_loading(gathered: &Gathered<'_>, fields: &mut Fields) {
    fields.put("loading", u8::from(gathered.control.loading.is_some()));
    fields.put("async_loading", 0);
}

fn write_child(gathered: &Gathered<'_>, fields: &mut Fields) {
    let saving = &gathered.control.saving;
    let child = saving.forked();
    let progress = child.map(|child| child.progress).unwrap_or_default();
    let total = if child.is_some() { saving.keys_total } else { 0 };
    let age =
        child.map_or(0, |child| gathered.control.node.now.millis_since(child.reported) / 1000);
    let percent = 100.0 * ratio(progress.keys, total);
    fields.put("current_cow_peak", child.map_or(0, |child| child.private_bytes_max));
    fields.put("current_cow_size", progress.private_bytes);
    fields.put("current_cow_size_age", if progress.private_bytes == 0 { 0 } else { age });
    fields.put("current_fork_perc", format_args!("{percent:.2}"));
    fields.put("current_save_keys_processed", progress.keys);
    fields.put("current_save_keys_total", total);
}

fn write_last(gathered: &Gathered<'_>, fields: &mut Fields) {
    let saving = &gathered.control.saving;
    let now = gathered.control.node.now;
    let seconds = |seconds: Option<u64>| seconds.map_or("-1".to_owned(), |it| it.to_string());
    let changes = gathered.sum(|shard| shard.dirty).saturating_sub(saving.changes_saved);
    fields.put("rdb_changes_since_last_save", changes);
    fields.put("rdb_bgsave_in_progress", u8::from(saving.child.is_some()));
    fields.put("rdb_last_save_time", saving.last_save);
    fields.put("rdb_last_bgsave_status", if saving.last_ok { "ok" } else { "err" });
    fields.put("rdb_last_bgsave_time_sec", seconds(saving.last_seconds));
    let current = saving.child.as_ref().map(|child| now.millis_since(child.forked.began) / 1000);
    fields.put("rdb_current_bgsave_time_sec", seconds(current));
    fields.put("rdb_saves", saving.saves);
    fields.put("rdb_last_cow_size", saving.last_cow_bytes);
    fields.put("rdb_last_load_keys_expired", gathered.control.load_expired);
    fields.put("rdb_last_load_keys_loaded", gathered.control.load_keys);
}
