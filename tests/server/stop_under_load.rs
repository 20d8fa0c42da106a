//! Ends of a server that is at work: nothing that was done goes unanswered, nothing that was
//! answered is lost, and nothing is left behind.
//!
//! `ROUNDS=200 cargo test --test server load` makes more of them.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use shards::base::random::Random;

use crate::client::{Client, Reply};
use crate::running::{Folder, Running, free_port, keylane};

const CLIENTS: usize = 100;
const BLOCKED: usize = 10;
/// Seconds that an end may take.
const TOTAL: &str = "12";
const ROUNDS: u64 = 3;

/// What a client of a round got.
#[derive(Debug, Default)]
struct Served {
    /// The highest count that was answered to it, of each of its keys.
    counts: [i64; 2],
    /// What it was told that makes no sense.
    wrong: Option<String>,
}

fn request(args: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len());
    for arg in args {
        bytes += &format!("${}\r\n{arg}\r\n", arg.len());
    }
    bytes.into_bytes()
}

fn keys(number: usize) -> [String; 2] {
    ["a", "b"].map(|kind| format!("{kind}:{number}"))
}

/// Counts on two keys, on whatever shards, `depth` requests in a pipeline, until the connection
/// ends. Every reply must be the next count: nothing is left out, nothing comes twice.
fn count(client: &mut Client, number: usize, depth: usize, replies: &AtomicU64) -> Served {
    let keys = keys(number);
    let pipeline: Vec<u8> = (0..depth).flat_map(|at| request(&["INCR", &keys[at % 2]])).collect();
    let mut served = Served::default();
    loop {
        // What is sent to a connection that is being closed is lost, as it may be.
        let sent = client.send_raw(&pipeline).is_ok();
        for at in 0..depth {
            match client.receive() {
                Ok(Reply::Integer(found)) if found == served.counts[at % 2] + 1 => {
                    served.counts[at % 2] = found;
                    replies.fetch_add(1, Ordering::Relaxed);
                }
                Ok(other) => {
                    served.wrong = Some(format!("{other:?} after {:?}", served.counts));
                    return served;
                }
                Err(_) => return served,
            }
        }
        if !sent {
            return served;
        }
    }
}

/// Counts on both keys in one transaction after the other.
fn transact(client: &mut Client, number: usize, replies: &AtomicU64) -> Served {
    let keys = keys(number);
    let commands: [&[&str]; 4] = [&["MULTI"], &["INCR", &keys[0]], &["INCR", &keys[1]], &["EXEC"]];
    let pipeline: Vec<u8> = commands.iter().flat_map(|args| request(args)).collect();
    let mut served = Served::default();
    while client.send_raw(&pipeline).is_ok() {
        for expected in [b"OK".as_slice(), b"QUEUED", b"QUEUED"] {
            match client.receive() {
                Ok(Reply::Simple(text)) if text == expected => {}
                Ok(other) => {
                    served.wrong = Some(format!("{other:?} for {expected:?}"));
                    return served;
                }
                Err(_) => return served,
            }
        }
        let next = served.counts[0] + 1;
        match client.receive() {
            Ok(Reply::Group('*', both)) if both == vec![Reply::Integer(next); 2] => {
                served.counts = [next; 2];
                replies.fetch_add(1, Ordering::Relaxed);
            }
            Ok(other) => {
                served.wrong = Some(format!("{other:?} for {next}"));
                return served;
            }
            Err(_) => return served,
        }
    }
    served
}

/// Sends without waiting for replies, as fast as the server takes it.
fn flood(writer: &mut Client, key: &str) {
    let requests: Vec<u8> = (0..200).flat_map(|_| request(&["INCR", key])).collect();
    while writer.send_raw(&requests).is_ok() {}
}

/// Reads what `flood` is answered. How many replies; all must be counts in their order.
fn read_flood(reader: &mut Client) -> Served {
    let mut served = Served::default();
    loop {
        match reader.receive() {
            Ok(Reply::Integer(found)) if found == served.counts[0] + 1 => served.counts[0] = found,
            Ok(other) => {
                served.wrong = Some(format!("{other:?} after {}", served.counts[0]));
                return served;
            }
            Err(_) => return served,
        }
    }
}

/// How many clients wait for keys.
fn blocked_clients(client: &mut Client) -> usize {
    let Ok(Reply::Bulk(text)) = client.call(&["INFO", "clients"]) else { panic!("no INFO") };
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
    line.expect("INFO has it").parse().expect("a number")
}

