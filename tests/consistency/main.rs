//! Whether many clients at once see what they could see if they took turns.
//!
//! `SECONDS=600` runs longer than the usual 20 s, over one, two and four shards. A failure names
//! its seed and round: `SEED=.. ROUND=..` then does the same again and again. `AGAINST=host:port`
//! runs on that server instead, which is flushed.

#[path = "../client/mod.rs"]
mod client;
#[path = "../servers/mod.rs"]
mod servers;
#[path = "../replication/proxy.rs"]
mod proxy;

mod history;
mod model;
mod checker;
mod workload;
mod planted;
mod sights;
mod roles;
mod replicas;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use shards::base::random::Random;

use checker::Failure;
use client::{Client, Reply};
use history::Event;
use servers::{setting, start_keylane};
use workload::{Clock, Kind, Plan};

/// The tests take turns: each wants all processors.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn clients_of_one_shard_see_one_order() {
    hold_on(1);
}

#[test]
fn clients_of_two_shards_see_one_order() {
    hold_on(2);
}

#[test]
fn clients_of_four_shards_see_one_order() {
    hold_on(4);
}

/// Runs rounds for a third of the time.
fn hold_on(shards: usize) {
    let _turn = TURN.lock();
    match std::env::var("AGAINST") {
        Ok(address) => hold(&address, &address, String::new),
        Err(_) => {
            let server = start_keylane(shards);
            hold(&server.addr, &server.name, || server.output());
        }
    }
}

fn hold(address: &str, name: &str, output: impl Fn() -> String) {
    let seed = setting("SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let nanos = setting("SECONDS").unwrap_or(20) * 1_000_000_000 / 3;
    let clock = Clock::start();
    let (mut rounds, mut events, mut undecided) = (0, 0, 0);
    while rounds == 0 || clock.now() < nanos {
        let round = setting("ROUND").unwrap_or(rounds);
        match play(address, seed, round) {
            Ok(count) => events += count,
            Err(Failure::TooWide) => undecided += 1,
            Err(Failure::Inexplicable(text)) => {
                panic!("{name}: SEED={seed} ROUND={round}\n{text}\n{}", output());
            }
        }
        rounds += 1;
    }
    let line = format!("{rounds} rounds, {events} events, {undecided} rounds undecided");
    writeln!(std::io::stderr(), "consistency: {name}: SEED={seed}: {line}")
        .expect("the terminal takes a line");
}

/// Plays a round. Gives how many events there were.
fn play(address: &str, seed: u64, round: u64) -> Result<usize, Failure> {
    flush(address).map_err(|error| Failure::Inexplicable(format!("FLUSHALL: {error}")))?;
    let seed = Random::new(seed.wrapping_add(round << 32)).bits();
    let plan = |kind, clients, acts| Plan { kind, seed, clients, acts };
    let plan = match round % 4 {
        0 => plan(Kind::Registers, 12, 300),
        1 => plan(Kind::Keys, 6, 200),
        2 => plan(Kind::Databases, 6, 200),
        _ => return play_roles(address, seed).map_err(Failure::Inexplicable),
    };
    let events = workload::run(address, plan).map_err(Failure::Inexplicable)?;
    match plan.kind {
        Kind::Registers => by_key(&events)?,
        Kind::Keys | Kind::Databases => checker::check(&events)?,
    }
    Ok(events.len())
}

fn play_roles(address: &str, seed: u64) -> Result<usize, String> {
    roles::prepare(address).map_err(|error| format!("preparing: {error}"))?;
    roles::run(roles::Sides { writers: address, readers: address }, seed, 300)
}

/// Empties the server, once all other clients have left it: what a client left behind may still
/// run.
fn flush(address: &str) -> std::io::Result<()> {
    const TRIES: usize = 2000;
    let mut client = Client::connect(address)?;
    for _ in 0..TRIES {
        let reply = client.call(&["INFO", "clients"])?;
        let alone = history::brief(&reply).contains("connected_clients:1\\r");
        if alone || matches!(reply, Reply::Error(_)) {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    client.call(&["FLUSHALL"]).map(|_| ())
}

/// Checks each key's history by itself: if every key's has an order, so has the whole, as far as
/// single keys can tell.
fn by_key(events: &[Event]) -> Result<(), Failure> {
    let keys: BTreeSet<String> = workload::spread_keys("k", 8).into_iter().collect();
    for key in keys {
        let part: Vec<Event> = events.iter().filter_map(|event| event.on_key(&key)).collect();
        checker::check(&part)?;
    }
    Ok(())
}
