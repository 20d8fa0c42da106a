//! Shards of a replica with logs that a seed has made: bytes, letters and batches come in whatever
//! order a seed chooses, and at some moments everything is held and begun anew, or rests. Some
//! attempts store what comes, as much as a seed allows, until they are told to apply it.
//!
//! After each step readers look: keys that a primary only ever changes together are alike, and what
//! is kept of a log is applied. What is held is what the logs say up to the vector, and so is what
//! is kept; in the end all is there.

mod primary;

use std::collections::{BTreeMap, VecDeque};

use primary::Primary;
use shards::base::random::Random;

use super::*;
use crate::batches::batch::At;
use crate::config::table::Config;
use crate::flows::frames::Frame;
use crate::flows::kept::Which;
use crate::flows::served::Served;
use crate::flows::testing::routing;
use crate::replication::merge::{Reading, Stamp};
use crate::routing::request::with_args;

/// Seeds that are tried, unless `SEEDS` says how many.
const SEEDS: u64 = 300;
const HISTORY: ReplId = ReplId::of_random([7; 20]);

type State = BTreeMap<String, String>;

/// Shards of a replica, and what is on its way to them.
struct Replica<'a> {
    primary: &'a Primary,
    random: Random,
    shards: Vec<Following>,
    generation: Generation,
    /// By log: how much was sent, and how much of that has come.
    at: Vec<u64>,
    /// Where the present attempt began: offsets, and their weight.
    began: (Vec<u64>, u64),
    paused: Vec<bool>,
    /// Logs whose connections are not there yet.
    late: Vec<usize>,
    /// What comes is stored, and all shards may store so much.
    stores: bool,
    store_max: u64,
    /// By shard: what it stores.
    stored: Vec<u64>,
    /// By sender and receiver.
    letters: BTreeMap<(usize, usize), VecDeque<Word>>,
    batches: Vec<VecDeque<Box<Batch>>>,
    boards: Vec<u64>,
    state: State,
    held: Vec<(u16, Place)>,
    /// Shards that have said that they are held, or rest.
    answers: usize,
    /// How often this attempt has rested.
    rests: u64,
}

impl<'a> Replica<'a> {
    fn new(primary: &'a Primary, shards: usize, seed: u64) -> Self {
        let routing = routing(u16::try_from(shards).unwrap(), seed);
        let logs = primary.logs.len();
        let mut replica = Self {
            primary,
            random: Random::new(seed),
            shards: (0..shards).map(|shard| Following::new(shard, routing.clone(), 2)).collect(),
            generation: Generation(0),
            at: vec![0; logs],
            began: (vec![0; logs], 0),
            paused: vec![false; logs],
            late: Vec::new(),
            stores: false,
            store_max: u64::MAX,
            stored: vec![0; shards],
            letters: BTreeMap::new(),
            batches: (0..shards).map(|_| VecDeque::new()).collect(),
            boards: vec![0; shards],
            state: State::new(),
            held: Vec::new(),
            answers: 0,
            rests: 0,
        };
        replica.begin();
        replica
    }

    /// Follows from where it is: logs whose connections are there at once, and others later.
    fn begin(&mut self) {
        self.generation.0 += 1;
        self.rests = 0;
        self.paused.fill(false);
        self.stores = self.random.below(2) == 0;
        self.store_max = [1, 300, 3_000, u64::MAX][self.below(4)];
        self.late = (0..self.primary.logs.len()).collect();
        self.join_some();
    }

    /// A log's connection is there.
    fn join(&mut self, flow: usize) {
        let shard = flow % self.shards.len();
        let number = u16::try_from(flow).unwrap();
        let offset = Offset(self.at[flow]);
        let logs = u16::try_from(self.at.len()).unwrap();
        let which = Which { history: HISTORY, logs, number };
        let config = Config::default();
        let ended = self.shards[shard].kept_mut().begin(which, offset, &config);
        assert!(ended.is_empty(), "what is kept goes on");
        let attempt = (self.generation, self.stores);
        assert!(self.shards[shard].begin(attempt, HISTORY, number, offset));
    }

    /// Logs come that have not yet, each by chance.
    fn join_some(&mut self) {
        for flow in std::mem::take(&mut self.late) {
            match self.random.below(2) {
                0 => self.join(flow),
                _ => self.late.push(flow),
            }
        }
    }