/// A server, its folder, and how it is ended.
struct Round {
    folder: Folder,
    port: u16,
    running: Running,
}

impl Round {
    fn start(shards: u64) -> Self {
        let folder = Folder::new();
        let port = free_port();
        let shards = shards.to_string();
        let dir = folder.path("");
        let options = ["--port", &port.to_string(), "--dir", &dir, "--shards", &shards];
        let files = ["--pidfile", "keylane.pid", "--unixsocket", "keylane.sock"];
        let save = ["--save", "1000000 1", "--shutdown-total-timeout", TOTAL];
        let mut running = Running::start(keylane().args(options).args(files).args(save));
        running.wait_for("Ready to accept connections");
        Self { folder, port, running }
    }

    /// A client that waits for longer than an end may take.
    fn client(&self) -> Client {
        let mut client = self.running.client(self.port);
        client.set_patience(Duration::from_secs(30)).expect("not zero");
        client
    }

    /// Whether every client has something to show for it.
    fn all_are_served(&self, client: &mut Client) -> bool {
        let all: Vec<String> = (0..CLIENTS).flat_map(keys).chain(["flood".into()]).collect();
        let request: Vec<&str> = ["EXISTS"].into_iter().chain(all.iter().map(|it| &**it)).collect();
        let found = client.call(&request).expect("the server answers");
        found == Reply::Integer(all.len().try_into().expect("they are few"))
    }

    /// A client that asks for much and reads nothing.
    fn deaf(&self) -> Client {
        let mut client = self.client();
        let value = "x".repeat(1 << 20);
        assert_eq!(
            client.call(&["SET", "big", &value]).expect("the server answers"),
            Reply::Simple(b"OK".into())
        );
        for _ in 0..30 {
            client.send(&["GET", "big"]).expect("the server takes it");
        }
        client
    }

    /// Begins a snapshot that does not end by itself. Its process.
    fn begin_slow_snapshot(&mut self) -> String {
        let mut client = self.client();
        client
            .call(&["CONFIG", "SET", "rdb-key-save-delay", "10000000"])
            .expect("the server answers");
        client.call(&["BGSAVE"]).expect("the server answers");
        client.call(&["CONFIG", "SET", "rdb-key-save-delay", "0"]).expect("the server answers");
        self.running.wait_for("Background saving started by pid");
        let line = self.running.log.last().expect("the log has it");
        line.rsplit(' ').next().expect("the log has it").to_owned()
    }
}

/// What a round came to.
#[derive(Debug, Default)]
struct Sum {
    answered: i64,
    unanswered: i64,
    took_ms: Vec<u64>,
}

#[test]
fn ends_under_load_answer_all_that_was_done_and_keep_all_that_was_answered() {
    let rounds = std::env::var("ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    let first = std::env::var("SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let mut sum = Sum::default();
    for seed in first..first + rounds {
        round(seed, &mut sum);
    }
    sum.took_ms.sort_unstable();
    let took = |percent: usize| sum.took_ms[(sum.took_ms.len() - 1) * percent / 100];
    println!(
        "{rounds} rounds: {} requests answered, {} done without an answer; ms to end: \
         median {}, 99 % {}, most {}",
        sum.answered,
        sum.unanswered,
        took(50),
        took(99),
        took(100)
    );
}

fn round(seed: u64, sum: &mut Sum) {
    let mut random = Random::new(seed);
    let mut round = Round::start(1 + random.below(3));
    let _deaf = (random.below(2) == 0).then(|| round.deaf());
    round.client().call(&["SET", "key", "value"]).expect("the server answers");
    let snapshot = (random.below(2) == 0).then(|| round.begin_slow_snapshot());
    let by_command = random.below(2) == 0;
    let enough = 2000 + random.below(20_000);
    let replies = AtomicU64::new(0);
    let (served, flooded, blocked) = thread::scope(|scope| {
        let counting: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (mut client, replies) = (round.client(), &replies);
                scope.spawn(move || match number % 4 {
                    0 => count(&mut client, number, 2, replies),
                    1 => transact(&mut client, number, replies),
                    2 => count(&mut client, number, 16, replies),
                    _ => count(&mut client, number, 100, replies),
                })
            })
            .collect();
        let mut reader = round.client();
        let mut writer = reader.again().expect("there are descriptors");
        scope.spawn(move || flood(&mut writer, "flood"));
        let flooded = scope.spawn(move || read_flood(&mut reader));
        let mut blocked: Vec<Client> = (0..BLOCKED).map(|_| round.client()).collect();
        for client in &mut blocked {
            let pipeline = [request(&["INCR", "waits"]), request(&["BLPOP", "never", "0"])];
            client.send_raw(&pipeline.concat()).expect("the server takes it");
        }
        // Not before all are served, for who comes later is refused; then at any moment.
        let mut asker = round.client();
        while blocked_clients(&mut asker) < BLOCKED || !round.all_are_served(&mut asker) {
            thread::yield_now();
        }
        while replies.load(Ordering::Relaxed) < enough {
            thread::yield_now();
        }
        if by_command {
            let pipeline = [request(&["INCR", "asker"]), request(&["SHUTDOWN"])];
            asker.send_raw(&pipeline.concat()).expect("the server takes it");
            assert_eq!(asker.rest().expect("the server answers"), b":1\r\n", "seed {seed}");
        } else {
            round.running.signal("TERM");
        }
        let blocked: Vec<_> =
            blocked.iter_mut().map(|client| client.rest().expect("the server answers")).collect();
        let served: Vec<Served> =
            counting.into_iter().map(|it| it.join().expect("it does not panic")).collect();
        (served, flooded.join().expect("it does not panic"), blocked)
    });
    let Round { folder, running, .. } = round;
    let ended = running.end();
    check_log(seed, &ended, sum);
    let left = |name: &str| folder.0.join(name).exists();
    assert!(!left("keylane.pid") && !left("keylane.sock"), "seed {seed}");
    let names = fs::read_dir(&folder.0)
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder is there").file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["dump.rdb"], "seed {seed}");
    if let Some(pid) = snapshot {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "seed {seed}: the child is there");
    }
    let mut waited = blocked.iter().map(|rest| String::from_utf8_lossy(rest).into_owned());
    assert!(waited.all(|it| it.starts_with(':') && it.len() < 6), "seed {seed}: {blocked:?}");
    check_file(seed, &folder, &served, &flooded, by_command, sum);
}

