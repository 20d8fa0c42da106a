//! What arguments are made of: each kind with the edges on which code stumbles.

use shards::base::random::Random;

/// The keys of a round: over all slots, two of them in one, with names that are no text.
pub const KEYS: [&[u8]; 8] = [b"a", b"b", b"c", b"d", b"e", b"{b}x", b"k\0\xff\r\n", b""];

/// How odd arguments may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// As odd as it gets.
    Wild,
    /// As users mean them: servers of another age differ in what is odd.
    Tame,
}

/// Chance, and what a round has decided beforehand.
#[derive(Debug)]
pub struct Dice {
    random: Random,
    pub manners: Manners,
    /// For each key the number of the family that mostly uses it.
    homes: [usize; KEYS.len()],
    /// The family whose turn it is.
    pub family: usize,
    /// Grows with the stream entries of the round.
    entries: usize,
    /// The IDs that streams of the round were given.
    ids: Vec<Vec<u8>>,
}

/// A kind of argument.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub name: &'static str,
    pub draw: fn(&mut Dice) -> Vec<u8>,
}

const fn kind(name: &'static str, draw: fn(&mut Dice) -> Vec<u8>) -> Kind {
    Kind { name, draw }
}

/// Every kind. An argument whose kind counts time never lies close to now: clocks do not matter.
pub const KINDS: &[Kind] = &[
    kind("key", key),
    kind("value", value),
    kind("text", text),
    kind("int", int),
    kind("float", float),
    kind("bit", |dice| dice.edgy(&[b"0", b"1"], &[b"2", b"-1", b"x", b""])),
    kind("index", index),
    kind("count", |dice| if dice.oddly(12) { int(dice) } else { number(dice.below(6)) }),
    kind("offset", |dice| offset(dice, &[b"1048575", b"1048576"])),
    kind("bit-offset", |dice| offset(dice, &[b"8388607", b"8388608", b"8388600"])),
    kind("field-offset", |dice| {
        let sharp = if dice.one_in(3) { b"#".to_vec() } else { Vec::new() };
        [sharp, offset(dice, &[b"8388607", b"8388545", b"#131071", b"#", b"##1"])].concat()
    }),
    kind("field-type", field_type),
    kind("db", |dice| {
        dice.edgy(&[b"0", b"1", b"2"], &[b"15", b"16", b"-1", b"x", b"9223372036854775807"])
    }),
    kind("pattern", |dice| dice.pick(PATTERNS).to_vec()),
    kind("type-name", |dice| dice.pick(TYPE_NAMES).to_vec()),
    kind("seconds", |dice| time(dice, 100_000, 1_000_000_000, LARGEST)),
    kind("ms", |dice| time(dice, 100_000_000, 1_000_000_000_000, &LARGEST[..2])),
    kind("at", |dice| time(dice, 4_000_000_000, 1_000_000_000, LARGEST)),
    kind("at-ms", |dice| time(dice, 4_000_000_000_000, 1_000_000_000_000, LARGEST)),
    kind("field", |dice| member(dice, b"fghijklm")),
    kind("member", |dice| if dice.one_in(3) { int(dice) } else { member(dice, b"mnopqrstuvwx") }),
    kind("element", |dice| if dice.one_in(4) { value(dice) } else { member(dice, b"xyz") }),
    kind("sample", |dice| dice.edgy(&[b"1", b"3", b"-5", b"100"], &[b"0", b"x", b"-1"])),
    kind("score", |dice| if dice.one_in(4) { float(dice) } else { small(dice) }),
    kind("score-bound", score_bound),
    kind("lex-key", |dice| dice.pick(&["l", "m", "n"]).as_bytes().to_vec()),
    kind("lex-bound", lex_bound),
    kind("weight", |dice| if dice.one_in(4) { float(dice) } else { small(dice) }),
    kind("id", id),
    kind("new-id", new_id),
    kind("range-id", |dice| match dice.below(6) {
        0 => b"-".to_vec(),
        1 => b"+".to_vec(),
        2 if dice.manners == Manners::Wild => [b"(", id(dice).as_slice()].concat(),
        _ => id(dice),
    }),
    kind("hll", hll),
    kind("group", |dice| dice.edgy(&[b"g1", b"g2"], &[b"", b"g3"])),
    kind("consumer", |dice| dice.edgy(&[b"c1", b"c2"], &[b""])),
    kind("longitude", |dice| {
        dice.edgy(&[b"13.361389", b"15.087269", b"2.349014"], &[b"-180", b"180.1", b"0", b"x"])
    }),
    kind("latitude", |dice| {
        dice.edgy(&[b"38.115556", b"37.502669", b"48.864716"], &[b"85.05112878", b"86", b"0", b""])
    }),
    kind("radius", |dice| {
        dice.edgy(&[b"100", b"200.5", b"2000", b"1"], &[b"0", b"-1", b"nan", b"1e308"])
    }),
    kind("unit", |dice| dice.edgy(&[b"m", b"km", b"ft", b"mi"], &[b"KM", b"cm", b""])),
    kind("by-pattern", |dice| {
        dice.edgy(&[b"a*", b"b*", b"*", b"c*->f"], &[b"*->", b"**", b"*->f*"])
    }),
    kind("get-pattern", |dice| dice.edgy(&[b"#", b"a*", b"b*->f"], &[b"x", b"", b"*->"])),
];

