//! Whether a log makes a second keyspace equal to the first, which has neither its clock nor its
//! chance: random commands run here, without any server, and what they leave runs there. So, too,
//! if the keys are of several shards, whose logs get what happens to their keys: there each log
//! goes on by itself, and only what is in several takes effect when all of them are so far.

use std::collections::{BTreeMap, VecDeque};

use keylane::commands::table::{Commands, build};
use keylane::routing::call::{Call, Run};
use keylane::routing::keys::key_places;
use keylane::routing::slots::SlotMap;
use keylane::transactions::apart::{Apart, apart, log_apart};
use shards::base::hash::HashSeed;
use shards::base::random::Random;
use shards::base::time::UnixMs;
use shards::commands::spec::Command;
use shards::journal::reader::{Entries, each_command};
use shards::journal::units::Unit;
use shards::keyspace::chores::Chore;
use shards::keyspace::settings::{OnExpiry, Policy};
use shards::resp::parser::{Limits, Parser};
use shards::shard::{Request, Shard};

use crate::plan::Repertoire;
use crate::servers::setting;
use crate::shapes::Words;
use crate::shrink::shrink;
use crate::words::{KEYS, Manners};

/// Rounds unless told otherwise, and the seed unless another is given.
const ROUNDS: u64 = 300;
const SEED: u64 = 2026;
/// The version whose commands are played.
const VERSION: (u32, u32) = (9, 1);
/// How many shards the keys are of, if what happens to them is logged by shard.
const SHARDS: u16 = 5;
/// Databases of both.
const DATABASES: usize = 2;
/// Where the clock of the first begins, and how far off that of the second is, in milliseconds.
const START: u64 = 1_700_000_000_000;
const OFF: u64 = 3_600_000;
/// Commands that set short times, so that keys and fields expire while the round goes on.
const SHORT: &[&str] = &[
    "PEXPIRE a 40",
    "PEXPIRE b 200",
    "PEXPIRE c 1000",
    "PEXPIRE {b}x 90 LT",
    "EXPIRE e 1",
    "SET a v PX 30",
    "GETEX b PX 50",
    "HPEXPIRE a 60 FIELDS 2 f1 f2",
    "HPEXPIRE b 500 FIELDS 1 f1",
    "HSETEX c PX 80 FIELDS 1 f1 v",
    "HGETEX d PX 20 FIELDS 1 f2",
    "PEXPIREAT c 1700000000100",
    "MSETEX 2 a 1 c 2 PX 70",
    "SET c v KEEPTTL",
    "PERSIST a",
];

/// A keyspace, and the commands that run on it.
struct Side<'t> {
    shard: Shard,
    table: &'t Commands,
}

impl<'t> Side<'t> {
    fn new(table: &'t Commands, seed: u64) -> Self {
        let shard = Shard::new(DATABASES, HashSeed(seed), Random::new(seed));
        Self { shard, table }
    }

    /// The call that a request makes, if it is of a command of the engine, and rightly made.
    fn call(&self, args: &[&[u8]]) -> Option<(&'t Call, &'static Command)> {
        let call = self.table.table.find(args)?;
        match call.run {
            Run::Engine(command) if call.spec.arity.accepts(args.len()) => Some((call, command)),
            _ => None,
        }
    }

