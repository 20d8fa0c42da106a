//! What a server must look like when all connections of a sequence are closed.

use std::io;
use std::thread;
use std::time::Duration;

use crate::checks::{Check, Rules, Violation};
use crate::client::{Client, Reply};
use crate::link::{Link, Mood};
use crate::requests::USUAL;
use crate::run::{now, unreachable_server};
use crate::session::{alike_keys, counter_key, pair_keys};
use crate::tally::Tally;

/// How long the server may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(5);
/// A pause between two looks.
const REST: Duration = Duration::from_millis(2);
/// Lists that clients of sequences wait for.
const AWAITED: [&str; 4] = ["b0", "b1", "b2", "b3"];

/// Fields of INFO that are 0 when only the inspector is connected.
const ZERO: &[(Check, &str)] = &[
    (Check::Blocked, "blocked_clients"),
    (Check::Blocked, "total_blocking_keys"),
    (Check::Blocked, "total_blocking_keys_on_nokey"),
    (Check::Blocked, "clients_in_timeout_table"),
    (Check::Watched, "watching_clients"),
    (Check::Watched, "total_watched_keys"),
    (Check::Tracked, "tracking_clients"),
    (Check::Channels, "pubsub_clients"),
];

/// What a sequence left behind.
#[derive(Clone, Debug, Default)]
pub struct Left {
    counters: Vec<(String, Tally)>,
    pairs: Vec<([String; 2], Tally)>,
    pub mood: Mood,
}

impl Left {
    /// Notes the counters of a connection that is no more.
    pub fn note(&mut self, link: &Link) {
        let counters = link.counters.iter().enumerate();
        self.counters.extend(counters.map(|(at, tally)| (counter_key(link.number, at), *tally)));
        self.pairs.push((pair_keys(link.number), link.pair));
    }

    /// What a pause meets of clients that are gone is dropped, and what a limit meets refused.
    pub fn doubt(&mut self) {
        self.counters.iter_mut().for_each(|(_, tally)| tally.doubt());
        self.pairs.iter_mut().for_each(|(_, tally)| tally.doubt());
    }
}

/// An inspection.
struct Inspector<'a> {
    client: Client,
    rules: &'a Rules,
}

/// Inspects a server after a sequence. Gives whether it may be used again.
pub fn inspect(address: &str, left: &Left, rules: &Rules) -> Result<bool, Violation> {
    let client = Client::connect(address).map_err(|error| unreachable_server(&error))?;
    let mut inspector = Inspector { client, rules };
    let is_clean = inspector.find_ghosts()?;
    for (name, value) in USUAL {
        // Not every server knows every setting.
        inspector.ask(&["CONFIG", "SET", name, value])?;
    }
    inspector.find_traces()?;
    inspector.count(left)?;
    inspector.find_thieves()?;
    inspector.find_claims()?;
    Ok(is_clean)
}

