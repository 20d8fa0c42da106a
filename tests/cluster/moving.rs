//! Slots that are moved step by step with SETSLOT: replicas are told before their primary acts, and
//! keys that are on their way outlast failovers.

use std::thread;

use nix::sys::signal::Signal;

use crate::client::{Client, Reply};
use crate::leaving::send_signal;
use crate::nodes::{Cluster, KEY, ask, id};
use crate::processes::Server;
use crate::servers::until;
use crate::{play, play_with};

/// Slots of the first primary.
const OUT: &str = "5";
const BACK: &str = "6";
/// A key of the second primary, and its slot.
const OTHER_KEY: &str = "c";
const OTHER_SLOT: &str = "7365";

/// What keys of a slot of the third primary begin with.
const FOREIGN: &str = "{a}";

#[test]
fn replicas_know_which_slots_are_on_their_way() {
    play("SETSLOT for replicas", &["kkkkkk", "kkkvvv", "vvvkkk"], |cluster| {
        let (source, target) = (id(&cluster.nodes[0]), id(&cluster.nodes[1]));
        let (of_source, of_target) = (cluster.replica_of(0), cluster.replica_of(1));
        until_shards_are_known(cluster);
        // Others are not waited for, and a Valkey never tells them.
        cluster.until_replicas_are_online();
        until_primaries_know(cluster);
        let set = |node: usize, words: &[&str], reply: &str| {
            let words = [&["CLUSTER", "SETSLOT"], words].concat();
            assert_eq!(ask(&cluster.nodes[node], &words), reply, "{}: {words:?}", cluster.mix);
        };
        set(1, &[OUT, "IMPORTING", &source], "OK");
        set(0, &[OUT, "MIGRATING", &target], "OK");
        set(0, &[BACK, "MIGRATING", &target, "TIMEOUT", "0"], "OK");
        until_shown(cluster, of_target, &format!(" [5-<-{source}]"));
        let both = format!(" [5->-{target}] [6->-{target}]");
        until_shown(cluster, of_source, &both);
        set(of_source, &[OUT, "STABLE"], "-ERR Please use SETSLOT only with masters.");
        set(0, &[BACK, "STABLE"], "OK");
        until_shown(cluster, of_source, &format!(" [5->-{target}]\n"));

        // What takes over goes on with it.
        assert_eq!(ask(&cluster.nodes[of_source], &["CLUSTER", "FAILOVER"]), "OK");
        let changes = || cluster.is_primary(of_source) && !cluster.is_primary(0);
        until(&format!("{}: roles change", cluster.mix), changes, || cluster.describe());
        until_shown(cluster, of_source, &format!(" [5->-{target}]\n"));

        let heir = id(&cluster.nodes[of_source]);
        until_shown(cluster, of_target, &format!(" [5-<-{heir}]"));
        for node in [1, of_source] {
            set(node, &[OUT, "NODE", &target], "OK");
        }
        until_shown(cluster, of_target, "connected\n");
        cluster.until_all_agree("the slot has gone", |lines| {
            let node = lines.iter().find(|line| line.id == target);
            node.is_some_and(|node| node.slots.contains(&OUT.to_owned()))
        });
    });
}

#[test]
fn a_replica_that_comes_later_knows_which_slots_are_on_their_way() {
    play("SETSLOT before a snapshot", &["kkkkkk", "kkkvvv"], |cluster| {
        let (source, target) = (id(&cluster.nodes[0]), id(&cluster.nodes[1]));
        let comes = cluster.replica_of(2);
        cluster.until_replicas_are_online();
        let words = ["CLUSTER", "SETSLOT", OUT, "IMPORTING", &source];
        assert_eq!(ask(&cluster.nodes[1], &words), "OK", "{}", cluster.mix);
        assert_eq!(ask(&cluster.nodes[comes], &["CLUSTER", "REPLICATE", &target]), "OK");
        until_shown(cluster, comes, &format!(" [5-<-{source}]"));
    });
}

