//! What a primary promises its writers: at its end replicas have all that was answered, and what
//! WAIT confirmed is there when the primary is gone and the best of its replicas has its place.
//!
//! `ROUNDS=200` plays more rounds of each row than the usual few.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use shards::base::random::Random;

use crate::client::{Client, Reply, push_request};
use crate::processes::{Server, setting};
use crate::proxy::{Proxy, Weather};
use crate::roles::text;
use crate::servers::Kind::{self, Keylane, Native, Redis70, Valkey91};
use crate::servers::{Ends, follow, info, now, until, wait_until_online};
use crate::silence::signal;
use crate::{SEED, Tally, say, side_by_side};

/// A primary that ends and its replicas, one of each kind.
const ENDING: &[[Kind; 3]] = &[
    [Keylane(3), Valkey91, Keylane(2)],
    [Keylane(2), Redis70, Keylane(3)],
    [Native(2), Valkey91, Native(3)],
];
/// A primary that is killed and its replicas.
const KILLED: &[[Kind; 3]] = &[
    [Keylane(3), Keylane(3), Keylane(2)],
    [Keylane(3), Valkey91, Redis70],
    [Keylane(3), Keylane(1), Valkey91],
    [Native(3), Native(2), Native(3)],
];
/// Rounds of each row.
const ROUNDS: u64 = 2;
const WRITERS: usize = 8;
/// `shutdown-timeout` of a primary whose replica is stuck, and seconds that a test is late at most.
const STUCK_S: u64 = 2;
const LATE_S: u64 = 3;

#[test]
fn a_primary_ends_when_replicas_have_all_that_was_answered() {
    play_all("ends", ENDING, end_under_load);
}

#[test]
fn a_primary_hands_over_before_it_ends() {
    play_all("ends that hand over", ENDING, hand_over_and_end);
}

#[test]
fn a_stuck_replica_holds_an_end_up_for_no_longer_than_it_may() {
    play_all("ends with a stuck replica", ENDING, end_with_a_stuck_replica);
}

#[test]
fn an_end_that_is_called_off_leaves_all_as_it_was() {
    play_all("ends that are called off", ENDING, call_an_end_off);
}

#[test]
fn what_wait_confirmed_survives_its_primary() {
    play_all("WAIT", KILLED, kill_while_clients_wait);
}

/// Plays each row some times; what a round gives is added up.
fn play_all(name: &'static str, rows: &[[Kind; 3]], play: fn([Kind; 3], u64) -> u64) {
    let mut tally = Tally::new(name);
    let rounds = setting("ROUNDS").unwrap_or(ROUNDS);
    let seed = setting("SEED").unwrap_or(SEED);
    let mut rows = rows.to_vec();
    rows.retain(|kinds| tally.takes(kinds));
    let of_row = |kinds: [Kind; 3]| (seed..seed + rounds).map(move |seed| (kinds, seed));
    let all = AtomicU64::new(0);
    side_by_side(rows.into_iter().flat_map(of_row).collect(), |(kinds, seed)| {
        all.fetch_add(play(kinds, seed), Ordering::Relaxed);
    });
    say(&format!("{name}: {rounds} rounds of each row; {}", all.into_inner()));
    tally.tell();
}

/// A primary and replicas that follow it through proxies.
struct Scene {
    primary: Server,
    replicas: Vec<Server>,
    proxies: Vec<Proxy>,
    seed: u64,
}

impl Scene {
    fn new(kinds: [Kind; 3], seed: u64, options: &[&str]) -> Self {
        let primary = kinds[0].start(options).expect("the tally found it");
        let start = |kind: &Kind| kind.start(&[]).expect("the tally found it");
        let replicas: Vec<Server> = kinds[1..].iter().map(start).collect();
        let proxy = |_: &Server| Proxy::start(&primary.addr, seed).expect("there is a free port");
        let proxies: Vec<Proxy> = replicas.iter().map(proxy).collect();
        for (replica, proxy) in replicas.iter().zip(&proxies) {
            follow(replica, &proxy.address);
        }
        replicas.iter().for_each(|replica| wait_until_online(&primary, replica));
        Self { primary, replicas, proxies, seed }
    }

