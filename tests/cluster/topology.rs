//! A topology from outside: CLUSTERX tells each node, and replication follows on both sides of each
//! link, also if a node was told nothing, dies, or has a primary that hangs.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use crate::client::Reply;
use crate::nodes::{ask, start};
use crate::processes::Server;
use crate::say;
use crate::servers::{Kind, counter, info, now, until, wait_until_online};
use crate::silent::{Silent, Stage};

/// A key of slot 0.
const KEY: &str = "{06S}key";
/// Milliseconds for SETNODES to be answered in, on a machine that does much else. What a quiet one
/// takes is printed.
const ANSWER_MS: u128 = 1000;

/// Nodes that were told nothing yet. The first letter of an id is the node's.
struct Told {
    nodes: Vec<Server>,
}

impl Told {
    fn start(count: usize) -> Self {
        Self::start_with(count, &[])
    }

    fn start_with(count: usize, options: &[&str]) -> Self {
        let usual = ["--cluster-topology", "external"];
        let options = [&usual, options].concat();
        let node = |_| start(Kind::Native(2), &options);
        let nodes: Vec<Server> = (0..count).map(node).collect();
        let told = Self { nodes };
        for (at, node) in told.nodes.iter().enumerate() {
            assert_eq!(ask(node, &["CLUSTERX", "SETNODEID", &id(at)]), "OK");
        }
        told
    }

    /// The text for words like `0 primary 0-100, 1 replica 0`.
    fn text(&self, nodes: &str) -> String {
        let line = |node: &str| {
            let words: Vec<&str> = node.split(' ').collect();
            let at: usize = words[0].parse().expect("a number");
            let address = self.nodes.get(at).map_or("127.0.0.1:1", |node| &node.addr);
            let address = address.replace(':', " ");
            match (words[1], &words[2..]) {
                ("primary", slots) => format!("{} {address} master - {}", id(at), slots.join(" ")),
                (_, of) => {
                    let of = of[0].parse().expect("a number");
                    format!("{} {address} slave {}", id(at), id(of))
                }
            }
        };
        nodes.split(", ").map(line).collect::<Vec<_>>().join("\n")
    }

    /// Tells these nodes that.
    fn push(&self, to: &[usize], nodes: &str, version: u32) {
        let (text, version) = (self.text(nodes), version.to_string());
        for at in to {
            let began = now();
            let said = ask(&self.nodes[*at], &["CLUSTERX", "SETNODES", &text, &version]);
            assert_eq!(said, "OK", "{at}: {text}");
            let took = began.elapsed().as_millis();
            assert!(took <= ANSWER_MS, "{at} has answered after {took} ms");
        }
    }

    /// Waits until these are what the topology says.
    fn agree(&self, nodes: &[usize], version: u32) {
        let version = version.to_string();
        for at in nodes {
            let said = ask(&self.nodes[*at], &["CLUSTERX", "WAIT", &version, "60000"]);
            assert_eq!(said, "OK", "{at}: {}", self.describe());
        }
    }

    fn field(&self, at: usize, section: &str, name: &str) -> String {
        let fields = info(&self.nodes[at], section);
        fields.get(name).cloned().unwrap_or_default()
    }

    fn until(&self, what: &str, is: impl FnMut() -> bool) -> u128 {
        let began = now();
        until(what, is, || self.describe());
        began.elapsed().as_millis()
    }

    fn describe(&self) -> String {
        let text = |node: &Server| {
            let tail: Vec<String> =
                node.output().lines().rev().take(30).map(str::to_owned).collect();
            let tail: Vec<String> = tail.into_iter().rev().collect();
            let (replication, cluster) = (info(node, "replication"), info(node, "cluster"));
            format!("{}\n{replication:?}\n{cluster:?}\n{}\n", node.name, tail.join("\n"))
        };
        self.nodes.iter().map(text).collect()
    }

    fn replicas_of(&self, at: usize) -> String {
        self.field(at, "replication", "connected_slaves")
    }
}

