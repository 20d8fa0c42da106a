//! Primaries that are ended hand over to a replica: no client loses what was acknowledged, and none
//! waits for the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::Reply;
use crate::nodes::{Cluster, KEY, ask, id, join, start};
use crate::processes::Server;
use crate::routed::Routed;
use crate::servers::{Ends, Kind, now, until};
use crate::{play, say};

/// The first primary is a Keylane; its replica is of each kind.
const MIXES: &[&str] = &["kkkkkk", "kkkvvv", "kvkvkv", "kkkrrr"];
/// Clients that write meanwhile.
const WRITERS: usize = 4;
/// Keys of each of them: some of every primary.
const KEYS: usize = 60;

/// What the log says when a replica has taken over.
const TAKEN_OVER: &str = "A replica has taken over after ";

#[test]
fn a_primary_that_ends_hands_over_first() {
    play("handed over at the end", MIXES, |cluster| {
        for way in [Way::Command, Way::Signal] {
            let leaver = (0..cluster.nodes.len()).find(|place| {
                cluster.is_primary(*place)
                    && ask(&cluster.nodes[*place], &["CLUSTER", "NODES"])
                        .lines()
                        .any(|line| line.contains("myself") && line.contains(" 0-5460"))
            });
            let leaver = leaver.expect("a node has slot 0");
            if cluster.mix.as_bytes()[leaver] == b'k' {
                leave(cluster, leaver, way);
            }
        }
    });
}

/// How a primary is asked to end.
#[derive(Clone, Copy, Debug)]
enum Way {
    Command,
    Signal,
}

