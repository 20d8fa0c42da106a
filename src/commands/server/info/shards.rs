//! INFO shards: what each of them has and does. Valkey has no such section.

use crate::commands::server::gathered::Gathered;
use crate::commands::server::info::Fields;
use crate::coordination::query::DbFigures;

pub(super) fn write(gathered: &Gathered<'_>, fields: &mut Fields) {
    fields.put("shards", gathered.shards.len());
    for figures in &gathered.shards {
        let keys: u64 = figures.dbs.iter().map(|db: &DbFigures| db.keys).sum();
        fields.put(
            format_args!("shard{}", figures.shard),
            format_args!(
                "keys={keys},clients={},requests={},requests_per_sec={},hops={},mailbox_depth={},\
                 table_bytes={}",
                figures.clients,
                figures.counters.commands(),
                figures.rates.commands,
                figures.counters.hops,
                figures.mailbox_depth,
                figures.table_bytes
            ),
        );
    }
}