/// With capitals, like those that Kvrocks' controller draws.
fn id(at: usize) -> String {
    let letter = char::from(b'a' + u8::try_from(at).expect("few"));
    format!("{letter}rSmm9KG5hoAETaxdk7XeUbU1vccWFdl67dk2Z8b")
}

/// Commands and replies of a node that is told nothing but this.
const TALK: &[(&str, &str)] = &[
    ("CLUSTERX VERSION", "-1"),
    ("CLUSTERX MYID", ""),
    ("CLUSTER NODES", "-CLUSTERDOWN The cluster is not initialized"),
    ("CLUSTER SLOTS", "-CLUSTERDOWN The cluster is not initialized"),
    ("CLUSTER INFO", "-CLUSTERDOWN The cluster is not initialized"),
    ("GET x", "-CLUSTERDOWN Hash slot not served"),
    ("CLUSTERX FOO", USAGE),
    ("CLUSTERX SETNODEID abc", USAGE),
    ("CLUSTERX SETNODES x", USAGE),
    ("CLUSTERX SETNODES x y", "-ERR Invalid version"),
    ("CLUSTERX SETNODES x 1 y", "-ERR Invalid setnodes options"),
    ("CLUSTERX SETNODES x -5", "-ERR Invalid cluster version"),
    ("CLUSTERX SETNODES x 1", "-ERR Invalid cluster nodes info"),
    ("CLUSTERX SETSLOT x NODE <a> 1", "-ERR Slot is out of range"),
    ("CLUSTERX SETSLOT 1 FOO <a> 1", "-ERR Invalid setslot options"),
    ("CLUSTERX SETSLOT 1 NODE a 1", "-ERR Invalid node id"),
    ("CLUSTERX SETSLOT 1 NODE <a> x", "-ERR Invalid version"),
    ("CLUSTERX SETSLOT 1 NODE <a> 1", "-ERR Invalid cluster version"),
    ("CLUSTERX SETNODEID <a>", "OK"),
    ("CLUSTERX MYID", "<a>"),
    ("CLUSTERX WAIT 1 0", "-TIMEOUT version -1 is in_sync"),
];
const USAGE: &str =
    "-ERR CLUSTERX command, CLUSTERX VERSION|MYID|SETNODEID|SETNODES|SETSLOT|MIGRATE";

#[test]
fn clusterx_replies_as_kvrocks_does() {
    let node = start(Kind::Keylane(2), &["--cluster-topology", "external"]);
    let check = |command: &str, expected: &str| {
        let spelt: Vec<String> =
            command.split(' ').map(|word| word.replace("<a>", &id(0))).collect();
        let words: Vec<&str> = spelt.iter().map(String::as_str).collect();
        assert_eq!(ask(&node, &words), expected.replace("<a>", &id(0)), "{command}");
    };
    TALK.iter().for_each(|(command, expected)| check(command, expected));
    let address = node.addr.replace(':', " ");
    let text = format!("{} {address} master - 0-16383\n{} 127.0.0.1 1 master -", id(0), id(1));
    assert_eq!(ask(&node, &["CLUSTERX", "SETNODES", &text, "7"]), "OK");
    check("CLUSTERX VERSION", "7");
    check("CLUSTER GETSLOTMIGRATIONS", "Group('*', [])");
    check("SET x 1", "OK");
    check("CLUSTERX SETSLOT 0-9 NODE <a> 9", "-ERR Invalid cluster version");
    check("CLUSTERX SETSLOT 0-9,11 NODE <a> 8", "OK");
    check(
        "CLUSTERX SETSLOT 1 NODE cccccccccccccccccccccccccccccccccccccccc 9",
        "-ERR No this node in the cluster",
    );
    check(
        "CLUSTERX MIGRATE 1 <a>",
        "-ERR CLUSTERX MIGRATE is not supported: move keys by MIGRATE, \
           then the slot by SETSLOT or SETNODES",
    );
    let external = "-ERR The topology of this node comes from outside (cluster-topology external)";
    for command in [
        "CLUSTER MEET 127.0.0.1 1",
        "CLUSTER FAILOVER",
        "CLUSTER ADDSLOTS 1",
        "CLUSTER REPLICATE <a>",
        "CLUSTER SETSLOT 1 NODE <a>",
        "CLUSTER FORGET <a>",
    ] {
        check(command, external);
    }
    assert!(ask(&node, &["CLUSTER", "INFO"]).contains("cluster_current_epoch:8\r\n"));
    // A slot is given away, and what was in it stays.
    check(&format!("CLUSTERX SETSLOT 16287 NODE {} 9", id(1)), "OK");
    check("GET x", "-MOVED 16287 127.0.0.1:1");
    check("DBSIZE", "1");
    let gossips = start(Kind::Keylane(1), &[]);
    let refused = "-ERR This node agrees on its topology with others: CLUSTERX needs \
                   cluster-topology external";
    assert_eq!(ask(&gossips, &["CLUSTERX", "VERSION"]), refused);
    let alone = Kind::Keylane(1).start(&[]).expect("it is built");
    assert_eq!(ask(&alone, &["CLUSTERX", "VERSION"]), "-ERR Cluster mode is not enabled");
}

