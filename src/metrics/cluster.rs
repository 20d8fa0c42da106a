//! Figures of the cluster, as this node sees it; nothing outside of cluster mode.

use crate::cluster::frame::Kind;
use crate::cluster::machine::event::LinkId;
use crate::cluster::machine::stats::{BOUNDS_MS, Durations, Stats};
use crate::cluster::nodes::Nodes;
use crate::cluster::nodes::node::{Health, Node};
use crate::cluster::report::info::Bytes;
use crate::cluster::votes::DENIALS;
use crate::commands::server::gathered::Gathered;
use crate::control::clustering::Clustering;
use crate::control::clustering::shown::Shown;
use crate::metrics::fractions::Distribution;
use crate::metrics::page::{Name, Page};
use crate::topology::reconciler::State;

/// Redirections by their kinds, and the first words of the errors that they are.
const REDIRECTIONS: [(&str, &str); 5] = [
    ("moved", "MOVED"),
    ("ask", "ASK"),
    ("tryagain", "TRYAGAIN"),
    ("crossslot", "CROSSSLOT"),
    ("down", "CLUSTERDOWN"),
];

/// Whether a node is what is counted.
type Is = fn(&Node) -> bool;

const fn name(name: &'static str, help: &'static str) -> Name {
    Name { name, help }
}

pub(super) fn write(gathered: &Gathered<'_>, page: &mut Page) {
    let Some(clustering) = &gathered.control.clustering else { return };
    let is_primary = !gathered.control.is_replica();
    write_state(clustering, is_primary, page);
    write_slots_and_nodes(clustering.machine.nodes(), page);
    write_bus(clustering, page);
    write_decisions(clustering.machine.stats(), page);
    write_saves(clustering, page);
    if let Some(shown) = gathered.control.topology() {
        write_topology(&shown, page);
    }
    let help = "Writes that were refused since no majority of primaries answers this node.";
    let fenced = name("keylane_cluster_fenced_writes_total", help);
    page.count(fenced, &[], gathered.counters.fenced_writes);
    let help = "Requests that were sent to another node, or refused for where their keys are.";
    let redirections = name("keylane_cluster_redirections_total", help);
    for (kind, code) in REDIRECTIONS {
        let mut errors = gathered.counters.errors.iter();
        let count = errors.find(|(known, _)| known == code).map_or(0, |(_, count)| *count);
        page.count(redirections, &[("kind", kind)], count);
    }
}

fn write_state(clustering: &Clustering, is_primary: bool, page: &mut Page) {
    let machine = &clustering.machine;
    let truth = |is: bool| f64::from(u8::from(is));
    let nodes = machine.nodes();
    let of_shard = nodes.my_primary().map_or(nodes.me(), |primary| nodes.at(primary));
    for (family, help, value) in [
        (
            "keylane_cluster_state",
            "Whether the cluster serves, as this node sees it: 1 ok, 0 fail.",
            truth(machine.state().is_ok()),
        ),
        (
            "keylane_cluster_write_fenced",
            "Whether this node refuses writes since no majority of primaries answers it.",
            truth(machine.state().is_fenced()),
        ),
        ("keylane_cluster_known_nodes", "Nodes that this node knows.", nodes.len() as f64),
        ("keylane_cluster_size", "Primaries with slots.", nodes.size() as f64),
        (
            "keylane_cluster_current_epoch",
            "The greatest epoch that this node knows.",
            machine.current_epoch().0 as f64,
        ),
        (
            "keylane_cluster_config_epoch",
            "The epoch of the claim to the slots of this node, or of its primary.",
            of_shard.config_epoch.0 as f64,
        ),
    ] {
        page.gauge(name(family, help), &[], value);
    }
    let role = name("keylane_cluster_role", "What this node is: 1 there, 0 elsewhere.");
    page.gauge(role, &[("role", "primary")], truth(is_primary));
    page.gauge(role, &[("role", "replica")], truth(!is_primary));
}

/// The topology, and whether replication is as it says.
fn write_topology(shown: &Shown, page: &mut Page) {
    let Shown { version, hash, is_member, state, last_error: _, pending_ms, orphans } = shown;
    let truth = |is: bool| f64::from(u8::from(is));
    let help =
        "The version of the topology, or the epoch if nodes agree on it; -1 before there is one.";
    page.gauge(name("keylane_topology_version", help), &[], *version as f64);
    let help = "What tells the content of this topology from others.";
    page.gauge(name("keylane_topology_info", help), &[("hash", hash)], 1.0);
    let help = "Whether this node is in the topology.";
    page.gauge(name("keylane_topology_member", help), &[], truth(*is_member));
    let help = "Whether replication is as the topology says: 1 there, 0 elsewhere.";
    for one in State::ALL {
        let family = name("keylane_reconcile_state", help);
        page.gauge(family, &[("state", one.name())], truth(one == *state));
    }
    let help = "Seconds for which replication has not been as the topology says.";
    page.gauge(name("keylane_reconcile_pending_seconds", help), &[], *pending_ms as f64 / 1000.0);
    let help = "Attached replicas that the topology does not give to this node.";
    page.gauge(name("keylane_orphaned_links", help), &[], *orphans as f64);
}

fn write_slots_and_nodes(nodes: &Nodes, page: &mut Page) {
    let slots = name("keylane_cluster_slots", "Slots by the state of their owners.");
    let is_suspected: Is = |node| node.health == Health::Suspected;
    let states: [(&str, Is); 4] = [
        ("assigned", |_| true),
        ("ok", Node::is_fit),
        ("pfail", is_suspected),
        ("fail", Node::is_failed),
    ];
    for (state, is) in states {
        let counts = nodes.iter().filter(|(_, node)| is(node)).map(|(_, node)| node.slot_count());
        page.gauge(slots, &[("state", state)], counts.sum::<usize>() as f64);
    }
    let help = "Nodes that may have failed, or have, by whether they vote.";
    let failing = name("keylane_cluster_nodes", help);
    for (state, is) in [states[2], states[3]] {
        for (voting, votes) in [("yes", true), ("no", false)] {
            let mut those = nodes.iter().map(|(_, node)| node);
            let count = those.by_ref().filter(|node| is(node) && node.is_voting() == votes).count();
            page.gauge(failing, &[("state", state), ("voting", voting)], count as f64);
        }
    }
}

