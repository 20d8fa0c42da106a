//! CLIENT PAUSE: when it is acknowledged nothing is written any more, by any way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{all_ok, number, requests, start};
use crate::asking::{comes_to, field, ok, text};
use crate::client::{Client, Reply};

const PAUSE: &str = "CLIENT PAUSE 100000 WRITE";
const KEYS: usize = 40;
const DEPTH: usize = 50;

/// Writes to all counters in pipelines until told to stop.
fn write(client: &mut Client, first: usize, stop: &AtomicBool) {
    let keys = (0..DEPTH).map(|number| (first + number) % KEYS);
    let pipeline = requests(keys.map(|key| format!("INCR counter:{key}")));
    while !stop.load(Ordering::Relaxed) {
        client.send_raw(&pipeline).expect("the server takes it");
        for _ in 0..DEPTH {
            client.receive().expect("the server answers");
        }
    }
}

/// What all counters are.
fn counters(client: &mut Client) -> Vec<Reply> {
    let gets = requests((0..KEYS).map(|key| format!("GET counter:{key}")));
    client.send_raw(&gets).expect("the server takes it");
    (0..KEYS).map(|_| client.receive().expect("the server answers")).collect()
}

#[test]
fn nothing_is_written_once_a_pause_is_acknowledged() {
    const WRITERS: usize = 8;
    const ROUNDS: usize = 5;
    for shards in [1, 2, 3] {
        let (running, port, mut watcher) = start(shards, &[]);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for first in 0..WRITERS {
                let mut client = running.client(port);
                client.set_patience(Duration::from_secs(30)).expect("it is connected");
                let stop = &stop;
                scope.spawn(move || write(&mut client, first * 7, stop));
            }
            let mut differ = 0;
            for _ in 0..ROUNDS {
                let begun = number(&mut watcher, "total_commands_processed");
                while number(&mut watcher, "total_commands_processed") < begun + 1000 {}
                ok(&mut watcher, PAUSE);
                let first = counters(&mut watcher);
                differ += usize::from((0..50).any(|_| counters(&mut watcher) != first));
                ok(&mut watcher, "CLIENT UNPAUSE");
            }
            stop.store(true, Ordering::Relaxed);
            assert_eq!(differ, 0, "of {ROUNDS} pauses, with {shards} shards");
        });
    }
}

#[test]
fn what_is_due_is_hidden_and_stays_while_paused() {
    const DUE: u64 = 100;
    for shards in [1, 3] {
        let (_running, _, mut client) = start(shards, &[]);
        all_ok(&mut client, (0..DUE).map(|key| format!("SET {key} 1 PX 300")));
        ok(&mut client, PAUSE);
        let there = number(&mut client, "expired_keys");
        for key in 0..DUE {
            while text(&mut client, &format!("GET {key}")) != "NullBulk" {}
        }
        for _ in 0..20 {
            text(&mut client, "EXISTS 1 2 3");
        }
        assert_eq!(number(&mut client, "expired_keys"), there);
        assert_eq!(text(&mut client, "DBSIZE"), format!("Integer({})", DUE - there));
        ok(&mut client, "CLIENT UNPAUSE");
        comes_to(&mut client, "expired_keys", &DUE.to_string());
        assert_eq!(text(&mut client, "DBSIZE"), "Integer(0)");
    }
}

#[test]
fn nothing_is_evicted_while_paused() {
    for shards in [1, 3] {
        let (_running, _, mut client) = start(shards, &["--maxmemory-policy", "allkeys-lru"]);
        let value = "x".repeat(50_000);
        all_ok(&mut client, (0..200).map(|key| format!("SET {key} {value}")));
        ok(&mut client, PAUSE);
        ok(&mut client, "CONFIG SET maxmemory 6mb");
        for key in 0..200 {
            assert_ne!(text(&mut client, &format!("GET {key}")), "NullBulk");
            assert_eq!(field(&mut client, "evicted_keys"), "0");
        }
        ok(&mut client, "CLIENT UNPAUSE");
        while number(&mut client, "evicted_keys") == 0 {
            ok(&mut client, "SET more 1");
        }
    }
}

