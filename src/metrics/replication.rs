//! Figures of replicas, and of the primary that this node follows. What is there without either is
//! there always, so that rules can count on it; a replica has series of its own while it is there.

use crate::commands::server::gathered::Gathered;
use crate::mail::replica::{RelayView, SessionView};
use crate::metrics::page::{Name, Page};
use crate::replication::link::report::Status;
use crate::replication::psync::Backlog;
use crate::replication::session::shown::{STATES, Standing};
use crate::replication::view::ReplicationView;

const fn name(name: &'static str, help: &'static str) -> Name {
    Name { name, help }
}

pub(super) fn write(gathered: &Gathered<'_>, page: &mut Page) {
    let control = gathered.control;
    let (view, relay) = (control.replication(), &control.replicating.view);
    write_stream(&view, relay, page);
    write_replicas(&view, &relay.sessions, page);
    write_link(gathered, &view, page);
}

/// Where the stream is, what is kept of it, how requests for it were answered, and why replicas
/// were disconnected.
fn write_stream(view: &ReplicationView, relay: &RelayView, page: &mut Page) {
    let (is_active, kept) = match view.backlog {
        Backlog::None => (0.0, 0),
        Backlog::Beginning => (1.0, 0),
        Backlog::Kept { first, end } => (1.0, end.0.saturating_sub(first.0)),
    };
    let offset = view.offset.0 as f64;
    let help = "Where the stream of all changes is; on a replica, up to where it is applied.";
    for family in ["keylane_replication_offset_bytes", "redis_master_repl_offset"] {
        page.gauge(name(family, help), &[], offset);
    }
    for (family, help, value) in [
        ("redis_repl_backlog_is_active", "Whether a part of the stream is kept.", is_active),
        (
            "keylane_replication_backlog_kept_bytes",
            "Bytes of the stream from which replicas can resume.",
            kept as f64,
        ),
        (
            "redis_repl_backlog_history_bytes",
            "Bytes of the stream from which replicas can resume.",
            kept as f64,
        ),
        (
            "keylane_replication_backlog_size_bytes",
            "The setting repl-backlog-size.",
            view.backlog_bytes as f64,
        ),
        (
            "redis_replication_backlog_bytes",
            "The setting repl-backlog-size.",
            view.backlog_bytes as f64,
        ),
        (
            "keylane_replication_backlog_memory_bytes",
            "Memory for what is kept of the stream.",
            relay.memory_bytes as f64,
        ),
    ] {
        page.gauge(name(family, help), &[], value);
    }
    let help = "Requests of replicas for the stream, by how they were answered.";
    let syncs = name("keylane_replication_syncs_total", help);
    for (answer, count) in [
        ("full", relay.syncs_full),
        ("partial", relay.syncs_partial_ok),
        ("partial-refused", relay.syncs_partial_err),
        ("full-refused", relay.syncs_refused),
    ] {
        page.count(syncs, &[("answer", answer)], count);
    }
    let help = "Connections of replicas that ended, by the reason.";
    let ended = name("keylane_replica_sessions_ended_total", help);
    for (reason, count) in relay.ended.iter() {
        page.count(ended, &[("reason", reason)], count);
    }
}

