//! Slots go from node to node by the tool's hand: `reshard`, `rebalance`, `fix`, `add-node`,
//! `del-node`, `import`, `call`. The nodes are Keylanes, Valkeys, or both.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::client::Reply;
use crate::nodes::{Cluster, ask, id, start, tool};
use crate::play_with;
use crate::processes::Server;
use crate::routed::Routed;
use crate::servers::{Ends, Kind, until};

/// Who takes part in a reshard.
const MIXES: &[&str] = &["kkkkkk", "kvkvkv", "vkvkvk"];
/// No node is taken for dead on a busy machine.
const CALM: &[&str] = &["--cluster-node-timeout", "20000"];
/// Clients that write while slots move.
const WRITERS: usize = 3;
/// Keys of each of them.
const KEYS: usize = 400;

/// What a writer was told of its keys.
#[derive(Default)]
struct Written {
    /// The last value that was acknowledged.
    acknowledged: BTreeMap<String, u64>,
    /// The last value that was sent.
    sent: BTreeMap<String, u64>,
}

#[test]
fn no_acknowledged_write_is_lost_while_slots_move() {
    play_with("resharded under writers", MIXES, CALM, |cluster| {
        let is_over = AtomicBool::new(false);
        let written = thread::scope(|scope| {
            let cluster = &*cluster;
            let is_over = &is_over;
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| scope.spawn(move || write_until(cluster, writer, is_over)))
                .collect();
            let watcher = scope.spawn(move || watch_owners(cluster, is_over));
            let ends = Ends(is_over);
            move_slots(cluster);
            drop(ends);
            watcher.join().expect("no slot has two owners");
            writers.into_iter().map(|writer| writer.join().expect("writers are answered")).collect()
        });
        check_all_there(cluster, written);
        let said = tool(&["check", &cluster.nodes[0].addr]);
        assert!(is_fine(&said), "{}: {said}", cluster.mix);
        cluster.until_all_agree("resharded", |lines| {
            lines.iter().all(|line| line.slots.iter().all(|slots| !slots.contains('[')))
        });
    });
}

/// Has slots go to and fro.
fn move_slots(cluster: &Cluster) {
    let ids: Vec<String> = cluster.nodes.iter().map(id).collect();
    for (from, to, count) in [(0, 1, "120"), (1, 2, "80"), (2, 0, "40")] {
        let said = tool(&[
            "reshard",
            &cluster.nodes[0].addr,
            "--cluster-from",
            &ids[from],
            "--cluster-to",
            &ids[to],
            "--cluster-slots",
            count,
            "--cluster-yes",
        ]);
        let is_wrong = said.contains("[ERR]") || said.contains("failed") || said.contains("IOERR");
        assert!(!is_wrong, "{}: {said}", cluster.mix);
        until_ready(cluster);
    }
    let said = tool(&["rebalance", &cluster.nodes[1].addr, "--cluster-threshold", "1"]);
    assert!(!said.contains("[ERR]") && !said.contains("failed"), "{}: {said}", cluster.mix);
    until_ready(cluster);
}

/// The tool refuses to begin as long as nodes do not agree.
fn until_ready(cluster: &Cluster) {
    let agree = || is_fine(&tool(&["check", &cluster.nodes[0].addr]));
    until(&format!("{}: the tool agrees", cluster.mix), agree, || cluster.describe());
}

fn is_fine(said: &str) -> bool {
    said.contains("[OK] All nodes agree about slots configuration.")
        && said.contains("[OK] All 16384 slots covered.")
        && !said.contains("[WARNING]")
}

/// Writes the same keys again and again, each time with the next number.
fn write_until(cluster: &Cluster, writer: usize, is_over: &AtomicBool) -> Written {
    let mut client = Routed::new(cluster);
    let mut written = Written::default();
    for number in 1.. {
        for key in 0..KEYS {
            if is_over.load(Ordering::Relaxed) {
                return written;
            }
            let key = format!("key:{writer}:{key}");
            written.sent.insert(key.clone(), number);
            match client.call(&key, &["SET", &key, &number.to_string()]) {
                Reply::Simple(text) if text == b"OK" => {
                    written.acknowledged.insert(key, number);
                }
                other => panic!("{key}: {other:?}"),
            }
        }
    }
    written
}