#[test]
fn versions_and_contents_are_compared() {
    let told = Told::start(2);
    let text = told.text("0 primary 0-16383, 1 replica 0");
    let other = told.text("0 primary 0-100, 1 replica 0");
    let push = |text: &str, version: &str, options: &[&str]| {
        let words = [&["CLUSTERX", "SETNODES", text, version], options].concat();
        ask(&told.nodes[0], &words)
    };
    assert_eq!(push(&text, "5", &[]), "OK");
    assert_eq!(push(&text, "5", &[]), "OK", "it is the same");
    assert_eq!(push(&text, "4", &[]), "-ERR Invalid cluster version");
    let said = push(&other, "5", &[]);
    assert!(said.starts_with("-ERR Invalid cluster version: this version is in force"), "{said}");
    assert_eq!(ask(&told.nodes[0], &["SET", KEY, "1"]), "OK");
    told.push(&[1], "1 replica 0, 0 primary 0-8000 8001-16383", 5);
    told.agree(&[0, 1], 5);
    let hash = |at| told.field(at, "cluster", "topology_hash");
    assert_eq!(hash(0), hash(1), "the order of a text is no content");
    assert_eq!(push(&other, "3", &["FORCE"]), "OK");
    assert_ne!(hash(0), hash(1));
    assert_eq!(told.field(0, "cluster", "topology_version"), "3");
}

#[test]
fn a_removed_replica_is_cut_from_both_sides_and_comes_back() {
    for is_told in [true, false] {
        let about = if is_told { "told" } else { "never told" };
        let told = Told::start(3);
        let all = "0 primary 0-16383, 1 replica 0, 2 replica 0";
        told.push(&[0, 1, 2], all, 1);
        told.agree(&[0, 1, 2], 1);
        assert_eq!(ask(&told.nodes[0], &["SET", KEY, "1"]), "OK");
        told.until("the replicas have it", || ask(&told.nodes[1], &["DBSIZE"]) == "1");
        told.until("both are attached", || told.replicas_of(0) == "2");
        let without = "0 primary 0-16383, 2 replica 0";
        told.push(if is_told { &[0, 1, 2] } else { &[0, 2] }, without, 2);
        let took = told.until("one is left", || told.replicas_of(0) == "1");
        say(&format!("topology: {about}: the primary has cut the link after {took} ms"));
        assert_eq!(told.field(0, "replication", "slave1"), "");
        assert_eq!(told.field(0, "cluster", "orphaned_links"), "0");
        told.agree(&[0, 2], 2);
        if is_told {
            told.agree(&[1], 2);
            let fields = info(&told.nodes[1], "replication");
            assert_eq!(fields.get("role").map(String::as_str), Some("master"));
            assert!(!fields.keys().any(|name| name.starts_with("master_link")), "{fields:?}");
            assert!(!fields.contains_key("master_host"), "{fields:?}");
            assert_eq!(told.field(1, "cluster", "in_topology"), "0");
            let hello = format!("{:?}", told.nodes[1].client().call(&["HELLO"]));
            let master: &[u8] = b"master";
            assert!(hello.contains(&format!("{:?}", Reply::Bulk(master.to_vec()))), "{hello}");
            let moved = format!("-MOVED 0 {}", told.nodes[0].addr);
            assert_eq!(ask(&told.nodes[1], &["GET", KEY]), moved);
        } else {
            told.until("it is refused", || {
                told.field(1, "cluster", "reconcile_last_error").contains("is no replica of")
            });
            assert_eq!(told.field(1, "cluster", "reconcile_state"), "failed");
            let log = told.nodes[1].output();
            assert_eq!(log.matches("The primary refuses this node").count(), 1, "{log}");
            assert_eq!(told.replicas_of(0), "1");
        }
        assert_eq!(ask(&told.nodes[1], &["DBSIZE"]), "1", "{about}: its keys stay");
        assert_eq!(ask(&told.nodes[0], &["SET", "{06S}other", "2"]), "OK");
        let partial = counter(&told.nodes[0], "stats", "sync_partial_ok");
        let full = counter(&told.nodes[0], "stats", "sync_full");
        told.push(&[0, 1, 2], all, 3);
        told.agree(&[0, 1, 2], 3);
        told.until("it has the rest", || ask(&told.nodes[1], &["DBSIZE"]) == "2");
        assert!(partial < counter(&told.nodes[0], "stats", "sync_partial_ok"), "{about}");
        assert_eq!(full, counter(&told.nodes[0], "stats", "sync_full"), "{about}");
    }
}

