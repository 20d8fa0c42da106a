//! Messages between cores: none lost, none invented, each publisher's in its order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::client::{Client, Reply};
use crate::running::{Running, free_port};

const CHANNELS: [&str; 3] = ["news:a", "news:b", "news:c"];

/// The text of a message, and its channel.
fn message(reply: Reply) -> Option<(String, String)> {
    let Reply::Group(_, members) = reply else { panic!("not a message: {}", reply.head()) };
    let text = |at: usize| match &members[at] {
        Reply::Bulk(text) => String::from_utf8(text.clone()).expect("we sent text"),
        other => panic!("not text: {}", other.head()),
    };
    match text(0).as_str() {
        "message" => Some((text(1), text(2))),
        "pmessage" => Some((text(2), text(3))),
        _ => None,
    }
}

fn receivers(reply: Reply) -> usize {
    let Reply::Integer(count) = reply else { panic!("not a number: {}", reply.head()) };
    usize::try_from(count).expect("a count is not negative")
}

#[test]
fn every_subscriber_gets_every_message_in_its_publishers_order() {
    const SUBSCRIBERS: usize = 50;
    const PUBLISHERS: usize = 9;
    const MESSAGES: usize = 400;
    const PIPELINE: usize = 20;
    let port = free_port();
    let running = Running::ready(port, &["--shards", "3"]);
    // Connections go to the shards in turn, so there are subscribers and publishers on each.
    let mut subscribers: Vec<Client> = (0..SUBSCRIBERS).map(|_| running.client(port)).collect();
    for (number, client) in subscribers.iter_mut().enumerate() {
        if number % 2 == 0 {
            client.call(&["SUBSCRIBE", CHANNELS[0], CHANNELS[1], CHANNELS[2]]).unwrap();
            (0..2).for_each(|_| drop(client.receive().unwrap()));
        } else {
            client.call(&["PSUBSCRIBE", "news:*"]).unwrap();
        }
    }
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let mut client = running.client(port);
            scope.spawn(move || {
                for first in (0..MESSAGES).step_by(PIPELINE) {
                    for number in first..first + PIPELINE {
                        let text = format!("{publisher}:{number}");
                        client.send(&["PUBLISH", CHANNELS[number % 3], &text]).unwrap();
                    }
                    for _ in 0..PIPELINE {
                        assert_eq!(receivers(client.receive().unwrap()), SUBSCRIBERS);
                    }
                }
            });
        }
        for client in &mut subscribers {
            scope.spawn(move || {
                let mut next = BTreeMap::new();
                for _ in 0..PUBLISHERS * MESSAGES {
                    let (channel, text) = message(client.receive().unwrap()).expect("a message");
                    let (publisher, number) = text.split_once(':').unwrap();
                    let number: usize = number.parse().unwrap();
                    let expected = next.entry(publisher.to_owned()).or_insert(0);
                    assert_eq!((number, &*channel), (*expected, CHANNELS[number % 3]));
                    *expected += 1;
                }
                assert!(client.unread().unwrap().is_empty());
            });
        }
    });
}

/// Subscribers come and go all the time; still each message that was counted is received.
#[test]
fn what_publishers_count_is_what_subscribers_get() {
    const SUBSCRIBERS: usize = 12;
    const PUBLISHERS: usize = 3;
    const ROUNDS: usize = 200;
    let port = free_port();
    let running = Running::ready(port, &["--shards", "3"]);
    let over = AtomicBool::new(false);
    let (counted, got) = thread::scope(|scope| {
        let publish = |mut client: Client| {
            let mut counted = 0;
            while !over.load(Ordering::Relaxed) {
                let channel = CHANNELS[counted % 3];
                counted += receivers(client.call(&["PUBLISH", channel, "text"]).unwrap());
            }
            counted
        };
        let listen = |mut client: Client, number: usize| {
            let mut got = 0;
            let (begin, end, what) = match number % 3 {
                0 => ("PSUBSCRIBE", "PUNSUBSCRIBE", "news:[ab]"),
                at => ("SUBSCRIBE", "UNSUBSCRIBE", CHANNELS[at]),
            };
            for _ in 0..ROUNDS {
                client.send(&[begin, what]).unwrap();
                client.send(&["PING"]).unwrap();
                // The confirmation comes before any message.
                let first = client.receive().unwrap();
                assert_eq!(message(first), None);
                let mut answers = 0;
                client.send(&[end]).unwrap();
                while answers < 2 {
                    match message(client.receive().unwrap()) {
                        Some(_) => got += 1,
                        None => answers += 1,
                    }
                }
                assert_eq!(client.call(&["ECHO", "x"]).unwrap(), Reply::Bulk(b"x".into()));
            }
            got
        };
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|_| {
                let client = running.client(port);
                scope.spawn(move || publish(client))
            })
            .collect();
        let listeners: Vec<_> = (0..SUBSCRIBERS)
            .map(|number| {
                let client = running.client(port);
                scope.spawn(move || listen(client, number))
            })
            .collect();
        let got: usize = listeners.into_iter().map(|thread| thread.join().unwrap()).sum();
        over.store(true, Ordering::Relaxed);
        let counted: usize = publishers.into_iter().map(|thread| thread.join().unwrap()).sum();
        (counted, got)
    });
    assert!(0 < got);
    assert_eq!(counted, got);
}

#[test]
fn a_subscriber_that_does_not_read_is_cut_at_its_own_limit() {
    let port = free_port();
    let limits = ["--client-output-buffer-limit", "pubsub 1mb 0 0", "--shards", "2"];
    let running = Running::ready(port, &limits);
    let mut rude = running.client(port);
    rude.call(&["SUBSCRIBE", "flood"]).unwrap();
    let mut polite = running.client(port);
    let text = "x".repeat(100_000);
    let cut = (0..2000).any(|_| receivers(polite.call(&["PUBLISH", "flood", &text]).unwrap()) == 0);
    assert!(cut, "it is still connected");
    rude.rest().unwrap();
}

#[test]
fn evicted_keys_are_told_of() {
    let port = free_port();
    let options = ["--notify-keyspace-events", "Ee", "--maxmemory-policy", "allkeys-random"];
    let running = Running::ready(port, &[&options[..], &["--shards", "2"]].concat());
    let mut listener = running.client(port);
    listener.call(&["SUBSCRIBE", "__keyevent@0__:evicted"]).unwrap();
    let mut client = running.client(port);
    let value = "v".repeat(1000);
    for number in 0..1000 {
        client.call(&["SET", &format!("key:{number}"), &value]).unwrap();
    }
    client.call(&["CONFIG", "SET", "maxmemory", "1mb"]).unwrap();
    for _ in 0..10 {
        let (channel, key) = message(listener.receive().unwrap()).expect("a message");
        assert_eq!(channel, "__keyevent@0__:evicted");
        assert!(key.starts_with("key:"), "{key} was evicted");
    }
}