    /// Writes by many clients while `act` is under way, until their connections end. What each was
    /// answered last.
    fn write_while(&mut self, act: impl FnOnce(&mut Self, &AtomicU64)) -> Vec<u64> {
        let (answers, ends) = (AtomicU64::new(0), AtomicBool::new(false));
        let clients: Vec<Client> = (0..WRITERS).map(|_| self.primary.client()).collect();
        thread::scope(|scope| {
            let writer = |(number, client)| {
                let (answers, ends) = (&answers, &ends);
                scope.spawn(move || write(client, number, answers, ends))
            };
            let writers: Vec<_> = clients.into_iter().enumerate().map(writer).collect();
            let end = Ends(&ends);
            act(self, &answers);
            drop(end);
            writers.into_iter().map(|writer| writer.join().expect("it counts")).collect()
        })
    }

    /// Each of these replicas has at least what was answered.
    fn must_have(&self, replica: &Server, counts: &[u64]) {
        let mut client = replica.client();
        for (number, count) in counts.iter().enumerate() {
            let [one, other] = keys(number).map(|key| held(&mut client, &key));
            let about = format!("{}: SEED={}, writer {number}", replica.name, self.seed);
            assert!(*count <= one, "{about}: {one} of {count}\n{}", self.primary.output());
            if is_together(number) {
                assert_eq!(one, other, "{about}: a transaction is whole");
            }
        }
    }
}

/// The keys of a writer.
fn keys(number: usize) -> [String; 2] {
    ["a", "b"].map(|kind| format!("{kind}:{number}"))
}

/// Whether a writer writes both of its keys at once.
fn is_together(number: usize) -> bool {
    2 <= number % 4
}

/// Commands by which a writer counts on, as they are sent, and how many they are.
fn step(number: usize, count: u64) -> (Vec<u8>, usize) {
    let [one, other] = keys(number);
    let next = (count + 1).to_string();
    let commands: Vec<Vec<&str>> = match number % 4 {
        0 => vec![vec!["INCR", &one]],
        1 => vec![vec!["INCR", &one]; 16],
        2 => vec![vec!["MSET", &one, &next, &other, &next]],
        _ => vec![vec!["MULTI"], vec!["INCR", &one], vec!["INCR", &other], vec!["EXEC"]],
    };
    let mut bytes = Vec::new();
    commands.iter().for_each(|words| push_request(&mut bytes, words));
    (bytes, commands.len())
}

/// Counts until the connection ends. The highest count that was answered.
fn write(mut client: Client, number: usize, answers: &AtomicU64, ends: &AtomicBool) -> u64 {
    client.set_patience(Duration::from_secs(30)).expect("not zero");
    let mut count = 0;
    while !ends.load(Ordering::Relaxed) {
        let (bytes, replies) = step(number, count);
        // What is sent to a connection that is being closed is lost, as it may be.
        let sent = client.send_raw(&bytes).is_ok();
        for _ in 0..replies {
            match client.receive() {
                Ok(Reply::Integer(next)) => count = u64::try_from(next).expect("a count"),
                Ok(Reply::Group(_, both)) => {
                    let Reply::Integer(next) = both[0] else { panic!("EXEC gave {both:?}") };
                    count = u64::try_from(next).expect("a count");
                }
                Ok(Reply::Simple(text)) if text == b"QUEUED" => {}
                Ok(Reply::Simple(text)) if text == b"OK" && number % 4 == 2 => count += 1,
                Ok(Reply::Simple(text)) if text == b"OK" => {}
                // Another one is the primary now.
                Ok(Reply::Error(text)) if is_of_replica(&text) => return count,
                Ok(other) => panic!("writer {number}: {other:?} behind {count}"),
                Err(_) => return count,
            }
            answers.fetch_add(1, Ordering::Relaxed);
        }
        if !sent {
            break;
        }
    }
    count
}

/// Whether this is what a replica says to writers.
fn is_of_replica(text: &[u8]) -> bool {
    text.starts_with(b"READONLY ") || text.starts_with(b"EXECABORT ")
}

/// The number that a key holds; 0 if there is no key.
fn held(client: &mut Client, key: &str) -> u64 {
    match client.call(&["GET", key]) {
        Ok(Reply::Bulk(text)) => String::from_utf8_lossy(&text).parse().expect("a number"),
        Ok(Reply::NullBulk) => 0,
        other => panic!("GET {key}: {other:?}"),
    }
}

fn await_answers(answers: &AtomicU64, more: u64, primary: &Server) {
    let goal = answers.load(Ordering::Relaxed) + more;
    until("clients write", || goal <= answers.load(Ordering::Relaxed), || primary.output());
}

/// Asks for the end in one way or another.
fn ask_for_end(primary: &Server, random: &mut Random) -> Option<Client> {
    if random.below(2) == 0 {
        signal(primary, Signal::SIGTERM);
        return None;
    }
    let mut client = primary.client();
    client.send(&["SHUTDOWN", "NOSAVE"]).expect("it is taken");
    Some(client)
}