#[test]
fn a_removed_replica_goes_on_behind_a_restart() {
    let mut told = Told::start(2);
    let both = "0 primary 0-16383, 1 replica 0";
    told.push(&[0, 1], both, 1);
    told.agree(&[0, 1], 1);
    assert_eq!(ask(&told.nodes[0], &["SET", KEY, "1"]), "OK");
    told.until("the replica has it", || ask(&told.nodes[1], &["DBSIZE"]) == "1");
    told.push(&[0, 1], "0 primary 0-16383", 2);
    told.agree(&[0, 1], 2);
    let said = ask(&told.nodes[1], &["FLUSHALL"]);
    assert!(said.starts_with("-READONLY"), "{said}");
    assert_eq!(ask(&told.nodes[1], &["SAVE"]), "OK");
    told.nodes[1].kill();
    told.nodes[1].start_again();
    told.until("its keys are back", || ask(&told.nodes[1], &["DBSIZE"]) == "1");
    assert_eq!(ask(&told.nodes[0], &["SET", "{06S}other", "2"]), "OK");
    told.push(&[0, 1], both, 3);
    told.agree(&[0, 1], 3);
    told.until("it has the rest", || ask(&told.nodes[1], &["DBSIZE"]) == "2");
    assert_eq!(counter(&told.nodes[0], "stats", "sync_full"), 1, "{}", told.describe());
}

#[test]
fn roles_are_swapped_and_chained() {
    let told = Told::start(3);
    told.push(&[0, 1, 2], "0 primary 0-16383, 1 replica 0, 2 replica 1", 1);
    told.agree(&[0, 1, 2], 1);
    assert_eq!(ask(&told.nodes[0], &["SET", KEY, "1"]), "OK");
    told.until("the end of the chain has it", || ask(&told.nodes[2], &["DBSIZE"]) == "1");
    assert_eq!((told.replicas_of(0), told.replicas_of(1)), ("1".to_owned(), "1".to_owned()));
    let mut reader = told.nodes[2].client();
    reader.call(&["READONLY"]).expect("it is there");
    let reply = format!("{:?}", reader.call(&["GET", KEY]).expect("it is there"));
    assert!(reply.contains("Bulk"), "the end of a chain is read from: {reply}");
    let full = counter(&told.nodes[1], "stats", "sync_full");
    // The former replica is told first: nothing is lost, for nothing is written meanwhile.
    told.push(&[1, 0, 2], "1 primary 0-16383, 0 replica 1, 2 replica 1", 2);
    assert_eq!(
        ask(&told.nodes[1], &["SET", "{06S}other", "2"]),
        "OK",
        "a write waits for the role"
    );
    told.agree(&[0, 1, 2], 2);
    wait_until_online(&told.nodes[1], &told.nodes[0]);
    told.until("all have both", || (0..3).all(|at| ask(&told.nodes[at], &["DBSIZE"]) == "2"));
    assert_eq!(counter(&told.nodes[1], "stats", "sync_full"), full, "{}", told.describe());
    let moved = format!("-MOVED 0 {}", told.nodes[1].addr);
    assert_eq!(ask(&told.nodes[0], &["GET", KEY]), moved);
}

