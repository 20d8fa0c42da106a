//! Clients that wait for keys, on several shards in one thread: chance decides which shard has its
//! turn next, so that letters cross in every way. The same seed gives the same run.
//!
//! `SEED=n` runs one seed only, `SEEDS=n` so many.

use keylane::mail::to_control::ToControl;
use keylane::routing::node::Condition;
use keylane::shard::connections::Sending;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::sync::Arc;

use keylane::blocking::waits::WaitEnd;
use keylane::clients::client::Client;
use keylane::commands::table::build;
use keylane::config::table::Config;
use keylane::mail::mailbox::{Ends, Mailbox, connect};
use keylane::mail::query::{Answer, Query};
use keylane::mail::to_shard::ToShard;
use keylane::reactor::buffers::Buffers;
use keylane::reactor::clock::{CycleRate, Monotonic};
use keylane::reactor::ring::Token;
use keylane::routing::node::Node;
use keylane::routing::slots::SlotMap;
use keylane::shard::core::Core;
use keylane::shard::requests::pipeline::Pipeline;
use shards::base::hash::HashSeed;
use shards::base::random::Random;
use shards::base::time::UnixMs;

const SHARDS: usize = 3;
/// Keys that are waited for, and keys that things are moved to.
const SOURCES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const TARGETS: [&str; 3] = ["x", "y", "z"];
const WAITERS: usize = 30;
const SEEDS: u64 = 300;

/// A client, and what it was sent.
struct Person {
    home: usize,
    token: Token,
    id: u64,
    received: Vec<u8>,
    is_gone: bool,
}

struct World {
    cores: Vec<(Core, Pipeline, Buffers)>,
    control: Mailbox<ToControl>,
    people: Vec<Person>,
    start: Monotonic,
    millis: u64,
    random: Random,
}

