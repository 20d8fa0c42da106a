//! Whether anything that clients do together leaves something behind: random sequences of requests
//! on several connections, with closes, resets, pauses, kills and limits between them, against the
//! real process. `checks` lists what must hold meanwhile and afterwards.
//!
//! `SECONDS=1800` runs longer. A failure names its seed and round and shows a short sequence:
//! `SEED=.. ROUND=.. SHARDS=..` plays the same again until it fails, and `SHRINKING=300` gives more
//! seconds to make it short. `WITHOUT=ghosts,monitor` switches checks off and leaves kinds of
//! requests out, `SHARDS=2` plays on one server only, `KEYLANE=path` on another build. With
//! `SUBJECT=host:port` a server there stands in for Keylane, and is flushed: what a Valkey fails is
//! the tester's own fault. `INPUT=file` plays what `scripts/fuzz cmdseq` found.

#[path = "../client/mod.rs"]
mod client;
#[path = "../servers/mod.rs"]
mod servers;
#[path = "../differential/shrink.rs"]
mod shrink;

mod checks;
mod frames;
mod requests;
mod plan;
mod session;
mod tally;
mod link;
mod run;
mod inspect;
mod arena;
mod proxy;
mod planted;

use std::collections::BTreeMap;
use std::env;
use std::io::Write as _;
use std::time::Duration;

use shards::base::random::Random;

use arena::{Arena, PATIENCE, Subject};
use checks::{CHECKS, Check, Rules, Violation};
use plan::{Act, plan};
use run::now;
use servers::setting;

/// How long it goes on unless told otherwise.
const SECONDS: u64 = 10;
/// The seed unless another is given: a change is judged by what it changes, not by luck.
const SEED: u64 = 2026;
/// Shards of the servers that take turns.
const SHARDS: [usize; 3] = [1, 2, 3];
/// Bytes that choose a sequence.
const BYTES_MIN: u64 = 30;
const BYTES_MAX: u64 = 400;
/// Seconds in which a failed sequence is made smaller, and how long a reply may take meanwhile.
const SHRINKING: u64 = 15;
const SHORT_PATIENCE: Duration = Duration::from_secs(2);
/// After so many different failures it ends.
const FAILURES_MAX: usize = 8;
/// How often a sequence is played to see whether it fails.
const TRIES: usize = 3;

#[test]
fn sequences_leave_nothing_behind() {
    let seed = setting("SEED").unwrap_or(SEED);
    let limit = Duration::from_secs(setting("SECONDS").unwrap_or(SECONDS));
    let mut rules = Rules::from_environment();
    let mut arenas: Vec<Arena> = subjects().into_iter().map(Arena::new).collect();
    let (mut round, start) = (setting("ROUND").unwrap_or(0), now());
    let mut failures: BTreeMap<Check, String> = BTreeMap::new();
    let mut played = 0;
    let mut befores = vec![Vec::new(); arenas.len()];
    // What failures take is not counted: else the first would hide the others.
    let mut lost = Duration::ZERO;
    while start.elapsed().saturating_sub(lost) < limit && failures.len() < FAILURES_MAX {
        let mut acts = plan(&input(seed, round));
        rules.restrict(&mut acts);
        let number = usize::try_from(round).unwrap_or(0) % arenas.len();
        let arena = &mut arenas[number];
        played += 1;
        let before = std::mem::replace(&mut befores[number], acts.clone());
        let begun = now();
        if let Err(violation) = arena.play(&acts, &rules, PATIENCE, None) {
            let title = match &arena.subject {
                Subject::Shards(shards) => format!("SEED={seed} ROUND={round} SHARDS={shards}"),
                Subject::Foreign(address) => format!("SEED={seed} ROUND={round}, {address}"),
            };
            let text = explain(arena, [before, acts], &rules, &violation, &title);
            say(&format!("{}: {title}", violation.check.name()));
            failures.insert(violation.check, text);
            // Others may show themselves if this one is known.
            rules.switch_off(violation.check);
            lost += begun.elapsed();
            if violation.check == Check::Alive || is_one_round() {
                break;
            }
        }
        round += u64::from(!is_one_round());
    }
    let seconds = start.elapsed().as_secs_f64();
    say(&format!("SEED={seed}: {played} sequences in {seconds:.1} s"));
    let off: Vec<&str> = CHECKS.iter().filter(|row| !rules.is_on(row.0)).map(|row| row.1).collect();
    let failures: Vec<String> = failures.into_values().collect();
    assert!(failures.is_empty(), "\n\n{}\nWITHOUT={}", failures.join("\n"), off.join(","));
}

