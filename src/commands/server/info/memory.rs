//! INFO memory

use crate::commands::server::gathered::{Gathered, difference, ratio};
use crate::commands::server::info::{Fields, human};
use crate::config::choices::MaxmemoryPolicy;
use crate::reactor::system;

pub(super) fn write(gathered: &Gathered<'_>, fields: &mut Fields) {
    let memory = gathered.memory();
    let config = &gathered.control.node.config;
    fields.put_bytes("used_memory", memory.used);
    fields.put_bytes("used_memory_rss", memory.resident);
    fields.put_bytes("used_memory_peak", memory.peak);
    fields.put("used_memory_peak_perc", format_args!("{:.2}%", memory.peak_percent()));
    fields.put("used_memory_overhead", memory.overhead);
    fields.put("used_memory_startup", memory.startup);
    fields.put("used_memory_dataset", memory.dataset());
    fields.put("used_memory_dataset_perc", format_args!("{:.2}%", memory.dataset_percent()));
    fields.put("allocator_allocated", memory.heap.allocated);
    fields.put("allocator_active", memory.heap.active);
    fields.put("allocator_resident", memory.heap.resident);
    fields.put("allocator_muzzy", memory.heap.muzzy);
    fields.put_bytes("total_system_memory", system::total_bytes());
    write_scripts(fields);
    fields.put_bytes("maxmemory", config.maxmemory);
    let policy = MaxmemoryPolicy::WORDS.iter().find(|(_, it)| *it == config.maxmemory_policy);
    fields.put("maxmemory_policy", policy.expect("every policy has a word").0);
    fields.put("allocator_frag_ratio", format_args!("{:.2}", memory.fragmentation()));
    fields.put("allocator_frag_bytes", memory.fragmented());
    let heap = memory.heap;
    write_ratio(fields, "allocator_rss", heap.resident, heap.active);
    write_ratio(fields, "rss_overhead", memory.resident, heap.resident);
    fields
        .put("mem_fragmentation_ratio", format_args!("{:.2}", ratio(memory.resident, memory.used)));
    fields.put("mem_fragmentation_bytes", difference(memory.resident, memory.used));
    fields.put("mem_not_counted_for_evict", memory.replication());
    fields.put("mem_replication_backlog", memory.backlog);
    fields.put("mem_total_replication_buffers", memory.replication());
    // What waits for a replica lies in the backlog.
    fields.put_all(&["mem_replicas_repl_buffer", "mem_clients_slaves"], 0);
    fields.put("mem_clients_normal", memory.clients);
    let of_cluster = [
        "mem_cluster_links",
        "mem_cluster_slot_import",
        "mem_cluster_slot_export",
        "mem_aof_buffer",
    ];
    fields.put_all(&of_cluster, 0);
    fields.put("mem_allocator", "jemalloc-5.3.1");
    fields.put_all(&["mem_overhead_db_hashtable_rehashing", "active_defrag_running"], 0);
    fields.put("lazyfree_pending_objects", gathered.sum(|shard| shard.garbage));
    fields.put("lazyfreed_objects", gathered.stats.lazyfreed);
}

/// There are no scripts.
fn write_scripts(fields: &mut Fields) {
    fields.put_all(&["used_memory_lua", "used_memory_vm_eval"], 0);
    fields.put("used_memory_lua_human", human(0));
    let scripts = [
        "used_memory_scripts_eval",
        "number_of_cached_scripts",
        "number_of_functions",
        "number_of_libraries",
        "used_memory_vm_functions",
    ];
    fields.put_all(&scripts, 0);
    fields.put_bytes("used_memory_vm_total", 0);
    fields.put("used_memory_functions", 0);
    fields.put_bytes("used_memory_scripts", 0);
}

fn write_ratio(fields: &mut Fields, name: &str, whole: u64, part: u64) {
    fields.put(format_args!("{name}_ratio"), format_args!("{:.2}", ratio(whole, part)));
    fields.put(format_args!("{name}_bytes"), difference(whole, part));
}
