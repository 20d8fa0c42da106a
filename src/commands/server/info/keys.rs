//! INFO hotkeys, slotstats: which keys are asked for most, and what slots cost. Valkey has no such
//! sections.

use std::collections::BTreeMap;

use crate::commands::server::gathered::Gathered;
use crate::commands::server::info::Fields;
use crate::stats::hot_keys::HotKey;
use crate::stats::slot_stats::SlotCounters;

pub(super) fn write_hot(gathered: &Gathered<'_>, fields: &mut Fields) {
    let config = &gathered.control.node.config;
    let looks = gathered.sum(|shard| shard.hot_keys.0);
    fields.put("hotkeys_sample_rate", config.hotkeys_sample_rate);
    fields.put("hotkeys_sampled", looks);
    // A key is on one shard, but commands on keys of several shards run at their clients' homes.
    let mut keys: BTreeMap<(usize, &[u8]), (u64, u64)> = BTreeMap::new();
    for HotKey { db, key, looks, error } in gathered.shards.iter().flat_map(|it| &it.hot_keys.1) {
        let sums = keys.entry((*db, key)).or_default();
        *sums = (sums.0 + looks, sums.1 + error);
    }
    let mut keys: Vec<_> = keys.into_iter().collect();
    keys.sort_by_key(|(_, (looks, _))| std::cmp::Reverse(*looks));
    keys.truncate(usize::try_from(config.hotkeys_max).unwrap_or(usize::MAX));
    for (number, ((db, key), (count, error))) in keys.into_iter().enumerate() {
        let percent = 100.0 * count as f64 / looks.max(1) as f64;
        let key = key.escape_ascii();
        fields.put(
            format_args!("hotkey{number}"),
            format_args!("percent={percent:.2},count={count},error={error},db={db},key={key}"),
        );
    }
}

pub(super) fn write_slots(gathered: &Gathered<'_>, fields: &mut Fields) {
    let mut slots: BTreeMap<u16, SlotCounters> = BTreeMap::new();
    for (slot, counters) in gathered.shards.iter().flat_map(|shard| &shard.slots) {
        slots.entry(slot.number()).or_default().add(*counters);
    }
    let rate = gathered.control.node.cycle_rate;
    for (slot, SlotCounters { cycles, bytes_in, bytes_out }) in slots {
        fields.put(
            format_args!("slot{slot}"),
            format_args!(
                "cpu-usec={},network-bytes-in={bytes_in},network-bytes-out={bytes_out}",
                rate.micros(cycles)
            ),
        );
    }
}
