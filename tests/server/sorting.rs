//! SORT with keys on several shards, while others change them.

use std::thread;

use crate::client::{Client, Reply};
use crate::running::{Running, free_port};

const ROUNDS: usize = 500;

#[test]
fn patterns_find_the_keys_of_all_shards_at_one_moment() {
    let port = free_port();
    let server = Running::ready(port, &["--shards", "3", "--save", ""]);
    let mut client = server.client(port);
    let names: Vec<String> = (0..12).map(|number| format!("k{number}")).collect();
    let elements = ["RPUSH", "list"].into_iter().chain(names.iter().map(String::as_str));
    call(&mut client, &elements.collect::<Vec<_>>());
    set_all(&mut client, &names, "0");
    let readers: [&[&str]; 3] = [
        &["SORT", "list", "BY", "w_*", "ALPHA", "GET", "w_*"],
        &["SORT_RO", "list", "BY", "nosort", "GET", "w_*"],
        &["SORT", "list", "BY", "nosort", "GET", "w_*", "STORE", "stored"],
    ];
    thread::scope(|scope| {
        for writer in 0..2 {
            let (mut client, names) = (server.client(port), &names);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    set_all(&mut client, names, &format!("{writer}-{round}"));
                }
            });
        }
        for request in readers {
            let mut client = server.client(port);
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let Reply::Group(_, values) = call(&mut client, request) else { continue };
                    assert_eq!(values.len(), 12);
                    assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
                }
            });
        }
        let mut client = server.client(port);
        scope.spawn(move || {
            for _ in 0..ROUNDS {
                for request in [&["MULTI"][..], readers[0], readers[2], &["DBSIZE"], &["EXEC"]] {
                    call(&mut client, request);
                }
            }
        });
    });
    let size = call(&mut client, &["DBSIZE"]);
    assert_eq!(size, Reply::Integer(14), "all keys are back where they belong");
}

/// Gives the keys of all elements one value, at once.
fn set_all(client: &mut Client, names: &[String], value: &str) {
    let keys: Vec<String> = names.iter().map(|name| format!("w_{name}")).collect();
    let pairs = keys.iter().flat_map(|key| [key.as_str(), value]);
    call(client, &["MSET"].into_iter().chain(pairs).collect::<Vec<_>>());
}

fn call(client: &mut Client, request: &[&str]) -> Reply {
    client.call(request).expect("it answers")
}
