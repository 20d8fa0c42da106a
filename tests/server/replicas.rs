//! Connections of replicas, as commands about clients and the metrics show and end them.

use crate::asking::{comes_to, field, ok, text};
use crate::client::Client;
use crate::running::{Running, free_port};

/// Commands that make a replica of a client: it is sent all keys at once.
const GREETING: [&str; 2] =
    ["REPLCONF listening-port 7777 capa eof capa psync2", "CLIENT SETNAME r"];
/// Each of them ends this replica; a word in braces is a value of its line in CLIENT LIST.
const ENDS: [(&str, &str); 8] = [
    ("CLIENT KILL TYPE replica", "1"),
    ("CLIENT KILL TYPE SLAVE", "1"),
    ("CLIENT KILL ID {id}", "1"),
    ("CLIENT KILL ADDR {addr}", "1"),
    ("CLIENT KILL LADDR {laddr} SKIPME yes", "1"),
    ("CLIENT KILL NAME r", "1"),
    ("CLIENT KILL FLAGS S", "1"),
    ("CLIENT KILL {addr}", "OK"),
];
/// None of them does.
const NO_ENDS: [&str; 5] = [
    "CLIENT KILL TYPE normal",
    "CLIENT KILL TYPE master",
    "CLIENT KILL ID 4000000000",
    "CLIENT KILL NAME other",
    "CLIENT KILL NOT-TYPE replica",
];

/// A server and a client that asks it.
fn start() -> (Running, u16, Client) {
    let port = free_port();
    let options = ["--shards", "2", "--save", "", "--repl-diskless-sync-delay", "0"];
    let running = Running::ready(port, &options);
    let watcher = running.client(port);
    (running, port, watcher)
}

/// A client that has become a replica, and the id that it had.
fn become_replica(running: &Running, port: u16, watcher: &mut Client) -> (Client, String) {
    let mut replica = running.client(port);
    GREETING.iter().for_each(|words| ok(&mut replica, words));
    let id = text(&mut replica, "CLIENT ID");
    replica.send(&["PSYNC", "?", "-1"]).expect("the server takes it");
    comes_to(watcher, "connected_slaves", "1");
    (replica, id.replace("Integer(", "").replace(')', ""))
}

/// A value of a line of CLIENT LIST.
fn value(line: &str, name: &str) -> String {
    let found = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("there is no {name} in {line}")).trim_end().to_owned()
}

#[test]
fn a_replica_stays_in_the_list_of_clients_as_the_one_that_it_was() {
    let (running, port, mut watcher) = start();
    let (_replica, id) = become_replica(&running, port, &mut watcher);
    let line = text(&mut watcher, "CLIENT LIST TYPE replica");
    assert_eq!(line.lines().count(), 1, "{line}");
    for (name, expected) in
        [("id", id.as_str()), ("flags", "S"), ("name", "r"), ("cmd", "psync"), ("resp", "2")]
    {
        assert_eq!(value(&line, name), expected, "{name} in {line}");
    }
    assert_eq!(value(&line, "laddr"), format!("127.0.0.1:{port}"));
    assert_eq!(text(&mut watcher, "CLIENT LIST").lines().count(), 2);
    assert_eq!(text(&mut watcher, "CLIENT LIST TYPE normal").lines().count(), 1);
    assert_eq!(text(&mut watcher, &format!("CLIENT LIST ID {id}")), line);
    assert_eq!(text(&mut watcher, &format!("CLIENT UNBLOCK {id}")), "Integer(0)");
    // It is no client of a shard.
    assert_eq!(field(&mut watcher, "connected_clients"), "1");
}

#[test]
fn replicas_are_killed_as_clients_are() {
    let (running, port, mut watcher) = start();
    for (words, answer) in ENDS {
        let (mut replica, id) = become_replica(&running, port, &mut watcher);
        let line = text(&mut watcher, "CLIENT LIST TYPE replica");
        for words in NO_ENDS {
            assert_eq!(text(&mut watcher, words), "Integer(0)", "{words}");
        }
        assert_eq!(text(&mut watcher, "CLIENT LIST TYPE replica").lines().count(), 1);
        let words = words.replace("{id}", &id);
        let words = words.replace("{addr}", &value(&line, "addr"));
        let words = words.replace("{laddr}", &value(&line, "laddr"));
        assert_eq!(text(&mut watcher, &words).replace("Integer(1)", "1"), answer, "{words}");
        // It is gone from the list at once, and its connection ends.
        assert_eq!(text(&mut watcher, "CLIENT LIST TYPE replica"), "", "{words}");
        replica.rest().expect("the server closes");
        comes_to(&mut watcher, "connected_slaves", "0");
    }
}