/// Times that are too long. As milliseconds from now only the first two are.
const LARGEST: &[&str] =
    &["9223372036854775807", "9223372036854775000", "9223372036854775", "9223372036854776"];

const PATTERNS: &[&[u8]] = &[
    b"*", b"*", b"*", b"?", b"[a-c]", b"[^a]", b"a*", b"*x", b"{b}*", b"\\*", b"", b"a", b"[",
    b"k*", b"**", b"[c-a]", b"[]", b"[\\]]*", b"*\xff*", b"A",
];

const TYPE_NAMES: &[&[u8]] =
    &[b"string", b"string", b"hash", b"list", b"set", b"zset", b"stream", b"STRING", b"none", b"x"];

/// Integers at the ends of what code handles, and what looks like one.
const INTS: &[&[u8]] = &[
    b"0",
    b"-1",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775806",
    b"-9223372036854775807",
    b"2147483647",
    b"2147483648",
    b"4294967296",
    b"1000000000000",
    b"127",
    b"128",
    b"255",
    b"256",
    b"32767",
    b"32768",
    b"-128",
    b"-129",
];

const NO_INTS: &[&[u8]] = &[
    b"9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"",
    b" 1",
    b"1 ",
    b"+1",
    b"01",
    b"-0",
    b"1.0",
    b"1e3",
    b"0x10",
    b"x",
    b"-",
    b"--1",
];

const FLOATS: &[&[u8]] = &[
    b"0",
    b"-0",
    b"0.1",
    b"-1.5",
    b"3.0",
    b"1e3",
    b"1e308",
    b"-1e308",
    b"1.7976931348623157e308",
    b"5e-324",
    b"1e-10",
    b"0.30000000000000004",
    b"123456789.123456789",
    b"9007199254740993",
    b"1e17",
    b"1e21",
    b"3.14159265358979",
    b"-0.0",
    b"1e-320",
    b"9223372036854775807",
    b"100",
];

const ODD_FLOATS: &[&[u8]] = &[
    b"inf",
    b"-inf",
    b"+inf",
    b"nan",
    b"1e309",
    b"1e4932",
    b"1e-5000",
    b"0x1p3",
    b"",
    b" 1",
    b"1 ",
    b"x",
    b"1.2.3",
    b"1e",
    b".5",
    b"5.",
    b"+2.5",
    b"infinity",
    b"INF",
    b"1_0",
    b"-",
    b"e5",
];

impl Dice {
    /// Dice that fall the same way for the same seed.
    pub fn new(seed: u64, manners: Manners) -> Self {
        let (random, homes) = (Random::new(seed), [0; KEYS.len()]);
        Self { random, manners, homes, family: 0, entries: 0, ids: Vec::new() }
    }

    /// Lets each key belong to one of these families.
    pub fn settle(&mut self, families: &[usize]) {
        for at in 0..KEYS.len() {
            self.homes[at] = *self.pick(families);
        }
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("a length fits 64 bits");
        usize::try_from(self.random.below(limit)).expect("below a usize")
    }

