//! Gives commands numbers at the edges of what fits where they want some: each answers or refuses,
//! none panics, takes long or asks for much memory.
//!
//! The test runs itself once more as a process that may have little memory and time.

#[path = "../shards/src/commands/testing/calls.rs"]
mod calls;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command as Process;

use shards::base::hash::HashSeed;
use shards::base::random::Random;
use shards::base::time::UnixMs;
use shards::commands::spec::Command;
use shards::commands::table::{CONTAINERS, GROUPS};
use shards::resp::reply::Protocol;
use shards::shard::{Request, Shard};

use calls::{CALLS, FIXTURE};

/// Numbers at the edges.
const NUMBERS: &[&str] = &[
    "-9223372036854775808",
    "-9223372036854775807",
    "-2147483649",
    "-1",
    "0",
    "1",
    "2147483647",
    "2147483648",
    "4294967296",
    "4611686018427387904",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
];

/// What a string may have; a reply of repeated elements as well.
const STRING_BYTES_MAX: usize = 16 << 20;
/// Of the process that runs the calls: its own, a string that grows, and what goes with it.
const MEMORY_KIB: usize = 192 << 10;
const CPU_SECONDS: usize = 600;
/// Marks that process.
const CHILD: &str = "NUMBERS_CHILD";

/// Calls with several numbers at once, for each line.
const PAIRS: usize = 60;
const SEED: u64 = 3;

#[test]
fn any_number_is_answered_with_little_memory() {
    if env::var_os(CHILD).is_some() {
        return try_all();
    }
    let limits =
        format!("ulimit -v {MEMORY_KIB}; ulimit -t {CPU_SECONDS}; exec \"$0\" --nocapture");
    let output = Process::new("sh")
        .args(["-c", &limits])
        .arg(env::current_exe().expect("the test has a path"))
        .envs([(CHILD, "1"), ("MALLOC_ARENA_MAX", "1"), ("RUST_BACKTRACE", "0")])
        .output()
        .expect("there is a shell");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = text.lines().rev().take(3).collect();
    assert!(output.status.success(), "{}: {last:#?}\n{errors}", output.status);
}

fn try_all() {
    let mut chance = Random::new(SEED);
    let mut failures = Vec::new();
    for line in CALLS.iter().copied().flatten() {
        let words: Vec<&str> = line.split(' ').collect();
        let places: Vec<usize> = (1..words.len()).filter(|at| is_number(&words, *at)).collect();
        let mut calls = Vec::new();
        for (place, number) in places.iter().flat_map(|it| NUMBERS.iter().map(move |n| (*it, n))) {
            calls.push(with(&words, &[(place, number)]));
        }
        for _ in 0..if places.len() < 2 { 0 } else { PAIRS } {
            let mut numbers = Vec::new();
            for at in &places {
                if chance.below(3) != 0 {
                    numbers.push((*at, *pick(NUMBERS, &mut chance)));
                }
            }
            calls.push(with(&words, &numbers));
        }
        failures.extend(calls.iter().filter_map(|call| attempt(call).err()));
    }
    assert!(failures.is_empty(), "seed {SEED}\n{}", failures.join("\n"));
}

/// Whether the word is a number, or has one behind a mark (`#1`) or before one (`1-1`).
fn is_number(words: &[&str], at: usize) -> bool {
    // That many keys are made one by one, as asked for.
    let makes = words[0] == "DEBUG" && at == 2;
    !makes
        && words[at]
            .trim_start_matches(['#', '-', '[', '('])
            .starts_with(|c: char| c.is_ascii_digit())
}

fn with(words: &[&str], numbers: &[(usize, &str)]) -> Vec<String> {
    let mut words: Vec<String> = words.iter().map(|word| (*word).into()).collect();
    for (at, number) in numbers {
        words[*at] = match words[*at].strip_prefix('#') {
            Some(_) => format!("#{number}"),
            None => (*number).into(),
        };
    }
    words
}

fn attempt(words: &[String]) -> Result<(), String> {
    let line = words.join(" ");
    // The last one printed is the one that ended the process.
    println!("{line}");
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let run = || {
            let mut shard = Shard::new(2, HashSeed(1), Random::new(1));
            shard.keyspace.now = UnixMs(1_000_000);
            shard.keyspace.settings.string_bytes_max = STRING_BYTES_MAX;
            for line in FIXTURE {
                let words: Vec<String> = line.split(' ').map(Into::into).collect();
                call(&mut shard, &words, Protocol::Resp2);
            }
            call(&mut shard, words, protocol)
        };
        let reply = catch_unwind(AssertUnwindSafe(run)).map_err(|_| format!("{line}: panics"))?;
        match end_of_reply(&reply) {
            Some(end) if end == reply.len() => {}
            _ => return Err(format!("{line}: {}", reply[..reply.len().min(80)].escape_ascii())),
        }
    }
    Ok(())
}

fn call(shard: &mut Shard, words: &[String], protocol: Protocol) -> Vec<u8> {
    let args: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    let request = Request { protocol, ..Request::of(&args) };
    let mut out = Vec::new();
    // Errors are replies, too.
    let _ = shard.execute(find(words), request, &mut out);
    out
}

/// Where the reply ends that `bytes` begin with; `None` if they are none.
fn end_of_reply(bytes: &[u8]) -> Option<usize> {
    let mut at = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let (kind, head) = (bytes[0], str::from_utf8(&bytes[1..at - 2]).ok()?);
    match kind {
        b'+' | b'-' | b':' | b',' | b'#' | b'_' | b'(' => {}
        b'$' | b'*' if head == "-1" => {}
        b'$' | b'=' => {
            at += head.parse::<usize>().ok()?;
            at += bytes.get(at..at + 2)?.len();
        }
        b'*' | b'~' | b'>' | b'%' => {
            let parts = head.parse::<usize>().ok()? * if kind == b'%' { 2 } else { 1 };
            for _ in 0..parts {
                at += end_of_reply(&bytes[at..])?;
            }
        }
        _ => return None,
    }
    Some(at)
}

fn find(words: &[String]) -> &'static Command {
    let (name, second) = (words[0].to_lowercase(), words.get(1).map(|it| it.to_lowercase()));
    let subcommand = format!("{name}|{}", second.unwrap_or_default());
    let own = [
        shards::commands::server::CLUSTER_SUBCOMMANDS,
        shards::commands::server::DEBUG_SUBCOMMANDS,
        shards::commands::server::MEMORY_SUBCOMMANDS,
    ];
    let contained = CONTAINERS.iter().map(|(_, subcommands)| *subcommands).chain(own).flatten();
    let mut all = GROUPS.iter().copied().flatten().chain(contained);
    let found = all.find(|it| it.spec.name == name || it.spec.name == subcommand);
    found.unwrap_or_else(|| panic!("{name} is no command"))
}

fn pick<'t, T>(all: &'t [T], chance: &mut Random) -> &'t T {
    let at = chance.below(all.len() as u64);
    &all[usize::try_from(at).expect("it is below a usize")]
}
