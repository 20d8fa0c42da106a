//! What is under way while slots and roles change.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::client::{Client, Reply};
use crate::nodes::{KEY, ask, start};
use crate::play;
use crate::processes::Server;
use crate::servers::{Ends, Kind, until};

/// Transactions that take a slot away and give it back.
const TRANSACTIONS: usize = 200;
/// Connections that write at the same time.
const WRITERS: usize = 4;

#[test]
fn an_exec_that_changes_slots_is_done_beside_writers() {
    let node = start(Kind::Keylane(3), &["--cluster-require-full-coverage", "no"]);
    assert_eq!(ask(&node, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
    let is_up = || ask(&node, &["CLUSTER", "INFO"]).contains("cluster_state:ok");
    until("the node serves", is_up, || node.output());
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (node, is_over) = (&node, &is_over);
            scope.spawn(move || write_until(node, writer, is_over));
        }
        // Writers end, too, if this fails.
        let _ends = Ends(&is_over);
        let mut client = node.client();
        (0..TRANSACTIONS).for_each(|_| take_away_and_give_back(&mut client));
    });
}

/// Writes keys of all slots.
fn write_until(node: &Server, writer: usize, is_over: &AtomicBool) {
    let mut client = node.client();
    for number in (0..100).cycle() {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("key:{writer}:{number}");
        match client.call(&["SET", &key, "value"]).expect("writers are answered") {
            Reply::Simple(text) if text == b"OK" => {}
            // Its slot is the one that is away.
            Reply::Error(text) if text == b"CLUSTERDOWN Hash slot not served" => {}
            other => panic!("{other:?}"),
        }
    }
}

fn take_away_and_give_back(client: &mut Client) {
    let commands = [
        &["SET", "b", "1"][..],
        &["CLUSTER", "DELSLOTS", "100"],
        &["SET", "b", "2"],
        &["SET", "b", "3"],
        &["CLUSTER", "ADDSLOTS", "100"],
    ];
    let ok = || Reply::Simple(b"OK".to_vec());
    assert_eq!(client.call(&["MULTI"]).expect("it is answered"), ok());
    for words in commands {
        let reply = client.call(words).expect("it is answered");
        assert_eq!(reply, Reply::Simple(b"QUEUED".to_vec()), "{words:?}");
    }
    let replies = client.call(&["EXEC"]).expect("it is done");
    assert_eq!(replies, Reply::Group('*', vec![ok(); commands.len()]));
}

#[test]
fn waits_for_replicas_end_when_the_primary_becomes_a_replica() {
    play("waits end", &["kkkkkk"], |cluster| {
        let replica = cluster.replica_of(0);
        let mut waiting = cluster.nodes[0].client();
        waiting.send(&["WAIT", "5", "0"]).expect("it takes a command");
        let waits = || ask(&cluster.nodes[0], &["INFO", "clients"]).contains("blocked_clients:1\r");
        until("it waits", waits, || cluster.describe());
        assert_eq!(ask(&cluster.nodes[replica], &["CLUSTER", "FAILOVER"]), "OK");
        match waiting.receive().expect("it is answered") {
            Reply::Error(text) if text.starts_with(b"UNBLOCKED ") => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_failover_waits_for_no_server_that_is_to_take_keys() {
    play("keys on their way", &["kkkkkk"], |cluster| {
        let replica = cluster.replica_of(0);
        assert_eq!(ask(&cluster.nodes[0], &["SET", KEY, "kept"]), "OK");
        // It takes connections, and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let port = silent.local_addr().expect("it has one").port().to_string();
        let mut client = cluster.nodes[0].client();
        client.send(&["MIGRATE", "127.0.0.1", &port, KEY, "0", "3600000"]).expect("it is taken");
        let is_sent = || ask(&cluster.nodes[0], &["INFO", "stats"]).contains("_sockets:1\r");
        until("the key is on its way", is_sent, || cluster.describe());
        let count = ["CLUSTER", "COUNTKEYSINSLOT", "0"];
        assert_eq!(ask(&cluster.nodes[0], &count), "1", "a key on its way is a key of its slot");
        assert_eq!(ask(&cluster.nodes[replica], &["CLUSTER", "FAILOVER"]), "OK");
        let changes = || cluster.is_primary(replica) && !cluster.is_primary(0);
        until("roles change", changes, || cluster.describe());
        match client.receive().expect("it is answered") {
            Reply::Error(text) if text.starts_with(b"IOERR ") => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(ask(&cluster.nodes[replica], &["GET", KEY]), "kept");
    });
}