    /// Its command.
    fn find(&self, args: &[&[u8]]) -> Option<&'static Command> {
        self.call(args).map(|(_, command)| command)
    }

    /// Runs a command on keys of several shards. What it leaves for their logs.
    fn run_by_shard(&mut self, db: usize, args: &[&[u8]]) -> Option<Logged> {
        let (call, command) = self.call(args)?;
        let slots = SlotMap::even(SHARDS);
        self.shard.effects.touched.clear();
        self.shard.effects.log.begin();
        self.run(db, command, args);
        let request = Request { db, ..Request::of(args) };
        log_apart(&mut self.shard, &slots, call, &request, 0);
        let unit = self.shard.effects.log.take_open()?;
        let commands = |unit: Unit| (unit.db, unit.commands);
        Some(match apart(unit, &self.table.table, &slots, self.shard.keyspace.seed) {
            Apart::Whole(unit) => {
                Logged { shards: (0..SHARDS).collect(), units: vec![commands(unit)] }
            }
            Apart::ByShard(parts) => {
                let (shards, units): (_, Vec<Unit>) = parts.into_iter().unzip();
                Logged { shards, units: units.into_iter().map(commands).collect() }
            }
        })
    }

    /// What has gone to the log by itself, each time of one key.
    fn take_logged(&mut self, by_shard: bool) -> Vec<Logged> {
        let log = std::mem::take(&mut self.shard.effects.log);
        let (slots, seed) = (SlotMap::even(SHARDS), self.shard.keyspace.seed);
        let logged = Entries::of(log.entries()).map(|entry| {
            let entry = entry.expect("entries are whole");
            let mut owner = 0;
            let done = each_command(entry.header.db, entry.commands, |_, args| {
                let (call, _) = self.call(args).expect("commands of the engine are logged");
                let place = key_places(call.spec.keys, args).first().copied();
                owner = place.map_or(owner, |place| slots.owner(seed.key_hash(args[place])));
            });
            done.expect("commands are whole");
            let shards = vec![if by_shard { owner } else { 0 }];
            Logged { shards, units: vec![(entry.header.db, entry.commands.to_vec())] }
        });
        logged.collect()
    }

    /// Runs a command, and gives its reply.
    fn run(&mut self, db: usize, command: &Command, args: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let request = Request { db, ..Request::of(args) };
        // An error is in the reply.
        let _ = self.shard.execute(command, request, &mut out);
        self.shard.effects.wait = None;
        self.shard.effects.events.clear();
        out
    }

    fn ask(&mut self, db: usize, line: &[&[u8]]) -> Vec<u8> {
        let command = self.find(line).expect("the command is known");
        self.run(db, command, line)
    }

    /// All that matters of the data: digests of databases, and when keys and fields expire.
    fn state(&mut self) -> Vec<Vec<u8>> {
        let expiry = std::mem::replace(&mut self.shard.keyspace.settings.expiry, OnExpiry::Ignores);
        let mut state = vec![self.ask(0, &[b"DEBUG", b"DIGEST"])];
        for db in 0..DATABASES {
            for key in KEYS {
                state.push(self.ask(db, &[b"PEXPIRETIME", key]));
                state.push(self.ask(db, &[b"TYPE", key]));
                let kind = state.last().map_or(&b""[..], Vec::as_slice);
                let more = match kind {
                    b"+hash\r\n" => self.fields(db, key),
                    b"+stream\r\n" => self.groups(db, key),
                    _ => Vec::new(),
                };
                state.extend(more);
            }
        }
        self.shard.keyspace.settings.expiry = expiry;
        state
    }

    /// What a stream remembers beside its entries, its groups, and what is pending in each.
    fn groups(&mut self, db: usize, key: &[u8]) -> Vec<Vec<u8>> {
        let about = self.ask(db, &[b"XINFO", b"STREAM", key]);
        let of = |name: &[u8]| about.windows(name.len()).position(|part| part == name);
        let (from, to) = (of(b"last-generated-id"), of(b"groups"));
        let mut groups = vec![about[from.unwrap_or(0)..to.unwrap_or(0)].to_vec()];
        groups.push(self.ask(db, &[b"XINFO", b"GROUPS", key]));
        for group in [&b"g1"[..], b"g2", b"g3", b""] {
            groups.push(self.ask(db, &[b"XPENDING", key, group]));
        }
        groups
    }

    /// When each field of a hash expires, in the order of their names.
    fn fields(&mut self, db: usize, key: &[u8]) -> Vec<Vec<u8>> {
        let reply = self.ask(db, &[b"HKEYS", key]);
        let mut names = members(&reply);
        names.sort_unstable();
        let mut time = |name| self.ask(db, &[b"HPEXPIRETIME", key, b"FIELDS", b"1", name]);
        names.into_iter().flat_map(|name| [name.to_vec(), time(name)]).collect()
    }
}