#[test]
fn a_swap_of_roles_begins_no_snapshot_for_nothing() {
    let told = Told::start(3);
    let of = |primary: usize| {
        let replicas =
            (0..3).filter(|at| *at != primary).map(|at| format!("{at} replica {primary}"));
        format!("{primary} primary 0-16383, {}", replicas.collect::<Vec<_>>().join(", "))
    };
    told.push(&[0, 1, 2], &of(0), 1);
    told.agree(&[0, 1, 2], 1);
    // Who leaves just behind its snapshot does not know yet where that is in the logs.
    for replica in &told.nodes[1..] {
        wait_until_online(&told.nodes[0], replica);
    }
    let mut longest = 0;
    for (round, version) in (0..12).zip(2..) {
        let mut order = [round % 3, (round + 1) % 3, (round + 2) % 3];
        if round % 2 == 0 {
            order.reverse();
        }
        told.push(&order, &of((round + 1) % 2), version);
        let began = now();
        told.agree(&[0, 1, 2], version);
        longest = longest.max(began.elapsed().as_millis());
    }
    say(&format!("topology: the longest swap of roles took {longest} ms"));
    for node in &told.nodes {
        let log = node.output();
        // A replica that asks a node on its way to being a primary waits until it is one.
        assert!(!log.contains("Discarding the half-loaded data"), "{}: {log}", node.name);
    }
}

#[test]
fn shard_channels_are_at_the_primary_of_their_slot_alone() {
    let told = Told::start(2);
    told.push(&[0, 1], "0 primary 0-16383, 1 replica 0", 1);
    told.agree(&[0, 1], 1);
    let mut subscriber = told.nodes[0].client();
    subscriber.call(&["SSUBSCRIBE", KEY]).expect("it is answered");
    let moved = |to: usize| format!("-MOVED 0 {}", told.nodes[to].addr);
    let mut reader = told.nodes[1].client();
    reader.call(&["READONLY"]).expect("it is answered");
    for command in [&["SSUBSCRIBE", KEY][..], &["SPUBLISH", KEY, "m"]] {
        let reply = reader.call(command).expect("it is answered");
        assert_eq!(reply, Reply::Error(moved(0)[1..].into()), "{command:?}");
    }
    assert_eq!(ask(&told.nodes[0], &["SPUBLISH", KEY, "first"]), "1");
    told.push(&[1, 0], "1 primary 0-16383, 0 replica 1", 2);
    let bulk = |text: &str| Reply::Bulk(text.into());
    let message = Reply::Group('*', ["smessage", KEY, "first"].map(bulk).into());
    assert_eq!(subscriber.receive().expect("the message"), message);
    let end = vec![bulk("sunsubscribe"), bulk(KEY), Reply::Integer(0)];
    assert_eq!(subscriber.receive().expect("the end"), Reply::Group('*', end));
    assert_eq!(ask(&told.nodes[0], &["SPUBLISH", KEY, "m"]), moved(1));
    assert_eq!(ask(&told.nodes[1], &["SPUBLISH", KEY, "m"]), "0");
}

