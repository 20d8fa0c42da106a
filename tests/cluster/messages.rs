//! PUBLISH reaches the subscribers of every node, SPUBLISH those of the nodes of a shard.

use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::{Client, Reply};
use crate::nodes::{Cluster, KEY, ask};
use crate::processes::Server;
use crate::servers::until;
use crate::{MIXES, play, play_with};

/// Messages of each publisher.
const MESSAGES: usize = 300;
/// Requests that a publisher sends at once.
const PIPELINE: usize = 50;
/// Subscribers of each node: of a Keylane each of its shards has one.
const LISTENERS: usize = 2;

/// Clients that listen, and the place of the node of each.
struct Audience(Vec<(usize, Client)>);

impl Audience {
    /// Lets clients of these nodes listen.
    fn new(cluster: &Cluster, nodes: &[usize], words: &[&str]) -> Self {
        let places = nodes.iter().flat_map(|place| [*place; LISTENERS]);
        let listener = |place: usize| {
            let mut client = cluster.nodes[place].client();
            let reply = client.call(words).expect("it is answered");
            assert!(matches!(reply, Reply::Group(..)), "{}: {reply:?}", cluster.mix);
            (place, client)
        };
        Self(places.map(listener).collect())
    }

    /// Reads until each has had all messages of these publishers, those of each in their order.
    fn hear(&mut self, cluster: &Cluster, publishers: &[usize]) {
        let mix = &cluster.mix;
        for (place, client) in &mut self.0 {
            let mut next = vec![0; cluster.nodes.len()];
            for _ in 0..publishers.len() * MESSAGES {
                let reply = client.receive().unwrap_or_else(|error| {
                    panic!("{mix}: {place} has {next:?}: {error}\n{}", cluster.describe())
                });
                let (publisher, number) = message(&reply);
                assert_eq!(number, next[publisher], "{mix}: {place} of {publisher}");
                next[publisher] += 1;
            }
        }
    }
}

/// The publisher that a message names, and its number.
fn message(reply: &Reply) -> (usize, usize) {
    let Reply::Group(_, members) = reply else { panic!("no message: {reply:?}") };
    let Some(Reply::Bulk(text)) = members.last() else { panic!("no message: {reply:?}") };
    let text = String::from_utf8_lossy(text);
    let mut numbers =
        text.split(':').take(2).map(|number| number.parse().expect("we sent numbers"));
    (numbers.next().expect("a publisher"), numbers.next().expect("a number"))
}

/// Publishes through a node; each request is answered how many listen there.
fn publish(cluster: &Cluster, place: usize, command: &str, channel: &str, listeners: usize) {
    let mut client = cluster.nodes[place].client();
    for first in (0..MESSAGES).step_by(PIPELINE) {
        for number in first..first + PIPELINE {
            client.send(&[command, channel, &format!("{place}:{number}")]).expect("it is taken");
        }
        for _ in 0..PIPELINE {
            let reply = client.receive().expect("it is answered");
            let expected = Reply::Integer(i64::try_from(listeners).expect("they are few"));
            assert_eq!(reply, expected, "{}: {command} at {place}", cluster.mix);
        }
    }
}

#[test]
fn a_message_reaches_the_subscribers_of_every_node() {
    play("PUBLISH", MIXES, |cluster| {
        let all: Vec<usize> = (0..cluster.nodes.len()).collect();
        until_linked(cluster);
        let mut channels = Audience::new(cluster, &all, &["SUBSCRIBE", "news"]);
        let mut patterns = Audience::new(cluster, &all, &["PSUBSCRIBE", "n?ws"]);
        for place in &all {
            publish(cluster, *place, "PUBLISH", "news", 2 * LISTENERS);
        }
        channels.hear(cluster, &all);
        patterns.hear(cluster, &all);
    });
}

#[test]
fn a_message_of_a_shard_reaches_its_nodes_and_no_others() {
    play("SPUBLISH", MIXES, |cluster| {
        let shard = [0, cluster.replica_of(0)];
        until_linked(cluster);
        let mut audience = Audience::new(cluster, &shard, &["SSUBSCRIBE", KEY]);
        for place in shard {
            publish(cluster, place, "SPUBLISH", KEY, LISTENERS);
        }
        audience.hear(cluster, &shard);
        for place in 0..cluster.nodes.len() {
            let info = ask(&cluster.nodes[place], &["CLUSTER", "INFO"]);
            let has = info.contains("cluster_stats_messages_publishshard_received:");
            assert_eq!(has, shard.contains(&place), "{}: {place}\n{info}", cluster.mix);
        }
        let moved = ask(&cluster.nodes[1], &["SPUBLISH", KEY, "message"]);
        assert!(moved.starts_with("-MOVED 0 "), "{}: {moved}", cluster.mix);
    });
}

