//! INFO keyspace

use crate::commands::server::gathered::Gathered;
use crate::commands::server::info::Fields;

pub(super) fn write(gathered: &Gathered<'_>, fields: &mut Fields) {
    for (number, db) in gathered.dbs.iter().enumerate() {
        if db.keys == 0 {
            continue;
        }
        let ttl = db.ttl_sum.checked_div(db.ttl_samples.into()).unwrap_or(0);
        fields.put(
            format_args!("db{number}"),
            format_args!(
                "keys={},expires={},avg_ttl={ttl},keys_with_volatile_items={}",
                db.keys, db.expires, db.with_volatile_items
            ),
        );
    }
}