#[test]
fn a_primary_that_is_not_known_or_not_there_yet_is_said_and_found() {
    let mut told = Told::start(2);
    told.push(&[1], "1 replica 3", 1);
    told.until("that is said", || told.field(1, "cluster", "reconcile_state") == "failed");
    let error = told.field(1, "cluster", "reconcile_last_error");
    assert!(error.contains("is not in the topology"), "{error}");
    assert!(
        ask(&told.nodes[1], &["CLUSTERX", "WAIT", "1", "20"]).starts_with("-TIMEOUT version 1")
    );
    // A primary that does not run: the topology stands, and is followed without another push.
    told.nodes[0].kill();
    told.push(&[1], "0 primary 0-16383, 1 replica 0", 2);
    told.until("that is said, too", || told.field(1, "cluster", "reconcile_state") == "failed");
    told.nodes[0].start_again();
    told.push(&[0], "0 primary 0-16383, 1 replica 0", 2);
    let began = now();
    told.agree(&[0, 1], 2);
    let took = began.elapsed().as_millis();
    say(&format!("topology: a primary that came late is followed after {took} ms"));
}

#[test]
fn a_node_that_dies_behind_a_push_follows_it_when_it_is_back() {
    let mut told = Told::start(3);
    told.push(&[0, 1, 2], "0 primary 0-16383, 1 replica 0", 1);
    told.agree(&[0, 1], 1);
    // Half of the push: a replica hears of its new primary and dies, the others hear of nothing.
    told.push(&[1], "0 primary 0-100, 2 primary 101-16383, 1 replica 2", 2);
    told.nodes[1].kill();
    told.nodes[1].start_again();
    assert_eq!(told.field(1, "cluster", "topology_version"), "2");
    let host = told.nodes[2].addr.rsplit_once(':').expect("it has a port").1.to_owned();
    told.until("it follows the new one", || told.field(1, "replication", "master_port") == host);
    told.push(&[0, 2], "0 primary 0-100, 2 primary 101-16383, 1 replica 2", 2);
    told.agree(&[0, 1, 2], 2);
    assert_eq!((told.replicas_of(0), told.replicas_of(2)), ("0".to_owned(), "1".to_owned()));
    // One that was removed is still none of any primary.
    told.push(&[0, 1, 2], "0 primary 0-100, 2 primary 101-16383", 3);
    told.agree(&[1], 3);
    told.nodes[1].kill();
    told.nodes[1].start_again();
    told.agree(&[1], 3);
    let fields = info(&told.nodes[1], "replication");
    assert_eq!(fields.get("role").map(String::as_str), Some("master"));
    // Nothing of it is left behind a reset.
    assert_eq!(ask(&told.nodes[1], &["CLUSTER", "RESET"]), "OK");
    told.nodes[1].kill();
    told.nodes[1].start_again();
    assert_eq!(ask(&told.nodes[1], &["CLUSTERX", "VERSION"]), "-1");
}

#[test]
fn a_node_that_was_reset_begins_anew() {
    let told = Told::start(3);
    let all = "0 primary 0-16383, 1 replica 0, 2 replica 0";
    told.push(&[0, 1, 2], all, 1);
    told.agree(&[0, 1, 2], 1);
    assert_eq!(ask(&told.nodes[0], &["SET", KEY, "1"]), "OK");
    told.until("all have it", || (1..3).all(|at| ask(&told.nodes[at], &["DBSIZE"]) == "1"));
    // One replica is reset, one has left before that.
    told.push(&[0, 2], "0 primary 0-16383", 2);
    told.agree(&[0, 2], 2);
    for at in [1, 2] {
        assert_eq!(ask(&told.nodes[at], &["CLUSTER", "RESET"]), "OK");
        assert_eq!(ask(&told.nodes[at], &["DBSIZE"]), "0");
        assert_eq!(ask(&told.nodes[at], &["CLUSTERX", "MYID"]), "");
        assert_eq!(ask(&told.nodes[at], &["CLUSTERX", "SETNODEID", &id(at)]), "OK");
    }
    // What the former primary had is no part of what follows from nothing.
    let others = "0 replica 2, 1 primary 0, 2 primary 1-16383";
    told.push(&[1, 2], others, 3);
    told.agree(&[1, 2], 3);
    assert_eq!(ask(&told.nodes[1], &["SET", KEY, "2"]), "OK");
    told.push(&[0], others, 3);
    told.agree(&[0], 3);
    told.until("it has what there is: nothing", || ask(&told.nodes[0], &["DBSIZE"]) == "0");
}