/// What happens at the first.
#[derive(Clone, Debug)]
enum Act {
    /// A request, in this database.
    Ask(usize, Words),
    /// Time goes on, by so many milliseconds.
    Tick(u64),
    /// What is due goes.
    Expire,
    /// A key is evicted.
    Evict,
}

/// The acts of a round.
fn acts(repertoire: &Repertoire, seed: u64, how: Play) -> Vec<Act> {
    let mut random = Random::new(seed);
    let mut acts = Vec::new();
    for step in repertoire.plan(seed) {
        let db = |random: &mut Random| usize::from(random.below(8) == 0);
        match random.below(20) {
            0 | 1 => {
                let at = usize::try_from(random.below(SHORT.len() as u64)).expect("it is small");
                let words = SHORT[at].split(' ').map(|word| word.as_bytes().to_vec());
                acts.push(Act::Ask(db(&mut random), words.collect()));
            }
            2 => acts.push(Act::Tick(random.below(100))),
            3 => acts.push(Act::Expire),
            4 if random.below(4) == 0 => acts.push(Act::Evict),
            _ => {}
        }
        // As in Valkey it makes a table of a sorted set, and is not logged; and in a compact one
        // scores are shown otherwise at the edges: a zero has no sign there.
        let name = step.words.first().map(|word| word.to_ascii_uppercase());
        let sorts = name.is_some_and(|name| name.starts_with(b"SORT"));
        if !sorts || how.have_tables == [true; 2] {
            acts.push(Act::Ask(db(&mut random), step.words));
        }
    }
    acts
}

/// How a play goes.
#[derive(Clone, Copy, Debug, Default)]
struct Play {
    /// What happens to keys is logged by shard.
    by_shard: bool,
    /// The number of an entry that is lost.
    lost: Option<usize>,
    /// Which of both keep sorted sets as tables, however small they are.
    have_tables: [bool; 2],
}

/// What has gone to logs at once, and to which.
#[derive(Debug)]
struct Logged {
    shards: Vec<u16>,
    /// Commands, and the database of the first.
    units: Vec<(u16, Vec<u8>)>,
}

/// What has been logged and is not replayed, by shard.
#[derive(Debug, Default)]
struct Logs {
    logged: BTreeMap<usize, Logged>,
    queues: BTreeMap<u16, VecDeque<usize>>,
    next: usize,
    /// The number of an entry that is lost.
    lost: Option<usize>,
}

impl Logs {
    fn push(&mut self, mut logged: Logged) {
        logged.units.retain(|_| {
            let is_lost = self.lost == Some(0);
            self.lost = self.lost.and_then(|number| number.checked_sub(1));
            !is_lost
        });
        for shard in &logged.shards {
            self.queues.entry(*shard).or_default().push_back(self.next);
        }
        self.logged.insert(self.next, logged);
        self.next += 1;
    }

    /// Replays what is next in all logs that it is in, from that of some shard on: all logs are of
    /// one order in what they share, so the first of all is always among it.
    fn go_on(&mut self, second: &mut Side<'_>, random: &mut Random) -> Result<(), String> {
        let heads: Vec<usize> = self.queues.values().filter_map(VecDeque::front).copied().collect();
        let is_ready = |number: &&usize| {
            let shards = &self.logged[*number].shards;
            shards.iter().all(|shard| self.queues[shard].front() == Some(*number))
        };
        let ready: Vec<usize> = heads.iter().filter(is_ready).copied().collect();
        let at = usize::try_from(random.below(ready.len().max(1) as u64)).expect("shards are few");
        let Some(Logged { shards, units }) = ready.get(at).and_then(|at| self.logged.remove(at))
        else {
            return Ok(());
        };
        for shard in shards {
            if let Some(queue) = self.queues.get_mut(&shard) {
                queue.pop_front();
            }
        }
        units.iter().try_for_each(|(db, commands)| replay(second, *db, commands))
    }

    fn drain(&mut self, second: &mut Side<'_>, random: &mut Random) -> Result<(), String> {
        while !self.logged.is_empty() {
            self.go_on(second, random)?;
        }
        Ok(())
    }
}

