//! Clients that wait for keys: each gets what it waits for once, in its turn, and leaves nothing
//! behind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, Reply};
use crate::running::{Running, free_port};

/// How often a test looks for what must come.
const LOOKS: usize = 100_000;

/// A number INFO gives for clients.
fn figure(client: &mut Client, name: &str) -> usize {
    let Ok(Reply::Bulk(text)) = client.call(&["INFO", "clients"]) else { panic!("no INFO") };
    let text = String::from_utf8(text).expect("INFO is text");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

fn tell<A: AsRef<[u8]>>(client: &mut Client, args: &[A]) {
    client.send(args).expect("the server listens");
}

fn hear(client: &mut Client) -> Reply {
    client.receive().expect("the server answers")
}

fn ask<A: AsRef<[u8]>>(client: &mut Client, args: &[A]) -> Reply {
    tell(client, args);
    hear(client)
}

/// Waits until so many clients are blocked.
fn wait_for_blocked(client: &mut Client, count: usize) {
    for _ in 0..LOOKS {
        if figure(client, "blocked_clients") == count {
            return;
        }
    }
    panic!("there are {} blocked clients, not {count}", figure(client, "blocked_clients"));
}

/// No client waits, and no shard remembers a wait.
#[track_caller]
fn nothing_is_left(client: &mut Client) {
    wait_for_blocked(client, 0);
    for name in ["total_blocking_keys", "total_blocking_keys_on_nokey", "clients_in_timeout_table"]
    {
        // What was told of a wait that ended may still be on its way to a key's shard.
        let left = (0..1000).map(|_| figure(client, name)).find(|left| *left == 0);
        assert_eq!(left, Some(0), "{name}");
    }
}

fn id_of(client: &mut Client) -> String {
    let Ok(Reply::Integer(id)) = client.call(&["CLIENT", "ID"]) else { panic!("no id") };
    id.to_string()
}

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.into())
}

fn pair(key: &str, element: &str) -> Reply {
    Reply::Group('*', vec![bulk(key), bulk(element)])
}

/// A small generator of numbers that look like chance.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }
}

const KEYS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

/// One client's wait, as a request: for some of the keys.
fn wait(dice: &mut Dice) -> (Vec<String>, Vec<&'static str>) {
    let count = 1 + dice.below(4);
    let mut keys: Vec<&str> = (0..count).map(|_| KEYS[dice.below(KEYS.len())]).collect();
    let mut args: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
    match dice.below(5) {
        0 => {
            keys.truncate(1);
            let to = ["out1", "out2", "out3"][dice.below(3)];
            add(&["BLMOVE", keys[0], to, "LEFT", "RIGHT", "0"]);
        }
        1 => {
            add(&["BLMPOP", "0", &keys.len().to_string()]);
            add(&keys);
            add(&["LEFT"]);
        }
        _ => {
            add(&["BLPOP"]);
            add(&keys);
            add(&["0"]);
        }
    }
    (args, keys)
}

/// The element in the answer to a wait.
fn element(reply: &Reply) -> String {
    match reply {
        Reply::Bulk(text) => String::from_utf8(text.clone()).expect("all are text"),
        Reply::Group(_, members) => element(&members[members.len() - 1]),
        other => panic!("{}", other.head()),
    }
}

