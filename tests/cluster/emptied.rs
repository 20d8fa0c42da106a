//! A primary comes back without its data, at once: too soon for its replica to be elected.

use crate::nodes::{KEY, ask, id};
use crate::play;
use crate::servers::until;

#[test]
fn a_primary_that_comes_back_empty_yields_to_its_replica() {
    // The replicas are of both kinds: they are asked as clients ask.
    play("a primary comes back empty", &["kkkkkk", "kkkvvv"], |cluster| {
        let replica = cluster.replica_of(0);
        assert_eq!(ask(&cluster.nodes[0], &["SET", KEY, "kept"]), "OK");
        let has_it = || ask(&cluster.nodes[replica], &["DBSIZE"]) == "1";
        until("the replica has the key", has_it, || cluster.describe());
        // No snapshot was ever written.
        cluster.nodes[0].kill();
        cluster.nodes[0].start_again();
        let takes_over = || cluster.is_primary(replica) && !cluster.is_primary(0);
        until("the replica has taken over", takes_over, || cluster.describe());
        let (heir, former) = (id(&cluster.nodes[replica]), id(&cluster.nodes[0]));
        cluster.until_all_agree("the replica has taken over", |lines| {
            let node = lines.iter().find(|line| line.id == former);
            node.is_some_and(|node| node.primary == heir && node.slots.is_empty())
        });
        assert_eq!(ask(&cluster.nodes[replica], &["GET", KEY]), "kept", "{}", cluster.mix);
        cluster.until_replicas_are_online();
        assert_eq!(ask(&cluster.nodes[0], &["DBSIZE"]), "1", "{}", cluster.mix);
    });
}