#[test]
fn an_exec_publishes_in_its_place() {
    play("PUBLISH in an EXEC", &["kkkkkk", "kvkvkv"], |cluster| {
        let all: Vec<usize> = (0..cluster.nodes.len()).collect();
        until_linked(cluster);
        let mut audience = Audience::new(cluster, &all, &["SUBSCRIBE", "news"]);
        let mut client = cluster.nodes[0].client();
        for number in 0..MESSAGES {
            let text = format!("0:{number}");
            let words: &[&[&str]] = if number % 3 == 0 {
                &[&["MULTI"], &["SET", KEY, "value"], &["PUBLISH", "news", &text], &["EXEC"]]
            } else {
                &[&["PUBLISH", "news", &text]]
            };
            words.iter().for_each(|words| client.send(words).expect("it is taken"));
            words.iter().for_each(|_| drop(client.receive().expect("it is answered")));
        }
        audience.hear(cluster, &[0]);
    });
}

#[test]
fn a_long_message_reaches_every_node() {
    play("long messages", &["kkkkkk", "kkkvvv", "rrrkkk"], |cluster| {
        let all: Vec<usize> = (0..cluster.nodes.len()).collect();
        until_linked(cluster);
        let mut audience = Audience::new(cluster, &all, &["SUBSCRIBE", "news"]);
        let long = "x".repeat(3 << 20);
        for place in &all {
            let mut client = cluster.nodes[*place].client();
            client.call(&["PUBLISH", "news", &long]).expect("it is answered");
            for (listener, client) in &mut audience.0 {
                let reply = client.receive().unwrap_or_else(|error| {
                    panic!("{}: {listener} of {place}: {error}", cluster.mix)
                });
                let Reply::Group(_, members) = reply else { panic!("no message: {reply:?}") };
                let text = members.last();
                assert_eq!(text, Some(&Reply::Bulk(long.clone().into())), "{}", cluster.mix);
            }
        }
    });
}

#[test]
fn many_messages_at_once_all_arrive_in_their_order() {
    const PUBLISHERS: usize = 4;
    const EACH: usize = 10_000;
    // A node that has no turn for half of its timeout loses a link, and what is on its way by it.
    let options =
        ["--client-output-buffer-limit", "pubsub 0 0 0", "--cluster-node-timeout", "15000"];
    play_with("many messages", &["kkkkkk", "kvkvkv"], &options, |cluster| {
        let cluster: &Cluster = cluster;
        until_linked(cluster);
        let audience = Audience::new(cluster, &[0, 1, 5], &["SUBSCRIBE", "news"]);
        thread::scope(|scope| {
            for publisher in 0..PUBLISHERS {
                scope.spawn(move || {
                    let mut client = cluster.nodes[0].client();
                    let filler = "x".repeat(1000);
                    for first in (0..EACH).step_by(PIPELINE) {
                        for number in first..first + PIPELINE {
                            let text = format!("{publisher}:{number}:{filler}");
                            client.send(&["PUBLISH", "news", &text]).expect("it is taken");
                        }
                        (0..PIPELINE).for_each(|_| drop(client.receive().expect("an answer")));
                    }
                });
            }
            for (place, mut client) in audience.0 {
                scope.spawn(move || {
                    let mut next = [0; PUBLISHERS];
                    for _ in 0..PUBLISHERS * EACH {
                        let reply = client.receive().unwrap_or_else(|error| {
                            panic!("{}: {place} has {next:?}: {error}", cluster.mix)
                        });
                        let (publisher, number) = message(&reply);
                        assert_eq!(number, next[publisher], "{}: {place}", cluster.mix);
                        next[publisher] += 1;
                    }
                });
            }
        });
        let said = cluster.nodes[0].output();
        assert!(!said.contains("are dropped"), "{}: {said}", cluster.mix);
    });
}