/// Does this at one keyspace, and what is logged at another. What differs, if anything does.
fn play(table: &Commands, acts: &[Act], seed: u64, play: Play) -> Result<(), String> {
    let Play { by_shard, lost, have_tables } = play;
    let mut random = Random::new(seed);
    let (mut first, mut second) = (Side::new(table, seed), Side::new(table, seed ^ 0xff));
    first.shard.effects.keeps_log = true;
    first.shard.effects.by_key = by_shard;
    first.shard.effects.keeps_touched = by_shard;
    first.shard.keyspace.settings.policy = Policy::AllKeysRandom;
    for (side, has_tables) in [&mut first, &mut second].into_iter().zip(have_tables) {
        if has_tables {
            side.shard.keyspace.settings.limits.sorted_set.listpack_entries = 0;
        }
    }
    first.shard.keyspace.now = UnixMs(START);
    second.shard.keyspace.now = UnixMs(START + OFF);
    second.shard.keyspace.settings.expiry = OnExpiry::Ignores;
    let mut logs = Logs { lost, ..Logs::default() };
    for (number, act) in acts.iter().enumerate() {
        match act {
            Act::Ask(db, words) => {
                let args: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                if by_shard {
                    first.run_by_shard(*db, &args).into_iter().for_each(|logged| logs.push(logged));
                } else if let Some(command) = first.find(&args) {
                    first.run(*db, command, &args);
                }
            }
            Act::Tick(ms) => first.shard.keyspace.now.0 += ms,
            Act::Expire => {
                for chore in [Chore::ExpireKeys, Chore::ExpireFields] {
                    first.shard.work(chore, 1000, &|_, _| false);
                }
            }
            Act::Evict => drop(first.shard.evict(&|_, _| false)),
        }
        first.take_logged(by_shard).into_iter().for_each(|logged| logs.push(logged));
        for _ in 0..random.below(3) {
            logs.go_on(&mut second, &mut random)?;
        }
        if number.is_multiple_of(DIGEST_EACH) {
            logs.drain(&mut second, &mut random)?;
            if first.ask(0, DIGEST) != second.ask(0, DIGEST) {
                return Err("the digests differ".into());
            }
        }
    }
    // What is still there though its time has come goes at the first only when it is looked for.
    first.shard.work(Chore::ExpireKeys, 100_000, &|_, _| false);
    first.shard.work(Chore::ExpireFields, 100_000, &|_, _| false);
    first.take_logged(by_shard).into_iter().for_each(|logged| logs.push(logged));
    logs.drain(&mut second, &mut random)?;
    let (first, second) = (first.state(), second.state());
    match first.iter().zip(&second).find(|(one, other)| one != other) {
        None => Ok(()),
        Some((one, other)) => Err(format!("{} is {}", one.escape_ascii(), other.escape_ascii())),
    }
}

const DIGEST: &[&[u8]] = &[b"DEBUG", b"DIGEST"];
/// After so many acts the data is compared.
const DIGEST_EACH: usize = 16;

/// Runs at the second what the first has logged.
fn replay(second: &mut Side<'_>, db: u16, commands: &[u8]) -> Result<(), String> {
    let mut failed = None;
    let done = each_command(db, commands, |db, args| {
        let line = || args.iter().map(|arg| arg.escape_ascii().to_string()).collect::<Vec<_>>();
        let Some(command) = second.find(args) else {
            failed = Some(format!("{:?} is logged", line()));
            return;
        };
        let reply = second.run(db, command, args);
        if reply.starts_with(b"-") {
            failed = Some(format!("{:?} is answered {}", line(), reply.escape_ascii()));
        }
    });
    done.map_err(|error| format!("a command is {error:?}"))?;
    failed.map_or(Ok(()), Err)
}

#[test]
fn a_log_makes_another_keyspace_equal() {
    check(Play::default());
}

#[test]
fn logs_by_shard_make_another_keyspace_equal() {
    check(Play { by_shard: true, ..Play::default() });
}

#[test]
fn logs_make_another_keyspace_of_tables_equal() {
    for by_shard in [false, true] {
        check(Play { by_shard, have_tables: [true; 2], ..Play::default() });
    }
}