/// Clients block one after the other; then elements are pushed one by one, each with its key in
/// its name. The client that waits longest for a key must get its next element.
fn elements_go_to_who_waits_longest(shards: &str, clients: usize, seed: u64) {
    let port = free_port();
    let running = Running::ready(port, &["--shards", shards, "--maxclients", "10000"]);
    let mut control = running.client(port);
    let mut dice = Dice(seed);
    let mut waiting: Vec<(Client, Vec<&str>)> = Vec::new();
    for number in 0..clients {
        let (args, keys) = wait(&mut dice);
        let mut client = running.client(port);
        tell(&mut client, &args);
        waiting.push((client, keys));
        if number % 10 == 9 || number + 1 == clients {
            // Those of ten have no order among each other; all before them are ahead of them.
            wait_for_blocked(&mut control, number + 1);
        }
    }
    // Which rank each may have: all of one ten have the same.
    let mut left: BTreeMap<usize, (Client, Vec<&str>)> = waiting.into_iter().enumerate().collect();
    let mut pushers: Vec<Client> = (0..4).map(|_| running.client(port)).collect();
    let mut pushed = 0;
    while !left.is_empty() {
        let key = KEYS[dice.below(KEYS.len())];
        let waits = |entry: &(&usize, &(Client, Vec<&str>))| entry.1.1.contains(&key);
        let Some(first) = left.iter().find(waits).map(|(number, _)| *number) else { continue };
        let value = format!("{key}{pushed}");
        pushed += 1;
        let pusher = &mut pushers[dice.below(4)];
        match dice.below(3) {
            0 => {
                tell(pusher, &["MULTI"]);
                tell(pusher, &["RPUSH", key, &value]);
                tell(pusher, &["SET", "x", "1"]);
                tell(pusher, &["EXEC"]);
                (0..4).for_each(|_| drop(hear(pusher)));
            }
            1 => {
                ask(pusher, &["RPUSH", "elsewhere", &value]);
                ask(pusher, &["LMOVE", "elsewhere", key, "LEFT", "LEFT"]);
            }
            _ => drop(ask(pusher, &["RPUSH", key, &value])),
        }
        wait_for_blocked(&mut control, left.len() - 1);
        let candidates = left.range(first..first - first % 10 + 10).map(|(number, _)| *number);
        let candidates: Vec<usize> = candidates.collect();
        // It waits no more, but what it is told may be on its way.
        let served = (0..LOOKS).find_map(|_| {
            candidates
                .iter()
                .copied()
                .find(|number| left.get_mut(number).is_some_and(|entry| entry.0.has_reply()))
        });
        let served = served.unwrap_or_else(|| panic!("seed {seed}: {value} passed by {first}"));
        let (client, keys) = left.get_mut(&served).expect("it is one of them");
        assert!(keys.contains(&key), "seed {seed}: {value} for {served}");
        assert_eq!(element(&hear(client)), value, "seed {seed}: for {served}");
        left.remove(&served);
    }
    nothing_is_left(&mut control);
}

#[test]
fn who_waits_longest_is_served_first() {
    elements_go_to_who_waits_longest("1", 200, 1);
    elements_go_to_who_waits_longest("3", 300, 2);
}

/// What a client of the test below was given, in its order.
fn take(port: u16, seed: u64, stop: &Receiver<()>) -> Vec<String> {
    let connect = || {
        let mut client = Client::connect(&format!("127.0.0.1:{port}")).expect("it listens");
        client.set_patience(Duration::from_secs(60)).expect("a time is set");
        client
    };
    let (mut client, mut dice, mut got) = (connect(), Dice(seed), Vec::new());
    while stop.try_recv().is_err() {
        let (args, _) = wait(&mut dice);
        tell(&mut client, &args);
        match hear(&mut client) {
            Reply::NullArray => {}
            Reply::Error(text) if text.starts_with(b"UNBLOCKED") => {}
            reply => got.push(element(&reply)),
        }
    }
    got
}

