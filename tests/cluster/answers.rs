//! What CLUSTER replies to a node that knows no other: Keylane as Valkey.

use crate::nodes::{ask, start};
use crate::servers::Kind;

/// What is said of words behind SLOT-STATS that mean nothing.
const SLOT_STATS_WORDS: &str =
    "-ERR unknown subcommand or wrong number of arguments for 'SLOT-STATS'. Try CLUSTER HELP.";

/// Commands and replies, in their order. `*` at the end of a reply stands for the rest of it.
const TALK: &[(&str, &str)] = &[
    ("CLUSTER foo", "-ERR unknown subcommand 'foo'. Try CLUSTER HELP."),
    ("CLUSTER ADDSLOTS", "-ERR wrong number of arguments for 'cluster|addslots' command"),
    ("CLUSTER ADDSLOTS x", "-ERR Invalid or out of range slot"),
    ("CLUSTER ADDSLOTS 16384", "-ERR Invalid or out of range slot"),
    ("CLUSTER ADDSLOTS 1 2 1", "-ERR Slot 1 specified multiple times"),
    ("CLUSTER ADDSLOTS 1 2", "OK"),
    ("CLUSTER ADDSLOTS 2 3", "-ERR Slot 2 is already busy"),
    ("CLUSTER DELSLOTS 5", "-ERR Slot 5 is already unassigned"),
    ("CLUSTER DELSLOTS 2", "OK"),
    (
        "CLUSTER ADDSLOTSRANGE 5",
        "-ERR wrong number of arguments for 'cluster|addslotsrange' command",
    ),
    (
        "CLUSTER ADDSLOTSRANGE 5 6 7",
        "-ERR wrong number of arguments for 'cluster|addslotsrange' command",
    ),
    ("CLUSTER ADDSLOTSRANGE 5 3", "-ERR start slot number 5 is greater than end slot number 3"),
    ("CLUSTER ADDSLOTSRANGE 5 6 10 20", "OK"),
    ("CLUSTER DELSLOTSRANGE 5 5 11 12", "OK"),
    ("CLUSTER FLUSHSLOT", "-ERR wrong number of arguments for 'cluster|flushslot' command"),
    (
        "CLUSTER FLUSHSLOT 1 SYNC x",
        "-ERR unknown subcommand or wrong number of arguments for 'FLUSHSLOT'. Try CLUSTER HELP.",
    ),
    ("CLUSTER FLUSHSLOT x", "-ERR Invalid or out of range slot"),
    ("CLUSTER FLUSHSLOT 16384 x", "-ERR Invalid or out of range slot"),
    ("CLUSTER FLUSHSLOT 1 x", "-ERR syntax error"),
    ("CLUSTER FLUSHSLOT 1", "OK"),
    ("CLUSTER FLUSHSLOT 1 async", "OK"),
    ("CLUSTER FLUSHSLOT 1 SYNC", "OK"),
    ("CLUSTER FLUSHSLOTS x", "-ERR wrong number of arguments for 'cluster|flushslots' command"),
    ("CLUSTER FLUSHSLOTS", "OK"),
    ("CLUSTER COUNTKEYSINSLOT x", "-ERR value is not an integer or out of range"),
    ("CLUSTER COUNTKEYSINSLOT 16384", "-ERR Invalid slot"),
    ("CLUSTER COUNTKEYSINSLOT 1", "0"),
    ("CLUSTER GETKEYSINSLOT 1 x", "-ERR value is not an integer or out of range"),
    ("CLUSTER GETKEYSINSLOT 1 -1", "-ERR Invalid slot or number of keys"),
    ("CLUSTER GETKEYSINSLOT 16384 1", "-ERR Invalid slot or number of keys"),
    ("CLUSTER COUNT-FAILURE-REPORTS x", "-ERR Unknown node x"),
    ("CLUSTER REPLICAS x", "-ERR Unknown node x"),
    ("CLUSTER FORGET x", "-ERR Unknown node x"),
    ("CLUSTER REPLICATE x", "-ERR Unknown node x"),
    (
        "CLUSTER REPLICATE x y",
        "-ERR unknown subcommand or wrong number of arguments for 'REPLICATE'. Try CLUSTER HELP.",
    ),
    ("CLUSTER REPLICATE NO ONE", "OK"),
    ("CLUSTER MEET 127.0.0.1 x", "-ERR Invalid base port specified: x"),
    ("CLUSTER MEET 127.0.0.1 70000", "-ERR Port number is out of range"),
    ("CLUSTER MEET 127.0.0.1 60000", "-ERR Cluster bus port number is out of range"),
    ("CLUSTER MEET 127.0.0.1 1 x", "-ERR Invalid bus port specified: x"),
    ("CLUSTER MEET 127.0.0.1 1 99999", "-ERR Cluster bus port number is out of range"),
    ("CLUSTER MEET foo 7802", "-ERR Invalid node address specified: foo:7802"),
    ("CLUSTER SETSLOT x STABLE", "-ERR Invalid or out of range slot"),
    ("CLUSTER SETSLOT 1 STABLE", "OK"),
    (
        "CLUSTER SETSLOT 1 foo",
        "-ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP",
    ),
    ("CLUSTER SETSLOT 1 STABLE a", "OK"),
    ("CLUSTER SETSLOT 1 MIGRATING x", "-ERR I'm not the owner of hash slot 1"),
    ("CLUSTER SETSLOT 1 IMPORTING x", "-ERR I don't know about node x"),
    ("CLUSTER SETSLOT 1 NODE x", "-ERR Unknown node x"),
    ("CLUSTER FAILOVER foo", "-ERR syntax error"),
    ("CLUSTER FAILOVER", "-ERR You should send CLUSTER FAILOVER to a replica"),
    ("CLUSTER SET-CONFIG-EPOCH x", "-ERR value is not an integer or out of range"),
    ("CLUSTER SET-CONFIG-EPOCH -1", "-ERR Invalid config epoch specified: -1"),
    ("CLUSTER SET-CONFIG-EPOCH 5", "OK"),
    ("CLUSTER SET-CONFIG-EPOCH 6", "-ERR Node config epoch is already non-zero"),
    ("CLUSTER BUMPEPOCH", "STILL 5"),
    ("CLUSTER SAVECONFIG", "OK"),
    ("CLUSTER RESET foo", "-ERR syntax error"),
    (
        "CLUSTER RESET HARD SOFT",
        "-ERR unknown subcommand or wrong number of arguments for 'RESET'. Try CLUSTER HELP.",
    ),
    (
        "CLUSTER SLOT-STATS SLOTSRANGE",
        "-ERR wrong number of arguments for 'cluster|slot-stats' command",
    ),
    ("CLUSTER SLOT-STATS SLOTSRANGE 1", SLOT_STATS_WORDS),
    ("CLUSTER SLOT-STATS SLOTSRANGE 1 2 3", SLOT_STATS_WORDS),
    ("CLUSTER SLOT-STATS foo 1 2", SLOT_STATS_WORDS),
    ("CLUSTER SLOT-STATS SLOTSRANGE 1 16384", "-ERR Invalid or out of range slot"),
    ("CLUSTER SLOT-STATS SLOTSRANGE x 2", "-ERR Invalid or out of range slot"),
    (
        "CLUSTER SLOT-STATS SLOTSRANGE 5 3",
        "-ERR Start slot number 5 is greater than end slot number 3",
    ),
    ("CLUSTER SLOT-STATS SLOTSRANGE 1 2", "Group('*', [])"),
    ("CLUSTER SLOT-STATS ORDERBY foo", "-ERR Unrecognized sort metric for ORDERBY."),
    ("CLUSTER SLOT-STATS ORDERBY cpu-usec", "-ERR Unrecognized sort metric for ORDERBY."),
    (
        "CLUSTER SLOT-STATS ORDERBY key-count LIMIT 0",
        "-ERR Limit has to lie in between 1 and 16384 (maximum number of slots).",
    ),
    (
        "CLUSTER SLOT-STATS ORDERBY key-count ASC DESC",
        "-ERR Multiple filters of the same type are disallowed.",
    ),
    ("CLUSTER SLOT-STATS ORDERBY key-count LIMIT", "-ERR syntax error"),
    ("CLUSTERSCAN", "-ERR wrong number of arguments for 'clusterscan' command"),
    ("CLUSTERSCAN 0", "-CLUSTERDOWN Hash slot not served"),
    ("CLUSTER KEYSLOT foo", "12182"),
    ("CLUSTER SLOTS", "Group('*', [])"),
    ("CLUSTER LINKS", "Group('*', [])"),
    ("REPLICAOF 127.0.0.1 1", "-ERR REPLICAOF not allowed in cluster mode."),
    (
        "FAILOVER",
        "-ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead.",
    ),
    ("INFO cluster", "# Cluster\r\ncluster_enabled:1\r\n*"),
    ("INFO cluster_info", "# Cluster Info\r\ncluster_state:fail\r\ncluster_slots_assigned:0\r\n*"),
    ("CLUSTER INFO", "cluster_state:fail\r\ncluster_slots_assigned:0\r\n*"),
];