    fn join_all(&mut self) {
        std::mem::take(&mut self.late).into_iter().for_each(|flow| self.join(flow));
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.random.below(limit as u64)).unwrap()
    }

    /// One thing happens. False if nothing can.
    fn step(&mut self) -> bool {
        let open = |flow: &usize| {
            let all = self.primary.logs[*flow].len() as u64;
            !self.paused[*flow] && !self.late.contains(flow) && self.at[*flow] < all
        };
        let flows: Vec<usize> = (0..self.at.len()).filter(open).collect();
        let letters: Vec<(usize, usize)> = self.letters.keys().copied().collect();
        let busy: Vec<usize> =
            (0..self.batches.len()).filter(|shard| !self.batches[*shard].is_empty()).collect();
        let all = flows.len() + letters.len() + busy.len();
        if all == 0 {
            return false;
        }
        let mut choice = self.below(all);
        if choice < flows.len() {
            self.deliver(flows[choice]);
            return true;
        }
        choice -= flows.len();
        match letters.get(choice) {
            Some(way) => self.read(*way),
            None => self.run(busy[choice - letters.len()]),
        }
        true
    }

    /// Some bytes of a log come.
    fn deliver(&mut self, flow: usize) {
        let log = &self.primary.logs[flow];
        let start = usize::try_from(self.at[flow]).unwrap();
        let count = 1 + self.below((log.len() - start).min(90));
        let mut bytes = Vec::new();
        let mut frame = Frame::begin(&mut bytes);
        frame.push(&log[start..start + count]);
        let number = u16::try_from(flow).unwrap();
        frame.end(number, Offset(self.at[flow]));
        self.at[flow] += count as u64;
        let shard = flow % self.shards.len();
        let elsewhere = self.stored.iter().sum::<u64>() - self.stored[shard];
        self.shards[shard].note_store(self.store_max, elsewhere);
        let mut actions = Vec::new();
        self.shards[shard].receive(number, &bytes, &mut actions);
        self.act(shard, actions);
        // Of each log some more may have come.
        let most = self.store_max.saturating_add(90 * self.at.len() as u64);
        assert!(self.stored.iter().sum::<u64>() <= most, "too much is stored: {:?}", self.stored);
    }

    fn read(&mut self, way: (usize, usize)) {
        let queue = self.letters.get_mut(&way).unwrap();
        let word = queue.pop_front().unwrap();
        if queue.is_empty() {
            self.letters.remove(&way);
        }
        let mut actions = Vec::new();
        self.shards[way.1].hear(word, &mut actions);
        self.act(way.1, actions);
    }

    /// A shard runs a batch, or one request of it.
    fn run(&mut self, shard: usize) {
        let batch = self.batches[shard].pop_front().unwrap();
        match &batch.at {
            At::Exec(exec) => {
                for at in 0..exec.multi.len() {
                    let sets = exec.multi.with(at, |_, args| set(args));
                    self.state.extend(sets);
                }
                self.look();
            }
            _ => {
                for parsed in &batch.requests {
                    let sets = with_args(&batch.input, &batch.ranges, parsed, set);
                    self.state.extend(sets);
                    self.look();
                }
            }
        }
        let applies = batch.applies.unwrap();
        let (Source::Flow { shard: to, .. } | Source::Barrier { shard: to }) = applies.source
        else {
            panic!("a batch without a source");
        };
        self.send(shard, to, Word::Applied(applies, None));
    }

    fn send(&mut self, from: usize, to: usize, word: Word) {
        self.letters.entry((from, to)).or_default().push_back(word);
    }

    fn act(&mut self, shard: usize, actions: Vec<Action>) {
        for action in actions {
            assert!(!self.stores || !is_of_entries(&action), "it is only stored: {action:?}");
            match action {
                Action::Apply(to, batch) => self.batches[to].push_back(batch),
                Action::Tell(to, word) => self.send(shard, to, word),
                Action::TellRelay(News::Held(generation, places)) => {
                    assert_eq!(generation, self.generation);
                    self.held.extend(places);
                    self.answers += 1;
                }
                Action::TellRelay(News::Rests(epoch, places)) => {
                    assert_eq!(epoch, self.epoch());
                    self.held.extend(places);
                    self.answers += 1;
                }
                Action::TellRelay(News::GetAck(_)) => self.check_weight(),
                Action::TellRelay(News::Broken(_, why)) => panic!("{why:?}"),
                Action::Pause(flow) => self.paused[usize::from(flow)] = true,
                Action::Resume(flow) => self.paused[usize::from(flow)] = false,
                Action::Close(_) | Action::Order(_) => {}
                Action::ShowStored(bytes) => self.stored[shard] = bytes,
                Action::StoreIsFull => {}
                Action::Short => panic!("there is memory"),
                Action::Show(weight) => {
                    self.boards[shard] = weight;
                    self.check_weight();
                    self.check_kept();
                }
            }
        }
    }

    /// Keys that change together are alike.
    fn look(&self) {
        for (group, logs) in self.primary.groups.iter().enumerate() {
            let value = |log: &u16| self.state.get(&format!("g{group}:{log}"));
            assert!(logs.iter().all(|log| value(log) == value(&logs[0])), "half of a transaction");
        }
        for log in 0..self.primary.logs.len() {
            let value = |name: &str| self.state.get(&format!("p{log}:{name}"));
            assert_eq!(value("a"), value("b"), "half of a unit");
        }
    }

    /// Who acknowledges what a fence adds up to has all that is in front of it: WAIT relies on it.
    fn check_weight(&self) {
        let shown = self.began.1 + self.boards.iter().sum::<u64>();
        let passed = self.primary.fences.iter().rfind(|(weight, _)| *weight <= shown);
        let number = |text: &String| text.parse::<u64>().unwrap();
        for (key, value) in passed.iter().flat_map(|(_, state)| state) {
            let has = self.state.get(key).is_some_and(|has| number(value) <= number(has));
            assert!(has, "{key} is shown as applied, and is not");
        }
    }

    /// What others may get of a log is applied here.
    fn check_kept(&mut self) {
        let number = |text: &String| text.parse::<u64>().unwrap();
        for (flow, entries) in self.primary.entries.iter().enumerate() {
            if self.late.contains(&flow) {
                continue;
            }
            let end = self.kept(flow).end().0;
            let kept = entries.iter().take_while(|(behind, ..)| *behind <= end);
            for (key, value) in kept.flat_map(|(.., sets)| sets) {
                let has = self.state.get(key).is_some_and(|has| number(value) <= number(has));
                assert!(has, "{key} is kept as applied, and is not");
            }
        }
    }

    /// What is kept is what was written.
    fn compare_kept(&mut self, vector: &[u64]) {
        for (flow, log) in self.primary.logs.iter().enumerate() {
            if self.late.contains(&flow) {
                continue;
            }
            let end = usize::try_from(vector[flow]).unwrap();
            let served = self.kept(flow);
            served.open_to_relay(Reading(1), 0, u64::MAX, Stamp(0)).unwrap();
            let mut bytes = Vec::new();
            served.show(|_, segment| bytes.extend(segment.bytes)).unwrap();
            served.close_to_relay();
            assert_eq!(bytes, log[..end], "log {flow}");
        }
    }

    fn kept(&mut self, flow: usize) -> &mut Served {
        let shard = flow % self.shards.len();
        let number = u16::try_from(flow).unwrap();
        self.shards[shard].kept_mut().get_mut(HISTORY, number).unwrap()
    }

    fn epoch(&self) -> Epoch {
        Epoch { generation: self.generation, rests: self.rests }
    }

    fn tell_all(&mut self, word: fn(&Self) -> Word) {
        let relay = self.shards.len();
        for shard in 0..self.shards.len() {
            let word = word(self);
            self.send(relay, shard, word);
        }
    }

    /// The data are there that the logs go on from.
    fn apply(&mut self) {
        self.stores = false;
        self.tell_all(|replica| Word::Apply(replica.generation));
    }

    /// Lets everything rest, looks whether what is there is what the vector says, and goes on.
    fn rest(&mut self) {
        self.tell_all(|replica| Word::Rest(replica.epoch()));
        while self.answers < self.shards.len() {
            assert!(self.step(), "a shard never rests");
        }
        self.answers = 0;
        let mut vector = self.began.0.clone();
        for (flow, place) in std::mem::take(&mut self.held) {
            vector[usize::from(flow)] = place.offset.0;
        }
        let (state, weight) = self.primary.state_at(&vector);
        assert_eq!(self.state, state, "what rests is not what the vector says");
        assert_eq!(self.began.1 + self.boards.iter().sum::<u64>(), weight);
        self.compare_kept(&vector);
        // Logs that join now are not in the vector: nothing of them is applied before all go on.
        self.join_some();
        for _ in 0..self.random.below(20) {
            self.step();
        }
        assert_eq!(self.state, state, "something went on while all rest");
        self.rests += 1;
        self.tell_all(|replica| Word::GoOn(replica.epoch()));
    }

    /// Holds everything, and looks whether what is there is what the vector says.
    fn hold(&mut self) {
        self.paused.fill(true);
        self.tell_all(|replica| Word::Hold(replica.generation));
        while self.step() {}
        assert_eq!(self.answers, self.shards.len(), "a shard is never held");
        self.answers = 0;
        for (flow, place) in std::mem::take(&mut self.held) {
            self.at[usize::from(flow)] = place.offset.0;
        }
        let (state, weight) = self.primary.state_at(&self.at);
        assert_eq!(self.state, state, "what is held is not what the vector says");
        assert!(self.boards.iter().all(|board| *board == 0), "{:?}", self.boards);
        assert!(self.stored.iter().all(|stored| *stored == 0), "{:?}", self.stored);
        self.compare_kept(&self.at.clone());
        self.began = (self.at.clone(), weight);
    }
}

