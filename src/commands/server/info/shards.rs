//! INFO shards: what each of them has and does. Valkey has no such section.

use crate::commands::server::gathered::Gathered;
use crate::commands::server::info::Fields;
use crate::mail::query::DbFigures;

pub(super) fn write(gathered: &Gathered<'_>, fields: &mut Fields) {
    fields.put("shards", gathered.shards.len());
    for figures in &gathered.shards {
        let sum = |figure: fn(&DbFigures) -> u64| figures.dbs.iter().map(figure).sum::<u64>();
        let (keys, table_bytes) = (sum(|db| db.keys), sum(|db| db.table_bytes + db.due_bytes));
        fields.put(
            format_args!("shard{}", figures.shard),
            format_args!(
                "keys={keys},clients={},requests={},requests_per_sec={},hops={},mailbox_depth={},\
                 table_bytes={table_bytes},log_bytes={},log_memory_bytes={}",
                figures.clients,
                figures.commands.0,
                figures.rates.commands,
                figures.counters.hops,
                figures.mailbox_depth,
                figures.log.offset,
                figures.log.memory_bytes
            ),
        );
    }
}