fn write_bus(clustering: &Clustering, page: &mut Page) {
    let (machine, stats) = (&clustering.machine, clustering.machine.stats());
    let messages = name("keylane_cluster_bus_messages_total", "Frames of the bus, by their types.");
    for (direction, counts) in [("sent", &stats.sent), ("received", &stats.received)] {
        for kind in Kind::ALL {
            let labels = [("type", kind.name()), ("direction", direction)];
            page.count(messages, &labels, counts.get(&kind).copied().unwrap_or(0));
        }
    }
    let Bytes { total, pubsub } = clustering.links.bytes();
    let help = "Bytes of the bus: clients' messages, and what nodes say of themselves.";
    let family = name("keylane_cluster_bus_bytes_total", help);
    for (direction, all, pubsub) in
        [("sent", total.sent, pubsub.sent), ("received", total.received, pubsub.received)]
    {
        page.count(family, &[("class", "pubsub"), ("direction", direction)], pubsub);
        let gossip = all.saturating_sub(pubsub);
        page.count(family, &[("class", "gossip"), ("direction", direction)], gossip);
    }
    let links = machine.links();
    let outbound = links.iter().filter(|link| matches!(link.link, LinkId::Outbound(_))).count();
    let family = name("keylane_cluster_links", "Links with known nodes.");
    page.gauge(family, &[("direction", "to")], outbound as f64);
    page.gauge(family, &[("direction", "from")], (links.len() - outbound) as f64);
    let help = "Links that were closed for cluster-link-sendbuf-limit.";
    let family = name("keylane_cluster_link_buffer_limit_exceeded_total", help);
    page.count(family, &[], stats.limits_exceeded);
    let help = "Messages of PUBLISH and SPUBLISH that were dropped: what another node, or a shard \
                here, was too slow for.";
    let family = name("keylane_cluster_messages_dropped_total", help);
    let (sent, received) = clustering.messages_dropped();
    page.count(family, &[("direction", "sent")], sent);
    page.count(family, &[("direction", "received")], received);
    for (family, help, durations) in [
        ("keylane_cluster_link_round_trip_seconds", "From a PING to its PONG.", &stats.round_trips),
        (
            "keylane_cluster_bus_late_seconds",
            "How late the rounds of the bus began, which are due each 100 ms.",
            &stats.lateness,
        ),
        (
            "keylane_cluster_failover_duration_seconds",
            "From when a primary was FAIL here until this replica was elected.",
            &stats.failovers,
        ),
    ] {
        write_durations(name(family, help), durations, page);
    }
}

fn write_durations(name: Name, durations: &Durations, page: &mut Page) {
    let seconds = |millis: u64| millis as f64 / 1e3;
    let buckets: Vec<(f64, u64)> =
        BOUNDS_MS.map(seconds).into_iter().zip(durations.upto()).collect();
    let (count, sum) = (durations.count(), seconds(durations.sum_ms()));
    page.fractions.histogram(name, &[], &Distribution { buckets: &buckets, count, sum });
}

/// Failures, elections and votes.
fn write_decisions(stats: &Stats, page: &mut Page) {
    let help = "Nodes that this one found to have failed, by how.";
    let detected = name("keylane_cluster_failures_detected_total", help);
    for (by, count) in [
        ("timeout", stats.suspected_by_timeout),
        ("refused", stats.suspected_by_refusal),
        ("reported", stats.failed_by_report),
    ] {
        page.count(detected, &[("by", by)], count);
    }
    let help = "Nodes that had failed, or seemed to, and no longer do.";
    page.count(name("keylane_cluster_failures_recanted_total", help), &[], stats.recanted);
    let help = "Frames whose sender did not know that it had lost its role.";
    page.count(name("keylane_cluster_stale_frames_total", help), &[], stats.stale_frames);
    let elections = name("keylane_cluster_elections_total", "Elections that this node asked for.");
    for (kind, counts) in [("automatic", &stats.automatic), ("manual", &stats.manual)] {
        for (outcome, count) in
            [("won", counts.won), ("expired", counts.expired), ("reset", counts.reset)]
        {
            page.count(elections, &[("kind", kind), ("outcome", outcome)], count);
        }
    }
    let help = "Failovers by hand in which this node was to take over.";
    let manual = name("keylane_cluster_manual_failovers_total", help);
    page.count(manual, &[("outcome", "won")], stats.manual_failovers_won);
    page.count(manual, &[("outcome", "expired")], stats.manual_failovers_expired);
    let help = "Votes that this node was asked for, and why it denied them.";
    let votes = name("keylane_cluster_votes_total", help);
    page.count(votes, &[("outcome", "granted"), ("reason", "")], stats.votes_granted);
    for reason in DENIALS {
        let count = stats.votes_denied.get(reason).copied().unwrap_or(0);
        page.count(votes, &[("outcome", "denied"), ("reason", reason)], count);
    }
}

fn write_saves(clustering: &Clustering, page: &mut Page) {
    let saves = name("keylane_cluster_config_saves_total", "Times that nodes.conf was written.");
    let (saved, failed) = clustering.saves();
    page.count(saves, &[("outcome", "saved")], saved);
    page.count(saves, &[("outcome", "failed")], failed);
}
