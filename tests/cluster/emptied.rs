//! A primary comes back without its data, at once: too soon for its replica to be elected.

use std::fs;

use crate::nodes::{KEY, ask, id};
use crate::play_with;
use crate::servers::until;

/// The primary yields for twice as long.
const OPTIONS: [&str; 2] = ["--cluster-node-timeout", "5000"];

#[test]
fn a_primary_that_comes_back_empty_yields_to_its_replica() {
    // The replicas are of both kinds: they are asked as clients ask.
    play_with("a primary comes back empty", &["kkkkkk", "kkkvvv"], &OPTIONS, |cluster| {
        let replica = cluster.replica_of(0);
        // What it is not to lose it knows of its file.
        let (file, former) = (cluster.nodes[0].folder().join("nodes.conf"), id(&cluster.nodes[0]));
        let replicates = format!(" slave {former} ");
        let is_saved = || fs::read_to_string(&file).is_ok_and(|text| text.contains(&replicates));
        until("the primary remembers its replica", is_saved, || cluster.describe());
        assert_eq!(ask(&cluster.nodes[0], &["SET", KEY, "kept"]), "OK");
        let has_it = || ask(&cluster.nodes[replica], &["DBSIZE"]) == "1";
        until("the replica has the key", has_it, || cluster.describe());
        // No snapshot was ever written.
        cluster.nodes[0].kill();
        cluster.nodes[0].start_again();
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
    });
}
