//! A primary comes back without its data, at once: too soon for its replica to be elected.

use std::fs;

use crate::nodes::{Cluster, KEY, ask, id};
use crate::play_with;
use crate::servers::until;

/// The primary yields for twice as long.
const OPTIONS: [&str; 2] = ["--cluster-node-timeout", "5000"];
/// A key of a slot of the second primary.
const OTHER_KEY: &str = "c";

#[test]
fn a_primary_that_comes_back_empty_yields_to_its_replica() {
    // The replicas are of both kinds: they are asked as clients ask.
    play_with("a primary comes back empty", &["kkkkkk", "kkkvvv"], &OPTIONS, |cluster| {
        let replica = lose_data(cluster, 0, KEY);
        check_taken_over(cluster, replica);
    });
}

#[test]
fn a_replica_keeps_its_data_when_a_stock_primary_comes_back_empty() {
    play_with("a stock primary comes back empty", &["vvvkkk", "rrrkkk"], &OPTIONS, |cluster| {
        let replica = lose_data(cluster, 0, KEY);
        check_taken_over(cluster, replica);

        // If it is so configured, it follows its primary whatever that has.
        let other = cluster.replica_of(1);
        let set = ["CONFIG", "SET", "cluster-empty-restart", "serve"];
        assert_eq!(ask(&cluster.nodes[other], &set), "OK");
        assert_eq!(lose_data(cluster, 1, OTHER_KEY), other);
        let is_empty = || ask(&cluster.nodes[other], &["DBSIZE"]) == "0";
        until("the other replica is empty, too", is_empty, || cluster.describe());
        assert!(!cluster.is_primary(other), "{}", cluster.mix);
    });
}

#[test]
fn a_replica_keeps_its_data_when_its_primary_comes_back_with_an_older_snapshot() {
    play_with("an older snapshot", &["kkkkkk"], &OPTIONS, |cluster| {
        let older = format!("{KEY}:older");
        let words: [(&[&str], &str); 3] =
            [(&["SET", &older, "gone"], "OK"), (&["SAVE"], "OK"), (&["DEL", &older], "1")];
        for (words, expected) in words {
            assert_eq!(ask(&cluster.nodes[0], words), expected, "{words:?}");
        }
        let replica = cluster.replica_of(0);
        let is_gone = || ask(&cluster.nodes[replica], &["DBSIZE"]) == "0";
        until("the replica has nothing older", is_gone, || cluster.describe());
        let replica = lose_data(cluster, 0, KEY);
        check_taken_over(cluster, replica);
    });
}

/// Has a primary come back without this key of its, which its replica has. Where that is.
fn lose_data(cluster: &mut Cluster, primary: usize, key: &str) -> usize {
    let replica = cluster.replica_of(primary);
    let node = &cluster.nodes[primary];
    // Which replica it has it knows of its file.
    let (file, name) = (node.folder().join("nodes.conf"), id(node));
    let replicates = format!(" slave {name} ");
    let is_saved = || fs::read_to_string(&file).is_ok_and(|text| text.contains(&replicates));
    until("the primary remembers its replica", is_saved, || cluster.describe());
    assert_eq!(ask(node, &["SET", key, "kept"]), "OK");
    let has_it = || ask(&cluster.nodes[replica], &["DBSIZE"]) == "1";
    until("the replica has the key", has_it, || cluster.describe());
    // No snapshot was written since.
    cluster.nodes[primary].kill();
    cluster.nodes[primary].start_again();
    replica
}

/// The replica of the first node becomes the primary, and the first node gets its data.
fn check_taken_over(cluster: &Cluster, replica: usize) {
    let former = id(&cluster.nodes[0]);
    let takes_over = || cluster.is_primary(replica) && !cluster.is_primary(0);
    until("the replica has taken over", takes_over, || cluster.describe());
    let heir = id(&cluster.nodes[replica]);
    cluster.until_all_agree("the replica has taken over", |lines| {
        let node = lines.iter().find(|line| line.id == former);
        node.is_some_and(|node| node.primary == heir && node.slots.is_empty())
    });
    assert_eq!(ask(&cluster.nodes[replica], &["GET", KEY]), "kept", "{}", cluster.mix);
    cluster.until_replicas_are_online();
    assert_eq!(ask(&cluster.nodes[0], &["DBSIZE"]), "1", "{}", cluster.mix);
}