/// Whether it comes of entries that were looked at.
fn is_of_entries(action: &Action) -> bool {
    let is_held = |news: &News| matches!(news, News::Held(..));
    match action {
        Action::Apply(..) | Action::Tell(..) | Action::Show(_) | Action::Short => true,
        Action::Order(_) => true,
        Action::TellRelay(news) => !is_held(news),
        Action::Pause(_) | Action::Resume(_) | Action::Close(_) => false,
        Action::ShowStored(_) | Action::StoreIsFull => false,
    }
}

/// What SET or MSET sets.
fn set(args: &[&[u8]]) -> State {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    args[1..].chunks(2).map(|pair| (text(pair[0]), text(pair[1]))).collect()
}

fn play(seed: u64) {
    let mut random = Random::new(seed);
    let logs = usize::try_from(1 + random.below(5)).unwrap();
    let logs = logs.max(2);
    let shards = usize::try_from(1 + random.below(5)).unwrap();
    let primary = Primary::new(logs, &mut random);
    let mut replica = Replica::new(&primary, shards, seed);
    loop {
        let goes_on = (0..random.below(400)).all(|_| {
            if random.below(50) == 0 {
                replica.join_some();
            }
            replica.step()
        });
        if replica.stores {
            if random.below(3) != 0 {
                replica.apply();
                continue;
            }
        } else if random.below(2) == 0 {
            replica.rest();
            if random.below(2) == 0 {
                continue;
            }
        }
        replica.hold();
        if !goes_on {
            break;
        }
        replica.begin();
    }
    replica.begin();
    replica.join_all();
    if replica.stores {
        (0..random.below(400)).all(|_| replica.step());
        replica.apply();
    }
    while replica.step() {}
    let ends: Vec<u64> = primary.logs.iter().map(|log| log.len() as u64).collect();
    let (state, weight) = primary.state_at(&ends);
    assert_eq!(replica.state, state, "something is missing in the end");
    assert_eq!(replica.began.1 + replica.boards.iter().sum::<u64>(), weight);
}