#[test]
fn paused_clients_are_counted_as_blocked() {
    for shards in [1, 3] {
        let (running, port, mut watcher) = start(shards, &[]);
        ok(&mut watcher, PAUSE);
        let mut writers: Vec<Client> = (0..5).map(|_| running.client(port)).collect();
        for (number, writer) in writers.iter_mut().enumerate() {
            writer.send_raw(&requests([format!("SET {number} 1")])).unwrap();
        }
        comes_to(&mut watcher, "blocked_clients", "5");
        assert_eq!(text(&mut watcher, "DBSIZE"), "Integer(0)");
        ok(&mut watcher, "CLIENT UNPAUSE");
        for writer in &mut writers {
            assert_eq!(writer.receive().unwrap(), Reply::Simple(b"OK".into()));
        }
        assert_eq!(field(&mut watcher, "blocked_clients"), "0");
    }
}

#[test]
fn what_is_held_for_a_killed_client_does_not_run() {
    let cases: [Vec<u8>; 3] = [
        requests(["SET a 1"]),
        requests(["MULTI", "SET a 1", "SET b 1", "SET c 1", "EXEC"]),
        requests((0..20).map(|key| format!("SET key:{key} 1"))),
    ];
    for shards in [1, 3] {
        let (running, port, mut watcher) = start(shards, &[]);
        for held in &cases {
            ok(&mut watcher, PAUSE);
            let mut client = running.client(port);
            let Reply::Integer(id) = client.call(&["CLIENT", "ID"]).unwrap() else {
                panic!("an ID is a number")
            };
            client.send_raw(held).unwrap();
            has_read(&mut watcher, id, requests(["CLIENT ID"]).len() + held.len());
            assert_eq!(text(&mut watcher, &format!("CLIENT KILL ID {id}")), "Integer(1)");
            comes_to(&mut watcher, "connected_clients", "1");
            ok(&mut watcher, "CLIENT UNPAUSE");
            for _ in 0..50 {
                assert_eq!(text(&mut watcher, "DBSIZE"), "Integer(0)", "{shards} shards");
            }
        }
    }
}

/// Waits until the server has read so many bytes of this client.
fn has_read(watcher: &mut Client, id: i64, bytes: usize) {
    loop {
        let line = text(watcher, &format!("CLIENT LIST ID {id}"));
        let field = line.split(' ').find_map(|field| field.strip_prefix("tot-net-in="));
        let read: usize = field.expect("it is connected").parse().expect("it is a number");
        if bytes <= read {
            return;
        }
    }
}

#[test]
fn what_killed_clients_sent_is_not_kept_while_paused() {
    const CLIENTS: usize = 20;
    const VALUE_BYTES: usize = 1 << 20;
    const LEFT_BYTES_MAX: u64 = 4 << 20;
    for shards in [1, 3] {
        let (running, port, mut watcher) = start(shards, &[]);
        ok(&mut watcher, PAUSE);
        let before = number(&mut watcher, "used_memory");
        let value = "x".repeat(VALUE_BYTES);
        let clients: Vec<Client> = (0..CLIENTS)
            .map(|key| {
                let mut client = running.client(port);
                client.send(&["SET", &key.to_string(), &value]).unwrap();
                client
            })
            .collect();
        // All of it has arrived.
        let sent = u64::try_from(CLIENTS * VALUE_BYTES).unwrap();
        while number(&mut watcher, "total_net_input_bytes") < sent {}
        ok(&mut watcher, "CLIENT KILL TYPE normal SKIPME yes");
        comes_to(&mut watcher, "connected_clients", "1");
        let back =
            running.comes_to(|_| number(&mut watcher, "used_memory") <= before + LEFT_BYTES_MAX);
        let left = number(&mut watcher, "used_memory").saturating_sub(before);
        assert!(back, "{left} bytes are kept with {shards} shards");
        drop(clients);
    }
}