fn subjects() -> Vec<Subject> {
    if let Ok(address) = env::var("SUBJECT") {
        return vec![Subject::Foreign(address)];
    }
    match setting("SHARDS") {
        Some(shards) => vec![Subject::Shards(usize::try_from(shards).expect("a few"))],
        None => SHARDS.map(Subject::Shards).to_vec(),
    }
}

fn is_one_round() -> bool {
    env::var_os("ROUND").is_some() || env::var_os("INPUT").is_some()
}

/// The bytes that choose a round's sequence.
fn input(seed: u64, round: u64) -> Vec<u8> {
    if let Ok(path) = env::var("INPUT") {
        return std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let mut random = Random::new(seed.wrapping_add(round << 32));
    let length = BYTES_MIN + random.below(BYTES_MAX - BYTES_MIN);
    (0..length).map(|_| random.bits().to_le_bytes()[0]).collect()
}

/// Makes a failed sequence small, together with the one before it if need be, and tells its story.
fn explain(
    arena: &mut Arena,
    [before, acts]: [Vec<Act>; 2],
    rules: &Rules,
    violation: &Violation,
    title: &str,
) -> String {
    let start = now();
    let limit = Duration::from_secs(setting("SHRINKING").unwrap_or(SHRINKING));
    let mut last = violation.clone();
    let mut fails = |acts: &[Act]| {
        (0..TRIES).any(|_| {
            let in_time = start.elapsed() < limit;
            let found = in_time.then(|| arena.play(acts, rules, SHORT_PATIENCE, None).err());
            let found = found.flatten().filter(|found| found.check == violation.check);
            if let Some(found) = found {
                last = found;
                return true;
            }
            false
        })
    };
    // Memory is looked at after many sequences, of which this is but the last.
    if matches!(violation.check, Check::Memory | Check::Resident) {
        return story(&acts, &last, title);
    }
    let both = [before, vec![Act::Inspect], acts.clone()].concat();
    let Some(acts) = [&acts, &both].into_iter().find(|acts| fails(acts)) else {
        return story(&acts, &last, &format!("{title}: only once, so this is all of it"));
    };
    let acts = shrink::shrink(acts.clone(), &mut fails);
    let acts = shrink_requests(acts, fails);
    story(&acts, &last, title)
}

/// Takes requests away from each act while it still fails.
fn shrink_requests(mut acts: Vec<Act>, mut fails: impl FnMut(&[Act]) -> bool) -> Vec<Act> {
    for at in 0..acts.len() {
        if let Act::Flood { slot, count } = acts[at] {
            for count in [count / 8, count / 4, count / 2] {
                let mut fewer = acts.clone();
                fewer[at] = Act::Flood { slot, count };
                if 0 < count && fails(&fewer) {
                    acts = fewer;
                    break;
                }
            }
        }
        let Act::Send { slot, requests, cut } = acts[at].clone() else { continue };
        let with =
            |requests: &[plan::Request]| Act::Send { slot, requests: requests.to_vec(), cut };
        let requests = shrink::shrink(requests, |requests| {
            let mut fewer = acts.clone();
            fewer[at] = with(requests);
            fails(&fewer)
        });
        acts[at] = with(&requests);
    }
    acts
}

fn story(acts: &[Act], violation: &Violation, title: &str) -> String {
    let lines: String = acts.iter().map(|act| format!("    {}\n", act.line())).collect();
    let Violation { check, text } = violation;
    format!("# {title}\n{lines}  {}: {} - but: {text}\n", check.name(), check.demand())
}

/// Writes a line that is seen even when the test passes.
fn say(line: &str) {
    writeln!(std::io::stderr(), "cmdseq: {line}").expect("the terminal takes a line");
}