#[test]
fn a_topology_that_cannot_be_written_is_an_error_until_it_can() {
    let mut home = Told::start(1);
    let folder = home.nodes[0].folder().join("conf");
    let away = home.nodes[0].folder().join("away");
    fs::create_dir(&folder).expect("the folder takes one more");
    let file = folder.join("nodes.conf");
    let file = file.to_str().expect("folders for tests have plain names");
    let options = ["--cluster-config-file", file, "--cluster-config-save-behavior", "best-effort"];
    let mut told = Told::start_with(1, &options);
    fs::rename(&folder, &away).expect("it can be moved");
    let text = told.text("0 primary 0-16383");
    let push = |told: &Told| ask(&told.nodes[0], &["CLUSTERX", "SETNODES", &text, "1"]);
    let refused = "-ERR The topology is in force, but can't be written: a restart forgets it";
    assert_eq!(push(&told), refused);
    assert_eq!(push(&told), refused, "it is tried again");
    assert_eq!(ask(&told.nodes[0], &["SET", KEY, "1"]), "OK");
    fs::rename(&away, &folder).expect("it can be moved back");
    assert_eq!(push(&told), "OK");
    told.nodes[0].kill();
    told.nodes[0].start_again();
    assert_eq!(ask(&told.nodes[0], &["CLUSTERX", "VERSION"]), "1");
    home.nodes[0].kill();
}

/// Where a primary falls silent.
const STAGES: &[Stage] = &[
    Stage::Syn,
    Stage::Auth,
    Stage::Psync,
    Stage::Waiting,
    Stage::FirstBytes,
    Stage::Middle,
    Stage::Committing,
    Stage::Streaming,
    Stage::BackingOff,
];

#[test]
fn a_silent_primary_holds_no_push_up() {
    let longest = thread::scope(|scope| {
        let rows = STAGES.iter().map(|stage| scope.spawn(|| (silent(*stage), *stage)));
        let rows: Vec<_> = rows.collect();
        rows.into_iter().map(|row| row.join().expect("the row holds")).max_by_key(|row| row.0)
    });
    let (took, stage) = longest.expect("there are rows");
    say(&format!("topology: the longest SETNODES at a silent primary: {took} ms at {stage:?}"));
    assert!(took <= ANSWER_MS, "{took} ms at {stage:?}");
}

/// How long the node's answers take, in milliseconds, while its primary is silent at `stage`.
fn silent(stage: Stage) -> u128 {
    let told = Told::start_with(1, &["--primaryauth", "secret"]);
    let [hung, other] = [stage, Stage::Waiting].map(|stage| Silent::start(stage, "key", 2000, 500));
    let follows = |primary: &Silent| {
        let (own, primary) =
            (told.nodes[0].addr.replace(':', " "), primary.address.replace(':', " "));
        format!("{} {own} slave {}\n{} {primary} master - 0-16383", id(0), id(1), id(1))
    };
    let leads = || format!("{} {} master - 0-16383", id(0), told.nodes[0].addr.replace(':', " "));
    let gone = |primary: &Silent| {
        format!("{} {} master - 0-16383", id(1), primary.address.replace(':', " "))
    };
    let (mut longest, mut version) = (0, 0);
    for text in [follows(&other), gone(&hung), leads()] {
        for text in [follows(&hung), text] {
            version += 1;
            let silent = hung.silent();
            let began = now();
            let said = ask(&told.nodes[0], &["CLUSTERX", "SETNODES", &text, &version.to_string()]);
            longest = longest.max(began.elapsed().as_millis());
            assert_eq!(said, "OK", "{stage:?}");
            if text == follows(&hung) && stage != Stage::Syn {
                told.until("the primary is silent", || silent < hung.silent());
            }
            if stage == Stage::Committing {
                thread::park_timeout(Duration::from_millis(3));
            }
        }
    }
    told.until("it leads at last", || ask(&told.nodes[0], &["SET", KEY, "1"]) == "OK");
    told.agree(&[0], version);
    let fields: BTreeMap<String, String> = info(&told.nodes[0], "replication");
    assert_eq!(fields.get("role").map(String::as_str), Some("master"), "{stage:?}");
    longest
}
