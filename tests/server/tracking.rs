//! Client-side caching over several cores: no stale copy stays.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::client::{Client, Reply};
use crate::running::{Running, free_port};

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.as_bytes().to_vec())
}

fn invalidation(key: &str) -> Reply {
    Reply::Group('>', vec![bulk("invalidate"), Reply::Group('*', vec![bulk(key)])])
}

fn ok() -> Reply {
    Reply::Simple(b"OK".to_vec())
}

fn resp3(running: &Running, port: u16) -> Client {
    let mut client = running.client(port);
    client.call(&["HELLO", "3"]).expect("it serves");
    client
}

fn id(client: &mut Client) -> String {
    let Reply::Integer(id) = client.call(&["CLIENT", "ID"]).expect("it serves") else {
        panic!("no id")
    };
    id.to_string()
}

/// Keys of which some live on each shard.
fn keys() -> Vec<String> {
    (0..24).map(|number| format!("key:{number}")).collect()
}

/// A client that keeps copies.
struct Cache {
    client: Client,
    copies: BTreeMap<Vec<u8>, Reply>,
}

impl Cache {
    /// The reply to a request; pushes before it are obeyed.
    fn call(&mut self, args: &[&str]) -> Reply {
        self.client.send(args).expect("it serves");
        loop {
            match self.client.receive().expect("it serves") {
                Reply::Group('>', members) => self.obey(&members),
                reply => return reply,
            }
        }
    }

    fn obey(&mut self, members: &[Reply]) {
        assert_eq!(members[0], bulk("invalidate"));
        let Reply::Group(_, keys) = &members[1] else { panic!("{}", members[1].head()) };
        for key in keys {
            let Reply::Bulk(key) = key else { panic!("{}", key.head()) };
            self.copies.remove(key);
        }
    }

    fn read(&mut self, key: &str) {
        if !self.copies.contains_key(key.as_bytes()) {
            let value = self.call(&["GET", key]);
            self.copies.insert(key.as_bytes().to_vec(), value);
        }
    }
}

/// Readers keep copies while writers change keys; in the end each copy is what the server has.
fn no_stale_copy_stays(options: &[&str]) {
    const READERS: usize = 6;
    const WRITERS: usize = 3;
    const WRITES: usize = 3000;
    const TRIES: usize = 400;
    let port = free_port();
    let running = Running::ready(port, &["--shards", "3"]);
    let writing = AtomicUsize::new(WRITERS);
    let caches: Vec<Cache> = thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                let mut client = resp3(&running, port);
                let tracking = [&["CLIENT", "TRACKING", "ON"], options].concat();
                assert_eq!(client.call(&tracking).expect("it serves"), ok());
                let mut cache = Cache { client, copies: BTreeMap::new() };
                let writing = &writing;
                scope.spawn(move || {
                    while writing.load(Ordering::Relaxed) != 0 {
                        keys().iter().for_each(|key| cache.read(key));
                        cache.call(&["PING"]);
                    }
                    cache
                })
            })
            .collect();
        for writer in 0..WRITERS {
            let mut client = running.client(port);
            let writing = &writing;
            scope.spawn(move || {
                for number in 0..WRITES {
                    let value = format!("{writer}:{number}");
                    let key = &keys()[(number * 7 + writer) % 24];
                    let other = &keys()[number % 24];
                    let request: &[&str] = match number % 4 {
                        0 => &["MSET", key, &value, other, &value],
                        1 => &["DEL", key],
                        _ => &["SET", key, &value],
                    };
                    client.call(request).expect("it serves");
                }
                writing.fetch_sub(1, Ordering::Relaxed);
            });
        }
        readers.into_iter().map(|reader| reader.join().expect("the reader is done")).collect()
    });
    let mut client = running.client(port);
    let now: BTreeMap<Vec<u8>, Reply> = keys()
        .into_iter()
        .map(|key| {
            let value = match client.call(&["GET", &key]).expect("it serves") {
                Reply::NullBulk => Reply::Null,
                value => value,
            };
            (key.into_bytes(), value)
        })
        .collect();
    for mut cache in caches {
        // The last messages may still be under way.
        let fresh = (0..TRIES).any(|_| {
            cache.call(&["PING"]);
            let stale = cache.copies.iter().any(|(key, value)| now[key] != *value);
            if stale {
                thread::park_timeout(Duration::from_millis(5));
            }
            !stale
        });
        assert!(fresh, "a stale copy stays");
    }
}

