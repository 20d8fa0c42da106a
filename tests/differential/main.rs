//! Whether Keylane says what Valkey says: random commands on Keylane with one shard and with three
//! and on a peer, every reply compared, and what is in the databases afterwards.
//!
//! `SECONDS=600` or `COMMANDS=2000000` runs longer. A failure names its seed and round and shows a
//! short transcript: `SEED=.. ROUND=..` does the same again. The peer is the best at hand, or
//! `AGAINST=host:port`, which is flushed; `SUBJECT=host:port` stands in for Keylane: a second
//! Valkey there shows what the tester itself gets wrong.

#[path = "../client/mod.rs"]
mod client;
#[path = "../servers/mod.rs"]
mod servers;

mod shapes;
mod words;
mod families;
mod plan;
mod sides;
mod compare;
mod shrink;
mod round;
mod report;
mod replay;

use std::collections::BTreeMap;
use std::env;
use std::io::Write as _;
use std::time::{Duration, Instant};

use shards::base::random::Random;

use client::Reply;
use families::{Care, FAMILIES, Line, Policy};
use plan::{Repertoire, Step};
use round::{Arena, Difference};
use servers::{REFERENCE, setting, start_peer};
use shapes::Words;
use sides::{Protocol, Side};
use words::Manners;

/// How long it goes on unless told otherwise.
const SECONDS: u64 = 60;
/// The seed unless another is given: a change is judged by what it changes, not by luck.
const SEED: u64 = 2026;
/// After so many different failures it ends.
const FAILURES_MAX: usize = 5;
/// Settings that are small in every other round, so that values outgrow their encodings.
const SMALL: &[(&str, &str)] = &[
    ("hash-max-listpack-entries", "4"),
    ("hash-max-listpack-value", "16"),
    ("list-max-listpack-size", "4"),
    ("set-max-intset-entries", "4"),
    ("set-max-listpack-entries", "4"),
    ("set-max-listpack-value", "16"),
    ("zset-max-listpack-entries", "4"),
    ("zset-max-listpack-value", "16"),
    ("stream-node-max-entries", "4"),
    ("hll-sparse-max-bytes", "60"),
];

#[test]
fn keylane_says_what_its_peer_says() {
    let sides = match env::var("SUBJECT") {
        Ok(address) => vec![Side::foreign(&address)],
        Err(_) => vec![Side::keylane(1), Side::keylane(3)],
    };
    let peer = match env::var("AGAINST") {
        Ok(address) => Side::foreign(&address),
        Err(_) => Side::peer(start_peer().expect(
            "there is nothing to compare with: install valkey-server or redis-server (Debian has \
             packages of these names), or name a server: AGAINST=host:port",
        )),
    };
    let (mut arena, repertoire, small) = prepare(sides, peer);
    let seed = setting("SEED").unwrap_or(SEED);
    let mut failures: BTreeMap<String, String> = BTreeMap::new();
    let (mut rounds, mut commands) = (setting("ROUND").unwrap_or(0), 0);
    let limits = Limits::start();
    loop {
        let chance = Random::new(seed.wrapping_add(rounds << 32)).bits();
        let mut steps = repertoire.plan(chance);
        commands += steps.len();
        let protocol = if rounds % 2 == 0 { Protocol::Resp2 } else { Protocol::Resp3 };
        if rounds % 4 < 2 && !small.is_empty() {
            steps.insert(0, Step::exact(small.clone()));
        }
        if let Some(difference) = arena.play(&steps, protocol) {
            let title = format!("SEED={seed} ROUND={rounds}");
            let (gist, text) = explain(&mut arena, steps, protocol, difference, &title);
            failures.entry(gist).or_insert(text);
        }
        rounds += 1;
        let one = setting("ROUND").is_some();
        if one || FAILURES_MAX <= failures.len() || limits.are_reached(commands) {
            break;
        }
    }
    let seconds = limits.start.elapsed().as_secs_f64();
    let refused = 100 * arena.refused / commands.max(1);
    say(&format!(
        "SEED={seed}: {rounds} rounds, {commands} commands in {seconds:.1} s; {refused} % refused"
    ));
    let failures: Vec<String> = failures.into_values().collect();
    assert!(failures.is_empty(), "\n\n{}", failures.join("\n"));
}

/// When to end.
struct Limits {
    start: Instant,
    commands: Option<u64>,
    time: Option<Duration>,
}

impl Limits {
    #[expect(clippy::disallowed_methods, reason = "tests look at servers from outside")]
    fn start() -> Self {
        let commands = setting("COMMANDS");
        let seconds = setting("SECONDS").or(commands.is_none().then_some(SECONDS));
        Self { start: Instant::now(), commands, time: seconds.map(Duration::from_secs) }
    }