#[track_caller]
fn check(how: Play) {
    let commands = build(&[]).expect("no renames, no errors");
    let repertoire = Repertoire::new(&|_| true, VERSION, Manners::Wild);
    let seed = setting("SEED").unwrap_or(SEED);
    let (first, rounds) = match setting("ROUND") {
        Some(round) => (round, 1),
        None => (0, setting("ROUNDS").unwrap_or(ROUNDS)),
    };
    let mut failures = BTreeMap::new();
    for round in first..first + rounds {
        let chance = Random::new(seed.wrapping_add(round << 32)).bits();
        let acts = acts(&repertoire, chance, how);
        let Err(problem) = play(&commands, &acts, chance, how) else { continue };
        let least = shrink(acts, |acts| play(&commands, acts, chance, how).is_err());
        let problem = play(&commands, &least, chance, how).err().unwrap_or(problem);
        let lines: String = least.iter().map(|act| format!("    {}\n", text(act))).collect();
        let kind = least.iter().rev().find_map(|act| match act {
            Act::Ask(_, words) => words.first().map(|word| word.to_ascii_uppercase()),
            _ => None,
        });
        failures
            .entry(kind)
            .or_insert(format!("# SEED={seed} ROUND={round}\n{lines}  {problem}\n"));
    }
    let failures: Vec<String> = failures.into_values().collect();
    assert!(failures.is_empty(), "\n\n{}", failures.join("\n"));
}

#[test]
fn what_is_missing_in_a_log_is_found() {
    const ROUNDS: u64 = 40;
    let commands = build(&[]).expect("no renames, no errors");
    let repertoire = Repertoire::new(&|_| true, VERSION, Manners::Wild);
    let found = (0..ROUNDS).filter(|round| {
        let how = Play { by_shard: round % 2 == 0, lost: Some(10), ..Play::default() };
        let acts = acts(&repertoire, SEED + round, how);
        play(&commands, &acts, SEED, how).is_err()
    });
    // Some rounds are short, and some entries are undone by what follows.
    assert!(ROUNDS / 4 <= found.count() as u64);
}

/// Offsets below zero count from the end of a table, and find nothing in a compact set.
#[test]
fn what_depends_on_the_encoding_is_logged_otherwise() {
    let commands = build(&[]).expect("no renames, no errors");
    for range in [
        "(b + BYLEX LIMIT -3 2",
        "+ (b REV BYLEX LIMIT -3 2",
        "0 5 BYSCORE LIMIT -1 5",
        "5 0 REV BYSCORE LIMIT -2 1",
        "0 5 BYSCORE LIMIT -99 5",
        "0 5 BYSCORE LIMIT 1 2",
    ] {
        let lines = [
            "ZADD a 0 a 0 b 0 c 0 d 0 e",
            "ZADD b 1 x",
            &format!("ZRANGESTORE b a {range}"),
            "ZADD {a}x 1 x",
            &format!("ZRANGESTORE {{a}}x a {range}"),
        ]
        .map(str::to_owned);
        let words = |line: &String| line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let acts: Vec<Act> = lines.iter().map(|line| Act::Ask(0, words(line))).collect();
        for by_shard in [false, true] {
            let how = Play { by_shard, have_tables: [true, false], ..Play::default() };
            assert_eq!(play(&commands, &acts, SEED, how), Ok(()), "{range} {by_shard}");
        }
    }
}

fn text(act: &Act) -> String {
    match act {
        Act::Ask(db, words) => {
            let words: Vec<String> =
                words.iter().map(|word| word.escape_ascii().to_string()).collect();
            format!("{db}: {}", words.join(" "))
        }
        Act::Tick(ms) => format!("{ms} ms later"),
        Act::Expire => "what is due goes".into(),
        Act::Evict => "a key is evicted".into(),
    }
}

/// The members of an array of bulk strings, which has the form of a request.
fn members(reply: &[u8]) -> Vec<&[u8]> {
    let limits = Limits { bulk_bytes_max: u64::MAX, authenticated: true };
    let mut ranges = Vec::new();
    let step = Parser::default().step(reply, &mut ranges, &limits);
    step.expect("a reply of HKEYS is an array of bulk strings");
    ranges.iter().map(|range| range.of(reply)).collect()
}