/// The log has the stages in their order, within the time, and the exit status is 0.
fn check_log(seed: u64, ended: &crate::running::Ended, sum: &mut Sum) {
    let stages = ["intake", "drain", "pause", "replicas", "child", "save", "clients", "files"];
    let edges = stages.iter().chain(&["shards"]).flat_map(|stage| {
        ["enter", "leave"].map(|event| format!("Shutdown: stage={stage} event={event} "))
    });
    let edges: Vec<String> = edges.collect();
    let edges: Vec<&str> = edges.iter().map(String::as_str).collect();
    ended.check(0, &[&edges[..], &["bye bye"]].concat());
    let last = ended.log.iter().rfind(|line| line.contains("event=leave")).expect("the log has it");
    let elapsed = last
        .split("elapsed_ms=")
        .nth(1)
        .expect("the log has it")
        .split(' ')
        .next()
        .expect("the log has it");
    let elapsed: u64 = elapsed.parse().expect("a number");
    let budget: u64 = TOTAL.parse().expect("a number");
    assert!(elapsed <= budget * 1000, "seed {seed}: {elapsed} ms");
    sum.took_ms.push(elapsed);
}

/// The last snapshot has what was answered, and nothing else.
fn check_file(
    seed: u64,
    folder: &Folder,
    served: &[Served],
    flooded: &Served,
    by_command: bool,
    sum: &mut Sum,
) {
    let port = free_port();
    let again = Running::ready(port, &["--dir", &folder.path("")]);
    let mut client = again.client(port);
    let mut value = |key: &str| match client.call(&["GET", key]).expect("the server answers") {
        Reply::Bulk(text) => String::from_utf8(text).expect("a number").parse().expect("a number"),
        Reply::NullBulk => 0,
        other => panic!("{key}: {other:?}"),
    };
    let mut compare = |key: &str, answered: i64, wrong: &Option<String>| {
        assert_eq!(*wrong, None, "seed {seed}: {key}");
        let done: i64 = value(key);
        assert!(answered <= done, "seed {seed}: {key} was answered {answered}, kept is {done}");
        assert_eq!(answered, done, "seed {seed}: {key}: done without an answer");
        sum.answered += answered;
        sum.unanswered += done - answered;
    };
    for (number, one) in served.iter().enumerate() {
        for (key, answered) in keys(number).iter().zip(one.counts) {
            compare(key, answered, &one.wrong);
        }
    }
    compare("flood", flooded.counts[0], &flooded.wrong);
    compare("waits", BLOCKED.try_into().expect("it is there"), &None);
    compare("asker", i64::from(by_command), &None);
}
