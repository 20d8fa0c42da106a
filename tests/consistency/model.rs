//! A small model of the server: what commands answer and leave behind when they run one by one.
//!
//! It knows the commands that the workloads send, on strings without expiry.

use std::rc::Rc;

use crate::client::Reply;
use crate::history::Event;

/// Every key of every database: few, so a sorted list, which is shared until it changes because
/// a search holds many states.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State(Rc<Vec<Entry>>);

/// Database, key, value.
type Entry = (usize, Rc<str>, Rc<str>);

impl State {
    /// Lets an event happen; `None` if it would have gone otherwise in this state.
    pub fn after(&self, event: &Event) -> Option<Self> {
        let as_watched = |(key, seen): &(String, Reply)| bulk(self.get(event.db, key)) == *seen;
        if !event.guard.iter().all(as_watched) {
            return None;
        }
        let mut state = self.clone();
        for (at, words) in event.unit.iter().enumerate() {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            if words[0] == "RANDOMKEY" {
                match event.replies.get(at) {
                    Some(seen) if !state.can_pick(event.db, seen) => return None,
                    _ => continue,
                }
            }
            let reply = state.run(event.db, &words);
            if event.replies.get(at).is_some_and(|seen| *seen != reply) {
                return None;
            }
        }
        Some(state)
    }

