//! What a round asks: commands drawn from the families, some made wrong, some in transactions.

use crate::families::{Care, FAMILIES, Family, Line, Policy, Role};
use crate::shapes::{Piece, Version, Words, draw, read};
use crate::words::{Dice, Manners};

/// A command and how its replies are compared.
#[derive(Clone, Debug)]
pub struct Step {
    pub words: Words,
    pub policy: Policy,
    /// Whether it still means the same to the tester if words of it are missing.
    pub care: Care,
}

impl Step {
    /// A step whose replies must be equal.
    pub fn exact(words: Words) -> Self {
        Self { words, policy: Policy::Exact, care: Care::None }
    }
}

/// The lines that all servers know, ready to draw from.
#[derive(Debug)]
pub struct Repertoire {
    families: Vec<(Family, Vec<Part>)>,
    manners: Manners,
}

#[derive(Debug)]
struct Part {
    line: Line,
    pieces: Vec<Piece>,
    /// It sets a time: none that comes in may be so short that it passes before the round ends.
    timed: bool,
}

/// What is never asked since we differ on purpose: command, place, word there, reason.
const AVOIDED: &[(&str, usize, &str, &str)] = &[
    ("HGETEX", 1, "FIELDS", "Valkey takes a key of that name for the option"),
    ("HSETEX", 1, "FIELDS", "Valkey takes a key of that name for the option"),
];

/// Commands of a round, at most.
const COMMANDS_MAX: usize = 400;
/// Kinds of values that share the keys of a round, at most.
const KINDS_MAX: usize = 3;
/// One command in so many is made wrong.
const WRONG: usize = 8;
/// One command in so many begins a transaction.
const TRANSACTION: usize = 25;
/// One blocking command in so many comes outside of a transaction.
const WAIT: usize = 200;
/// Numbers between are no times in a command that takes one: they would pass too soon, or come
/// twice within a round, and then it matters when.
const SHORT_TIMES: std::ops::RangeInclusive<i64> = 1..=1_000_000_000_000;

impl Repertoire {
    /// What can be played when these commands are known, and the peer has this version.
    pub fn new(known: &dyn Fn(&str) -> bool, version: Version, manners: Manners) -> Self {
        let part = |line: &Line| {
            let words: Vec<&str> = line.shape.split([' ', '|', ']', '}']).collect();
            let timed = ["seconds", "ms", "at", "at-ms"].iter().any(|kind| words.contains(kind));
            Some(Part { line: *line, pieces: read(line.shape, version)?, timed })
        };
        let wild = manners == Manners::Wild;
        let families = FAMILIES.iter().map(|family| {
            let may = |line: &&Line| known(&line.command()) && (wild || line.care != Care::Wild);
            let lines = family.lines.iter().filter(may);
            (*family, lines.filter_map(part).collect::<Vec<_>>())
        });
        Self { families: families.filter(|(_, parts)| !parts.is_empty()).collect(), manners }
    }

    /// The commands of a round.
    pub fn plan(&self, seed: u64) -> Vec<Step> {
        let mut dice = Dice::new(seed, self.manners);
        let kinds: Vec<usize> = (0..self.families.len())
            .filter(|at| self.families[*at].0.role == Role::Values)
            .collect();
        let kinds: Vec<usize> = (0..=dice.below(KINDS_MAX)).map(|_| *dice.pick(&kinds)).collect();
        dice.settle(&kinds);
        let count = 1 + dice.below(COMMANDS_MAX);
        let mut steps = Vec::new();
        while steps.len() < count {
            if dice.one_in(TRANSACTION) {
                self.transaction(&mut dice, &kinds, &mut steps);
            } else {
                steps.push(self.command(&mut dice, &kinds));
            }
        }
        steps
    }

    fn transaction(&self, dice: &mut Dice, kinds: &[usize], steps: &mut Vec<Step>) {
        let alone = |word: &str| Step::exact(vec![word.into()]);
        if dice.one_in(4) {
            let keys = (0..=dice.below(2)).map(|_| dice.pick(&crate::words::KEYS).to_vec());
            let words = [vec![b"WATCH".to_vec()], keys.collect()].concat();
            steps.push(Step::exact(words));
            if dice.one_in(2) {
                steps.push(self.command(dice, kinds));
            }
        }
        steps.push(alone("MULTI"));
        for _ in 0..dice.few(8) {
            let part = self.part(dice, kinds);
            steps.push(part.step(dice));
        }
        steps.push(alone(if dice.one_in(8) { "DISCARD" } else { "EXEC" }));
    }