fn await_end(primary: &mut Server) {
    until("the primary ends", || primary.has_ended(), String::new);
}

fn end_under_load(kinds: [Kind; 3], seed: u64) -> u64 {
    let mut scene = Scene::new(kinds, seed, &[]);
    let mut random = Random::new(seed);
    let counts = scene.write_while(|scene, answers| {
        await_answers(answers, 500 + random.below(10_000), &scene.primary);
        let _asker = ask_for_end(&scene.primary, &mut random);
        await_end(&mut scene.primary);
    });
    let output = scene.primary.output();
    assert!(output.contains("2 of 2 replicas are in sync when shutting down."), "{output}");
    scene.replicas.iter().for_each(|replica| scene.must_have(replica, &counts));
    counts.iter().sum()
}

fn hand_over_and_end(kinds: [Kind; 3], seed: u64) -> u64 {
    let mut scene = Scene::new(kinds, seed, &["--shutdown-on-sigterm", "failover nosave"]);
    let mut random = Random::new(seed);
    let counts = scene.write_while(|scene, answers| {
        await_answers(answers, 500 + random.below(5_000), &scene.primary);
        if random.below(2) == 0 {
            signal(&scene.primary, Signal::SIGTERM);
        } else {
            let sent = scene.primary.client().send(&["SHUTDOWN", "FAILOVER", "NOSAVE"]);
            sent.expect("it is taken");
        }
        await_end(&mut scene.primary);
    });
    let output = scene.primary.output();
    assert!(output.contains("A replica has taken over after "), "{output}");
    let is_primary = |replica: &&Server| info(replica, "replication")["role"] == "master";
    let heirs: Vec<&Server> = scene.replicas.iter().filter(is_primary).collect();
    assert_eq!(heirs.len(), 1, "{output}");
    scene.must_have(heirs[0], &counts);
    counts.iter().sum()
}

fn end_with_a_stuck_replica(kinds: [Kind; 3], seed: u64) -> u64 {
    let seconds = STUCK_S.to_string();
    let mut scene = Scene::new(kinds, seed, &["--shutdown-timeout", &seconds]);
    let mut random = Random::new(seed);
    let stuck = usize::from(random.below(2) == 0);
    let mut took = Duration::ZERO;
    let counts = scene.write_while(|scene, answers| {
        await_answers(answers, 500, &scene.primary);
        signal(&scene.replicas[stuck], Signal::SIGSTOP);
        await_answers(answers, 500 + random.below(5_000), &scene.primary);
        let began = now();
        let _asker = ask_for_end(&scene.primary, &mut random);
        await_end(&mut scene.primary);
        took = began.elapsed();
    });
    let output = scene.primary.output();
    assert!(output.contains("1 of 2 replicas are in sync when shutting down."), "{output}");
    scene.must_have(&scene.replicas[1 - stuck], &counts);
    let [least, most] = [STUCK_S, STUCK_S + LATE_S].map(Duration::from_secs);
    assert!(least <= took && took <= most, "{took:?}\n{output}");
    say(&format!("promises: an end took {took:?} while {} was stuck", kinds[1 + stuck].name()));
    counts.iter().sum()
}

fn call_an_end_off(kinds: [Kind; 3], seed: u64) -> u64 {
    let scene =
        Scene::new(kinds, seed, &["--shutdown-timeout", "60", "--shutdown-total-timeout", "600"]);
    let mut random = Random::new(seed);
    let [mut writer, mut other] = [(); 2].map(|()| scene.primary.client());
    let stuck = &scene.replicas[usize::from(random.below(2) == 0)];
    signal(stuck, Signal::SIGSTOP);
    assert_eq!(text(writer.call(&["SET", "before", "1"])), "OK");
    // A client that is not served yet when the end begins may only look at the server.
    assert_eq!(text(other.call(&["PING"])), "PONG");
    let asker = ask_for_end(&scene.primary, &mut random);
    let stage = || info(&scene.primary, "server").remove("shutdown_stage");
    let waits = || stage().is_some_and(|stage| stage == "replicas");
    until("the end waits for replicas", waits, || scene.primary.output());
    writer.send(&["SET", "held", "1"]).expect("it is taken");
    let read = other.call(&["GET", "held"]);
    assert!(matches!(read, Ok(Reply::NullBulk)), "{read:?}\n{}", scene.primary.output());
    assert!(!writer.has_reply());
    assert_eq!(text(other.call(&["SHUTDOWN", "ABORT"])), "OK");
    assert_eq!(text(writer.receive()), "OK");
    if let Some(mut asker) = asker {
        assert_eq!(text(asker.receive()), "ERR Errors trying to SHUTDOWN. Check logs.");
    }
    signal(stuck, Signal::SIGCONT);
    let confirmed = writer.call(&["WAIT", "2", "9000"]);
    assert!(
        matches!(confirmed, Ok(Reply::Integer(2))),
        "{confirmed:?}\n{}",
        scene.primary.output()
    );
    for replica in &scene.replicas {
        let mut client = replica.client();
        assert_eq!((held(&mut client, "before"), held(&mut client, "held")), (1, 1));
    }
    1
}

