//! Clients that leave: what the server has received of them is done, and nothing stays of them.

use std::time::Duration;

use super::{all_ok, requests, start};
use crate::asking::{comes_to, ok, text};
use crate::client::Client;
use crate::running::Running;

const SHARDS: [usize; 2] = [1, 3];
/// How long the server may take nothing before a client that sends gives up.
const PATIENCE: Duration = Duration::from_millis(200);
const BIG_BYTES: usize = 4 << 20;

/// How a client leaves.
#[derive(Clone, Copy, Debug)]
enum Leaving {
    Close,
    HalfClose,
    /// What it has not read makes its system say so.
    Reset,
}

#[test]
fn what_was_sent_before_a_close_is_done() {
    const CLIENTS: usize = 200;
    for shards in SHARDS {
        let (running, port, mut watcher) = start(shards, &[]);
        for number in 0..CLIENTS {
            send_and_close(&running, port, &format!("SET key:{number} v"));
        }
        comes_to(&mut watcher, "connected_clients", "1");
        assert_eq!(text(&mut watcher, "DBSIZE"), format!("Integer({CLIENTS})"));
    }
}

/// Sends a command and closes.
fn send_and_close(running: &Running, port: u16, line: &str) {
    running.client(port).send_raw(&requests([line])).expect("the server takes it");
}

/// A client that sends this and half-closes is answered so, and closed.
#[track_caller]
fn check_answered(running: &Running, port: u16, label: &str, sent: &[u8], answers: &[u8]) {
    let mut client = running.client(port);
    client.send_raw(sent).expect("the server takes it");
    client.half_close().expect("it is connected");
    let got = client.rest().expect("the server answers and closes");
    assert_eq!(got.len(), answers.len(), "{label}: {}", String::from_utf8_lossy(last(&got)));
    assert!(got == answers, "{label}: {}", String::from_utf8_lossy(last(&got)));
}

fn last(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.len().saturating_sub(100)..]
}

#[test]
fn what_was_sent_before_a_half_close_is_answered() {
    for shards in SHARDS {
        let (running, port, mut watcher) = start(shards, &[]);
        let big = "x".repeat(BIG_BYTES);
        ok(&mut watcher, &format!("SET big {big}"));
        let cases: [(&str, Vec<u8>, Vec<u8>); 5] = [
            ("a write", requests(["SET k v"]), b"+OK\r\n".to_vec()),
            (
                "a pipeline over shards",
                requests((0..300).map(|number| format!("SADD s:{} {number}", number % 7))),
                b":1\r\n".repeat(300),
            ),
            (
                "a transaction over shards",
                requests(["MULTI", "SET a 1", "SET b 1", "SET c 1", "EXEC"]),
                b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n+OK\r\n+OK\r\n".to_vec(),
            ),
            (
                "half a request behind a whole one",
                [requests(["SET k v"]), b"*2\r\n$3\r\nGE".to_vec()].concat(),
                b"+OK\r\n".to_vec(),
            ),
            (
                "a long reply",
                requests(["GET big", "PING"]),
                format!("${BIG_BYTES}\r\n{big}\r\n+PONG\r\n").into_bytes(),
            ),
        ];
        for (label, sent, answers) in &cases {
            check_answered(&running, port, &format!("{label}, {shards} shards"), sent, answers);
        }
        comes_to(&mut watcher, "connected_clients", "1");
    }
}

/// A client that waits, sends `behind` and leaves is gone, and takes nothing along.
#[track_caller]
fn check_no_ghost(running: &Running, port: u16, watcher: &mut Client, case: (&[u8], Leaving)) {
    let (behind, leaving) = case;
    let label = format!("{} bytes behind BLPOP, {leaving:?}", behind.len());
    let mut client = running.client(port);
    client.send_raw(&requests(["PING", "BLPOP q 0"])).expect("the server takes it");
    comes_to(watcher, "blocked_clients", "1");
    if !matches!(leaving, Leaving::Reset) {
        assert_eq!(client.receive().expect("PING is answered").head(), "+PONG", "{label}");
    }
    client.send_while_taken(behind, PATIENCE).expect("it is connected");
    let mut half = None;
    if matches!(leaving, Leaving::HalfClose) {
        client.half_close().expect("it is connected");
        half = Some(client);
    } else {
        drop(client);
    }
    comes_to(watcher, "blocked_clients", "0");
    comes_to(watcher, "connected_clients", "1");
    assert_eq!(text(watcher, "RPUSH q element"), "Integer(1)", "{label}");
    assert_eq!(text(watcher, "LPOP q"), "element", "{label}");
    drop(half);
}

#[test]
fn a_client_that_waits_and_leaves_takes_no_element() {
    let little = requests(vec!["PING"; 40_000]);
    let much = requests(vec!["PING"; 300_000]);
    let mut half = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", BIG_BYTES * 2).into_bytes();
    half.resize(half.len() + BIG_BYTES, b'x');
    for shards in SHARDS {
        let (running, port, mut watcher) = start(shards, &[]);
        for behind in [&[][..], &little, &much, &half] {
            for leaving in [Leaving::Close, Leaving::HalfClose, Leaving::Reset] {
                check_no_ghost(&running, port, &mut watcher, (behind, leaving));
            }
        }
    }
}

#[test]
fn a_client_that_does_not_read_is_gone_when_it_closes() {
    for shards in SHARDS {
        let (running, port, mut watcher) = start(shards, &[]);
        ok(&mut watcher, &format!("SET big {}", "x".repeat(BIG_BYTES)));
        let mut client = running.client(port);
        let sent = [requests(vec!["GET big"; 8]), requests(vec!["PING"; 300_000])].concat();
        client.send_while_taken(&sent, PATIENCE).expect("it is connected");
        drop(client);
        comes_to(&mut watcher, "connected_clients", "1");
    }
}

#[test]
fn a_client_whose_write_is_held_is_gone_when_the_pause_is_over() {
    for shards in SHARDS {
        let (running, port, mut watcher) = start(shards, &[]);
        ok(&mut watcher, "CLIENT PAUSE 100000 WRITE");
        for number in 0..6 {
            let held = requests((0..10).map(|key| format!("SET {number}:{key} 1")));
            running.client(port).send_raw(&held).expect("the server takes it");
        }
        ok(&mut watcher, "CLIENT UNPAUSE");
        comes_to(&mut watcher, "connected_clients", "1");
        // No claim of theirs is left.
        all_ok(&mut watcher, (0..6).map(|number| format!("SET {number}:1 2")));
        ok(&mut watcher, "FLUSHALL");
    }
}

#[test]
fn a_monitor_that_quits_is_shown_nothing_behind_the_answer() {
    const TIMES: usize = 30;
    for shards in SHARDS {
        let (running, port, mut other) = start(shards, &[]);
        for number in 0..TIMES {
            let mut monitor = running.client(port);
            ok(&mut monitor, "MONITOR");
            let writes = requests((0..20).map(|write| format!("SET {write} {number}")));
            other.send_raw(&writes).expect("the server takes it");
            monitor.send_raw(&requests(["QUIT"])).expect("the server takes it");
            let shown = monitor.rest().expect("the server closes");
            assert!(shown.ends_with(b"+OK\r\n"), "{}", String::from_utf8_lossy(last(&shown)));
            for _ in 0..20 {
                other.receive().expect("the server answers");
            }
        }
    }
}
