//! A replica that CLUSTER FORGET has removed, and that does not hear of it: its former primary cuts
//! its link, and does not let it in again. All nodes that agree say the same of their topology.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;

use crate::leaving::send_signal;
use crate::nodes::{ask, id};
use crate::play;
use crate::processes::Server;
use crate::servers::{now, until};

/// Milliseconds within which the link is cut, and what a busy machine may need to see it.
const CUT_MILLIS: u128 = 1_000 + 1_000;

fn field(node: &Server, name: &str) -> String {
    let text = ask(node, &["CLUSTER", "INFO"]);
    let start = format!("{name}:");
    text.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_default().to_owned()
}

#[test]
fn a_replica_that_was_forgotten_is_cut_and_not_let_in_again() {
    play("forgotten", &["kkkkkk"], |cluster| {
        let agree = || {
            let say = |name| cluster.running().map(|node| field(node, name)).collect();
            let hashes: BTreeSet<String> = say("topology_hash");
            let states: BTreeSet<String> = say("reconcile_state");
            hashes.len() == 1 && states == BTreeSet::from(["in_sync".to_owned()])
        };
        until("they agree, and replicate so", agree, || cluster.describe());
        let before = field(&cluster.nodes[0], "topology_hash");
        let replica = cluster.replica_of(0);
        let gone = id(&cluster.nodes[replica]);
        send_signal(&cluster.nodes[replica], Signal::SIGSTOP);
        let others = || cluster.nodes.iter().enumerate().filter(|(at, _)| *at != replica);
        let began = now();
        for (_, node) in others() {
            // The one before may have told it.
            let reply = ask(node, &["CLUSTER", "FORGET", &gone]);
            assert!(reply == "OK" || reply.starts_with("-ERR Unknown node"), "{reply}");
        }
        let primary = &cluster.nodes[0];
        let is_cut = || ask(primary, &["INFO", "replication"]).contains("connected_slaves:0");
        until("its link is cut", is_cut, || cluster.describe());
        let took = began.elapsed();
        assert!(took.as_millis() < CUT_MILLIS, "{took:?}: {}", primary.output());
        assert_eq!(field(primary, "orphaned_links"), "0");
        assert_ne!(field(primary, "topology_hash"), before);
        assert_eq!(field(primary, "reconcile_state"), "in_sync");

        send_signal(&cluster.nodes[replica], Signal::SIGCONT);
        let former = &cluster.nodes[replica];
        let is_refused = || field(former, "reconcile_last_error").contains("is no replica of");
        until("it is not let in again", is_refused, || former.output());
        assert_eq!(field(former, "reconcile_state"), "failed");
        assert!(is_cut(), "{}", primary.output());
    });
}
