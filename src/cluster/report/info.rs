//! CLUSTER INFO, which is the section `cluster_info` of INFO, too.

use crate::cluster::frame::Kind;
use crate::cluster::machine::Machine;
use crate::cluster::nodes::node::{Health, Node};

/// Bytes that the bus has carried, which the machine does not see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// All.
    pub total: Way,
    /// Those of PUBLISH and SPUBLISH.
    pub pubsub: Way,
}

/// Bytes both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// To other nodes.
    pub sent: u64,
    /// From other nodes.
    pub received: u64,
}

/// Its fields and their values, in order.
pub fn fields(machine: &Machine, bytes: Bytes) -> Vec<(String, String)> {
    let nodes = machine.nodes();
    let slots = |of: fn(&Node) -> bool| {
        let counts = nodes.iter().filter(|(_, node)| of(node)).map(|(_, node)| node.slot_count());
        counts.sum::<usize>()
    };
    let count = |of: fn(&Node) -> bool| nodes.iter().filter(|(_, node)| of(node)).count();
    let is_suspected = |node: &Node| node.health == Health::Suspected;
    let of_shard = nodes.my_primary().map_or(nodes.me(), |primary| nodes.at(primary));
    let state = if machine.state().is_ok() { "ok" } else { "fail" };
    let numbers = [
        ("cluster_slots_assigned", slots(|_| true)),
        ("cluster_slots_ok", slots(Node::is_fit)),
        ("cluster_slots_pfail", slots(is_suspected)),
        ("cluster_slots_fail", slots(Node::is_failed)),
        ("cluster_nodes_pfail", count(is_suspected)),
        ("cluster_nodes_fail", count(Node::is_failed)),
        ("cluster_voting_nodes_pfail", count(|n| n.is_voting() && n.health == Health::Suspected)),
        ("cluster_voting_nodes_fail", count(|node| node.is_voting() && node.is_failed())),
        ("cluster_known_nodes", nodes.len()),
        ("cluster_size", nodes.size()),
    ];
    let mut fields = vec![("cluster_state".to_string(), state.to_string())];
    let mut put = |name: &str, value: String| fields.push((name.to_string(), value));
    numbers.into_iter().for_each(|(name, number)| put(name, number.to_string()));
    put("cluster_current_epoch", machine.current_epoch().to_string());
    put("cluster_my_epoch", of_shard.config_epoch.to_string());
    let stats = machine.stats();
    for (way, counts) in [("sent", &stats.sent), ("received", &stats.received)] {
        for kind in Kind::ALL {
            if let Some(count) = counts.get(&kind) {
                put(&format!("cluster_stats_messages_{}_{way}", kind.name()), count.to_string());
            }
        }
        let all: u64 = counts.values().sum();
        put(&format!("cluster_stats_messages_{way}"), all.to_string());
    }
    let Bytes { total, pubsub } = bytes;
    for (name, way) in [("", total), ("pubsub_", pubsub), ("module_", Way::default())] {
        put(&format!("cluster_stats_{name}bytes_sent"), way.sent.to_string());
        put(&format!("cluster_stats_{name}bytes_received"), way.received.to_string());
    }
    put("total_cluster_links_buffer_limit_exceeded", stats.limits_exceeded.to_string());
    fields
}

/// What CLUSTER INFO answers.
pub fn text(machine: &Machine, bytes: Bytes) -> String {
    let lines = fields(machine, bytes).into_iter();
    lines.map(|(name, value)| format!("{name}:{value}\r\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::machine::bench::Bench;
    use crate::cluster::moment::Moment;

    #[test]
    fn it_has_the_fields_of_a_valkey_in_their_order() {
        let mut bench = Bench::of(
            "m replica a, a primary 4 0-99, b primary 5 100-299, c primary 6 300-599, e primary 7",
        );
        bench.node_mut('b').health = Health::Suspected;
        bench.node_mut('c').health = Health::Failed(Moment(0));
        let bytes = Bytes { total: Way { sent: 5, received: 6 }, pubsub: Way::default() };
        let text = text(&bench.machine, bytes);
        let expected = "cluster_state:fail\r\ncluster_slots_assigned:600\r\n\
                        cluster_slots_ok:100\r\ncluster_slots_pfail:200\r\n\
                        cluster_slots_fail:300\r\ncluster_nodes_pfail:1\r\n\
                        cluster_nodes_fail:1\r\ncluster_voting_nodes_pfail:1\r\n\
                        cluster_voting_nodes_fail:1\r\ncluster_known_nodes:5\r\n\
                        cluster_size:3\r\ncluster_current_epoch:7\r\ncluster_my_epoch:4\r\n\
                        cluster_stats_messages_ping_sent:";
        assert!(text.starts_with(expected), "{text}");
        assert!(!text.contains("auth-req"), "what never happened is left out");
        let end = "cluster_stats_bytes_sent:5\r\ncluster_stats_bytes_received:6\r\n\
                   cluster_stats_pubsub_bytes_sent:0\r\ncluster_stats_pubsub_bytes_received:0\r\n\
                   cluster_stats_module_bytes_sent:0\r\ncluster_stats_module_bytes_received:0\r\n\
                   total_cluster_links_buffer_limit_exceeded:0\r\n";
        assert!(text.ends_with(end), "{text}");
    }
}
