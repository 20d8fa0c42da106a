//! What a sequence does: acts and requests, chosen by bytes. The same bytes make the same sequence,
//! and what is left of a sequence when acts are taken away is one, too.

use crate::client::shown;
use crate::frames::Protocol;
use crate::requests::{BLOCKING, BROKEN, EMPTY, FLUSHES, INLINE, LIMITS, PLAIN, RELATED, TRACKING};

/// Connections that are open at once.
pub const SLOTS: usize = 5;
/// Counters that a connection has to itself; their keys lie on different shards.
pub const COUNTERS: usize = 4;
/// Acts of a sequence, at most.
const ACTS_MAX: usize = 40;
/// Requests of one pipeline, at most, unless it is a flood.
const REQUESTS_MAX: usize = 8;
/// Requests of a flood, at most.
const FLOOD_MAX: usize = 300;
/// Keys of each kind.
const KEYS: usize = 10;

/// The words of a command.
pub type Words = Vec<Vec<u8>>;

/// One step of a sequence.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Requests in one write. With a cut, so many bytes of them go first; the others go at the
    /// next act on this connection.
    Send {
        slot: usize,
        requests: Vec<Request>,
        cut: Option<usize>,
    },
    /// So many INCRs of the connection's counters in one write, each ninth of them a pair.
    Flood {
        slot: usize,
        count: usize,
    },
    Close(usize),
    HalfClose(usize),
    /// A close that the server sees as an error.
    Reset(usize),
    /// Replies are not read from now on.
    Deafen(usize),
    Listen(usize),
    WaitMs(u64),
    /// CLIENT PAUSE, and a look at whether it holds.
    Probe,
    /// Everything is closed and looked at: what follows is a sequence of its own.
    Inspect,
}

/// What a client sends.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A command with one reply, which may be anything.
    Plain(Words),
    /// Likewise, in bytes as they are sent.
    Inline(&'static str),
    /// Bytes without a reply.
    Empty(&'static str),
    /// Bytes that break the protocol.
    Broken(&'static str),
    /// INCR of one of the connection's counters.
    Count(usize),
    /// MULTI, INCR of the connection's two other counters, EXEC.
    Pair,
    /// MSET of keys that always have one value.
    SetAlike(u8),
    /// MGET of them.
    GetAlike,
    Multi,
    Exec,
    Discard,
    /// A command that may wait; for ever, if it says so.
    Block {
        words: Words,
        forever: bool,
    },
    Subscribe(Channels, usize),
    /// From one channel, or from all.
    Unsubscribe(Channels, Option<usize>),
    Replies(Replies),
    Hello(Protocol),
    /// CLIENT PAUSE or CLIENT UNPAUSE.
    Pausing(Words),
    /// A command about the client on another connection, whose id stands for `{id}`.
    Related {
        slot: usize,
        words: Words,
        kills: bool,
    },
    KillSubscribers,
    /// A setting, by its place among the limits.
    Limit(usize),
    Flush(Words),
    Quit,
    Reset,
    Monitor,
}

/// What a subscription is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channels {
    Named,
    Patterns,
    Sharded,
}

/// What CLIENT REPLY takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replies {
    On,
    Off,
    Skip,
}

/// Whether a request is of some kind.
pub type Kind = fn(&Request) -> bool;

/// Kinds of requests that can be left out, by their names in `WITHOUT`.
pub const FEATURES: &[(&str, Kind)] = &[
    ("reply", |request| matches!(request, Request::Replies(_))),
    ("monitor", |request| matches!(request, Request::Monitor)),
    ("subscribe", |request| matches!(request, Request::Subscribe(..) | Request::Unsubscribe(..))),
    ("client-pause", |request| matches!(request, Request::Pausing(_))),
    ("limits", |request| matches!(request, Request::Limit(_))),
    ("kill", |request| {
        matches!(request, Request::Related { kills: true, .. } | Request::KillSubscribers)
    }),
    ("block", |request| matches!(request, Request::Block { .. })),
    ("flush", |request| matches!(request, Request::Flush(_))),
    ("broken", |request| matches!(request, Request::Broken(_))),
    ("inline", |request| matches!(request, Request::Inline(_) | Request::Empty(_))),
    ("multi", |request| matches!(request, Request::Multi | Request::Pair)),
    ("hello", |request| matches!(request, Request::Hello(_))),
];

/// Bytes that choose. When they are used up all choices are the first.
#[derive(Debug)]
struct Choices<'a> {
    bytes: &'a [u8],
}

/// The sequence that these bytes stand for.
pub fn plan(bytes: &[u8]) -> Vec<Act> {
    let mut choices = Choices { bytes };
    let mut acts = Vec::new();
    while acts.len() < ACTS_MAX && !choices.bytes.is_empty() {
        let act = choices.act();
        acts.push(act);
    }
    acts
}

/// The requests of a flood.
pub fn flood(count: usize) -> Vec<Request> {
    let request = |at| if at % 9 == 8 { Request::Pair } else { Request::Count(at % COUNTERS) };
    (0..count).map(request).collect()
}

