//! Memory that replies and requests take: bounded while they are made, and given back.

use std::fs;
use std::time::Duration;

use super::{all_ok, number, requests, start};
use crate::asking::{comes_to, ok, text};
use crate::client::Client;
use crate::running::Running;

const LIMIT_BYTES: usize = 4 << 20;
/// What a server may take besides for a moment.
const SLACK_BYTES: usize = 32 << 20;
const LIMIT: [&str; 2] = ["--client-output-buffer-limit", "normal 4mb 0 0"];
const VALUES: usize = 16;
const VALUE_BYTES: usize = 256 << 10;
/// How long the server may take nothing before a client that sends gives up.
const PATIENCE: Duration = Duration::from_millis(200);

/// From now on `peak_bytes` is about what follows.
fn forget_peak(running: &Running) {
    fs::write(format!("/proc/{}/clear_refs", running.pid()), "5").expect("it is our child");
}

/// The most of its memory that was in use.
fn peak_bytes(running: &Running) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    number.expect("every process has this line") << 10
}

fn fill(client: &mut Client) {
    let value = "x".repeat(VALUE_BYTES);
    all_ok(client, (0..VALUES).map(|key| format!("SET {key} {value}")));
}

/// Names of the filled keys, so many with repetitions.
fn names(count: usize) -> String {
    (0..count).map(|key| (key % VALUES).to_string()).collect::<Vec<String>>().join(" ")
}

#[test]
fn replies_that_are_not_read_are_broken_off_at_the_limit() {
    const REPLIES: usize = 400;
    let gets = || (0..REPLIES).map(|key| format!("GET {}", key % VALUES));
    let queued = [requests(["MULTI"]), requests(gets())].concat();
    // What is sent and answered first, and then what has replies that are not read.
    let cases: [(&str, &[u8], usize, Vec<u8>); 4] = [
        ("one MGET", b"", 0, requests([format!("MGET {}", names(REPLIES))])),
        ("many MGETs", b"", 0, requests(vec![format!("MGET {}", names(20)); REPLIES / 20])),
        ("one EXEC", &queued, REPLIES + 1, requests(["EXEC"])),
        ("many GETs", b"", 0, requests(gets())),
    ];
    for shards in [1, 2] {
        let (running, port, mut watcher) = start(shards, &LIMIT);
        fill(&mut watcher);
        for (label, first, answers, sent) in &cases {
            let before = running.rss_bytes();
            forget_peak(&running);
            let mut client = running.client(port);
            client.send_raw(first).expect("the server takes it");
            for _ in 0..*answers {
                client.receive().expect("the server answers");
            }
            client.send_raw(sent).expect("the server takes it");
            let cut = running.comes_to(|_| number(&mut watcher, "connected_clients") == 1);
            assert!(cut, "{label}, {shards} shards: it is still connected");
            let peak = peak_bytes(&running).saturating_sub(before);
            assert!(peak <= LIMIT_BYTES + SLACK_BYTES, "{label}, {shards} shards: {peak} bytes");
        }
    }
}

#[test]
fn a_client_whose_reply_is_broken_off_behind_others_is_cut() {
    const REPLIES: usize = 400;
    const ROUNDS: usize = 20;
    let gets = (0..REPLIES).map(|key| format!("GET {}", key % VALUES));
    let sent = [requests(["MULTI"]), requests(gets), requests(["EXEC"])].concat();
    let (running, port, mut watcher) = start(2, &LIMIT);
    fill(&mut watcher);
    for round in 0..ROUNDS {
        let mut client = running.client(port);
        client.send_raw(&sent).expect("the server takes it");
        // What was answered before the reply may have gone by the time it is too long.
        let cut = running.comes_to(|_| number(&mut watcher, "connected_clients") == 1);
        assert!(cut, "round {round}: it is still connected");
    }
}

