//! INFO replication, cluster.

use crate::commands::server::gathered::Gathered;
use crate::commands::server::info::Fields;

pub(super) fn write(gathered: &Gathered<'_>, fields: &mut Fields) {
    gathered.control.replication().write_info(&mut fields.text);
}

pub(super) fn write_cluster(_: &Gathered<'_>, fields: &mut Fields) {
    fields.put("cluster_enabled", 0);
}
