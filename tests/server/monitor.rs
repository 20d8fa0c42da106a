//! MONITOR over several shards: nothing is missing, and what has an order is in it.

use std::thread;

use crate::client::{Client, Reply, push_request};
use crate::running::{Running, free_port};

/// The words of the next line that a monitor is shown, without time and client.
fn next(monitor: &mut Client) -> Vec<String> {
    let Reply::Simple(line) = monitor.receive().expect("it is shown more") else {
        panic!("a monitor is shown lines")
    };
    let line = String::from_utf8(line).expect("lines are ASCII");
    let words = line.split_once("] ").expect("the client is in brackets").1;
    words.split(' ').map(|word| word.trim_matches('"').to_owned()).collect()
}

/// Writes numbers to one key of its own and one that all write to, many in a pipeline.
fn write(client: &mut Client, name: usize, rounds: usize) {
    let mut requests = Vec::new();
    for round in 0..rounds {
        let (own, number) = (format!("own:{name}"), round.to_string());
        push_request(&mut requests, &["SET", &own, &number]);
        push_request(&mut requests, &["INCR", "shared"]);
        push_request(&mut requests, &["GET", "shared"]);
        push_request(&mut requests, &["MULTI"]);
        push_request(&mut requests, &["INCR", "a"]);
        push_request(&mut requests, &["INCR", "b"]);
        push_request(&mut requests, &["APPEND", "c", "x"]);
        push_request(&mut requests, &["EXEC"]);
    }
    client.send_raw(&requests).expect("it reads");
    for _ in 0..rounds * 8 {
        client.receive().expect("it answers");
    }
}

#[test]
fn monitors_see_all_commands_in_their_order() {
    const CLIENTS: usize = 4;
    const ROUNDS: usize = 100;
    let port = free_port();
    let running = Running::ready(port, &["--shards", "4"]);
    let ok = Reply::Simple(b"OK".to_vec());
    let mut monitors: Vec<Client> = (0..6).map(|_| running.client(port)).collect();
    for monitor in &mut monitors {
        assert_eq!(monitor.call(&["MONITOR"]).unwrap(), ok);
    }
    thread::scope(|scope| {
        for name in 0..CLIENTS {
            let mut client = running.client(port);
            scope.spawn(move || write(&mut client, name, ROUNDS));
        }
    });
    for monitor in &mut monitors {
        let lines: Vec<_> = (0..CLIENTS * ROUNDS * 8).map(|_| next(monitor)).collect();
        for name in 0..CLIENTS {
            let own = format!("own:{name}");
            let numbers = lines.iter().filter(|words| words.get(1) == Some(&own));
            let expected = (0..ROUNDS).map(|number| number.to_string());
            assert!(numbers.map(|words| words[2].clone()).eq(expected));
        }
        let execs: Vec<_> =
            lines.iter().enumerate().filter(|(_, words)| *words == &["EXEC"]).collect();
        assert_eq!(execs.len(), CLIENTS * ROUNDS);
        for (at, _) in execs {
            let before = [vec!["INCR", "a"], vec!["INCR", "b"], vec!["APPEND", "c", "x"]];
            assert_eq!(lines[at - 3..at], before, "at {at}");
        }
    }
    assert!(monitors.iter_mut().all(|monitor| !monitor.has_reply()), "there is more");
}

#[test]
fn a_monitor_that_does_not_read_is_cut_at_its_limit() {
    let port = free_port();
    let limits = ["--client-output-buffer-limit", "normal 1mb 0 0", "--shards", "2"];
    let mut running = Running::ready(port, &limits);
    let mut monitor = running.client(port);
    assert_eq!(monitor.call(&["MONITOR"]).unwrap(), Reply::Simple(b"OK".to_vec()));
    let mut client = running.client(port);
    let value = "x".repeat(1 << 20);
    for _ in 0..32 {
        client.call(&["SET", "key", &value]).unwrap();
    }
    running.wait_for("flags=O");
    assert!(running.log.last().is_some_and(|line| line.contains("output buffer limits")));
    let left = client.call(&["CLIENT", "LIST", "FLAGS", "O"]).unwrap();
    assert_eq!(left, Reply::Bulk(Vec::new()));
}
