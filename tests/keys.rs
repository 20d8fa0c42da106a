//! Compares the keys that requests declare, by which they are routed and claimed, with those that
//! commands touch: whatever options come twice, in another order, or are called like keys.

use std::collections::BTreeSet;

use keylane::routing::keys::{key_places, reaches};
use shards::base::hash::HashSeed;
use shards::base::random::Random;
use shards::base::time::UnixMs;
use shards::commands::spec::Command;
use shards::commands::table::{CONTAINERS, GROUPS};
use shards::shard::{Request, Shard};

/// Names of keys and groups. Some are what options are called.
const NAMES: &[&str] = &["a", "b", "c", "STORE", "streams", "COUNT", "GROUP", "LIMIT", "BY"];

/// What can be at a key, with `K` for its name.
const VALUES: &[&[&str]] = &[
    &["SET K 5"],
    &["SET K text"],
    &["RPUSH K 3 1 2"],
    &["SADD K 1 2 3"],
    &["ZADD K 1 a 2 P"],
    &["GEOADD K 13.3 38.1 P 15 37.5 C"],
    &["HSET K f v"],
    &["PFADD K a b"],
    &["XADD K 1-1 f v", "XGROUP CREATE K streams 0", "XGROUP CREATE K a 0"],
];

const ORDER: &[&str] = &["ASC", "DESC", "COUNT 2", "COUNT 1 ANY", "WITHDIST"];
const STORED: &[&str] = &["ASC", "COUNT 2", "STORE K", "STORE K", "STOREDIST K"];
const COMBINED: &[&str] = &["WEIGHTS 1 2", "AGGREGATE MAX", "AGGREGATE MIN"];

/// Requests, in three parts: the beginning, options of which some stand behind it in any order,
/// and the end. `K` is any name, `N` a small number.
const REQUESTS: &[(&str, &[&str], &str)] = &[
    ("SORT K", &["ALPHA", "DESC", "LIMIT 0 5", "GET #", "BY nosort", "STORE K", "STORE K"], ""),
    ("SORT_RO K", &["ALPHA", "DESC", "LIMIT 0 5", "GET #", "BY nosort"], ""),
    ("GEORADIUS K 15 37 900 km", STORED, ""),
    ("GEORADIUSBYMEMBER K P 900 km", STORED, ""),
    ("GEORADIUS_RO K 15 37 900 km", ORDER, ""),
    ("GEOSEARCHSTORE K K FROMMEMBER P BYRADIUS 900 km", &["STOREDIST", "ASC", "COUNT 2"], ""),
    ("XREAD", &["COUNT N", "COUNT 2", "BLOCK 0"], "STREAMS K K 0 0"),
    ("XREADGROUP", &["GROUP K K", "GROUP streams c", "COUNT 2", "NOACK"], "STREAMS K >"),
    ("XREADGROUP GROUP K K", &["GROUP K K", "COUNT 2", "BLOCK 0"], "STREAMS K K > 0"),
    ("XGROUP CREATE K K 0", &["MKSTREAM", "ENTRIESREAD N"], ""),
    ("XINFO STREAM K", &["FULL", "COUNT N"], ""),
    ("ZUNION N K K", COMBINED, ""),
    ("ZUNIONSTORE K N K K", COMBINED, ""),
    ("ZINTER N K K", COMBINED, "WITHSCORES"),
    ("ZINTERSTORE K N K K", COMBINED, ""),
    ("ZDIFF N K K", &["WITHSCORES"], ""),
    ("ZDIFFSTORE K N K K", &[], ""),
    ("ZINTERCARD N K K", &["LIMIT N", "LIMIT K"], ""),
    ("ZRANGESTORE K K 0 N", &["REV", "LIMIT 0 N", "BYSCORE"], ""),
    ("ZMPOP N K K", &["MIN", "COUNT N"], ""),
    ("BZMPOP 0 N K K", &["MAX", "COUNT N"], ""),
    ("SINTERCARD N K K", &["LIMIT N", "LIMIT K"], ""),
    ("LMPOP N K K", &["LEFT", "COUNT N"], ""),
    ("BLMPOP 0 N K K", &["LEFT", "COUNT N"], ""),
    ("BLPOP K K", &["K"], "0"),
    ("BLMOVE K K LEFT RIGHT 0", &[], ""),
    ("LMOVE K K LEFT RIGHT", &[], ""),
    ("MSETEX N K v K w", &["NX", "XX", "EX 100", "KEEPTTL"], ""),
    ("MSET K v K w", &["K x"], ""),
    ("MSETNX K v K w", &[], ""),
    ("MGET K", &["K"], ""),
    ("COPY K K", &["DB 1", "DB 0", "REPLACE"], ""),
    ("MOVE K 1", &[], ""),
    ("RENAME K K", &[], ""),
    ("RENAMENX K K", &[], ""),
    ("BITOP OR K K", &["K"], ""),
    ("LCS K K", &["LEN", "IDX", "MINMATCHLEN N"], ""),
    ("PFMERGE K K", &["K"], ""),
    ("PFCOUNT K", &["K"], ""),
    ("SMOVE K K 1", &[], ""),
    ("SDIFFSTORE K K", &["K"], ""),
    ("SUNION K", &["K"], ""),
    ("OBJECT ENCODING K", &[], ""),
    ("DEL K", &["K"], ""),
];

