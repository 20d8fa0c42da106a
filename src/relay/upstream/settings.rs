//! What settings say of a link to a primary.

use crate::config::table::Config;
use crate::replication::greeting::member::Identity;
use crate::replication::handshake::{Credentials, Hello};
use crate::replication::limits::Limits;
use crate::replication::session::shown::PRIORITY_USUAL;
use crate::version::VALKEY_VERSION;

/// By what this node authenticates itself at its primary.
pub(in crate::relay) fn credentials(config: &Config) -> Option<Credentials> {
    (!config.primaryauth.is_empty()).then(|| Credentials {
        user: (!config.primaryuser.is_empty()).then(|| config.primaryuser.clone()),
        password: config.primaryauth.clone(),
    })
}

/// What this node tells of itself.
pub(in crate::relay) fn hello(config: &Config, identity: Identity) -> Hello {
    let announced = config.replica_announce_port;
    let port = if announced == 0 { config.port } else { announced };
    let ip = &config.replica_announce_ip;
    Hello {
        credentials: credentials(config),
        listening_port: port,
        announced_ip: (!ip.is_empty()).then(|| ip.clone()),
        version: VALKEY_VERSION.to_owned(),
        identity,
        priority: Some(config.replica_priority).filter(|priority| *priority != PRIORITY_USUAL),
        flows: config.repl_native,
    }
}

/// The limits of its link.
pub(in crate::relay) fn limits(config: &Config) -> Limits {
    let millis = |seconds: u32| u64::from(seconds) * 1000;
    Limits {
        connect_ms: millis(config.repl_connect_timeout),
        step_ms: millis(config.repl_step_timeout),
        first_byte_ms: millis(config.repl_timeout),
        idle_ms: millis(config.repl_timeout),
        beat_ms: millis(config.repl_idle_timeout),
        progress_ms: millis(config.repl_progress_timeout),
        bulk_bytes_max: config.proto_max_bulk_len.max(Limits::default().bulk_bytes_max),
        ..Limits::default()
    }
}