    /// A command that comes alone.
    fn command(&self, dice: &mut Dice, kinds: &[usize]) -> Step {
        let mut part = self.part(dice, kinds);
        while part.line.care == Care::Blocking && !dice.one_in(WAIT) {
            part = self.part(dice, kinds);
        }
        part.step(dice)
    }

    fn part(&self, dice: &mut Dice, kinds: &[usize]) -> &Part {
        let mut place = dice.below(100);
        let always = self.families.iter().position(|(family, _)| match family.role {
            Role::Values => false,
            Role::Always(share) => {
                let taken = place < share;
                place = if taken { usize::MAX } else { place - share };
                taken
            }
        });
        let kind = *dice.pick(kinds);
        dice.family = kind;
        dice.pick(&self.families[always.unwrap_or(kind)].1)
    }
}

impl Part {
    fn step(&self, dice: &mut Dice) -> Step {
        let Line { policy, care, .. } = self.line;
        let mut step = Step { words: draw(&self.pieces, dice), policy, care };
        let meant = step.words.clone();
        if matches!(care, Care::None | Care::Wild) && dice.oddly(WRONG) {
            for _ in 0..=usize::from(dice.one_in(4)) {
                make_wrong(&mut step.words, dice);
            }
            if self.timed {
                step.words[1..].iter_mut().for_each(|word| lengthen(word, dice));
            }
            if let Policy::Scan | Policy::ScanPairs = policy {
                step.policy = Policy::Alike("it may no longer be complete");
            }
            if is_avoided(&step.words) {
                step.words = meant;
            }
        }
        step
    }
}

fn is_avoided(words: &Words) -> bool {
    let is = |at: usize, name: &str| {
        words.get(at).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    };
    AVOIDED.iter().any(|(command, at, word, _)| is(0, command) && is(*at, word))
}

/// Takes an argument away, adds one, or puts one in another's place.
fn make_wrong(words: &mut Words, dice: &mut Dice) {
    let count = words.len();
    let place = |dice: &mut Dice| 1 + dice.below(count - 1);
    match dice.below(5) {
        0 if 1 < count => drop(words.remove(place(dice))),
        1 if 1 < count => {
            let at = place(dice);
            words.insert(at, words[at].clone());
        }
        2 if 1 < count => {
            let (one, other) = (place(dice), place(dice));
            words.swap(one, other);
        }
        3 if 1 < count => {
            let at = place(dice);
            words[at] = dice.any();
        }
        _ => words.push(dice.any()),
    }
}

/// Makes a number that would be a short time a long one.
fn lengthen(word: &mut Vec<u8>, dice: &mut Dice) {
    let number = std::str::from_utf8(word).ok().and_then(|text| text.parse::<i64>().ok());
    if number.is_some_and(|number| SHORT_TIMES.contains(&number)) {
        word.extend((0..8).map(|_| *dice.pick(b"0123456789")));
    }
}

#[test]
fn every_shape_can_be_read_and_no_time_is_short() {
    let repertoire = Repertoire::new(&|_| true, (9, 1), Manners::Wild);
    let count: usize = repertoire.families.iter().map(|(_, parts)| parts.len()).sum();
    assert_eq!(count, FAMILIES.iter().map(|family| family.lines.len()).sum::<usize>());
    for seed in 0..300 {
        for Step { words, .. } in repertoire.plan(seed) {
            let name = String::from_utf8_lossy(&words[0]).to_uppercase();
            if ["SETEX", "PSETEX", "EXPIRE", "PEXPIRE"].contains(&name.as_str()) {
                let text = words.get(2).map(|word| String::from_utf8_lossy(word));
                let text = text.filter(|text| !text.starts_with(['+', '0']));
                let number = text.and_then(|text| text.parse::<i64>().ok());
                assert!(number.is_none_or(|number| !(1..100_000).contains(&number)), "{words:?}");
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_round() {
    let repertoire = Repertoire::new(&|_| true, (9, 1), Manners::Wild);
    let words =
        |seed| -> Vec<Words> { repertoire.plan(seed).into_iter().map(|step| step.words).collect() };
    assert_eq!(words(7), words(7));
    assert_ne!(words(7), words(8));
}
