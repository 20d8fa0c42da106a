//! What of the configuration the machine of the cluster and its links are told.

use crate::bus::links::Limits;
use crate::cluster::frame::header::{BUS_PORT_BEHIND, Ports};
use crate::cluster::machine::settings::Settings;
use crate::cluster::nodes::node::Names;
use crate::cluster::report::endpoint::Endpoint;
use crate::config::choices::{EmptyRestart, EndpointType};
use crate::config::table::Config;

/// What the machine is told.
pub(super) fn of(config: &Config) -> Settings {
    let wide = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let announced = |port: u16, own: u16| if port == 0 { own } else { port };
    Settings {
        node_timeout_ms: config.cluster_node_timeout,
        ping_interval_ms: config.cluster_ping_interval,
        gossip_percent: u64::from(config.cluster_message_gossip_perc),
        announced_ip: config.cluster_announce_ip.parse().ok(),
        ports: Ports {
            client: announced(config.cluster_announce_port, config.port),
            other: 0,
            bus: announced(config.cluster_announce_bus_port, bus_port(config)),
        },
        names: Names {
            hostname: config.cluster_announce_hostname.clone(),
            nodename: config.cluster_announce_human_nodename.clone(),
            client_ipv4: config.cluster_announce_client_ipv4.clone(),
            client_ipv6: config.cluster_announce_client_ipv6.clone(),
            client_port: config.cluster_announce_client_port,
            client_tls_port: 0,
            zone: config.availability_zone.clone(),
        },
        endpoint: match config.cluster_preferred_endpoint_type {
            EndpointType::Ip => Endpoint::Ip,
            EndpointType::Hostname => Endpoint::Hostname,
            EndpointType::Unknown => Endpoint::Unknown,
        },
        allows_reads_when_down: config.cluster_allow_reads_when_down,
        allows_pubsub_when_down: config.cluster_allow_pubsubshard_when_down,
        requires_full_coverage: config.cluster_require_full_coverage,
        validity_factor: u64::from(config.cluster_replica_validity_factor),
        repl_ping_ms: u64::from(config.repl_ping_replica_period) * 1000,
        never_fails_over: config.cluster_replica_no_failover,
        migration_barrier: wide(config.cluster_migration_barrier),
        allows_migration: config.cluster_allow_replica_migration,
        manual_failover_ms: u64::from(config.cluster_manual_failover_timeout),
        forget_s: config.cluster_blacklist_ttl,
        detects_fast: config.cluster_fast_detection,
        refused_confirm_ms: u64::from(config.cluster_refused_confirm),
        write_lease_ms: u64::try_from(config.cluster_write_lease).ok(),
        is_external: config.is_topology_external(),
        yields_when_empty: config.cluster_empty_restart == EmptyRestart::Yield,
        shard_stall_ms: u64::try_from(config.cluster_shard_stall).ok(),
    }
}

/// What links are allowed.
pub(super) fn limits(config: &Config) -> Limits {
    Limits {
        silence_ms: u32::try_from(config.cluster_node_timeout).unwrap_or(u32::MAX).max(1),
        waiting_bytes: config.cluster_link_sendbuf_limit,
    }
}

/// The port on which nodes talk to this one.
pub fn bus_port(config: &Config) -> u16 {
    match config.cluster_port {
        0 => config.port.saturating_add(BUS_PORT_BEHIND),
        port => port,
    }
}