#[test]
fn replies_are_valkeys() {
    for kind in [Kind::Keylane(2), Kind::Valkey91] {
        if kind.program().is_none() {
            continue;
        }
        let node = start(kind, &[]);
        for (command, expected) in TALK {
            let words: Vec<&str> = command.split(' ').collect();
            let reply = ask(&node, &words);
            let is_right = match expected.strip_suffix('*') {
                Some(begin) => reply.starts_with(begin),
                None => reply == *expected,
            };
            assert!(is_right, "{}: {command}: {reply:?}, not {expected:?}", node.name);
        }
        let myself = ask(&node, &["CLUSTER", "MYID"]);
        let forget = ask(&node, &["CLUSTER", "FORGET", &myself]);
        assert_eq!(forget, "-ERR I tried hard but I can't forget myself...");
        let replicate = ask(&node, &["CLUSTER", "REPLICATE", &myself]);
        assert_eq!(replicate, "-ERR Can't replicate myself");
        let owner = ask(&node, &["CLUSTER", "SETSLOT", "1", "NODE", &myself]);
        assert_eq!(owner, "OK");
        let migrating = ask(&node, &["CLUSTER", "SETSLOT", "1", "MIGRATING", &myself]);
        assert_eq!(migrating, "-ERR Target node is myself");
        let importing = ask(&node, &["CLUSTER", "SETSLOT", "1", "IMPORTING", &myself]);
        assert_eq!(importing, "-ERR I'm already the owner of hash slot 1");
    }
}

#[test]
fn a_primary_with_slots_does_not_end_if_that_is_to_be_safe() {
    for kind in [Kind::Keylane(2), Kind::Valkey91] {
        if kind.program().is_none() {
            continue;
        }
        let node = start(kind, &[]);
        assert_eq!(ask(&node, &["CLUSTER", "ADDSLOTS", "1"]), "OK");
        let refused = "-ERR Errors trying to SHUTDOWN. Check logs.";
        assert_eq!(ask(&node, &["SHUTDOWN", "SAFE"]), refused, "{}", node.name);
        assert_eq!(ask(&node, &["PING"]), "PONG", "{}", node.name);
    }
}