#[test]
fn a_client_that_waits_is_not_served_while_paused() {
    for shards in [1, 3] {
        let (running, port, mut watcher) = start(shards, &[]);
        let (mut taker, mut pusher) = (running.client(port), running.client(port));
        taker.send(&["BLPOP", "q", "0"]).unwrap();
        comes_to(&mut watcher, "blocked_clients", "1");
        ok(&mut watcher, PAUSE);
        pusher.send(&["RPUSH", "q", "element"]).unwrap();
        comes_to(&mut watcher, "blocked_clients", "2");
        assert!(!taker.has_reply() && !pusher.has_reply());
        ok(&mut watcher, "CLIENT UNPAUSE");
        let pair = ["q", "element"].map(|word| Reply::Bulk(word.into()));
        assert_eq!(taker.receive().unwrap(), Reply::Group('*', pair.to_vec()));
        assert_eq!(pusher.receive().unwrap(), Reply::Integer(1));
    }
}

#[test]
fn a_client_whose_input_ended_before_its_write_was_held_is_not_kept() {
    const CLIENTS: usize = 30;
    for shards in [1, 3] {
        let (running, port, mut watcher) = start(shards, &[]);
        ok(&mut watcher, "CLIENT PAUSE 60000 WRITE");
        for key in 0..CLIENTS {
            let mut client = running.client(port);
            client.send_raw(&requests([format!("SET key{key} 1")])).expect("the server takes it");
            client.half_close().expect("it is open");
            // It is answered what is done, and that is nothing.
            assert_eq!(client.rest().expect("the server closes"), b"", "{shards} shards");
        }
        assert_eq!(number(&mut watcher, "blocked_clients"), 0);
        ok(&mut watcher, "CLIENT UNPAUSE");
        assert_eq!(text(&mut watcher, "DBSIZE"), "Integer(0)");
    }
}

#[test]
fn a_client_that_is_gone_when_its_write_is_held_leaves_nothing() {
    const ROUNDS: usize = 200;
    for shards in [1, 3] {
        let (running, port, mut watcher) = start(shards, &[]);
        let mut pausing = running.client(port);
        let pairs = (0..40).flat_map(|_| ["INCR c", "MULTI", "INCR a", "INCR b", "EXEC"]);
        let many = requests(pairs.map(str::to_owned));
        for round in 0..ROUNDS {
            let mut client = running.client(port);
            client.send_raw(&many).expect("the server takes it");
            pausing.send_raw(b"CLIENT PAUSE 60000 WRITE\r\n").expect("the server takes it");
            // With replies that were not read this resets the connection.
            drop(client);
            pausing.receive().expect("the server answers");
            ok(&mut pausing, "CLIENT UNPAUSE");
            let is_left = running.comes_to(|_| number(&mut watcher, "connected_clients") == 2);
            assert!(is_left, "{shards} shards, {round}: {}", text(&mut watcher, "CLIENT LIST"));
        }
    }
}

#[test]
fn a_client_that_wants_replies_again_gets_them_behind_a_pause() {
    for shards in [1, 3] {
        let (running, port, mut watcher) = start(shards, &[]);
        let mut client = running.client(port);
        client.send_raw(&requests(["CLIENT REPLY OFF", "SET off 1"])).expect("it takes it");
        assert!(running.comes_to(|_| text(&mut watcher, "EXISTS off") == "Integer(1)"));
        ok(&mut watcher, "CLIENT PAUSE 100 ALL");
        let again = requests(["CLIENT REPLY ON", "INCR a"]);
        client.send_raw(&again).expect("it takes it");
        assert_eq!(client.receive().expect("it answers"), Reply::Simple(b"OK".to_vec()));
        assert_eq!(client.receive().expect("it answers"), Reply::Integer(1));
    }
}