fn check_all_there(cluster: &Cluster, written: Vec<Written>) {
    let mut client = Routed::new(cluster);
    let mut count = 0;
    for Written { acknowledged, sent } in written {
        for (key, number) in acknowledged {
            let reply = client.call(&key, &["GET", &key]);
            let Reply::Bulk(text) = &reply else { panic!("{}: {key}: {reply:?}", cluster.mix) };
            let found: u64 = String::from_utf8_lossy(text).parse().expect("a number was written");
            let is_there = (number..=sent[&key]).contains(&found);
            assert!(is_there, "{}: {key} is {found}, {number} was acknowledged", cluster.mix);
            count += 1;
        }
    }
    assert!(WRITERS * KEYS / 2 < count, "{}: only {count} keys were written", cluster.mix);
}

/// Looks what nodes say of themselves: a slot has one owner in each epoch.
fn watch_owners(cluster: &Cluster, is_over: &AtomicBool) {
    let mut owners: BTreeMap<(u16, u64), String> = BTreeMap::new();
    while !is_over.load(Ordering::Relaxed) {
        for node in &cluster.nodes {
            let text = ask(node, &["CLUSTER", "NODES"]);
            let own = text.lines().find(|line| line.contains("myself")).expect("it knows itself");
            let fields: Vec<&str> = own.split(' ').collect();
            let epoch: u64 = fields[6].parse().expect("an epoch is a number");
            for slots in fields[8..].iter().filter(|slots| !slots.starts_with('[')) {
                let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
                let slot = |text: &str| text.parse::<u16>().expect("a slot is a number");
                for slot in slot(first)..=slot(last) {
                    let owner = owners.entry((slot, epoch)).or_insert_with(|| fields[0].to_owned());
                    assert_eq!(owner, fields[0], "{}: slot {slot}, epoch {epoch}", cluster.mix);
                }
            }
        }
    }
}

#[test]
fn nodes_join_take_slots_and_leave() {
    for kinds in [[Kind::Keylane(3); 4], mixed()] {
        if kinds.iter().any(|kind| kind.program().is_none()) {
            crate::say("nodes join and leave: NOT PLAYED with Valkeys for want of one");
            continue;
        }
        let nodes: Vec<Server> = kinds.iter().map(|kind| start(*kind, CALM)).collect();
        let addresses: Vec<&str> = nodes[..3].iter().map(|node| node.addr.as_str()).collect();
        let said = tool(&[&["create"], &addresses[..], &["--cluster-yes"]].concat());
        assert!(said.contains("[OK] All 16384 slots covered."), "{said}");
        let name = nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(" ");
        let cluster = Cluster { mix: name, nodes };
        let first = &cluster.nodes[0].addr;
        let members = |count: usize| {
            cluster.until_all_agree_of(count, &format!("{count} nodes"));
            until_ready(&cluster);
        };
        let mut client = Routed::new(&cluster);
        for number in 0..1000 {
            let key = format!("key:{number}");
            client.call(&key, &["SET", &key, &number.to_string()]);
        }
        let all_there = |what: &str| {
            let mut client = Routed::new(&cluster);
            for number in 0..1000 {
                let key = format!("key:{number}");
                let reply = client.call(&key, &["GET", &key]);
                let value = Reply::Bulk(number.to_string().into_bytes());
                assert_eq!(reply, value, "{}: {what}: {key}", cluster.mix);
            }
        };
        members(3);
        let said = tool(&["add-node", &cluster.nodes[3].addr, first]);
        assert!(said.contains("[OK] New node added correctly."), "{said}");
        members(4);
        let gone = id(&cluster.nodes[3]);
        let words = ["reshard", first, "--cluster-from", "all", "--cluster-to", gone.as_str()];
        let said = tool(&[&words[..], &["--cluster-slots", "120", "--cluster-yes"]].concat());
        assert!(!said.contains("[ERR]") && !said.contains("failed"), "{said}");
        members(4);
        assert_ne!(ask(&cluster.nodes[3], &["DBSIZE"]), "0", "it has its part of the keys");
        all_there("the new node has slots");

        let weight = format!("{gone}=0");
        let words = ["rebalance", first, "--cluster-weight", weight.as_str()];
        let said = tool(&[&words[..], &["--cluster-threshold", "1"]].concat());
        assert!(!said.contains("[ERR]") && !said.contains("failed"), "{said}");
        // It follows the node that took its last slot.
        members(4);
        let said = tool(&["del-node", first, &gone]);
        assert!(!said.contains("[ERR]"), "{said}");
        cluster.until_forgotten(&gone);
        all_there("the node has left");
        let said = tool(&["info", first]);
        assert!(said.contains("[OK] 1000 keys in 3 "), "{said}");
        let said = tool(&["call", first, "DBSIZE"]);
        assert_eq!(said.matches("127.0.0.1:").count(), 3, "{said}");
    }
}