#[test]
fn a_replica_that_comes_back_without_data_knows_which_slots_are_closed() {
    // A primary that sends the snapshot as a stock one does may be one.
    let native = ["--repl-native", "yes"];
    play_with("SETSLOT STABLE before a snapshot", &["kkkkkk"], &native, |cluster| {
        let target = id(&cluster.nodes[1]);
        let replica = cluster.replica_of(0);
        until_shards_are_known(cluster);
        cluster.until_replicas_are_online();
        for slot in [OUT, BACK] {
            set_slot(cluster, 0, &[slot, "MIGRATING", &target]);
        }
        until_shown(cluster, replica, &format!(" [5->-{target}] [6->-{target}]\n"));
        cluster.nodes[replica].kill();
        let info = || ask(&cluster.nodes[0], &["INFO", "replication"]);
        let is_gone = || info().contains("connected_slaves:0");
        until("the replica is gone", is_gone, || cluster.describe());
        set_slot(cluster, 0, &[BACK, "STABLE"]);
        cluster.nodes[replica].start_again();
        until_shown(cluster, replica, &format!(" [5->-{target}]\n"));
    });
}

#[test]
fn keys_that_are_on_their_way_outlast_a_failover_of_their_target() {
    play("keys on their way", &["kkkkkk", "vvvkkk", "kvkvkv"], |cluster| {
        let (source, heir) = (id(&cluster.nodes[0]), cluster.replica_of(1));
        let count = |node: usize| ask(&cluster.nodes[node], &["CLUSTER", "COUNTKEYSINSLOT", "0"]);
        let keys = keys_of_slot_0(cluster);
        open_slot_0(cluster, 0, 1);
        until_shown(cluster, heir, &format!(" [0-<-{source}]"));
        move_keys(cluster, (0, 1), &keys[..10]);
        // To the replica, and back.
        for (taker, moved) in [(heir, 10), (1, 15)] {
            let mix = &cluster.mix;
            let has = || count(taker) == moved.to_string();
            until(&format!("{mix}: the replica has them"), has, || cluster.describe());
            cluster.until_replicas_are_online();
            assert_eq!(ask(&cluster.nodes[taker], &["CLUSTER", "FAILOVER"]), "OK", "{mix}");
            // The source goes on with the taker, and sends clients there.
            until_shown(cluster, 0, &format!(" [0->-{}]", id(&cluster.nodes[taker])));
            let ask_there = format!("-ASK 0 {}", cluster.nodes[taker].addr);
            let is_asked = || ask(&cluster.nodes[0], &["GET", &keys[0]]) == ask_there;
            until(&format!("{mix}: clients go there"), is_asked, || cluster.describe());
            move_keys(cluster, (0, taker), &keys[moved..moved + 5]);
            assert_eq!(count(taker), (moved + 5).to_string(), "{mix}: {}", cluster.describe());
        }
        give_slot_0(cluster, 1, [1, 0]);
        expect_keys(cluster, 1, &keys);
    });
}