impl Inspector<'_> {
    fn ask<A: AsRef<[u8]>>(&mut self, words: &[A]) -> Result<Reply, Violation> {
        self.client.call(words).map_err(|error| unreachable_server(&error))
    }

    fn text<A: AsRef<[u8]>>(&mut self, words: &[A]) -> Result<String, Violation> {
        match self.ask(words)? {
            Reply::Bulk(text) | Reply::Simple(text) | Reply::Error(text) => {
                Ok(String::from_utf8_lossy(&text).into_owned())
            }
            other => Ok(other.lines().join(" ")),
        }
    }

    /// Waits until `holds` of what `look` gives; what it gave last, if it does not.
    fn wait<T>(
        &mut self,
        mut look: impl FnMut(&mut Self) -> Result<T, Violation>,
        holds: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, Violation> {
        let end = now() + PATIENCE;
        loop {
            let seen = look(self)?;
            if holds(&seen) {
                return Ok(None);
            }
            if end < now() {
                return Ok(Some(seen));
            }
            thread::park_timeout(REST);
        }
    }

    /// Whether this client is the only one.
    fn find_ghosts(&mut self) -> Result<bool, Violation> {
        let known = !self.rules.is_on(Check::Ghosts);
        let look = |inspector: &mut Self| {
            // What is held for a client that is gone may pause everything again.
            inspector.ask(&["CLIENT", "UNPAUSE"])?;
            inspector.text(&["INFO", "clients"])
        };
        let alone = |info: &String| known || field(info, "connected_clients") == Some("1");
        if self.wait(look, alone)?.is_some() {
            let list = self.text(&["CLIENT", "LIST"])?;
            self.rules.expect(Check::Ghosts, false, || list)?;
        }
        let info = self.text(&["INFO", "clients"])?;
        Ok(field(&info, "connected_clients") == Some("1"))
    }

    fn find_traces(&mut self) -> Result<(), Violation> {
        for (check, name) in ZERO.iter().filter(|row| self.rules.is_on(row.0)) {
            let look = |inspector: &mut Self| inspector.text(&["INFO", "clients"]);
            let zero = |info: &String| field(info, name).is_none_or(|value| value == "0");
            if let Some(info) = self.wait(look, zero)? {
                let text = format!("{name} is {}", field(&info, name).unwrap_or_default());
                self.rules.expect(*check, false, || text)?;
            }
        }
        let questions: [&[&str]; 3] =
            [&["PUBSUB", "CHANNELS"], &["PUBSUB", "SHARDCHANNELS"], &["PUBSUB", "NUMPAT"]];
        for words in questions {
            let reply = self.ask(words)?;
            let none = matches!(&reply, Reply::Group(_, members) if members.is_empty())
                || matches!(reply, Reply::Integer(0) | Reply::Error(_));
            let text = || format!("{} gives {}", words.join(" "), reply.lines().join(" "));
            self.rules.expect(Check::Channels, none, text)?;
        }
        // A client that has gone may have asked for a pause with its last request: it is short.
        let look = |inspector: &mut Self| inspector.text(&["INFO", "clients"]);
        let goes_on = |info: &String| field(info, "paused_actions").unwrap_or("none") == "none";
        let paused = self.wait(look, goes_on)?;
        self.rules.expect(Check::Held, paused.is_none(), || "a pause does not end".to_owned())
    }

    /// Counters stand where they must, pairs are equal, and what is alike is alike.
    fn count(&mut self, left: &Left) -> Result<(), Violation> {
        let Mood { evicts, flushes, .. } = left.mood;
        if evicts {
            return Ok(());
        }
        let floor = |tally: Tally| if flushes { Tally { low: 0, ..tally } } else { tally };
        for (key, tally) in &left.counters {
            self.find_in(std::slice::from_ref(key), floor(*tally), Check::Counters)?;
        }
        for (keys, tally) in &left.pairs {
            let values = self.find_in(keys, floor(*tally), Check::Atomic)?;
            let text = || format!("{keys:?} are {values:?}, within {tally:?}");
            self.rules.expect(Check::Atomic, values[0] == values[1], text)?;
        }
        let words: Vec<String> = std::iter::once("MGET".to_owned()).chain(alike_keys()).collect();
        let reply = self.ask(&words)?;
        let alike = matches!(&reply, Reply::Group(_, members)
            if members.windows(2).all(|pair| pair[0] == pair[1]));
        self.rules.expect(Check::Atomic, alike, || reply.lines().join(" "))
    }

    /// What counters at these keys stand at together, each within its tally.
    fn find_in(
        &mut self,
        keys: &[String],
        tally: Tally,
        check: Check,
    ) -> Result<Vec<u64>, Violation> {
        // What was sent before a close may take its time.
        let known = !self.rules.is_on(Check::Close);
        let arrived = |values: &Vec<u64>| known || values.iter().all(|it| tally.low <= *it);
        let late = self.wait(|inspector| inspector.numbers(keys), arrived)?;
        let values = late.map_or_else(|| self.numbers(keys), Ok)?;
        for (key, &value) in keys.iter().zip(&values) {
            let check = if value < tally.low { Check::Close } else { check };
            let text = || format!("{key} is {value}, not within {tally:?}");
            self.rules.expect(check, tally.holds(value), text)?;
        }
        Ok(values)
    }

    fn numbers(&mut self, keys: &[String]) -> Result<Vec<u64>, Violation> {
        let words: Vec<&str> =
            std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
        let Reply::Group(_, members) = self.ask(&words)? else { return Ok(vec![0; keys.len()]) };
        let number = |reply: &Reply| match reply {
            Reply::Bulk(text) => String::from_utf8_lossy(text).parse().unwrap_or(u64::MAX),
            _ => 0,
        };
        Ok(members.iter().map(number).collect())
    }

    /// No client that is gone takes what is pushed.
    fn find_thieves(&mut self) -> Result<(), Violation> {
        for key in AWAITED {
            self.ask(&["DEL", key])?;
            self.ask(&["RPUSH", key, "element"])?;
            let length = self.ask(&["LLEN", key])?;
            let text = || format!("of one element in {key} {} are left", length.head());
            self.rules.expect(Check::Blocked, length == Reply::Integer(1), text)?;
        }
        Ok(())
    }

    /// Whole databases can be claimed on all shards, and stay empty.
    fn find_claims(&mut self) -> Result<(), Violation> {
        let flushed = self.client.call(&["FLUSHALL", "SYNC"]);
        let text = || format!("FLUSHALL SYNC gives {flushed:?}");
        let done = matches!(&flushed, Ok(Reply::Simple(_)));
        self.rules.expect(Check::Held, done, text)?;
        flushed.map_err(|error| unreachable_server(&error))?;
        self.ask(&["CLIENT", "UNPAUSE"])?;
        if self.ask(&["DBSIZE"])? == Reply::Integer(0) {
            return Ok(());
        }
        let keys = self.ask(&["KEYS", "*"])?;
        self.rules.expect(Check::Late, false, || keys.lines().join(" "))
    }
}

/// The value of a field in a text of INFO.
pub fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

/// A number that INFO memory gives.
pub fn memory(client: &mut Client, name: &str) -> io::Result<u64> {
    let Reply::Bulk(text) = client.call(&["INFO", "memory"])? else {
        return Err(io::Error::other("INFO gives no text"));
    };
    let text = String::from_utf8_lossy(&text);
    field(&text, name).and_then(|value| value.parse().ok()).ok_or(io::Error::other("no such field"))
}