/// A thousand clients wait again and again for keys of three shards, while others push in every
/// way and some waits are ended: every element is delivered once.
#[test]
fn every_element_is_delivered_once() {
    const CLIENTS: usize = 1000;
    const PUSHES: usize = 20_000;
    const SEED: u64 = 7;
    let port = free_port();
    let running = Running::ready(port, &["--shards", "3", "--maxclients", "10000"]);
    let mut control = running.client(port);
    let mut takers = Vec::new();
    for number in 0..CLIENTS {
        let (stop, stopped) = channel();
        let seed = SEED + u64::try_from(number).unwrap();
        let taker = thread::Builder::new().stack_size(1 << 20);
        let taker = taker.spawn(move || take(port, seed, &stopped)).expect("a thread for each");
        takers.push((stop, taker));
    }
    wait_for_blocked(&mut control, CLIENTS);
    let mut dice = Dice(SEED);
    let mut pushed = BTreeSet::new();
    let mut number = 0;
    while number < PUSHES {
        let key = |dice: &mut Dice| KEYS[dice.below(KEYS.len())];
        let mut batch: Vec<Vec<String>> = Vec::new();
        let mut fresh = || {
            number += 1;
            pushed.insert(number.to_string());
            number.to_string()
        };
        match dice.below(4) {
            0 => batch.push(vec!["RPUSH".into(), key(&mut dice).into(), fresh(), fresh(), fresh()]),
            1 => {
                batch.push(vec!["MULTI".into()]);
                for _ in 0..3 {
                    batch.push(vec!["LPUSH".into(), key(&mut dice).into(), fresh()]);
                }
                batch.push(vec!["EXEC".into()]);
            }
            2 => {
                let id = 1 + dice.below(CLIENTS + 10);
                batch.push(vec!["CLIENT".into(), "UNBLOCK".into(), id.to_string(), "ERROR".into()]);
            }
            _ => batch.push(vec!["RPUSH".into(), key(&mut dice).into(), fresh()]),
        }
        batch.iter().for_each(|args| tell(&mut control, args));
        batch.iter().for_each(|_| drop(hear(&mut control)));
    }
    for (stop, _) in &takers {
        stop.send(()).expect("it waits");
    }
    // All that is still in the lists is taken before those who wait are sent home.
    wait_for_blocked_or_done(&mut control, &takers);
    let mut got: Vec<String> = Vec::new();
    for (_, taker) in takers {
        got.extend(taker.join().expect("it took what it was given"));
    }
    nothing_is_left(&mut control);
    for key in KEYS {
        let Ok(Reply::Group(_, left)) = control.call(&["LRANGE", key, "0", "-1"]) else {
            panic!("{key} is a list or gone");
        };
        got.extend(left.iter().map(element));
    }
    got.retain(|element| element != "end");
    let count = got.len();
    let distinct: BTreeSet<String> = got.into_iter().collect();
    assert_eq!(distinct.len(), count, "seed {SEED}: an element was delivered twice");
    assert_eq!(distinct, pushed, "seed {SEED}");
}