/// What a client wrote, and how much of it so many replicas confirmed.
#[derive(Clone, Copy, Debug, Default)]
struct Confirmed {
    count: u64,
    confirmed: u64,
}

/// Streams to replicas come late, now to the one and now to the other; then the primary is killed,
/// and the replica that has more of its stream takes its place.
fn kill_while_clients_wait(kinds: [Kind; 3], seed: u64) -> u64 {
    let mut scene = Scene::new(kinds, seed, &[]);
    let mut random = Random::new(seed);
    let (confirms, ends) = (&AtomicU64::new(0), &AtomicBool::new(false));
    let clients: Vec<Client> = (0..WRITERS).map(|_| scene.primary.client()).collect();
    let confirmed = thread::scope(|scope| {
        let writer =
            |(number, client)| scope.spawn(move || write_and_wait(client, number, confirms, ends));
        let writers: Vec<_> = clients.into_iter().enumerate().map(writer).collect();
        let end = Ends(ends);
        let (turns, mut turn) = (10 + random.below(20), 0);
        let mut change_weather = || {
            for proxy in &scene.proxies {
                let delay = Duration::from_millis(1 + random.below(30));
                proxy.set(match random.below(4) {
                    0 => Weather::Clear,
                    1 => Weather::Freeze,
                    _ => Weather::Delay(delay),
                });
            }
            thread::park_timeout(Duration::from_millis(1 + random.below(50)));
            turn += 1;
            turns <= turn && 0 < confirms.load(Ordering::Relaxed)
        };
        until("WAIT confirms something", &mut change_weather, String::new);
        // What is on its way in the proxies is lost.
        scene.primary.kill();
        scene.proxies.iter().for_each(|proxy| proxy.set(Weather::Cuts(0)));
        drop(end);
        let ended = writers.into_iter().map(|writer| writer.join().expect("it counts"));
        ended.collect::<Vec<Confirmed>>()
    });
    let offsets: Vec<u64> = scene.replicas.iter().map(settled_offset).collect();
    let best = &scene.replicas[usize::from(offsets[0] < offsets[1])];
    assert_eq!(text(best.client().call(&["REPLICAOF", "NO", "ONE"])), "OK");
    let counts: Vec<u64> = confirmed.iter().map(|writer| writer.confirmed).collect();
    scene.must_have(best, &counts);
    counts.iter().sum()
}

/// How far a replica is whose link is down, once it does not get on any more.
fn settled_offset(replica: &Server) -> u64 {
    const TIMES: usize = 10;
    let (mut offset, mut same) = (0, 0);
    let is_settled = || {
        let mut fields = info(replica, "replication");
        let mut field = |name| fields.remove(name).unwrap_or_default();
        let is_down = field("master_link_status") == "down";
        let next = field("slave_repl_offset").parse().expect("an offset");
        same = if is_down && next == offset { same + 1 } else { 0 };
        offset = next;
        TIMES <= same
    };
    until("the replica settles", is_settled, || replica.output());
    offset
}

/// Counts, and asks now and then how many replicas have that.
fn write_and_wait(
    mut client: Client,
    number: usize,
    confirms: &AtomicU64,
    ends: &AtomicBool,
) -> Confirmed {
    let mut written = Confirmed::default();
    let replicas = if number.is_multiple_of(2) { "1" } else { "2" };
    let needed = replicas.parse::<i64>().expect("a number");
    while !ends.load(Ordering::Relaxed) {
        let (bytes, replies) = step(number, written.count);
        let mut answered = client.send_raw(&bytes).is_ok();
        for _ in 0..replies {
            answered &= client.receive().is_ok();
        }
        if !answered {
            break;
        }
        written.count += if number % 4 == 1 { 16 } else { 1 };
        match client.call(&["WAIT", replicas, "200"]) {
            Ok(Reply::Integer(count)) if needed <= count => {
                written.confirmed = written.count;
                confirms.fetch_add(1, Ordering::Relaxed);
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    written
}
