//! Nodes come to know each other, and are forgotten.

use std::time::Duration;

use crate::nodes::{ask, id, start, tool};
use crate::servers::{Kind, until};
use crate::{MIXES, play};

#[test]
fn the_tool_makes_a_cluster_of_every_mix() {
    play("made by the tool", MIXES, |cluster| {
        for node in &cluster.nodes {
            let said = tool(&["check", &node.addr]);
            let is_fine = said.contains("[OK] All nodes agree about slots configuration.")
                && said.contains("[OK] All 16384 slots covered.");
            assert!(is_fine, "{}: {said}", cluster.mix);
        }
    });
}

#[test]
fn a_node_that_is_forgotten_stays_forgotten() {
    play("forgotten", &["kkkkkk", "kkkvvv", "vvvkkk"], |cluster| {
        let gone = cluster.replica_of(0);
        let name = id(&cluster.nodes[gone]);
        if cluster.mix.contains(['v', '8']) {
            // A Valkey takes in each node that sends MEET, also one that it was told to forget.
            cluster.nodes[gone].kill();
        }
        let others = || cluster.nodes.iter().enumerate().filter(|(place, _)| *place != gone);
        for (_, node) in others() {
            assert_eq!(ask(node, &["CLUSTER", "FORGET", &name]), "OK", "{}", cluster.mix);
        }
        // No round of gossip takes so long, nor does a node wait so long until it sends MEET.
        for _ in 0..40 {
            std::thread::park_timeout(Duration::from_millis(100));
            for (_, node) in others() {
                let nodes = ask(node, &["CLUSTER", "NODES"]);
                assert!(!nodes.contains(&name), "{}: {} has\n{nodes}", cluster.mix, node.name);
            }
        }
    });
}

#[test]
fn a_node_is_reset() {
    let node = start(Kind::Keylane(2), &[]);
    assert_eq!(ask(&node, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
    until(
        "the node serves alone",
        || ask(&node, &["CLUSTER", "INFO"]).contains("cluster_state:ok"),
        || node.output(),
    );
    let (name, shard) = (id(&node), ask(&node, &["CLUSTER", "MYSHARDID"]));
    assert_eq!(ask(&node, &["SET", "a", "1"]), "OK");
    let refused = "-ERR CLUSTER RESET can't be called with master nodes containing keys";
    assert_eq!(ask(&node, &["CLUSTER", "RESET"]), refused);
    assert_eq!(ask(&node, &["FLUSHALL"]), "OK");
    assert_eq!(ask(&node, &["CLUSTER", "RESET"]), "OK");
    assert_eq!(id(&node), name);
    assert_ne!(ask(&node, &["CLUSTER", "MYSHARDID"]), shard);
    assert!(ask(&node, &["CLUSTER", "INFO"]).contains("cluster_slots_assigned:0"));
    assert_eq!(ask(&node, &["CLUSTER", "RESET", "HARD"]), "OK");
    assert_ne!(id(&node), name);
}