#[test]
fn whatever_order_things_come_in_readers_see_transactions_whole_and_nothing_is_lost() {
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(SEEDS) {
        let result = std::panic::catch_unwind(|| play(seed));
        assert!(result.is_ok(), "seed {seed} fails");
    }
}

#[test]
fn a_log_that_is_connected_late_is_applied_at_once() {
    let mut random = Random::new(1);
    let primary = Primary::new(2, &mut random);
    let mut replica = Replica::new(&primary, 1, 1);
    let generation = Generation(replica.generation.0 + 1);
    let shard = &mut replica.shards[0];
    shard.hear(Word::Hold(replica.generation), &mut Vec::new());
    shard.hear(Word::Apply(generation), &mut Vec::new());
    assert!(shard.begin((generation, true), HISTORY, 0, Offset(0)));
    assert!(!shard.is_storing());
    assert!(shard.begin((Generation(generation.0 + 1), true), HISTORY, 1, Offset(0)));
    assert!(shard.is_storing());
}

#[test]
fn what_was_stored_for_nothing_is_freed() {
    let mut random = Random::new(1);
    let primary = Primary::new(2, &mut random);
    let mut replica = Replica::new(&primary, 1, 1);
    let (shard, generation) = (&mut replica.shards[0], Generation(9));
    shard.hear(Word::Hold(Generation(1)), &mut Vec::new());
    let before = shard.memory_bytes();
    assert!(shard.begin((generation, true), HISTORY, 0, Offset(0)));
    let (mut bytes, mut actions) = (Vec::new(), Vec::new());
    for offset in (0..1 << 20).step_by(1 << 16) {
        let mut frame = Frame::begin(&mut bytes);
        frame.push(&[7; 1 << 16]);
        frame.end(0, Offset(offset));
    }
    shard.note_store(1 << 20, 0);
    shard.receive(0, &bytes, &mut actions);
    assert!(matches!(actions[..], [Action::Pause(0), Action::StoreIsFull, Action::ShowStored(_)]));
    assert!((1 << 20) + before <= shard.memory_bytes());
    actions.clear();
    shard.note_store(2 << 20, 0);
    shard.look_at_store(&mut actions);
    assert!(matches!(actions[..], [Action::Resume(0)]), "{actions:?}");
    shard.hear(Word::Hold(generation), &mut Vec::new());
    assert!(before < shard.memory_bytes(), "not at once");
    while shard.kept_mut().trim() {}
    assert!(shard.memory_bytes() <= before + 1024, "{}", shard.memory_bytes());
}