#[test]
fn no_stale_copy_stays_of_what_was_read() {
    no_stale_copy_stays(&[]);
}

#[test]
fn no_stale_copy_stays_of_what_has_a_prefix() {
    no_stale_copy_stays(&["BCAST", "PREFIX", "key:", "PREFIX", "other:"]);
}

#[test]
fn another_client_is_told_wherever_it_is() {
    let port = free_port();
    let running = Running::ready(port, &["--shards", "3"]);
    // Connections go to the shards in turn.
    let mut trackers: Vec<Client> = (0..3).map(|_| running.client(port)).collect();
    let mut told: Vec<Client> = (0..3).map(|_| running.client(port)).collect();
    let mut writer = running.client(port);
    for listener in &mut told {
        let redirect = id(listener);
        listener.call(&["SUBSCRIBE", "__redis__:invalidate"]).expect("it serves");
        for tracker in &mut trackers {
            assert_eq!(tracker.call(&["CLIENT", "TRACKING", "OFF"]).expect("it serves"), ok());
            let request = ["CLIENT", "TRACKING", "ON", "REDIRECT", &redirect];
            assert_eq!(tracker.call(&request).expect("it serves"), ok());
            for key in keys() {
                tracker.call(&["GET", &key]).expect("it serves");
                writer.call(&["SET", &key, "x"]).expect("it serves");
                let Reply::Group('*', members) = listener.receive().expect("it serves") else {
                    panic!()
                };
                assert_eq!(members[..2], [bulk("message"), bulk("__redis__:invalidate")]);
                assert_eq!(members[2], Reply::Group('*', vec![bulk(&key)]));
            }
        }
    }
}

#[test]
fn a_client_hears_that_who_was_told_in_its_place_is_gone() {
    let port = free_port();
    let running = Running::ready(port, &["--shards", "3"]);
    let mut writer = running.client(port);
    let mut trackers: Vec<Client> = (0..3).map(|_| resp3(&running, port)).collect();
    for tracker in &mut trackers {
        let mut listener = resp3(&running, port);
        let redirect = id(&mut listener);
        let request = ["CLIENT", "TRACKING", "ON", "REDIRECT", &redirect];
        assert_eq!(tracker.call(&request).expect("it serves"), ok());
        tracker.call(&["GET", "key"]).expect("it serves");
        writer.call(&["SET", "key", "x"]).expect("it serves");
        assert_eq!(listener.receive().expect("it serves"), invalidation("key"));
        tracker.call(&["GET", "key"]).expect("it serves");
        assert_eq!(
            writer.call(&["CLIENT", "KILL", "ID", &redirect]).expect("it serves"),
            Reply::Integer(1)
        );
        writer.call(&["SET", "key", "x"]).expect("it serves");
        let number = redirect.parse().expect("ids are numbers");
        let expected = vec![bulk("tracking-redir-broken"), Reply::Integer(number)];
        assert_eq!(tracker.receive().expect("it serves"), Reply::Group('>', expected));
        let Reply::Group(_, facts) = tracker.call(&["CLIENT", "TRACKINGINFO"]).expect("it serves")
        else {
            panic!("not a map");
        };
        let flags = vec![bulk("on"), bulk("broken_redirect")];
        assert_eq!(facts[1], Reply::Group('~', flags));
        let missing = tracker.call(&request).expect("it serves");
        assert!(missing.head().contains("does not exist"), "{}", missing.head());
    }
}

#[test]
fn more_keys_than_are_remembered_are_called_stale() {
    let port = free_port();
    let running = Running::ready(port, &["--tracking-table-max-keys", "10", "--shards", "2"]);
    let mut cache = Cache { client: resp3(&running, port), copies: BTreeMap::new() };
    assert_eq!(cache.call(&["CLIENT", "TRACKING", "ON"]), ok());
    for number in 0..200 {
        cache.read(&format!("key:{number}"));
    }
    cache.call(&["PING"]);
    let copies = cache.copies.len();
    assert!((1..=12).contains(&copies), "{copies} copies");
    let mut client = running.client(port);
    let Reply::Bulk(text) = client.call(&["INFO", "stats", "clients"]).expect("it serves") else {
        panic!()
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(text.contains("tracking_clients:1\r\n"), "{text}");
    assert!(text.contains("tracking_total_prefixes:0\r\n"), "{text}");
    let has = |count: usize| text.contains(&format!("tracking_total_keys:{count}\r\n"));
    assert!((1..=10).any(has), "{text}");
}
