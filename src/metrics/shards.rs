//! Figures of each shard, and of each database.

use crate::commands::server::gathered::Gathered;
use crate::mail::query::{DbFigures, Figures};
use crate::metrics::commands::seconds;
use crate::metrics::page::{Name, Page};
use crate::reactor::heap;

/// Databases that are shown though they are empty; further ones only if they have keys.
const DATABASES_SHOWN: usize = 16;
/// Databases that are shown, at most.
const DATABASES_MAX: usize = 64;

pub(super) fn write(gathered: &Gathered<'_>, page: &mut Page) {
    for figures in &gathered.shards {
        write_shard(gathered, figures, page);
    }
    let shown = |(number, db): &(usize, &DbFigures)| *number < DATABASES_SHOWN || 0 < db.keys;
    for (number, db) in gathered.dbs.iter().enumerate().filter(shown).take(DATABASES_MAX) {
        write_database(number, db, page);
    }
}

const fn name(name: &'static str, help: &'static str) -> Name {
    Name { name, help }
}

fn write_shard(gathered: &Gathered<'_>, figures: &Figures, page: &mut Page) {
    let node = &gathered.control.node;
    let number = figures.shard.to_string();
    let shard = &[("shard", number.as_str())];
    let keys: u64 = figures.dbs.iter().map(|db| db.keys).sum();
    let tables: u64 = figures.dbs.iter().map(|db| db.table_bytes + db.due_bytes).sum();
    let slots = u16::try_from(figures.shard).map_or(0, |shard| node.slots.range(shard).len());
    let counts = [
        (name("keylane_shard_requests_total", "Commands that a shard ran."), figures.commands.0),
        (
            name("keylane_shard_hops_total", "Batches that a shard passed on to others."),
            figures.counters.hops,
        ),
        (name("keylane_shard_turns_total", "Turns of a shard's loop."), figures.counters.turns),
        (
            name("keylane_shard_expired_keys_total", "Keys of a shard that expired."),
            figures.stats.expired,
        ),
        (
            name("keylane_shard_evicted_keys_total", "Keys of a shard that were evicted."),
            figures.stats.evicted,
        ),
        (
            name("keylane_shard_log_bytes_total", "Bytes that a shard has logged for replicas."),
            figures.log.offset,
        ),
        (
            name("keylane_shard_log_weight_bytes_total", "Bytes that those add to the stream."),
            figures.log.weight,
        ),
    ];
    counts.into_iter().for_each(|(name, count)| page.count(name, shard, count));
    let gauges = [
        (
            name("keylane_shard_mailbox_depth", "Letters that wait for a shard."),
            figures.mailbox_depth as u64,
        ),
        (name("keylane_shard_keys", "Keys of a shard."), keys),
        (name("keylane_shard_clients", "Clients that a shard serves."), figures.clients as u64),
        (name("keylane_shard_slots", "Slots that a shard owns."), slots as u64),
        (
            name("keylane_shard_table_bytes", "Memory of a shard's tables, without the entries."),
            tables,
        ),
        (
            name("keylane_shard_log_memory_bytes", "Memory for what is kept of a shard's log."),
            figures.log.memory_bytes,
        ),
    ];
    gauges.into_iter().for_each(|(name, value)| page.gauge(name, shard, value as f64));
    if let Some(arena) = figures.arena {
        let help =
            "Memory that a shard has from its arena of the allocator: all but blocks of 8 MiB.";
        let bytes = heap::arena_bytes(arena);
        page.gauge(name("keylane_shard_memory_bytes", help), shard, bytes as f64);
    }
    let help = "Processor time that a shard's thread has had: how busy it was.";
    let busy = name("keylane_shard_cpu_seconds_total", help);
    page.fractions.seconds(busy, shard, figures.cpu_nanos as f64 / 1e9);
    let cycles = figures.commands.1;
    let help = "Time that commands took on a shard.";
    let commands = name("keylane_shard_command_seconds_total", help);
    page.fractions.seconds(commands, shard, seconds(node.cycle_rate, cycles));
}

fn write_database(number: usize, db: &DbFigures, page: &mut Page) {
    let (plain, redis) = (number.to_string(), format!("db{number}"));
    let ttl = db.ttl_sum.checked_div(db.ttl_samples.into()).unwrap_or(0) as f64 / 1e3;
    for (part, help, value) in [
        (["keylane_db_keys", "redis_db_keys"], "Keys of a database.", db.keys as f64),
        (
            ["keylane_db_keys_expiring", "redis_db_keys_expiring"],
            "Keys of a database that have a time to live.",
            db.expires as f64,
        ),
        (
            ["keylane_db_avg_ttl_seconds", "redis_db_avg_ttl_seconds"],
            "Time to live of a sample of a database's keys, on average.",
            ttl,
        ),
    ] {
        page.gauge(name(part[0], help), &[("db", &plain)], value);
        page.gauge(name(part[1], help), &[("db", &redis)], value);
    }
}