impl World {
    fn new(seed: u64) -> Self {
        let shards = u16::try_from(SHARDS).expect("a few");
        let start = Monotonic::now();
        let commands = Box::leak(Box::new(build(&[]).expect("nothing is renamed")));
        let node = Node {
            cluster: None,
            config: Arc::new(Config::default()),
            table: &commands.table,
            slots: SlotMap::even(shards),
            seed: HashSeed(seed),
            cycle_rate: CycleRate::measure(),
            condition: Condition::default(),
            started: start,
            now: start,
        };
        let Ends { shards: mailboxes, control, .. } =
            connect(SHARDS).expect("there are descriptors");
        let core = |mailbox| {
            let core = Core::new(mailbox, node.clone(), &commands.of_clients, Random::new(seed));
            (core, Pipeline::default(), Buffers::new().expect("there is memory"))
        };
        let cores = mailboxes.into_iter().map(core).collect();
        let random = Random::new(seed);
        Self { cores, control, people: Vec::new(), start, millis: 0, random }
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.random.below(limit as u64)).expect("below a length")
    }

    fn pick(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len())]
    }

    /// A new client on some shard.
    fn person(&mut self) -> usize {
        let (home, number) = (self.below(SHARDS), self.people.len());
        let token = Token::from_bits(number as u64);
        let id = number as u64 + 1;
        let client = Client::new(id, token, 0, self.start);
        self.cores[home].0.add_client(Box::new(client));
        self.people.push(Person { home, token, id, received: Vec::new(), is_gone: false });
        number
    }

    /// A client sends something.
    fn send(&mut self, person: usize, text: &str) {
        let Person { home, token, .. } = self.people[person];
        let core = &mut self.cores[home].0;
        let Some(client) = core.client(token) else { return };
        client.query.append(text.as_bytes(), 0);
        core.clients.list_at(token);
    }

    fn hang_up(&mut self, person: usize) {
        let Person { home, token, is_gone, .. } = &mut self.people[person];
        *is_gone = true;
        self.cores[*home].0.remove_client(*token);
    }

    /// One turn of one shard.
    fn turn(&mut self, shard: usize) {
        let now = self.start.after_millis(self.millis).expect("a short time");
        let (core, pipeline, buffers) = &mut self.cores[shard];
        core.begin_turn(now, UnixMs(1_000_000 + self.millis));
        core.read_mail();
        pipeline.run(core, buffers);
        let mut sending = Vec::new();
        core.look_after_clients(&mut sending);
        for Sending { token, bytes } in sending {
            let index = usize::try_from(token.bits()).expect("a number of a person");
            self.people[index].received.extend_from_slice(&bytes);
            core.sent(token, bytes);
        }
        core.socket_requests.clear();
        core.mailbox.flush();
    }

    /// Turns of all shards until nothing is under way.
    fn settle(&mut self) {
        loop {
            (0..SHARDS).for_each(|shard| self.turn(shard));
            let cores = self.cores.iter();
            if cores.clone().all(|it| it.0.mailbox.depth() == 0 && it.0.clients.listed.is_empty()) {
                return;
            }
        }
    }

    fn turn_some(&mut self) {
        for _ in 0..self.below(4) {
            let shard = self.below(SHARDS);
            self.turn(shard);
        }
    }

    /// Asks all shards; what each answers.
    fn ask(&mut self, query: &Query) -> Vec<Answer> {
        for shard in 0..SHARDS {
            self.control.send(shard, ToShard::Query(0, query.clone()));
        }
        self.control.flush();
        self.settle();
        let mut answers = Vec::new();
        for shard in 0..SHARDS {
            while let Some(letter) = self.control.receive(shard) {
                if let ToControl::Answer(_, answer) = letter {
                    answers.push(answer);
                }
            }
        }
        answers
    }

    /// How many clients wait.
    fn waiting(&mut self) -> u64 {
        let figures = self.ask(&Query::Figures).into_iter();
        figures
            .map(|answer| match answer {
                Answer::Figures(figures) => figures.waiting.clients,
                Answer::Done
                | Answer::Count(_)
                | Answer::Clients(_)
                | Answer::Keys(_)
                | Answer::Slots(_)
                | Answer::SlotFigures(_) => 0,
            })
            .sum()
    }

    /// Tells a client to stop waiting, and does not look what comes of it.
    fn unblock(&mut self, person: usize) {
        let query = Query::Unblock(self.people[person].id, WaitEnd::InVain);
        for shard in 0..SHARDS {
            self.control.send(shard, ToShard::Query(0, query.clone()));
        }
        self.control.flush();
    }

    /// What a client was given.
    fn elements(&self, person: usize) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.people[person].received).into_owned();
        text.split("\r\n").filter(|line| line.starts_with("e-")).map(str::to_owned).collect()
    }

    /// A request to wait.
    fn wait(&mut self) -> String {
        let timeout = ["0", "0", "0", "0.003"][self.below(4)];
        let keys: Vec<&str> = (0..=self.below(3)).map(|_| self.pick(&SOURCES)).collect();
        match self.below(6) {
            0 | 1 => {
                let target = self.pick(&TARGETS);
                format!("BLMOVE {} {target} LEFT RIGHT {timeout}\r\n", keys[0])
            }
            2 => format!("BLMPOP {timeout} {} {} LEFT\r\n", keys.len(), keys.join(" ")),
            _ => format!("BLPOP {} {timeout}\r\n", keys.join(" ")),
        }
    }

    /// Requests that claim keys of several shards and change nothing.
    fn noise(&mut self) -> String {
        let (source, target) = (self.pick(&SOURCES), self.pick(&TARGETS));
        match self.below(5) {
            0 => format!("MULTI\r\nLLEN {target}\r\nLLEN {source}\r\nEXEC\r\n"),
            1 => format!("EXISTS {source} {target}\r\n"),
            2 => "MULTI\r\nDBSIZE\r\nEXEC\r\n".to_owned(),
            3 => format!("SINTER {target}none {source}none\r\n"),
            _ => format!("LLEN {source}\r\nLLEN {target}\r\n"),
        }
    }
}

/// Clients wait one after the other; then one pushes, others are in the way, and some wait no
/// longer. Then: who waited for a key longer was given its elements earlier, each element is
/// somewhere once, and nothing is left of the waits.
fn run(seed: u64) {
    let mut world = World::new(seed);
    let mut first_losses = 0;
    let waiters: Vec<usize> = (0..WAITERS).map(|_| world.person()).collect();
    for &waiter in &waiters {
        let wait = world.wait();
        if env::var_os("SEED").is_some() {
            println!("{waiter} at {}: {}", world.people[waiter].home, wait.trim_end());
        }
        world.send(waiter, &wait);
        world.settle();
        if world.below(10) == 0 {
            world.hang_up(waiter);
            world.settle();
            first_losses += 1;
        }
    }
    let gone_before = waiters.iter().filter(|it| world.people[**it].is_gone).count();
    assert_eq!(gone_before, first_losses);

    let pushed = push_and_disturb(&mut world, &waiters);
    world.settle();
    let gone = waiters.iter().filter(|it| world.people[**it].is_gone).count() - gone_before;
    check_order(&world, &waiters, seed);
    for &waiter in &waiters {
        world.unblock(waiter);
    }
    world.settle();
    assert_eq!(world.waiting(), 0, "seed {seed}");
    for (core, _, _) in &world.cores {
        assert!(core.is_at_rest(), "seed {seed}: claims or batches are left");
        assert!(core.shard.keyspace.waiters.is_empty(), "seed {seed}: somebody is remembered");
    }
    check_elements(&mut world, &waiters, pushed, gone, seed);
}