#[test]
fn replicas_know_what_an_exec_says_of_slots() {
    play("SETSLOT in an EXEC", &["kkkkkk", "kkkvvv"], |cluster| {
        let target = id(&cluster.nodes[1]);
        let replica = cluster.replica_of(0);
        let mut client = cluster.nodes[0].client();
        let set = |slot, words: &[&'static str]| [&["CLUSTER", "SETSLOT", slot], words].concat();
        let key = ["SET", KEY, "value"];
        let migrates = [&set(OUT, &["MIGRATING"])[..], &[&target]].concat();
        for words in [&["MULTI"][..], &key, &migrates, &key, &["EXEC"]] {
            let reply = client.call(words).expect("it is answered");
            assert!(!matches!(reply, Reply::Error(_)), "{}: {words:?}: {reply:?}", cluster.mix);
        }
        until_shown(cluster, replica, &format!(" [5->-{target}]"));
        for words in [&["MULTI"][..], &set(OUT, &["STABLE"]), &["EXEC"]] {
            client.call(words).expect("it is answered");
        }
        until_shown(cluster, replica, "connected\n");
    });
}

/// A node has keys of a slot that it imports from the moment on in which it becomes a primary,
/// though it still deletes what a foreign slot may have.
#[test]
fn keys_that_come_just_behind_a_failover_stay() {
    play("keys behind a failover", &["kkkkkk", "vkvvkv"], |cluster| {
        let heir = cluster.replica_of(1);
        let keys = keys_of_slot_0(cluster);
        assert_eq!(ask(&cluster.nodes[heir], &["CLUSTER", "FAILOVER"]), "OK");
        open_slot_0(cluster, 0, heir);
        move_keys(cluster, (0, heir), &keys);
        give_slot_0(cluster, heir, [heir, 0]);
        // What is deleted goes within half a second, and no reply tells when: so long this takes.
        (0..400).for_each(|_| expect_keys(cluster, heir, &keys));
    });
}

/// A primary deletes what foreign slots have, little by little. One that is a replica by then would
/// delete what comes of slots that its primary gets.
#[test]
fn a_replica_deletes_no_keys_by_itself() {
    play("a primary for a moment", &["kkkkkk"], |cluster| {
        let heir = cluster.replica_of(1);
        cluster.until_replicas_are_online();
        let words = ["DEBUG", "POPULATE", "1000000", FOREIGN];
        assert_eq!(ask(&cluster.nodes[heir], &words), "OK");
        for node in [heir, 1] {
            let words = ["CLUSTER", "FAILOVER", "TAKEOVER"];
            let is_asked = || ask(&cluster.nodes[node], &words) == "OK";
            until("it can take over", is_asked, || cluster.describe());
        }
        // So it keeps what it has.
        send_signal(&cluster.nodes[1], Signal::SIGSTOP);
        until("it follows again", || !cluster.is_primary(heir), || cluster.describe());
        let count = || ask(&cluster.nodes[heir], &["DBSIZE"]);
        let left = count();
        assert_ne!(left, "0", "it was quicker than this test");
        (0..500).for_each(|_| assert_eq!(count(), left, "it deletes keys"));
        send_signal(&cluster.nodes[1], Signal::SIGCONT);
    });
}

#[test]
fn a_target_that_comes_back_leaves_the_slot_and_its_shard_to_its_heir() {
    play("a target comes back", &["kkkkkk"], |cluster| {
        let heir = cluster.replica_of(1);
        let keys = keys_of_slot_0(cluster);
        assert_eq!(ask(&cluster.nodes[1], &["SET", OTHER_KEY, "value"]), "OK");
        open_slot_0(cluster, 0, 1);
        assert_eq!(ask(&cluster.nodes[1], &["WAIT", "1", "5000"]), "1");
        let former = id(&cluster.nodes[1]);
        cluster.nodes[1].kill();
        until("the heir takes over", || cluster.is_primary(heir), || cluster.describe());
        open_slot_0(cluster, 0, heir);
        move_keys(cluster, (0, heir), &keys);
        give_slot_0(cluster, heir, [heir, 0]);
        let name = id(&cluster.nodes[heir]);
        cluster.nodes[1].start_again();
        cluster.until_all_agree("the former primary follows its heir", |lines| {
            let node = lines.iter().find(|line| line.id == former);
            node.is_some_and(|node| node.primary == name && node.slots.is_empty())
        });
        expect_keys(cluster, heir, &keys);
        assert_eq!(ask(&cluster.nodes[heir], &["GET", OTHER_KEY]), "value");
    });
}

/// Both targets get the same epoch, or wait for each other's newer one.
#[test]
fn two_nodes_give_each_other_a_slot() {
    play("slots that cross", &["kkkkkk"], |cluster| {
        let keys = keys_of_slot_0(cluster);
        assert_eq!(ask(&cluster.nodes[1], &["SET", OTHER_KEY, "value"]), "OK");
        let names = [id(&cluster.nodes[0]), id(&cluster.nodes[1])];
        open_slot_0(cluster, 0, 1);
        set_slot(cluster, 0, &[OTHER_SLOT, "IMPORTING", &names[1]]);
        set_slot(cluster, 1, &[OTHER_SLOT, "MIGRATING", &names[0]]);
        move_keys(cluster, (0, 1), &keys);
        move_keys(cluster, (1, 0), &[OTHER_KEY.to_owned()]);
        let give = |target: usize, slot: &str| {
            set_slot(cluster, target, &[slot, "NODE", &names[target]]);
        };
        thread::scope(|scope| {
            scope.spawn(|| give(1, "0"));
            give(0, OTHER_SLOT);
        });
        // The sources are not told: they hear of it.
        cluster.until_all_agree("the slots have gone", |lines| {
            let has = |node: usize, slot: &str| {
                let node = lines.iter().find(|line| line.id == names[node]);
                node.is_some_and(|node| node.slots.iter().any(|range| range == slot))
            };
            has(1, "0") && has(0, OTHER_SLOT)
        });
        expect_keys(cluster, 1, &keys);
        assert_eq!(ask(&cluster.nodes[0], &["GET", OTHER_KEY]), "value");
        let info = ask(&cluster.nodes[0], &["CLUSTER", "INFO"]);
        let epoch =
            info.split("cluster_current_epoch:").nth(1).and_then(|rest| rest.lines().next());
        let epoch: u64 = epoch.and_then(|epoch| epoch.parse().ok()).expect("there is one");
        assert!(epoch <= 20, "epochs are not used up: {epoch}");
    });
}

/// Sets some keys of slot 0, at the first node.
fn keys_of_slot_0(cluster: &Cluster) -> Vec<String> {
    until_shards_are_known(cluster);
    cluster.until_replicas_are_online();
    until_primaries_know(cluster);
    let keys: Vec<String> = (0..20).map(|number| format!("{KEY}{number}")).collect();
    for key in &keys {
        assert_eq!(ask(&cluster.nodes[0], &["SET", key, "value"]), "OK", "{}", cluster.mix);
    }
    keys
}

fn set_slot(cluster: &Cluster, node: usize, words: &[&str]) {
    let words = [&["CLUSTER", "SETSLOT"], words].concat();
    assert_eq!(ask(&cluster.nodes[node], &words), "OK", "{}: {words:?}", cluster.mix);
}

/// Has keys of slot 0 go from one node to another one, as soon as both take that one for a primary.
fn open_slot_0(cluster: &Cluster, source: usize, target: usize) {
    let names = [source, target].map(|node| id(&cluster.nodes[node]));
    let set = |node: usize, words: [&str; 2]| {
        let words = [&["CLUSTER", "SETSLOT", "0"], &words[..]].concat();
        let is_set = || ask(&cluster.nodes[node], &words) == "OK";
        until(&format!("{}: {words:?}", cluster.mix), is_set, || cluster.describe());
    };
    set(target, ["IMPORTING", &names[0]]);
    set(source, ["MIGRATING", &names[1]]);
}

fn move_keys(cluster: &Cluster, (from, to): (usize, usize), keys: &[String]) {
    let (host, port) = cluster.nodes[to].addr.split_once(':').expect("it has a port");
    let words = ["MIGRATE", host, port, "", "0", "5000", "KEYS"];
    let words: Vec<&str> = words.into_iter().chain(keys.iter().map(String::as_str)).collect();
    assert_eq!(ask(&cluster.nodes[from], &words), "OK", "{}: {words:?}", cluster.mix);
}

fn give_slot_0(cluster: &Cluster, target: usize, nodes: [usize; 2]) {
    let name = id(&cluster.nodes[target]);
    nodes.into_iter().for_each(|node| set_slot(cluster, node, &["0", "NODE", &name]));
}

fn expect_keys(cluster: &Cluster, node: usize, keys: &[String]) {
    for key in keys {
        let value = ask(&cluster.nodes[node], &["GET", key]);
        assert_eq!(value, "value", "{}: {key}: {}", cluster.mix, cluster.describe());
    }
}

/// Waits until all nodes know each replica as one of its primary's shard. A Valkey that does not
/// takes no slot that is on its way for the heir's: it drops it.
fn until_shards_are_known(cluster: &Cluster) {
    let shards = |node: &Server| match node.client().call(&["CLUSTER", "SHARDS"]) {
        Ok(Reply::Group(_, shards)) => shards.len(),
        other => panic!("{other:?}"),
    };
    let are_known = || cluster.nodes.iter().all(|node| shards(node) == 3);
    until("shards are known", are_known, || cluster.describe());
}

/// Waits until each primary has heard from its replicas that they are online.
fn until_primaries_know(cluster: &Cluster) {
    let is_heard = |node: &Server| {
        let text = ask(node, &["INFO", "replication"]);
        !text.contains("state=wait_bgsave") && !text.contains("state=send_bulk")
    };
    let are_heard = || cluster.nodes.iter().all(is_heard);
    until("replicas are heard", are_heard, || cluster.describe());
}

/// Waits until a node shows this of itself.
fn until_shown(cluster: &Cluster, node: usize, what: &str) {
    let shows = || {
        let lines = ask(&cluster.nodes[node], &["CLUSTER", "NODES"]);
        let mine = lines.lines().find(|line| line.contains("myself"));
        mine.is_some_and(|mine| format!("{mine}\n").contains(what))
    };
    until(&format!("{}: {what}", cluster.mix), shows, || cluster.describe());
}

#[test]
fn nothing_is_done_unless_all_replicas_know_it() {
    play("SETSLOT past a stopped replica", &["kkkkkk", "kkkvvv"], |cluster| {
        let target = id(&cluster.nodes[1]);
        let replica = cluster.replica_of(0);
        let mut client = cluster.nodes[0].client();
        send_signal(&cluster.nodes[replica], Signal::SIGSTOP);
        let words = ["CLUSTER", "SETSLOT", OUT, "MIGRATING", &target, "TIMEOUT", "300"];
        let reply = client.call(&words).expect("it is answered");
        send_signal(&cluster.nodes[replica], Signal::SIGCONT);
        let refused = b"NOREPLICAS Not enough good replicas to write.".to_vec();
        assert_eq!(reply, Reply::Error(refused), "{}", cluster.mix);
        let lines = ask(&cluster.nodes[0], &["CLUSTER", "NODES"]);
        assert!(!lines.contains("[5->-"), "{}: {lines}", cluster.mix);
        // The replica comes to what it was told, and to what holds.
        set_slot(cluster, 0, &[BACK, "MIGRATING", &target]);
        until_shown(cluster, replica, &format!(" [6->-{target}]\n"));

        let reset = ask(&cluster.nodes[0], &["CONFIG", "RESETSTAT"]);
        let info = ask(&cluster.nodes[0], &["CLUSTER", "INFO"]);
        assert_eq!(reset, "OK");
        let of = |name: &str| {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.and_then(|value| value.trim_end().parse::<u64>().ok()).expect("it is a number")
        };
        let [messages, bytes] = ["cluster_stats_messages_sent", "cluster_stats_bytes_sent"].map(of);
        assert!(messages < 50 && bytes < 500_000, "counted anew: {info}");
    });
}

#[test]
fn what_is_not_done_in_the_end_is_taken_back_at_replicas() {
    play("SETSLOT that is refused, or given up", &["kkkkkk", "kkkvvv"], |cluster| {
        let target = id(&cluster.nodes[1]);
        let replica = cluster.replica_of(0);
        until_shards_are_known(cluster);
        cluster.until_replicas_are_online();
        until_primaries_know(cluster);
        let until_told = |client: &mut Client, words: &[&str]| {
            let before = log_length(cluster);
            let words = [&["CLUSTER", "SETSLOT"], words, &["TIMEOUT", "0"]].concat();
            client.send(&words).expect("it is sent");
            let is_told = || before < log_length(cluster);
            until(&format!("{}: {words:?}", cluster.mix), is_told, || cluster.describe());
        };
        send_signal(&cluster.nodes[replica], Signal::SIGSTOP);
        // A client that has gone waits for nothing; a key comes meanwhile.
        let (mut gone, mut refused) = (cluster.nodes[0].client(), cluster.nodes[0].client());
        until_told(&mut gone, &[OUT, "MIGRATING", &target]);
        drop(gone);
        until_told(&mut refused, &["0", "NODE", &target]);
        assert_eq!(ask(&cluster.nodes[0], &["SET", KEY, "value"]), "OK", "{}", cluster.mix);
        send_signal(&cluster.nodes[replica], Signal::SIGCONT);
        let reply = refused.receive().expect("it is answered");
        let Reply::Error(text) = &reply else { panic!("{}: {reply:?}", cluster.mix) };
        assert!(text.starts_with(b"ERR Can't assign hashslot 0 "), "{}: {reply:?}", cluster.mix);

        set_slot(cluster, 0, &[BACK, "MIGRATING", &target]);
        until_shown(cluster, replica, &format!(" [6->-{target}]\n"));
        let seen = ask(&cluster.nodes[replica], &["CLUSTER", "NODES"]);
        let source = id(&cluster.nodes[0]);
        let owner = seen.lines().find(|line| line.starts_with(&source)).expect("it is known");
        assert!(owner.ends_with(" 0-5460"), "{}: {seen}", cluster.mix);
    });
}

/// How many bytes the first primary has logged.
fn log_length(cluster: &Cluster) -> u64 {
    let info = ask(&cluster.nodes[0], &["INFO", "replication"]);
    let offset = info.lines().find_map(|line| line.strip_prefix("master_repl_offset:"));
    offset.and_then(|offset| offset.trim_end().parse().ok()).expect("it is a number")
}
