//! CLUSTER FLUSHSLOT, and what replicas of every kind do with what is sent of it.

use crate::nodes::{KEY, ask};
use crate::play;
use crate::servers::until;

/// Redis has no such command, but its replicas lose the keys, too.
const MIXES: &[&str] = &["kkkkkk", "kkkvvv", "vvvkkk", "kkkrrr"];

#[test]
fn a_slot_that_is_flushed_is_empty_on_the_replica_too() {
    play("slot flushed", MIXES, |cluster| {
        let (primary, replica) = (&cluster.nodes[0], &cluster.nodes[cluster.replica_of(0)]);
        let slot = ask(primary, &["CLUSTER", "KEYSLOT", KEY]);
        let count = |node| ask(node, &["CLUSTER", "COUNTKEYSINSLOT", &slot]);
        for number in 0..2000 {
            assert_eq!(ask(primary, &["SET", &format!("{KEY}{number}"), "value"]), "OK");
        }
        until(
            &format!("{}: written", cluster.mix),
            || count(replica) == "2000",
            || cluster.describe(),
        );
        assert_eq!(ask(primary, &["CLUSTER", "FLUSHSLOT", &slot]), "OK", "{}", cluster.mix);
        assert_eq!(count(primary), "0", "{}", cluster.mix);
        assert_eq!(ask(primary, &["SET", KEY, "again"]), "OK");
        until(
            &format!("{}: flushed", cluster.mix),
            || count(replica) == "1",
            || cluster.describe(),
        );
        let refused = ask(replica, &["CLUSTER", "FLUSHSLOT", &slot]);
        assert!(refused.starts_with('-'), "{}: {refused}", cluster.mix);
    });
}