    fn find(&self, db: usize, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(d, k, _)| (*d, &**k).cmp(&(db, key)))
    }

    fn get(&self, db: usize, key: &str) -> Option<&str> {
        self.find(db, key).ok().map(|at| &*self.0[at].2)
    }

    fn set(&mut self, db: usize, key: &str, value: impl Into<Rc<str>>) {
        let found = self.find(db, key);
        let entries = Rc::make_mut(&mut self.0);
        match found {
            Ok(at) => entries[at].2 = value.into(),
            Err(at) => entries.insert(at, (db, key.into(), value.into())),
        }
    }

    fn take(&mut self, db: usize, key: &str) -> Option<Rc<str>> {
        let at = self.find(db, key).ok()?;
        Some(Rc::make_mut(&mut self.0).remove(at).2)
    }

    fn has(&self, db: usize, key: &str) -> bool {
        self.find(db, key).is_ok()
    }

    fn keys(&self, db: usize) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(d, ..)| *d == db).map(|(_, key, _)| &**key)
    }

    fn can_pick(&self, db: usize, seen: &Reply) -> bool {
        match seen {
            Reply::Bulk(key) => self.keys(db).any(|name| name.as_bytes() == key),
            other => *other == Reply::NullBulk && self.keys(db).next().is_none(),
        }
    }

    /// Runs a command and gives its reply.
    pub fn run(&mut self, db: usize, words: &[&str]) -> Reply {
        match *words {
            ["GET", key] => bulk(self.get(db, key)),
            ["SET", key, value] => {
                self.set(db, key, value);
                ok()
            }
            ["SET", key, _, "NX"] if self.has(db, key) => Reply::NullBulk,
            ["SET", key, _, "XX"] if !self.has(db, key) => Reply::NullBulk,
            ["SET", key, value, "NX" | "XX"] => {
                self.set(db, key, value);
                ok()
            }
            ["GETSET", key, value] => {
                let old = bulk(self.get(db, key));
                self.set(db, key, value);
                old
            }
            ["GETDEL", key] => bulk(self.take(db, key).as_deref()),
            ["SETNX", key, value] => self.msetnx(db, &[key, value]),
            ["APPEND", key, more] => {
                let value = format!("{}{more}", self.get(db, key).unwrap_or(""));
                self.set(db, key, value.as_str());
                number(value.len())
            }
            ["STRLEN", key] => number(self.get(db, key).unwrap_or("").len()),
            ["INCR", key] => self.add(db, key, 1),
            ["INCRBY", key, by] => self.add(db, key, by.parse().expect("the workload's number")),
            ["MGET", ref keys @ ..] => {
                Reply::Group('*', keys.iter().map(|key| bulk(self.get(db, key))).collect())
            }
            ["MSET", ref pairs @ ..] => {
                pairs.chunks_exact(2).for_each(|pair| self.set(db, pair[0], pair[1]));
                ok()
            }
            ["MSETNX", ref pairs @ ..] => self.msetnx(db, pairs),
            ["DEL" | "UNLINK", ref keys @ ..] => {
                number(keys.iter().filter_map(|key| self.take(db, key)).count())
            }
            ["EXISTS" | "TOUCH", ref keys @ ..] => {
                number(keys.iter().filter(|key| self.has(db, key)).count())
            }
            _ => self.run_rare(db, words),
        }
    }

    /// Commands that move things about.
    fn run_rare(&mut self, db: usize, words: &[&str]) -> Reply {
        match *words {
            ["RENAME" | "RENAMENX", from, _] if !self.has(db, from) => error("ERR no such key"),
            ["RENAMENX", _, to] if self.has(db, to) => number(0),
            ["RENAME" | "RENAMENX", from, to] => {
                let value = self.take(db, from).expect("it was just looked for");
                self.set(db, to, value);
                if words[0] == "RENAME" { ok() } else { number(1) }
            }
            ["COPY", from, to] => self.copy((db, from), (db, to), false),
            ["COPY", from, to, "REPLACE"] => self.copy((db, from), (db, to), true),
            ["COPY", from, to, "DB", other] => self.copy((db, from), (digit(other), to), false),
            ["MOVE", key, other] => {
                let moved = self.copy((db, key), (digit(other), key), false);
                if moved == number(1) {
                    self.take(db, key);
                }
                moved
            }
            ["BITOP", operation, to, ref from @ ..] => self.bitop(db, operation, to, from),
            // Any key would do.
            ["RANDOMKEY"] => bulk(self.keys(db).next()),
            ["DBSIZE"] => number(self.keys(db).count()),
            // The workloads sort what KEYS answers: it has no order.
            ["KEYS", "*"] => Reply::Group('*', self.keys(db).map(|key| bulk(Some(key))).collect()),
            ["FLUSHDB"] => {
                Rc::make_mut(&mut self.0).retain(|(d, ..)| *d != db);
                ok()
            }
            ["FLUSHALL"] => {
                self.0 = Rc::default();
                ok()
            }
            ["SWAPDB", one, other] => {
                let (one, other) = (digit(one), digit(other));
                let swapped = |db| {
                    if db == one {
                        other
                    } else if db == other {
                        one
                    } else {
                        db
                    }
                };
                let entries = Rc::make_mut(&mut self.0);
                entries.iter_mut().for_each(|entry| entry.0 = swapped(entry.0));
                entries.sort_unstable();
                ok()
            }
            _ => panic!("the model does not know {words:?}"),
        }
    }

    fn add(&mut self, db: usize, key: &str, by: i64) -> Reply {
        let old = self.get(db, key).unwrap_or("0");
        let canonical = |number: &i64| number.to_string() == old;
        let Some(number) = old.parse::<i64>().ok().filter(canonical) else {
            return error("ERR value is not an integer or out of range");
        };
        let Some(sum) = number.checked_add(by) else {
            return error("ERR increment or decrement would overflow");
        };
        self.set(db, key, sum.to_string());
        Reply::Integer(sum)
    }

    fn msetnx(&mut self, db: usize, pairs: &[&str]) -> Reply {
        if pairs.iter().step_by(2).any(|key| self.has(db, key)) {
            return number(0);
        }
        pairs.chunks_exact(2).for_each(|pair| self.set(db, pair[0], pair[1]));
        number(1)
    }

    fn copy(&mut self, from: (usize, &str), to: (usize, &str), replace: bool) -> Reply {
        let Some(value) = self.get(from.0, from.1).map(Rc::<str>::from) else { return number(0) };
        if self.has(to.0, to.1) && !replace {
            return number(0);
        }
        self.set(to.0, to.1, value);
        number(1)
    }

    fn bitop(&mut self, db: usize, operation: &str, to: &str, from: &[&str]) -> Reply {
        let sources: Vec<&[u8]> =
            from.iter().map(|key| self.get(db, key).unwrap_or("").as_bytes()).collect();
        let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
        let byte = |at: usize| {
            let bytes = sources.iter().map(|source| source.get(at).copied().unwrap_or(0));
            match operation {
                "OR" => bytes.fold(0, |a, b| a | b),
                "AND" => bytes.fold(0xff, |a, b| a & b),
                _ => panic!("the model does not know BITOP {operation}"),
            }
        };
        let result: Vec<u8> = (0..len).map(byte).collect();
        if result.is_empty() {
            self.take(db, to);
        } else {
            // AND and OR of ASCII give ASCII.
            self.set(db, to, String::from_utf8(result).expect("ASCII"));
        }
        number(len)
    }
}

fn digit(word: &str) -> usize {
    word.parse().expect("the workload names databases by number")
}

fn ok() -> Reply {
    Reply::Simple(b"OK".to_vec())
}

fn error(text: &str) -> Reply {
    Reply::Error(text.as_bytes().to_vec())
}

fn number(count: usize) -> Reply {
    Reply::Integer(i64::try_from(count).expect("few"))
}

fn bulk(value: Option<&str>) -> Reply {
    value.map_or(Reply::NullBulk, |value| Reply::Bulk(value.as_bytes().to_vec()))
}