/// The same sequence with PING in the place of requests of this kind.
pub fn without(acts: &mut [Act], is_left_out: impl Fn(&Request) -> bool) {
    for act in acts {
        let Act::Send { requests, .. } = act else { continue };
        for request in requests.iter_mut().filter(|request| is_left_out(request)) {
            *request = Request::Plain(vec![b"PING".to_vec()]);
        }
    }
}

impl Choices<'_> {
    fn byte(&mut self) -> usize {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        usize::from(*first)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.byte() % limit
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        let at = self.below(choices.len());
        choices[at]
    }

    fn act(&mut self) -> Act {
        let slot = self.below(SLOTS);
        match self.below(40) {
            0..22 => {
                let count = 1 + self.below(REQUESTS_MAX);
                let requests = (0..count).map(|_| self.request()).collect();
                let cut = (self.below(5) == 1).then(|| self.byte() * 4 + self.below(4));
                Act::Send { slot, requests, cut }
            }
            22..26 => {
                let count = 1 + self.byte() * FLOOD_MAX / 256;
                Act::Flood { slot, count }
            }
            26..28 => Act::Close(slot),
            28..31 => Act::HalfClose(slot),
            31 => Act::Reset(slot),
            32 => Act::Deafen(slot),
            33 => Act::Listen(slot),
            34..37 => Act::WaitMs(1 + self.byte() as u64 / 16),
            _ => Act::Probe,
        }
    }

    fn request(&mut self) -> Request {
        match self.below(64) {
            0..14 => Request::Plain(self.line(PLAIN)),
            14..24 => Request::Count(self.below(COUNTERS)),
            24..28 => Request::Pair,
            28..30 => Request::SetAlike(u8::try_from(self.byte()).unwrap_or(0)),
            30..32 => Request::GetAlike,
            32..34 => Request::Multi,
            34..36 => Request::Exec,
            36 => Request::Discard,
            37..41 => self.block(),
            41..43 => Request::Subscribe(self.channels(), self.below(3)),
            43 => {
                let channel = self.below(4);
                Request::Unsubscribe(self.channels(), (channel < 3).then_some(channel))
            }
            44 => Request::Replies(self.one_of(&[Replies::On, Replies::Off, Replies::Skip])),
            45..47 => Request::Hello(self.one_of(&[Protocol::Resp2, Protocol::Resp3])),
            47..49 => Request::Pausing(self.pause()),
            49..51 => self.related(RELATED, false),
            51 => self.related(&["CLIENT KILL ID {id}", "CLIENT KILL ID {id} SKIPME no"], true),
            52..54 => self.related(TRACKING, false),
            54..56 => Request::Limit(self.below(LIMITS.len())),
            56 => Request::Flush(self.line(FLUSHES)),
            57 => Request::Inline(self.one_of(INLINE)),
            58 => Request::Empty(self.one_of(EMPTY)),
            59 => Request::Broken(self.one_of(BROKEN)),
            60 => Request::Quit,
            61 => Request::Reset,
            62 => Request::Monitor,
            _ => Request::KillSubscribers,
        }
    }

    fn channels(&mut self) -> Channels {
        self.one_of(&[Channels::Named, Channels::Named, Channels::Patterns, Channels::Sharded])
    }

    fn block(&mut self) -> Request {
        let line = self.one_of(BLOCKING);
        let (seconds, ms) = self.one_of(&[("0.01", "10"), ("0.03", "30"), ("0.06", "60")]);
        let forever = self.below(8) == 1;
        let (seconds, ms) = if forever { ("0", "0") } else { (seconds, ms) };
        let line = line.replace("{s}", seconds).replace("{ms}", ms);
        Request::Block { words: self.filled(&line), forever }
    }

    fn pause(&mut self) -> Words {
        let ms = 1 + self.byte() / 6;
        let line = match self.below(4) {
            0 => "CLIENT UNPAUSE".to_owned(),
            1 => format!("CLIENT PAUSE {ms}"),
            2 => format!("CLIENT PAUSE {ms} ALL"),
            _ => format!("CLIENT PAUSE {ms} WRITE"),
        };
        self.filled(&line)
    }

    fn related(&mut self, lines: &[&str], kills: bool) -> Request {
        let (slot, line) = (self.below(SLOTS), self.one_of(lines));
        Request::Related { slot, words: self.filled(line), kills }
    }

    fn line(&mut self, lines: &[&str]) -> Words {
        let line = self.one_of(lines);
        self.filled(line)
    }

    /// The words of a line: `@` and `#` in them become numbers of keys, `$` a value.
    fn filled(&mut self, line: &str) -> Words {
        line.split(' ').map(|word| self.word(word)).collect()
    }

    fn word(&mut self, word: &str) -> Vec<u8> {
        if word == "$" {
            return self.value();
        }
        let limits = [("@", KEYS), ("#", 4)];
        let found = limits.iter().find(|(sign, _)| word.contains(sign));
        let Some((sign, limit)) = found else { return word.as_bytes().to_vec() };
        let number = self.below(*limit);
        word.replace(sign, &number.to_string()).into_bytes()
    }

    /// Most values are small, some fill a buffer, and a few are larger than any.
    fn value(&mut self) -> Vec<u8> {
        let size = self.byte();
        let length = match size {
            0..200 => size / 10,
            200..240 => size * 15,
            240..253 => size * 250,
            _ => size * 5000,
        };
        vec![b"abcdefgh"[size % 8]; length]
    }
}