/// The replicas of this node.
fn write_replicas(view: &ReplicationView, sessions: &[SessionView], page: &mut Page) {
    let by_state = name("keylane_replicas", "Replicas, by their state.");
    for state in STATES {
        let count = sessions.iter().filter(|session| session.standing.state == state).count();
        page.gauge(by_state, &[("state", state)], count as f64);
    }
    let help = "Replicas that get no full sync: the last ones needed more memory for the stream \
                than the limits allow.";
    page.gauge(name("keylane_replicas_sync_refused", help), &[], view.refused.len() as f64);
    let help = "Replicas, whatever their state.";
    page.gauge(name("redis_connected_slaves", help), &[], sessions.len() as f64);
    let online: Vec<&Standing> =
        sessions.iter().map(|session| &session.standing).filter(|it| it.is_online()).collect();
    let behind = |standing: &Standing| view.offset.0.saturating_sub(standing.acked.0);
    let most = online.iter().map(|standing| behind(standing)).max().unwrap_or(0);
    let help = "Bytes of the stream that the slowest online replica has not acknowledged.";
    page.gauge(name("keylane_replica_lag_max_bytes", help), &[], most as f64);
    let most = online.iter().map(|standing| standing.silent_seconds).max().unwrap_or(0);
    let help = "Since the online replica was heard that was not heard for longest.";
    page.gauge(name("keylane_replica_silence_max_seconds", help), &[], most as f64);
    for SessionView { standing, unsent_bytes, .. } in sessions {
        let address = standing.address.to_string();
        let replica: [(&str, &str); 2] = [("replica", &address), ("state", standing.state)];
        for (family, help, value) in [
            (
                "keylane_replica_lag_bytes",
                "Bytes of the stream that a replica has not acknowledged.",
                behind(standing),
            ),
            (
                "keylane_replica_unsent_bytes",
                "Bytes of the stream that a replica was not sent.",
                *unsent_bytes,
            ),
            (
                "keylane_replica_silence_seconds",
                "Since a replica was last heard.",
                standing.silent_seconds,
            ),
        ] {
            page.gauge(name(family, help), &replica, value as f64);
        }
        let port = standing.address.port.to_string();
        let slave: [(&str, &str); 3] = [
            ("slave_ip", &standing.address.host),
            ("slave_port", &port),
            ("slave_state", standing.state),
        ];
        let help = "What a replica has acknowledged.";
        let family = name("redis_connected_slave_offset_bytes", help);
        page.gauge(family, &slave, standing.acked.0 as f64);
        let family = name("redis_connected_slave_lag_seconds", "Since a replica was last heard.");
        page.gauge(family, &slave, standing.silent_seconds as f64);
    }
}

/// The link to the primary.
fn write_link(gathered: &Gathered<'_>, view: &ReplicationView, page: &mut Page) {
    let following = view.following.as_ref();
    let truth = |is: bool| f64::from(u8::from(is));
    let status = following.map_or(Status::Idle, |following| following.status);
    let unapplied = following.map_or(0, |it| it.read.saturating_sub(it.applied));
    let link = gathered.control.following.view.as_ref().filter(|_| following.is_some());
    for (family, help, value) in [
        (
            "keylane_following",
            "Whether the node is to follow a primary.",
            truth(following.is_some()),
        ),
        (
            "keylane_link_up",
            "Whether the stream of a primary comes in.",
            truth(following.is_some() && status.is_up()),
        ),
        (
            "keylane_link_attempts",
            "Attempts to follow the primary since its stream last came in.",
            link.map_or(0.0, |link| f64::from(link.attempts)),
        ),
        (
            "keylane_link_silence_seconds",
            "Since the primary last sent something; -1 if it has not.",
            following.and_then(|it| it.silent_seconds).map_or(-1.0, |seconds| seconds as f64),
        ),
        (
            "keylane_link_snapshot_bytes",
            "Bytes of the primary's snapshot that have come.",
            following.map_or(0.0, |following| following.snapshot_bytes as f64),
        ),
        (
            "keylane_link_stored_bytes",
            "Bytes of the primary's logs that wait for its snapshot to be the data.",
            following.map_or(0.0, |following| following.stored_bytes as f64),
        ),
        (
            "keylane_link_unapplied_bytes",
            "Bytes of the primary's stream that have come and are not applied.",
            unapplied as f64,
        ),
    ] {
        page.gauge(name(family, help), &[], value);
    }
    let help = "What the link to the primary is at: 1 there, 0 elsewhere.";
    let state = name("keylane_link_state", help);
    for word in Status::NAMES {
        page.gauge(state, &[("state", word)], truth(word == status.name()));
    }
    let Some(following) = following else { return };
    let port = following.primary.port.to_string();
    let primary: [(&str, &str); 2] =
        [("master_host", &following.primary.host), ("master_port", &port)];
    let help = "Whether the stream of the primary comes in.";
    page.gauge(name("redis_master_link_up", help), &primary, truth(status.is_up()));
    let help = "Whether the snapshot of the primary comes in.";
    page.gauge(name("redis_master_sync_in_progress", help), &primary, truth(status.is_sync()));
}