fn leave(cluster: &mut Cluster, leaver: usize, way: Way) {
    let replica = cluster.replica_of(leaver);
    let (is_over, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    let taken = thread::scope(|scope| {
        let (watched, is_over, rounds) = (&*cluster, &is_over, &rounds);
        let first = (leaver + 1) % cluster.nodes.len();
        let writer = |number| move || write(watched, first, number, is_over, rounds);
        let writers: Vec<_> = (0..WRITERS).map(|number| scope.spawn(writer(number))).collect();
        let ends = Ends(is_over);
        until_more(rounds, 2, watched);
        end(watched, leaver, way);
        let taken = || watched.nodes[leaver].client_if_there().is_none();
        until(&format!("{}: {way:?}: it ends", watched.mix), taken, || watched.describe());
        until_more(rounds, 2, watched);
        drop(ends);
        writers.into_iter().map(|writer| writer.join().expect("writers are answered")).collect()
    });
    check(cluster, replica, taken, way);
    until("its process is gone", || cluster.nodes[leaver].has_ended(), String::new);
    let output = cluster.nodes[leaver].output();
    for line in [TAKEN_OVER, "stage=linger event=leave outcome=done", "bye bye"] {
        assert!(output.contains(line), "{}: {way:?}: {line}\n{output}", cluster.mix);
    }
    let heir = id(&cluster.nodes[replica]);
    cluster.nodes[leaver].start_again();
    let name = id(&cluster.nodes[leaver]);
    cluster.until_all_agree("the one that ended is there again", |lines| {
        let node = lines.iter().find(|line| line.id == name);
        node.is_some_and(|node| node.flags == "slave" && node.primary == heir)
    });
    cluster.until_replicas_are_online();
}

fn end(cluster: &Cluster, leaver: usize, way: Way) {
    let node = &cluster.nodes[leaver];
    match way {
        Way::Command => {
            node.client().send(&["SHUTDOWN", "NOSAVE", "FAILOVER"]).expect("it is taken");
        }
        Way::Signal => {
            let words = ["CONFIG", "SET", "shutdown-on-sigterm", "failover nosave"];
            assert_eq!(ask(node, &words), "OK");
            send_signal(node, Signal::SIGTERM);
        }
    }
}

/// Waits until each writer has written all of its keys so many times more.
fn until_more(rounds: &AtomicUsize, more: usize, cluster: &Cluster) {
    let goal = rounds.load(Ordering::Relaxed) + (more + 1) * WRITERS;
    let written = || goal <= rounds.load(Ordering::Relaxed);
    until(&format!("{}: clients write", cluster.mix), written, || cluster.describe());
}

/// What a writer was told, and how long it waited at most.
struct Written {
    acknowledged: BTreeMap<String, u64>,
    longest: Duration,
}

fn write(
    cluster: &Cluster,
    first: usize,
    writer: usize,
    is_over: &AtomicBool,
    rounds: &AtomicUsize,
) -> Written {
    let mut client = Routed::from_node(cluster, first);
    let mut written = Written { acknowledged: BTreeMap::new(), longest: Duration::ZERO };
    for number in 1.. {
        for key in 0..KEYS {
            let key = format!("key:{writer}:{key}");
            let began = now();
            let reply = client.call(&key, &["SET", &key, &u64::to_string(&number)]);
            assert!(matches!(&reply, Reply::Simple(text) if text == b"OK"), "{key}: {reply:?}");
            if 1 < number {
                written.longest = written.longest.max(began.elapsed());
            }
            written.acknowledged.insert(key, number);
        }
        rounds.fetch_add(1, Ordering::Relaxed);
        if is_over.load(Ordering::Relaxed) {
            break;
        }
    }
    written
}

fn check(cluster: &Cluster, first: usize, taken: Vec<Written>, way: Way) {
    let longest = taken.iter().map(|written| written.longest).max().unwrap_or_default();
    say(&format!("{}: {way:?}: no write waited longer than {longest:?}", cluster.mix));
    let mut client = Routed::from_node(cluster, first);
    for (key, number) in taken.into_iter().flat_map(|written| written.acknowledged) {
        let reply = client.call(&key, &["GET", &key]);
        let expected = number.to_string();
        let is_there = matches!(&reply, Reply::Bulk(text) if text == expected.as_bytes());
        assert!(is_there, "{}: {way:?}: {key} is {reply:?}, not {number}", cluster.mix);
    }
}

#[test]
fn a_valkey_that_ends_hands_over_to_a_keylane() {
    play("handed over by a Valkey", &["vvvkkk"], |cluster| {
        let replica = cluster.replica_of(0);
        assert_eq!(ask(&cluster.nodes[0], &["SET", KEY, "kept"]), "OK");
        end(cluster, 0, Way::Command);
        let node = &mut cluster.nodes[0];
        until("it ends", || node.has_ended(), String::new);
        // It waits for a replica that it takes for the one it names, and does not end before.
        assert!(!node.output().contains("Unable to find a replica"), "{}", node.output());
        let heir = &cluster.nodes[replica];
        let serves = || ask(heir, &["SET", KEY, "goes on"]) == "OK";
        until("the Keylane takes over", serves, || heir.output());
        assert!(heir.output().contains("Forced failover primary request accepted"));
    });
}

#[test]
fn a_valkey_tells_its_keylane_which_node_it_is() {
    play("ids of replicas", &["kkkvvv"], |cluster| {
        let replica = cluster.nodes[cluster.replica_of(0)].output();
        assert!(!replica.contains("REPLCONF SET-CLUSTER-NODE-ID"), "{replica}");
    });
}

#[test]
fn a_safe_end_is_none_if_no_replica_takes_over() {
    play("no replica takes over", &["kkkkkk"], |cluster| {
        let (node, replica) = (&cluster.nodes[0], &cluster.nodes[cluster.replica_of(0)]);
        let words = ["CONFIG", "SET", "cluster-replica-no-failover", "yes"];
        assert_eq!(ask(replica, &words), "OK");
        let is_known = || ask(node, &["CLUSTER", "NODES"]).contains("nofailover");
        until("it is known", is_known, || cluster.describe());
        let mut client = node.client();
        let refused = b"ERR Errors trying to SHUTDOWN. Check logs.".to_vec();
        for words in [&["SHUTDOWN", "SAFE"][..], &["SHUTDOWN", "FAILOVER", "SAFE"]] {
            assert_eq!(client.call(words).expect("it answers"), Reply::Error(refused.clone()));
            assert_eq!(ask(node, &["SET", KEY, "goes on"]), "OK", "{words:?}");
        }
        assert!(!node.output().contains(TAKEN_OVER), "{}", node.output());
        let sent = client.send(&["SHUTDOWN", "NOSAVE", "FAILOVER"]);
        sent.expect("it is taken");
        let node = &mut cluster.nodes[0];
        until("it ends all the same", || node.has_ended(), String::new);
        assert!(node.output().contains("Unable to find a replica"), "{}", node.output());
    });
}

#[test]
fn a_cluster_of_one_primary_hands_over_past_a_replica_that_is_stopped() {
    let nodes: Vec<Server> = (0..3).map(|_| start(Kind::Keylane(2), &[])).collect();
    let mut cluster = Cluster { mix: "kkk".to_owned(), nodes };
    assert_eq!(ask(&cluster.nodes[0], &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
    cluster.nodes[1..].iter().for_each(|node| join(node, &cluster.nodes[0], "one primary"));
    let are_online = || {
        let info = ask(&cluster.nodes[0], &["INFO", "replication"]);
        info.matches("state=online").count() == 2
    };
    until("both are online", are_online, || cluster.describe());
    let serves = || ask(&cluster.nodes[0], &["SET", KEY, "before"]) == "OK";
    until("the primary serves", serves, || cluster.describe());
    send_signal(&cluster.nodes[1], Signal::SIGSTOP);
    assert_eq!(ask(&cluster.nodes[0], &["SET", KEY, "kept"]), "OK");
    end(&cluster, 0, Way::Command);
    let node = &mut cluster.nodes[0];
    until("it ends", || node.has_ended(), String::new);
    assert!(node.output().contains(TAKEN_OVER), "{}", node.output());
    let heir = &cluster.nodes[2];
    assert_eq!(ask(heir, &["GET", KEY]), "kept");
    assert_eq!(ask(heir, &["SET", KEY, "goes on"]), "OK", "{}", heir.output());
    send_signal(&cluster.nodes[1], Signal::SIGCONT);
}

#[test]
fn that_replica_takes_over_which_is_the_best() {
    // The first is the primary; the last never takes over.
    let kinds = [("here", "100"), ("there", "10"), ("here", "100"), ("here", "0")];
    let start = |(zone, priority)| {
        let options = ["--availability-zone", zone, "--replica-priority", priority];
        start(Kind::Keylane(2), &options)
    };
    let nodes: Vec<Server> = kinds.into_iter().map(start).collect();
    let mut cluster = Cluster { mix: "kkkk".to_owned(), nodes };
    assert_eq!(ask(&cluster.nodes[0], &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
    cluster.nodes[1..].iter().for_each(|node| join(node, &cluster.nodes[0], "the best"));
    // The one of the lowest priority, though it is elsewhere.
    hears_from_all(&cluster, 0, 3);
    let preferred = id(&cluster.nodes[1]);
    ends_and_asks_first(&mut cluster, 0, &preferred);
    // The only other one that may. On a machine that is too busy it was asked as well, and won.
    let (leaver, heir) = if cluster.is_primary(1) { (1, 2) } else { (2, 1) };
    hears_from_all(&cluster, leaver, 2);
    let other = id(&cluster.nodes[heir]);
    ends_and_asks_first(&mut cluster, leaver, &other);
    hears_from_all(&cluster, heir, 1);
    let refused = ask(&cluster.nodes[heir], &["SHUTDOWN", "SAFE", "FAILOVER"]);
    assert_eq!(refused, "-ERR Errors trying to SHUTDOWN. Check logs.");
    assert!(!cluster.is_primary(3), "{}", cluster.describe());
}

/// A primary ends, and asks the node of this id first.
fn ends_and_asks_first(cluster: &mut Cluster, leaver: usize, heir: &str) {
    end(cluster, leaver, Way::Command);
    let node = &mut cluster.nodes[leaver];
    until("it ends", || node.has_ended(), String::new);
    let output = node.output();
    let asked = output.lines().find(|line| line.contains("Perform auto failover to replica"));
    assert!(asked.is_some_and(|line| line.contains(heir)), "{heir}: {output}");
    assert!(output.contains(TAKEN_OVER), "{output}");
}

/// Waits until so many replicas are online, and have acknowledged a write.
fn hears_from_all(cluster: &Cluster, primary: usize, count: usize) {
    let node = &cluster.nodes[primary];
    let are_online =
        || ask(node, &["INFO", "replication"]).matches("state=online").count() == count;
    until("all are online", are_online, || cluster.describe());
    let is_written = || ask(node, &["SET", KEY, "value"]) == "OK";
    until("it serves", is_written, || cluster.describe());
    let mut client = node.client();
    client.call(&["SET", KEY, "more"]).expect("it answers");
    let reply = client.call(&["WAIT", &count.to_string(), "0"]).expect("it answers");
    assert!(matches!(reply, Reply::Integer(_)), "{reply:?}");
}

pub fn send_signal(node: &Server, signal: Signal) {
    kill(Pid::from_raw(node.pid().try_into().expect("it is positive")), signal)
        .expect("it is there");
}