#[test]
fn a_node_that_is_stopped_keeps_no_message_from_others() {
    play("a node is stopped", &["kkkkkk", "kkkvvv"], |cluster| {
        let others = [0, 1, 2, 3, 4];
        until_linked(cluster);
        let mut audience = Audience::new(cluster, &others, &["SUBSCRIBE", "news"]);
        let stopped = Stopped::new(&cluster.nodes[5]);
        let filler = "x".repeat(100_000);
        let mut client = cluster.nodes[0].client();
        for _ in 0..100 {
            client.send(&["PUBLISH", "other", &filler]).expect("it is taken");
            assert_eq!(client.receive().expect("it is answered"), Reply::Integer(0));
        }
        publish(cluster, 0, "PUBLISH", "news", LISTENERS);
        audience.hear(cluster, &[0]);
        drop(stopped);
        let mut late = cluster.nodes[5].client();
        late.call(&["SUBSCRIBE", "late"]).expect("it is answered");
        late.set_patience(Duration::from_millis(20)).expect("it can be set");
        // Its link may have to be made anew.
        let is_heard = || {
            ask(&cluster.nodes[0], &["PUBLISH", "late", "message"]);
            late.receive().is_ok()
        };
        until("it goes on", is_heard, || cluster.describe());
    });
}

#[test]
fn shards_that_are_stuck_lose_messages_beyond_a_bound_and_go_on() {
    play("stuck shards", &["kkkkkk"], |cluster| {
        until_linked(cluster);
        let mut audience = Audience::new(cluster, &[2], &["SUBSCRIBE", "news"]);
        let mut stuck = cluster.nodes[1].client();
        stuck.send(&["DEBUG", "SLEEP", "3"]).expect("it is taken");
        let mut client = cluster.nodes[0].client();
        let filler = "x".repeat(1 << 20);
        for _ in 0..100 {
            client.send(&["PUBLISH", "other", &filler]).expect("it is taken");
            assert_eq!(client.receive().expect("it is answered"), Reply::Integer(0));
        }
        publish(cluster, 0, "PUBLISH", "news", 0);
        audience.hear(cluster, &[0]);
        let drops = || cluster.nodes[1].output().contains("SPUBLISH are dropped");
        until("messages are dropped", drops, || cluster.describe());
        assert!(matches!(stuck.receive(), Ok(Reply::Simple(_))), "the shards go on");
        let mut late = Audience::new(cluster, &[1], &["SUBSCRIBE", "news"]);
        publish(cluster, 0, "PUBLISH", "news", 0);
        audience.hear(cluster, &[0]);
        late.hear(cluster, &[0]);
    });
}

/// A process that does nothing until this is dropped.
struct Stopped(Pid);

impl Stopped {
    fn new(node: &Server) -> Self {
        let pid = Pid::from_raw(i32::try_from(node.pid()).expect("it is a process"));
        kill(pid, Signal::SIGSTOP).expect("it runs");
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        kill(self.0, Signal::SIGCONT).expect("it is there");
    }
}

/// Waits until each node has links with each other one that are as good as those that last: nodes
/// that have just come to know each other may make some of them anew.
fn until_linked(cluster: &Cluster) {
    const AGE_MS: i64 = 1000;
    let count = 2 * (cluster.nodes.len() - 1);
    let is_linked = |node: &Server| {
        let made = links_made(node);
        let now = now_ms(node);
        made.len() == count && made.iter().all(|made| AGE_MS <= now - made)
    };
    let are_linked = || cluster.nodes.iter().all(is_linked);
    until(&format!("{}: all are linked", cluster.mix), are_linked, || cluster.describe());
}

/// When each link of a node was made, in milliseconds.
fn links_made(node: &Server) -> Vec<i64> {
    let reply = node.client().call(&["CLUSTER", "LINKS"]).expect("it is answered");
    let Reply::Group(_, links) = reply else { panic!("no links: {reply:?}") };
    let made = |link: Reply| {
        let Reply::Group(_, fields) = link else { panic!("no link: {link:?}") };
        let name = Reply::Bulk(b"create-time".to_vec());
        let at = fields.iter().position(|field| *field == name).expect("links have it");
        let Reply::Integer(made) = fields[at + 1] else { panic!("no time: {fields:?}") };
        made
    };
    links.into_iter().map(made).collect()
}

/// What a node's calendar says, in milliseconds.
fn now_ms(node: &Server) -> i64 {
    let reply = node.client().call(&["TIME"]).expect("it is answered");
    let Reply::Group(_, parts) = reply else { panic!("no time: {reply:?}") };
    let part = |at: usize| match &parts[at] {
        Reply::Bulk(text) => String::from_utf8_lossy(text).parse::<i64>().expect("a number"),
        other => panic!("no number: {other:?}"),
    };
    part(0) * 1000 + part(1) / 1000
}