/// Returns what was pushed.
fn push_and_disturb(world: &mut World, waiters: &[usize]) -> BTreeSet<String> {
    let (pusher, noisy) = (world.person(), [world.person(), world.person(), world.person()]);
    let mut pushed = BTreeSet::new();
    let mut fresh = |key: &str| {
        // In the order of pushes, also as text.
        let element = format!("e-{key}-{:04}", pushed.len());
        pushed.insert(element.clone());
        element
    };
    for _ in 0..WAITERS * 2 {
        let keys = [world.pick(&SOURCES), world.pick(&SOURCES)];
        match world.below(12) {
            0..=3 => {
                let text = format!("RPUSH {} {}\r\n", keys[0], fresh(keys[0]));
                world.send(pusher, &text);
            }
            4 => {
                let (one, other) = (fresh(keys[0]), fresh(keys[1]));
                let text = format!(
                    "MULTI\r\nRPUSH {} {one}\r\nRPUSH {} {other}\r\nEXEC\r\n",
                    keys[0], keys[1]
                );
                world.send(pusher, &text);
            }
            5 => {
                let text =
                    format!("RPUSH tmp {}\r\nLMOVE tmp {} LEFT RIGHT\r\n", fresh(keys[0]), keys[0]);
                world.send(pusher, &text);
            }
            6..=8 => {
                let (who, noise) = (noisy[world.below(3)], world.noise());
                world.send(who, &noise);
            }
            9 => world.millis += 1,
            10 => {
                let waiter = waiters[world.below(waiters.len())];
                world.unblock(waiter);
            }
            _ => {
                let waiter = waiters[world.below(waiters.len())];
                if world.below(3) == 0 && !world.people[waiter].is_gone {
                    world.hang_up(waiter);
                }
            }
        }
        world.turn_some();
    }
    pushed
}

fn check_order(world: &World, waiters: &[usize], seed: u64) {
    let mut by_key: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for &waiter in waiters {
        let elements = world.elements(waiter);
        assert!(elements.len() <= 1, "seed {seed}: {waiter} waited once and got {elements:?}");
        for element in elements {
            let key = element.split('-').nth(1).expect("its key").to_owned();
            by_key.entry(key).or_default().insert(element, waiter);
        }
    }
    for (key, served) in by_key {
        let order: Vec<usize> = served.values().copied().collect();
        assert!(order.is_sorted(), "seed {seed}: {key} was given out so: {served:?}");
    }
}

fn check_elements(
    world: &mut World,
    waiters: &[usize],
    pushed: BTreeSet<String>,
    gone: usize,
    seed: u64,
) {
    let mut all: Vec<String> = Vec::new();
    let moved: BTreeSet<String> = {
        let reader = world.person();
        for key in TARGETS {
            world.send(reader, &format!("LRANGE {key} 0 -1\r\n"));
        }
        world.settle();
        world.elements(reader).into_iter().collect()
    };
    let reader = world.person();
    for key in SOURCES {
        world.send(reader, &format!("LRANGE {key} 0 -1\r\n"));
    }
    world.settle();
    all.extend(world.elements(reader));
    for &waiter in waiters {
        // What was moved is in a list, and its mover was told of it.
        all.extend(world.elements(waiter).into_iter().filter(|it| !moved.contains(it)));
    }
    all.extend(moved);
    let distinct: BTreeSet<String> = all.iter().cloned().collect();
    assert_eq!(distinct.len(), all.len(), "seed {seed}: an element is there twice");
    assert!(distinct.is_subset(&pushed), "seed {seed}");
    // Who hangs up while it is served takes one along.
    let lost = pushed.len() - distinct.len();
    assert!(lost <= gone, "seed {seed}: {lost} of {} are lost", pushed.len());
}

#[test]
fn whoever_waits_is_served_once_and_in_turn() {
    let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("SEED") {
        return run(seed);
    }
    (0..number("SEEDS").unwrap_or(SEEDS)).for_each(run);
}