    fn are_reached(&self, commands: usize) -> bool {
        self.time.is_some_and(|time| time <= self.start.elapsed())
            || self.commands.is_some_and(|limit| limit <= u64::try_from(commands).unwrap_or(limit))
    }
}

/// Finds out what all servers know and makes them alike. Also gives the command that makes limits
/// of encodings small.
fn prepare(mut sides: Vec<Side>, mut peer: Side) -> (Arena, Repertoire, Words) {
    let (name, version) = peer.version();
    let (manners, how) = if name.starts_with(&format!("Valkey {REFERENCE}")) {
        (Manners::Wild, "word for word")
    } else {
        (Manners::Tame, "by their codes, and nothing odd is asked")
    };
    sides.push(peer);
    let mut commands: Vec<String> =
        FAMILIES.iter().flat_map(|family| family.lines).map(Line::command).collect();
    commands.push("hpttl".into());
    commands.sort();
    commands.dedup();
    let answers: Vec<Vec<bool>> = sides.iter_mut().map(|side| side.known(&commands)).collect();
    let (known, left): (Vec<(usize, String)>, _) =
        commands.into_iter().enumerate().partition(|(at, name)| {
            // Older servers count consumers and entries otherwise.
            let is_alike = manners == Manners::Wild || !name.starts_with("xinfo");
            name.contains("nosuch") || is_alike && answers.iter().all(|known| known[*at])
        });
    let names = |list: &[(usize, String)]| {
        list.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(" ")
    };
    say(&format!("against {name}; errors are compared {how}"));
    say(&format!("{} commands are played; not all know {}", known.len(), names(&left)));
    let knows = |name: &str| known.iter().any(|(_, known)| known == name);
    let repertoire = Repertoire::new(&knows, version, manners);
    let fields_expire = knows("hpttl");
    let (settings, small) = limits(&mut sides);
    (Arena { sides, manners, settings, fields_expire, refused: 0 }, repertoire, small)
}

/// What sets the limits of encodings as they are now, and what makes them small: those that all
/// servers know.
fn limits(sides: &mut [Side]) -> (Vec<Words>, Words) {
    let set = || vec![b"CONFIG".to_vec(), b"SET".to_vec()];
    let (mut usual, mut small) = (set(), set());
    for (name, value) in SMALL {
        let values = sides.iter_mut().map(|side| match side.ask(&["CONFIG", "GET", name]) {
            Ok(Reply::Group(_, members)) => match members.as_slice() {
                [_, Reply::Bulk(value)] => Some(value.clone()),
                _ => None,
            },
            _ => None,
        });
        if let Some(values) = values.collect::<Option<Vec<_>>>() {
            let theirs = values.last().expect("the peer is one of them");
            usual.extend([name.as_bytes().to_vec(), theirs.clone()]);
            small.extend([name.as_bytes().to_vec(), value.as_bytes().to_vec()]);
        }
    }
    if usual.len() == set().len() { (Vec::new(), Vec::new()) } else { (vec![usual], small) }
}

/// Makes a round that differs small. Gives what tells the difference from others, and its story.
fn explain(
    arena: &mut Arena,
    steps: Vec<Step>,
    protocol: Protocol,
    mut first: Box<Difference>,
    title: &str,
) -> (String, String) {
    const AGAIN: usize = 3;
    const LAST: usize = 20;
    let name = arena.sides[first.side].name.clone();
    say(&format!("{title}: {name} differs: {}", report::gist(&first)));
    if (0..AGAIN).all(|_| arena.play(&steps, protocol).is_none()) {
        let title = format!("{title}: only once, so these are but the last commands");
        first.steps.drain(..first.steps.len().saturating_sub(LAST));
        let text = report::transcript(&first, &title, protocol, &name);
        return (report::gist(&first), text);
    }
    // It must stay the same difference, not become another that is easier to get.
    let kind = report::kind(&first);
    let mut differs = |steps: &[Step]| {
        arena.play(steps, protocol).is_some_and(|found| report::kind(&found) == kind)
    };
    let mut least = shrink::shrink(steps, &mut differs);
    for at in 0..least.len() {
        if (least[at].policy, least[at].care) != (Policy::Exact, Care::None) {
            continue;
        }
        let words = least[at].words.clone();
        let words = shrink::shrink(words, |words| {
            let mut steps = least.clone();
            steps[at].words = words.to_vec();
            words.first() == least[at].words.first() && differs(&steps)
        });
        least[at].words = words;
    }
    let last = (0..AGAIN).find_map(|_| arena.play(&least, protocol)).unwrap_or(first);
    let name = arena.sides[last.side].name.clone();
    (report::gist(&last), report::transcript(&last, title, protocol, &name))
}

/// Writes a line that is seen even when the test passes.
fn say(line: &str) {
    writeln!(std::io::stderr(), "differential: {line}").expect("the terminal takes a line");
}