    /// Up to `most`, mostly few.
    pub fn few(&mut self, most: usize) -> usize {
        let limit = 1 + self.below(1 + most);
        self.below(limit)
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// True once in so many times if odd things may come.
    pub fn oddly(&mut self, times: usize) -> bool {
        self.manners == Manners::Wild && self.one_in(times)
    }

    /// Mostly one of the first.
    fn edgy(&mut self, usual: &[&[u8]], edges: &[&[u8]]) -> Vec<u8> {
        let from = if self.oddly(8) { edges } else { usual };
        self.pick(from).to_vec()
    }

    /// The word, now and then in small or in mixed letters.
    pub fn cased(&mut self, word: &[u8]) -> Vec<u8> {
        match self.below(16) {
            0 => word.to_ascii_lowercase(),
            1 => word
                .iter()
                .enumerate()
                .map(|(at, byte)| if at % 2 == 0 { *byte } else { byte.to_ascii_lowercase() })
                .collect(),
            _ => word.to_vec(),
        }
    }

    /// Any argument that is not a time.
    pub fn any(&mut self) -> Vec<u8> {
        let at = self.below(ANY.len());
        ANY[at](self)
    }
}

/// What takes the place of another argument.
const ANY: &[fn(&mut Dice) -> Vec<u8>] = &[
    key,
    value,
    int,
    float,
    |dice| dice.pick(NO_INTS).to_vec(),
    // Nor does anything else begin so: see `value`.
    |_| b"77\0".to_vec(),
    |dice| {
        let words = ["NX", "XX", "GET", "COUNT", "LIMIT", "STORE", "BY", "EX", "WITHSCORES"];
        dice.pick(&words).as_bytes().to_vec()
    },
];

fn number(number: usize) -> Vec<u8> {
    number.to_string().into_bytes()
}

fn key(dice: &mut Dice) -> Vec<u8> {
    let at = dice.below(KEYS.len());
    if !dice.one_in(4) {
        // The next one that is at home in this family, if there is any.
        let mut order = (at..KEYS.len()).chain(0..at);
        if let Some(own) = order.find(|at| dice.homes[*at] == dice.family) {
            return KEYS[own].to_vec();
        }
    }
    KEYS[at].to_vec()
}

fn value(dice: &mut Dice) -> Vec<u8> {
    // Nothing else begins with Q: to SORT ALPHA, texts that differ behind a zero byte are equal,
    // and each server may choose their order.
    match dice.below(12) {
        0..3 => small(dice),
        5 | 6 if dice.manners == Manners::Tame => text(dice),
        3 => int(dice),
        4 => float(dice),
        5 => dice.pick(NO_INTS).to_vec(),
        6 => b"Q\0\xff\r\n".to_vec(),
        7 => Vec::new(),
        // Around the ends of embstr, and of what a listpack takes in one element.
        8 => {
            let lengths = [20, 21, 44, 45, 63, 64, 65, 300];
            vec![b'x'; *dice.pick(&lengths)]
        }
        _ => text(dice),
    }
}

/// A few letters of few: such have much in common.
fn text(dice: &mut Dice) -> Vec<u8> {
    (0..dice.few(12)).map(|_| *dice.pick(b"abcab")).collect()
}

fn small(dice: &mut Dice) -> Vec<u8> {
    let number = dice.below(21);
    if number < 4 {
        format!("-{number}").replace("-0", "0").into()
    } else {
        (number - 4).to_string().into()
    }
}

fn int(dice: &mut Dice) -> Vec<u8> {
    match dice.below(8) {
        _ if dice.manners == Manners::Tame => small(dice),
        0..5 => small(dice),
        5 => dice.pick(NO_INTS).to_vec(),
        _ => dice.pick(INTS).to_vec(),
    }
}

fn float(dice: &mut Dice) -> Vec<u8> {
    match dice.below(8) {
        0..2 => small(dice),
        // Older servers print digits that say nothing of numbers that are no sums of halves.
        _ if dice.manners == Manners::Tame => [small(dice), b".5".to_vec()].concat(),
        2 => dice.pick(ODD_FLOATS).to_vec(),
        3 => dice.pick(NO_INTS).to_vec(),
        4 => {
            let (whole, part) = (dice.below(100_000), dice.below(1_000_000));
            format!("{whole}.{part}").into()
        }
        _ => dice.pick(FLOATS).to_vec(),
    }
}

fn index(dice: &mut Dice) -> Vec<u8> {
    if dice.oddly(8) {
        return int(dice);
    }
    let places = dice.below(24);
    if dice.one_in(2) { format!("-{}", places + 1).into() } else { number(places) }
}

/// An offset into a string; `edges` lie about the end of the longest string there may be.
fn offset(dice: &mut Dice, edges: &[&[u8]]) -> Vec<u8> {
    match dice.below(400) {
        0..16 if dice.manners == Manners::Tame => number(dice.below(7)),
        0 => dice.pick(edges).to_vec(),
        1..8 => dice.pick(NO_INTS).to_vec(),
        8..16 => {
            dice.pick(&["-1", "9223372036854775807", "4294967296", "-100"]).as_bytes().to_vec()
        }
        16..50 => number(dice.below(2_000)),
        _ => number(dice.below(70)),
    }
}

fn field_type(dice: &mut Dice) -> Vec<u8> {
    let edges: [&[u8]; 10] =
        [b"u63", b"i64", b"u64", b"i65", b"u0", b"i0", b"x8", b"u", b"", b"i-1"];
    if dice.oddly(6) {
        return dice.pick(&edges).to_vec();
    }
    let sign = dice.pick(b"ui");
    format!("{}{}", char::from(*sign), 1 + dice.below(63)).into()
}

/// A time far from now: `from` and up to `more`, or long past, or none at all. No two of them are
/// so close that it mattered which of two commands came a little later.
fn time(dice: &mut Dice, from: u64, more: u64, largest: &[&str]) -> Vec<u8> {
    match dice.below(12) {
        _ if dice.manners == Manners::Tame => (from + dice.random.below(more)).to_string().into(),
        0 => dice.pick(&["0", "-1", "-1000000", "-9223372036854775808"]).as_bytes().to_vec(),
        1 => dice.pick(largest).as_bytes().to_vec(),
        2 => dice.pick(NO_INTS).to_vec(),
        _ => (from + dice.random.below(more)).to_string().into(),
    }
}

fn member(dice: &mut Dice, letters: &[u8]) -> Vec<u8> {
    match dice.below(24) {
        0 => value(dice),
        1 => vec![b'm'; 64 + dice.below(2)],
        _ => vec![*dice.pick(letters)],
    }
}

fn score_bound(dice: &mut Dice) -> Vec<u8> {
    let bound = match dice.below(8) {
        0..2 if dice.manners == Manners::Tame => b"-inf".to_vec(),
        0 => return dice.pick(&["-inf", "+inf", "(inf", "nan", "(", ""]).as_bytes().to_vec(),
        1 => float(dice),
        _ => small(dice),
    };
    if dice.one_in(4) { [b"(", bound.as_slice()].concat() } else { bound }
}

fn lex_bound(dice: &mut Dice) -> Vec<u8> {
    match dice.below(10) {
        0..2 => b"-".to_vec(),
        2..4 => b"+".to_vec(),
        4 if dice.manners == Manners::Wild => {
            dice.pick(&["", "m", "(", "[", "-x"]).as_bytes().to_vec()
        }
        place => {
            let sign: &[u8] = if place % 2 == 0 { b"[" } else { b"(" };
            [sign, &member(dice, b"mnopqrstuvwx")].concat()
        }
    }
}

fn id(dice: &mut Dice) -> Vec<u8> {
    let edges: [&[u8]; 12] = [
        b"-",
        b"+",
        b"$",
        b">",
        b"0",
        b"0-0",
        b"0-1",
        b"18446744073709551615-18446744073709551615",
        b"x",
        b"1-",
        b"(1-1",
        b"1-x",
    ];
    if dice.oddly(8) {
        return dice.pick(&edges).to_vec();
    }
    // Mostly one of the last that were given: it may be there.
    if !dice.ids.is_empty() && !dice.one_in(4) {
        let place = 1 + dice.below(dice.ids.len().min(12));
        return dice.ids[dice.ids.len() - place].clone();
    }
    let (ms, number) = (dice.below(12), dice.below(3));
    if dice.one_in(3) { format!("{ms}").into() } else { format!("{ms}-{number}").into() }
}

/// An id that is mostly larger than all before. Never `*`, which is the clock's.
fn new_id(dice: &mut Dice) -> Vec<u8> {
    if dice.oddly(6) {
        return id(dice);
    }
    dice.entries += dice.below(2);
    let (ms, number) = (10 + dice.entries, dice.below(3));
    dice.ids.push(format!("{ms}-{number}").into());
    if dice.one_in(4) { format!("{ms}-*").into() } else { format!("{ms}-{number}").into() }
}

/// The bytes of a HyperLogLog, or what is but nearly one. None that end within a run: Valkey reads
/// on behind the end of the string.
fn hll(dice: &mut Dice) -> Vec<u8> {
    let registers: &[&[u8]] = &[
        b"\x7f\xff",
        b"\x80\x7f\xfe",
        b"\x7f\xfd\x80\x84",
        b"\x3f\x7f\xbf",
        b"\x8b\x8b\x7f\xf7",
        b"\xff\x7f\xfb",
    ];
    let odd: &[&[u8]] = &[b"", b"\x7f\xfe", b"\x80", b"\x3f", b"\x7f\xff\x80"];
    let encoding = dice.edgy(&[&[1]], &[&[0], &[2]])[0];
    let cached = dice.edgy(&[&[0, 0, 0x80], &[3, 0, 0]], &[&[0, 0, 0], &[0xFF, 0xFF, 0x7F]]);
    let registers = dice.edgy(registers, odd);
    let start = [b'H', b'Y', b'L', b'L', encoding, 0, 0, 0, cached[0], cached[1]];
    [&start[..], &[0; 5], &cached[2..], &registers].concat()
}
