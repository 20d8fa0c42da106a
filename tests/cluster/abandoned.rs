//! Clients whose request the control thread keeps for as long as they like, and that go: nothing of
//! them stays.

use nix::sys::signal::Signal;

use crate::client::Client;
use crate::leaving::send_signal;
use crate::nodes::{ask, id, start};
use crate::play;
use crate::processes::Server;
use crate::servers::{Kind, info, until};

/// An hour in milliseconds.
const HOUR: &str = "3600000";

#[test]
fn a_client_that_waits_for_a_topology_may_go() {
    let node = start(Kind::Native(2), &["--cluster-topology", "external"]);
    assert_eq!(ask(&node, &["CLUSTERX", "SETNODEID", &"a".repeat(40)]), "OK");
    each_way_of_going(&node, &["CLUSTERX", "WAIT", "9", HOUR]);
}

#[test]
fn a_client_that_waits_for_replicas_to_know_of_a_slot_may_go() {
    play("SETSLOT of clients that go", &["kkkkkk"], |cluster| {
        let target = id(&cluster.nodes[1]);
        let replica = cluster.replica_of(0);
        send_signal(&cluster.nodes[replica], Signal::SIGSTOP);
        let words = ["CLUSTER", "SETSLOT", "5", "MIGRATING", &target, "TIMEOUT", HOUR];
        each_way_of_going(&cluster.nodes[0], &words);
        send_signal(&cluster.nodes[replica], Signal::SIGCONT);
        let lines = ask(&cluster.nodes[0], &["CLUSTER", "NODES"]);
        assert!(!lines.contains("[5->-"), "given up is not done: {lines}");
    });
}

/// What a client does that goes.
type Going = fn(&Server, Client);

fn each_way_of_going(node: &Server, words: &[&str]) {
    let ways: [(&str, Going); 3] = [
        ("it closes", |_, client| drop(client)),
        ("it closes its side", |_, mut client| {
            client.half_close().expect("it is open");
            assert!(client.receive().is_err(), "it is closed without a reply");
        }),
        ("it is killed", |node, mut client| {
            let listed = ask(node, &["CLIENT", "LIST", "FLAGS", "b"]);
            let id = listed.trim_start_matches("id=").split(' ').next().unwrap_or_default();
            assert_eq!(ask(node, &["CLIENT", "KILL", "ID", id]), "1", "{listed}");
            assert!(client.receive().is_err(), "it is closed without a reply");
        }),
    ];
    for (way, go) in ways {
        let mut client = node.client();
        client.send(words).expect("it is sent");
        until_count(node, way, "blocked_clients", 1);
        let listed = ask(node, &["CLIENT", "LIST", "FLAGS", "b"]);
        assert_eq!(listed.lines().count(), 1, "{way}: {listed}");
        go(node, client);
        until_count(node, way, "blocked_clients", 0);
        until_count(node, way, "connected_clients", 1);
    }
}

fn until_count(node: &Server, way: &str, field: &str, count: u64) {
    let shown = || info(node, "clients")[field].parse::<u64>().expect("it is a number");
    until(
        &format!("{way}: {field} is {count}"),
        || shown() == count,
        || ask(node, &["CLIENT", "LIST"]),
    );
}