#[test]
fn a_full_store_is_told_only_while_the_snapshot_is_on_its_way() {
    let mut random = Random::new(1);
    let primary = Primary::new(2, &mut random);
    let mut replica = Replica::new(&primary, 1, 1);
    let (shard, generation) = (&mut replica.shards[0], Generation(9));
    shard.hear(Word::Hold(Generation(1)), &mut Vec::new());
    assert!(shard.begin((generation, true), HISTORY, 0, Offset(0)));
    let mut actions = Vec::new();
    let mut receive = |shard: &mut Following, offset| {
        let mut bytes = Vec::new();
        let mut frame = Frame::begin(&mut bytes);
        frame.push(&[7; 1000]);
        frame.end(0, Offset(offset));
        shard.receive(0, &bytes, &mut actions);
        std::mem::take(&mut actions)
    };
    shard.note_store(2000, 0);
    let first = receive(shard, 0);
    assert!(matches!(first[..], [Action::ShowStored(1000)]), "{first:?}");
    // What is stored stays so while nothing is taken.
    shard.hear(Word::Rest(Epoch::first(generation)), &mut Vec::new());
    shard.hear(Word::Apply(generation), &mut Vec::new());
    let second = receive(shard, 1000);
    assert!(matches!(second[..], [Action::Pause(0), Action::ShowStored(2000)]), "{second:?}");
}

#[test]
fn an_entry_that_is_too_long_breaks_its_log_before_it_is_there() {
    let mut random = Random::new(1);
    let primary = Primary::new(2, &mut random);
    let mut replica = Replica::new(&primary, 1, 1);
    replica.join_all();
    let mut bytes = Vec::new();
    let mut frame = Frame::begin(&mut bytes);
    frame.push(&(1_u64 << 40).to_le_bytes()[..6]);
    frame.end(0, Offset(0));
    let mut actions = Vec::new();
    replica.shards[0].hear(Word::Apply(replica.generation), &mut actions);
    replica.shards[0].receive(0, &bytes, &mut actions);
    let is_broken = |action: &Action| {
        matches!(action, Action::TellRelay(News::Broken(_, Broken::Unappliable(_))))
    };
    assert!(actions.iter().any(is_broken), "{actions:?}");
}