#[test]
fn replies_that_are_not_read_evict_no_key() {
    for shards in [1, 2] {
        let (running, port, mut watcher) = start(shards, &LIMIT);
        fill(&mut watcher);
        ok(&mut watcher, "CONFIG SET maxmemory-policy allkeys-lru");
        let limit = number(&mut watcher, "used_memory") + 24 * (1 << 20);
        ok(&mut watcher, &format!("CONFIG SET maxmemory {limit}"));
        let mut client = running.client(port);
        client.send_raw(&requests(vec![format!("MGET {}", names(64)); 20])).unwrap();
        comes_to(&mut watcher, "connected_clients", "1");
        assert_eq!(text(&mut watcher, "DBSIZE"), format!("Integer({VALUES})"));
        assert_eq!(number(&mut watcher, "evicted_keys"), 0);
    }
}

#[test]
fn strangers_who_never_read_cost_little() {
    const SENT_BYTES: usize = 24 << 20;
    for shards in [1, 2] {
        let (running, port, _) = start(shards, &["--requirepass", "secret"]);
        let before = running.rss_bytes();
        forget_peak(&running);
        let mut client = running.client(port);
        let sent = requests(vec!["GET k"; SENT_BYTES / 24]);
        // The server may cut it as well.
        let _ = client.send_while_taken(&sent, PATIENCE);
        let peak = peak_bytes(&running).saturating_sub(before);
        assert!(peak <= LIMIT_BYTES + (8 << 20), "{peak} bytes with {shards} shards");
    }
}

#[test]
fn buffers_of_idle_clients_are_given_back() {
    const CLIENTS: usize = 6;
    const LARGE_BYTES: usize = 8 << 20;
    const LEFT_BYTES_MAX: u64 = 8 << 20;
    let shards = 2;
    let (running, port, mut watcher) = start(shards, &[]);
    let before = number(&mut watcher, "used_memory");
    let value = "x".repeat(LARGE_BYTES);
    let clients: Vec<Client> = (0..CLIENTS)
        .map(|_| {
            let mut client = running.client(port);
            client.call(&["SET", "k", &value]).unwrap();
            ok(&mut watcher, "DEL k");
            client
        })
        .collect();
    let back = running.comes_to(|_| number(&mut watcher, "used_memory") <= before + LEFT_BYTES_MAX);
    let left = number(&mut watcher, "used_memory").saturating_sub(before);
    assert!(back, "{left} bytes are kept with {shards} shards");
    drop(clients);
}

#[test]
fn half_a_request_takes_little_more_than_its_bytes() {
    const CLIENTS: usize = 40;
    const SENT_BYTES: usize = 256 << 10;
    for shards in [1, 2] {
        let (running, port, mut watcher) = start(shards, &[]);
        let before = number(&mut watcher, "used_memory");
        let mut half = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$524288\r\n".to_vec();
        half.resize(half.len() + SENT_BYTES, b'x');
        let clients: Vec<Client> = (0..CLIENTS)
            .map(|_| {
                let mut client = running.client(port);
                client.send_raw(&half).unwrap();
                client
            })
            .collect();
        let sent = u64::try_from(CLIENTS * SENT_BYTES).unwrap();
        while number(&mut watcher, "total_net_input_bytes") < sent {}
        let taken = number(&mut watcher, "used_memory") - before;
        assert!(taken <= sent + sent / 2, "{taken} bytes for {sent}, {shards} shards");
        drop(clients);
        let back = running.comes_to(|_| number(&mut watcher, "used_memory") <= before + (2 << 20));
        assert!(back, "{} bytes", number(&mut watcher, "used_memory"));
    }
}

#[test]
fn a_client_that_has_read_everything_outlives_the_soft_limit() {
    const SOFT: [&str; 2] = ["--client-output-buffer-limit", "normal 0 1mb 1"];
    let shards = 3;
    let (running, port, mut watcher) = start(shards, &SOFT);
    fill(&mut watcher);
    let big = requests([format!("MGET {}", names(80))]);
    let (mut polite, mut rude) = (running.client(port), running.client(port));
    polite.send_raw(&big).unwrap();
    polite.receive().unwrap();
    rude.send_raw(&big).unwrap();
    // Its time is over later than that of the other would have been.
    comes_to(&mut watcher, "connected_clients", "2");
    assert_eq!(text(&mut polite, "PING"), "PONG", "{shards} shards");
}
