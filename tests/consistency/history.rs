//! What clients did and saw, and when: the evidence that the checkers judge.

use std::fmt;

use crate::client::{Reply, shown};

/// A command, as its words.
pub type Words = Vec<String>;

/// Something that a client asked for and that takes effect at one moment: a command, or the
/// commands of an EXEC.
#[derive(Clone, Debug)]
pub struct Event {
    /// Who asked. A client's events take effect in the order in which they stand in the history.
    pub client: usize,
    /// The database it had selected.
    pub db: usize,
    /// When it was sent, in nanoseconds since the start.
    pub called: u64,
    /// When it was answered; `None` if the client left without waiting: the test does not
    /// know whether it ever takes effect.
    pub returned: Option<u64>,
    /// Keys that were watched, and what was seen in them: they were unchanged.
    pub guard: Vec<(String, Reply)>,
    /// The commands.
    pub unit: Vec<Words>,
    /// A reply for each command; none if the outcome is unknown.
    pub replies: Vec<Reply>,
}

impl Event {
    /// Whether one of its commands names this word.
    pub fn names(&self, word: &str) -> bool {
        self.unit.iter().any(|words| words.iter().skip(1).any(|w| w == word))
    }

    /// Whether it left everything as it was, whenever it was that it took effect.
    pub fn changed_nothing(&self) -> bool {
        let nothing = |(words, reply): (&Words, &Reply)| match words[0].as_str() {
            "GET" | "MGET" | "EXISTS" | "STRLEN" | "DBSIZE" | "KEYS" | "RANDOMKEY" => true,
            "DEL" | "UNLINK" | "SETNX" | "MSETNX" | "COPY" | "MOVE" | "RENAMENX" => {
                *reply == Reply::Integer(0)
            }
            "SET" | "GETDEL" => *reply == Reply::NullBulk,
            _ => matches!(reply, Reply::Error(_)),
        };
        !self.replies.is_empty() && self.unit.iter().zip(&self.replies).all(nothing)
    }

    /// The part of it that concerns one key: each MGET of many is a GET of this one, and so on.
    /// `None` if it does not concern the key.
    pub fn on_key(&self, key: &str) -> Option<Self> {
        let mut event = Self { unit: Vec::new(), replies: Vec::new(), ..self.clone() };
        event.guard.retain(|(name, _)| name == key);
        for (at, words) in self.unit.iter().enumerate() {
            let reply = self.replies.get(at);
            for (words, reply) in single_key(words, reply) {
                if words.get(1).is_some_and(|word| word == key) {
                    event.unit.push(words);
                    event.replies.extend(reply);
                }
            }
        }
        (!event.unit.is_empty() || !event.guard.is_empty()).then_some(event)
    }
}

/// A command as commands on single keys.
fn single_key(words: &Words, reply: Option<&Reply>) -> Vec<(Words, Option<Reply>)> {
    let members = match reply {
        Some(Reply::Group(_, members)) => members.clone(),
        _ => Vec::new(),
    };
    match words[0].as_str() {
        "MGET" => {
            let get = |(at, key): (usize, &String)| {
                (vec!["GET".into(), key.clone()], members.get(at).cloned())
            };
            words[1..].iter().enumerate().map(get).collect()
        }
        "MSET" => {
            let set = |pair: &[String]| {
                (vec!["SET".into(), pair[0].clone(), pair[1].clone()], reply.cloned())
            };
            words[1..].chunks_exact(2).map(set).collect()
        }
        _ => vec![(words.clone(), reply.cloned())],
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |nanos: u64| format!("{:.1}", Into::<f64>::into(millionths(nanos)) / 10.0);
        let returned = self.returned.map_or("never".into(), micros);
        write!(
            f,
            "client {:<3} db {} {:>10} .. {returned:<10} us  ",
            self.client,
            self.db,
            micros(self.called)
        )?;
        for (key, reply) in &self.guard {
            write!(f, "[unchanged {key} = {}] ", brief(reply))?;
        }
        for (at, words) in self.unit.iter().enumerate() {
            let reply = self.replies.get(at).map_or("?".into(), brief);
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{} -> {reply}", words.join(" "))?;
        }
        Ok(())
    }
}

/// Tenths of microseconds, as far as a reader of the history looks at them.
fn millionths(nanos: u64) -> u32 {
    u32::try_from(nanos / 100).unwrap_or(u32::MAX)
}

/// A reply on one line.
pub fn brief(reply: &Reply) -> String {
    match reply {
        Reply::Group(_, members) => {
            format!("[{}]", members.iter().map(brief).collect::<Vec<_>>().join(" "))
        }
        Reply::Bulk(bytes) => shown(bytes),
        other => other.head(),
    }
}

/// The events of all clients in the order in which they were sent; those of one client keep their
/// order.
pub fn merged(histories: Vec<Vec<Event>>) -> Vec<Event> {
    let mut events: Vec<Event> = histories.into_iter().flatten().collect();
    events.sort_by_key(|event| event.called);
    events
}
