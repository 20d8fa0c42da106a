//! A node that was reset stays outside of its former cluster, though all other nodes still know it,
//! until it is met again.

use crate::nodes::{Cluster, ask, id, meet};
use crate::play;
use crate::processes::Server;
use crate::servers::until;

/// The node that is reset: a Keylane, and a replica. Its peers are of both kinds.
const NODE: usize = 4;
const MIXES: &[&str] = &["kvkvkv"];

#[test]
fn a_node_that_was_reset_stays_out_until_it_is_met() {
    play("reset, and known to others", MIXES, |cluster| {
        let former = id(&cluster.nodes[NODE]);
        stays_out_after_a_soft_reset(cluster, &former);
        stays_out_after_a_hard_reset(cluster, &former);
        meet(&cluster.nodes[1], &cluster.nodes[NODE]);
        until("it is a node of the cluster again", || all_connect(cluster), || cluster.describe());
    });
}

fn peers(cluster: &Cluster) -> impl Iterator<Item = &Server> {
    let others = cluster.nodes.iter().enumerate().filter(|(place, _)| *place != NODE);
    others.map(|(_, node)| node)
}

/// Its id stays, so peers go on speaking to it, and want it to connect to them.
fn stays_out_after_a_soft_reset(cluster: &Cluster, former: &str) {
    let node = &cluster.nodes[NODE];
    assert_eq!(ask(node, &["CLUSTER", "RESET", "SOFT"]), "OK");
    // It begins a cluster of its own.
    assert_eq!(ask(node, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
    let text = format!("Sending MEET packet to node {former}");
    for peer in peers(cluster) {
        let wants_it = || 2 <= peer.output().matches(&text).count();
        until(&format!("{} wants it back", peer.name), wants_it, || cluster.describe());
    }
    assert_eq!(known(node), "cluster_known_nodes:1");
    for peer in peers(cluster) {
        let lines = ask(peer, &["CLUSTER", "NODES"]);
        let line = lines.lines().find(|line| line.starts_with(former)).expect("it is known");
        assert!(line.ends_with(" connected"), "{}: it has no slots here: {line}", peer.name);
    }
    assert_eq!(ask(node, &["CLUSTER", "FLUSHSLOTS"]), "OK");
}

/// Its id is another one, so peers find another node at its address.
fn stays_out_after_a_hard_reset(cluster: &Cluster, former: &str) {
    let node = &cluster.nodes[NODE];
    assert_eq!(ask(node, &["CLUSTER", "RESET", "HARD"]), "OK");
    let name = id(node);
    for peer in peers(cluster) {
        let is_gone = || {
            let lines = ask(peer, &["CLUSTER", "NODES"]);
            let line = lines.lines().find(|line| line.starts_with(former));
            line.is_none_or(|line| line.contains("noaddr") || line.contains("fail"))
        };
        until(&format!("{} misses it", peer.name), is_gone, || cluster.describe());
        assert!(!ask(peer, &["CLUSTER", "NODES"]).contains(&name), "{}", peer.name);
    }
    assert_eq!(known(node), "cluster_known_nodes:1");
}

fn known(node: &Server) -> String {
    let info = ask(node, &["CLUSTER", "INFO"]);
    let line = info.lines().find(|line| line.starts_with("cluster_known_nodes:"));
    line.expect("it says so").to_owned()
}

/// Whether all nodes have links to all. The id that one had before it was reset may be known still,
/// without an address, as in a cluster of Valkeys: until an operator has it forgotten.
fn all_connect(cluster: &Cluster) -> bool {
    let ids: Vec<String> = cluster.nodes.iter().map(id).collect();
    cluster.nodes.iter().all(|node| {
        let lines = ask(node, &["CLUSTER", "NODES"]);
        ids.iter().all(|id| {
            let line = lines.lines().find(|line| line.starts_with(id.as_str()));
            line.is_some_and(|line| line.contains(" connected") && !line.contains("noaddr"))
        })
    })
}