impl Act {
    /// The act as a failure shows it.
    pub fn line(&self) -> String {
        match self {
            Self::Send { slot, requests, cut } => {
                let mut parts: Vec<String> = Vec::new();
                for part in requests.chunk_by(|one, other| one == other) {
                    let line = part[0].line();
                    let times = part.len();
                    parts.push(if times == 1 { line } else { format!("{times} x {line}") });
                }
                let cut = cut.map_or(String::new(), |at| format!("  (cut at byte {at})"));
                format!("{slot}> {}{cut}", parts.join(" | "))
            }
            Self::Flood { slot, count } => {
                format!("{slot}> {count} x INCR of its counters, each ninth a pair")
            }
            Self::Close(slot) => format!("{slot}: close"),
            Self::HalfClose(slot) => format!("{slot}: half-close"),
            Self::Reset(slot) => format!("{slot}: reset"),
            Self::Deafen(slot) => format!("{slot}: stop reading"),
            Self::Listen(slot) => format!("{slot}: read again"),
            Self::WaitMs(ms) => format!("wait {ms} ms"),
            Self::Inspect => "(close all, inspect)".to_owned(),
            Self::Probe => "probe: CLIENT PAUSE 80 WRITE, look twice".to_owned(),
        }
    }
}

impl Request {
    /// The request as a failure shows it.
    pub fn line(&self) -> String {
        match self {
            Self::Plain(words) | Self::Pausing(words) | Self::Flush(words) => joined(words),
            Self::Block { words, .. } => joined(words),
            Self::Related { slot, words, .. } => {
                joined(words).replace("{id}", &format!("(id of {slot})"))
            }
            Self::Inline(text) | Self::Empty(text) | Self::Broken(text) => shown(text.as_bytes()),
            Self::Count(counter) => format!("INCR own{counter}"),
            Self::Pair => "MULTI, INCR left, INCR right, EXEC".to_owned(),
            Self::SetAlike(value) => format!("MSET of all alike {value}"),
            Self::GetAlike => "MGET of all alike".to_owned(),
            Self::Limit(at) => format!("CONFIG SET {}", LIMITS[*at].line),
            Self::Multi => "MULTI".to_owned(),
            Self::Exec => "EXEC".to_owned(),
            Self::Discard => "DISCARD".to_owned(),
            Self::Subscribe(kind, channel) => format!("{} {channel}", kind.command("SUBSCRIBE")),
            Self::Unsubscribe(kind, channel) => {
                let channel = channel.map_or(String::new(), |channel| format!(" {channel}"));
                format!("{}{channel}", kind.command("UNSUBSCRIBE"))
            }
            Self::Replies(replies) => format!("CLIENT REPLY {replies:?}"),
            Self::Hello(protocol) => format!("HELLO {protocol:?}"),
            Self::KillSubscribers => "CLIENT KILL TYPE pubsub".to_owned(),
            Self::Quit => "QUIT".to_owned(),
            Self::Reset => "RESET".to_owned(),
            Self::Monitor => "MONITOR".to_owned(),
        }
    }
}

impl Channels {
    /// The name of SUBSCRIBE or UNSUBSCRIBE for these.
    pub fn command(self, name: &str) -> String {
        match self {
            Self::Named => name.to_owned(),
            Self::Patterns => format!("P{name}"),
            Self::Sharded => format!("S{name}"),
        }
    }

    /// A channel, or a pattern that fits some.
    pub fn name(self, number: usize) -> String {
        match self {
            Self::Named | Self::Sharded => format!("c{number}"),
            Self::Patterns => ["*", "c[01]", "__key*"][number % 3].to_owned(),
        }
    }
}

fn joined(words: &Words) -> String {
    const COLUMNS_MAX: usize = 24;
    let word = |word: &Vec<u8>| match word.len() {
        0..COLUMNS_MAX => shown(word),
        length => format!("{}...({length})", shown(&word[..4])),
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_same_bytes_make_the_same_sequence_and_all_kinds_are_made() {
    let mut random = shards::base::random::Random::new(1);
    let mut lines = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let bytes: Vec<u8> = (0..400).map(|_| random.bits().to_le_bytes()[0]).collect();
        let acts = plan(&bytes);
        assert_eq!(acts, plan(&bytes));
        assert!((5..=ACTS_MAX).contains(&acts.len()), "{}", acts.len());
        let words = |act: &Act| act.line().split(' ').map(str::to_owned).collect::<Vec<_>>();
        lines.extend(acts.iter().flat_map(words));
    }
    for word in ["half-close", "reset", "probe:", "BLPOP", "MONITOR", "QUIT", "TRACKING", "byte"] {
        assert!(lines.contains(word), "{word}");
    }
    assert!(plan(&[]).is_empty());
}
