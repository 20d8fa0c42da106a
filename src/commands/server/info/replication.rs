//! INFO replication, cluster, cluster_info.

use crate::cluster::report::info;
use crate::commands::server::gathered::Gathered;
use crate::commands::server::info::Fields;
use crate::control::clustering::shown::Shown;

pub(super) fn write(gathered: &Gathered<'_>, fields: &mut Fields) {
    gathered.control.replication().write_info(&mut fields.text);
}

pub(super) fn write_cluster(gathered: &Gathered<'_>, fields: &mut Fields) {
    fields.put("cluster_enabled", u8::from(gathered.control.clustering.is_some()));
    write_topology(gathered, fields);
}

pub(super) fn write_cluster_info(gathered: &Gathered<'_>, fields: &mut Fields) {
    if let Some(clustering) = &gathered.control.clustering {
        for (name, value) in info::fields(&clustering.machine, clustering.links.bytes()) {
            fields.put(name, value);
        }
        write_topology(gathered, fields);
    }
}

/// What is desired and what is observed.
fn write_topology(gathered: &Gathered<'_>, fields: &mut Fields) {
    for (name, value) in gathered.control.topology().iter().flat_map(Shown::fields) {
        fields.put(name, value);
    }
}