/// Ends the waits of all that are left, until none is.
fn wait_for_blocked_or_done<T>(
    control: &mut Client,
    takers: &[(T, thread::JoinHandle<Vec<String>>)],
) {
    while takers.iter().any(|(_, taker)| !taker.is_finished()) {
        for key in KEYS {
            ask(control, &["RPUSH", key, "end", "end", "end", "end"]);
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "tests look at servers from outside")]
fn who_waits_for_replicas_waits_until_time_is_up_or_told_otherwise() {
    for shards in ["1", "3"] {
        let port = free_port();
        let running = Running::ready(port, &["--shards", shards]);
        let mut control = running.client(port);
        let mut client = running.client(port);
        let id = id_of(&mut client);
        let none = Reply::Group('*', vec![Reply::Integer(0), Reply::Integer(0)]);
        for (request, with_end, reply) in [
            (&["WAIT", "1", "0"][..], 0, Reply::Integer(0)),
            (&["WAIT", "1", "1000000"], 1, Reply::Integer(0)),
            (&["WAITAOF", "0", "1", "0"], 0, none.clone()),
        ] {
            // A write that goes to another shard does not change where the client waits.
            for key in KEYS {
                tell(&mut client, &["SET", key, "1"]);
                tell(&mut client, request);
                assert_eq!(hear(&mut client), Reply::Simple(b"OK".into()));
                wait_for_blocked(&mut control, 1);
                assert_eq!(figure(&mut control, "clients_in_timeout_table"), with_end);
                let unblock = ["CLIENT", "UNBLOCK", &id];
                assert_eq!(ask(&mut control, &unblock), Reply::Integer(1));
                assert_eq!(hear(&mut client), reply);
                nothing_is_left(&mut control);
            }
            tell(&mut client, request);
            wait_for_blocked(&mut control, 1);
            let unblock = ["CLIENT", "UNBLOCK", &id, "ERROR"];
            assert_eq!(ask(&mut control, &unblock), Reply::Integer(1));
            let error = b"UNBLOCKED client unblocked via CLIENT UNBLOCK";
            assert_eq!(hear(&mut client), Reply::Error(error.into()));
        }
        let begun = Instant::now();
        assert_eq!(ask(&mut client, &["WAIT", "1", "30"]), Reply::Integer(0));
        assert_eq!(ask(&mut client, &["WAITAOF", "0", "1", "30"]), none);
        // A wait counts from the beginning of the turn in which it has come.
        assert!(Duration::from_millis(40) <= begun.elapsed());

        let mut gone = running.client(port);
        tell(&mut gone, &["WAIT", "1", "0"]);
        wait_for_blocked(&mut control, 1);
        drop(gone);
        nothing_is_left(&mut control);
    }
}

#[test]
fn waits_end_by_order_by_time_and_with_their_clients() {
    for shards in ["1", "3"] {
        let port = free_port();
        let running = Running::ready(port, &["--shards", shards]);
        let mut control = running.client(port);
        let mut client = running.client(port);
        let id = id_of(&mut client);
        let unblock = |control: &mut Client, how: &str| {
            let args = ["CLIENT", "UNBLOCK", &id, how];
            ask(control, &args[..if how.is_empty() { 3 } else { 4 }])
        };
        for keys in [&["a"][..], &["a", "b", "c", "d"]] {
            let request = |timeout| {
                let request = ["BLPOP"].iter().chain(keys).chain([timeout]);
                request.copied().collect::<Vec<&str>>()
            };
            for (how, reply) in [
                ("", Reply::NullArray),
                ("timeout", Reply::NullArray),
                ("ERROR", Reply::Error(b"UNBLOCKED client unblocked via CLIENT UNBLOCK".into())),
            ] {
                tell(&mut client, &request(&"0"));
                wait_for_blocked(&mut control, 1);
                assert_eq!(unblock(&mut control, how), Reply::Integer(1));
                assert_eq!(hear(&mut client), reply);
                assert_eq!(unblock(&mut control, how), Reply::Integer(0));
            }
            assert_eq!(ask(&mut client, &request(&"0.02")), Reply::NullArray);
            nothing_is_left(&mut control);

            let mut gone = running.client(port);
            tell(&mut gone, &request(&"100"));
            wait_for_blocked(&mut control, 1);
            drop(gone);
            nothing_is_left(&mut control);

            let mut killed = running.client(port);
            let name = id_of(&mut killed);
            tell(&mut killed, &request(&"0"));
            wait_for_blocked(&mut control, 1);
            let kill = ask(&mut control, &["CLIENT", "KILL", "ID", &name]);
            assert_eq!(kill, Reply::Integer(1));
            assert_eq!(killed.rest().unwrap(), b"");
            nothing_is_left(&mut control);
            // No waiting client is left for what comes afterwards.
            assert_eq!(ask(&mut control, &["RPUSH", "a", "x"]), Reply::Integer(1));
            assert_eq!(ask(&mut client, &["BLPOP", "a", "0"]), pair("a", "x"));
        }
    }
}

#[test]
fn what_a_client_was_answered_before_it_waits_is_not_held_back() {
    for shards in ["1", "3"] {
        let port = free_port();
        let running = Running::ready(port, &["--shards", shards]);
        let mut control = running.client(port);
        for key in KEYS {
            let mut client = running.client(port);
            let request = format!("SET s{key} 1\r\nGET s\r\nBLPOP {key} other 0\r\nGET s{key}\r\n");
            client.send_raw(request.as_bytes()).unwrap();
            assert_eq!(hear(&mut client), Reply::Simple(b"OK".into()));
            assert_eq!(hear(&mut client), Reply::NullBulk);
            wait_for_blocked(&mut control, 1);
            ask(&mut control, &["SET", &format!("s{key}"), "2"]);
            ask(&mut control, &["RPUSH", key, "x"]);
            assert_eq!(hear(&mut client), pair(key, "x"));
            assert_eq!(hear(&mut client), bulk("2"));
        }
        nothing_is_left(&mut control);
    }
}