fn mixed() -> [Kind; 4] {
    [Kind::Keylane(2), Kind::Valkey91, Kind::Valkey91, Kind::Keylane(3)]
}

#[test]
fn a_move_that_was_broken_off_is_repaired() {
    play_with("repaired", MIXES, CALM, |cluster| {
        let (from, to) = (&cluster.nodes[0], &cluster.nodes[1]);
        let (from_id, to_id) = (id(from), id(to));
        for number in 0..20 {
            let key = format!("{{06S}}{number}");
            assert_eq!(ask(from, &["SET", &key, "value"]), "OK");
        }
        assert_eq!(ask(to, &["CLUSTER", "SETSLOT", "0", "IMPORTING", &from_id]), "OK");
        assert_eq!(ask(from, &["CLUSTER", "SETSLOT", "0", "MIGRATING", &to_id]), "OK");
        let (host, port) = to.addr.split_once(':').expect("an address has a port");
        let words = ["MIGRATE", host, port, "", "0", "5000", "KEYS"];
        let keys = ["{06S}0", "{06S}1", "{06S}none", "{06S}2"];
        assert_eq!(ask(from, &[&words[..], &keys].concat()), "OK", "{}", cluster.mix);
        assert_eq!(ask(from, &["GET", "{06S}1"]), format!("-ASK 0 {}", to.addr));
        assert_eq!(
            ask(from, &["MGET", "{06S}1", "{06S}5"]),
            "-TRYAGAIN Multiple keys request during rehashing of slot"
        );
        assert_eq!(ask(from, &["GET", "{06S}5"]), "value");
        assert_eq!(ask(to, &["GET", "{06S}1"]), format!("-MOVED 0 {}", from.addr));
        // Such a command runs at an open slot on both sides.
        assert_eq!(ask(to, &[&words[..], &["{06S}none"]].concat()), "NOKEY");
        assert_eq!(ask(from, &[&words[..], &["{06S}none"]].concat()), "NOKEY");
        let said = tool(&["fix", &from.addr]);
        assert!(is_fine(&said) || said.contains("Fixing open slot 0"), "{}: {said}", cluster.mix);
        until_ready(cluster);
        let mut client = Routed::new(cluster);
        for number in 0..20 {
            let key = format!("{{06S}}{number}");
            let reply = client.call(&key, &["GET", &key]);
            assert_eq!(reply, Reply::Bulk(b"value".to_vec()), "{}: {key}", cluster.mix);
        }
    });
}

#[test]
fn keys_are_imported_from_a_server_that_stands_alone() {
    play_with("imported", &["kkkkkk", "kvkvkv"], CALM, |cluster| {
        for kind in [Kind::Keylane(2), Kind::Valkey91] {
            let Some(source) = kind.start(&[]) else { continue };
            let mut client = source.client();
            for number in 0..300 {
                let words = ["SET", &format!("{}:{number}", source.name), "value"];
                client.call(&words).expect("it is answered");
            }
            let from = ["--cluster-from", source.addr.as_str()];
            let words = ["import", cluster.nodes[0].addr.as_str()];
            let said = tool(&[&words[..], &from].concat());
            let is_done = ask(&source, &["DBSIZE"]) == "0";
            assert!(is_done, "{}: {}: {said}", cluster.mix, source.name);
            let mut client = Routed::new(cluster);
            for number in 0..300 {
                let key = format!("{}:{number}", source.name);
                let reply = client.call(&key, &["GET", &key]);
                assert_eq!(reply, Reply::Bulk(b"value".to_vec()), "{}: {key}", cluster.mix);
            }
        }
    });
}