struct Case {
    args: Vec<String>,
    command: &'static Command,
    /// Lines that make keys, with the key each makes.
    values: Vec<(String, String)>,
}

impl Case {
    fn new(chance: &mut Random) -> Self {
        let &(start, options, end) = pick(REQUESTS, chance);
        let mut line = String::from(start);
        for _ in 0..chance.below(4).min(options.len() as u64 * 4) {
            line = format!("{line} {}", pick(options, chance));
        }
        let word = |word: &str, chance: &mut Random| match word {
            "K" => String::from(*pick(NAMES, chance)),
            "N" => chance.below(4).to_string(),
            word => word.into(),
        };
        let words: Vec<String> = format!("{line} {end}").split(' ').map(Into::into).collect();
        let words = words.iter().filter(|it| !it.is_empty());
        let args: Vec<String> = words.map(|it| word(it, chance)).collect();
        let mut values = Vec::new();
        for name in NAMES {
            if chance.below(4) == 0 {
                continue;
            }
            let lines = pick(VALUES, chance);
            let lines = lines.iter().map(|line| (String::from(*name), line.replace('K', name)));
            values.extend(lines);
        }
        let command = find(&args);
        Self { args, command, values }
    }

    fn args(&self) -> Vec<&[u8]> {
        self.args.iter().map(String::as_bytes).collect()
    }

    /// Runs the request where only the keys are that `is_there` says yes to: the reply, and what
    /// is at each key of both databases then.
    fn run(&self, is_there: impl Fn(&str) -> bool) -> (String, Vec<String>) {
        let mut shard = Shard::new(2, HashSeed(1), Random::new(1));
        shard.keyspace.now = UnixMs(1_000_000);
        for (name, line) in self.values.iter().filter(|(name, _)| is_there(name)) {
            let args: Vec<String> = line.split(' ').map(Into::into).collect();
            let reply = call(&mut shard, find(&args), &args, 0);
            assert!(!reply.starts_with('-'), "{name}: {line}: {reply}");
        }
        let reply = call(&mut shard, self.command, &self.args, 0);
        let mut state = Vec::new();
        for (db, name) in [0, 1].into_iter().flat_map(|db| NAMES.iter().map(move |it| (db, it))) {
            let args = ["DUMP".into(), String::from(*name)];
            let dump = call(&mut shard, find(&args), &args, db);
            state.push(format!("{name} in {db}: {dump}"));
        }
        (reply, state)
    }
}

fn pick<'t, T>(all: &'t [T], chance: &mut Random) -> &'t T {
    let at = chance.below(all.len() as u64);
    &all[usize::try_from(at).expect("it is below a usize")]
}

fn find(args: &[String]) -> &'static Command {
    let (name, second) = (args[0].to_lowercase(), args[1].to_lowercase());
    let subcommand = format!("{name}|{second}");
    let contained = CONTAINERS.iter().flat_map(|(_, subcommands)| *subcommands);
    let mut all = GROUPS.iter().copied().flatten().chain(contained);
    let found = all.find(|it| it.spec.name == name || it.spec.name == subcommand);
    found.unwrap_or_else(|| panic!("{name} is no command"))
}

fn call(shard: &mut Shard, command: &Command, args: &[String], db: usize) -> String {
    let args: Vec<&[u8]> = args.iter().map(String::as_bytes).collect();
    let request = Request { db, ..Request::of(&args) };
    let mut out = Vec::new();
    // Errors are replies, too.
    let _ = shard.execute(command, request, &mut out);
    shard.effects.wait = None;
    out.escape_ascii().to_string()
}

/// What a command does with keys that it does not declare cannot depend on them, and leaves them
/// as they are.
#[test]
fn commands_touch_no_keys_but_those_they_declare() {
    let seed = 11;
    let mut chance = Random::new(seed);
    for number in 0..20_000 {
        let case = Case::new(&mut chance);
        let (args, keys) = (case.args(), case.command.spec.keys);
        if reaches(keys, &args) {
            continue;
        }
        let places = key_places(keys, &args);
        let declared: BTreeSet<&str> = places.iter().map(|at| case.args[*at].as_str()).collect();
        let line = format!("seed {seed}, case {number}: {} ({declared:?})", case.args.join(" "));
        let (reply, state) = case.run(|_| true);
        let (alone, state_alone) = case.run(|name| declared.contains(name));
        assert_eq!(reply, alone, "{line}");
        let echo = vec![String::from("ECHO"), String::from("x")];
        let (_, before) = Case { command: find(&echo), args: echo, ..case }.run(|_| true);
        for (at, (now, alone)) in state.iter().zip(&state_alone).enumerate() {
            let name = NAMES[at % NAMES.len()];
            let expected = if declared.contains(name) { alone } else { &before[at] };
            assert_eq!(now, expected, "{line}");
        }
    }
}
