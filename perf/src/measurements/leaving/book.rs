//! What a writer has been told of its writes, and what must therefore be found.

use std::collections::BTreeMap;

use crate::servers::client::write_request;

/// How a writer writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// SET of a number that is larger than those before.
    Set,
    /// APPEND of a number that is sent once, or again if it was refused.
    Append,
}

/// A write that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Its key.
    pub key: String,
    /// What it writes.
    pub number: u64,
}

/// What is known of one key.
#[derive(Clone, Debug, Default)]
struct Entry {
    /// Numbers that were acknowledged; of a key that is SET, the last one.
    acknowledged: Vec<u64>,
    /// Numbers of which nothing was heard: they may be there.
    open: Vec<u64>,
}

/// The writes of a round, by key.
#[derive(Clone, Debug)]
pub struct Book {
    deed: Deed,
    /// The first number that may be written in this round.
    first: u64,
    entries: BTreeMap<String, Entry>,
}

/// What was wrong with a key, or with several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wrong {
    /// Acknowledged numbers that are not there.
    pub lost: u64,
    /// Numbers that were applied twice, or though they had been refused.
    pub twice: u64,
}

impl Wrong {
    /// The larger of each.
    pub fn max(self, other: Self) -> Self {
        Self { lost: self.lost.max(other.lost), twice: self.twice.max(other.twice) }
    }
}

impl Book {
    /// An empty book, for numbers from `first` on.
    pub fn new(deed: Deed, first: u64) -> Self {
        Self { deed, first, entries: BTreeMap::new() }
    }

    /// Appends the request that writes.
    pub fn request(&self, write: &Write, out: &mut Vec<u8>) {
        let number = write.number;
        match self.deed {
            Deed::Set => write_request(out, &["SET", &write.key, &number.to_string()]),
            Deed::Append => write_request(out, &["APPEND", &write.key, &format!("{number};")]),
        }
    }

    /// It was acknowledged.
    pub fn acknowledge(&mut self, write: &Write) {
        let entry = self.entries.entry(write.key.clone()).or_default();
        if self.deed == Deed::Set {
            // What was sent before, and comes to be applied later, is as wrong as a loss.
            entry.acknowledged.clear();
            entry.open.retain(|number| write.number < *number);
        }
        entry.acknowledged.push(write.number);
    }

    /// Its connection was closed before anything was heard of it.
    pub fn leave_open(&mut self, write: &Write) {
        self.entries.entry(write.key.clone()).or_default().open.push(write.number);
    }

    /// Compares with what a key holds; `None` if there is no such key.
    pub fn judge(&self, key: &str, found: Option<&str>) -> Wrong {
        // Of a key that has no entry all writes were refused.
        let none = Entry::default();
        let entry = self.entries.get(key).unwrap_or(&none);
        match self.deed {
            Deed::Set => entry.judge_number(found, self.first),
            Deed::Append => entry.judge_list(found.unwrap_or_default()),
        }
    }

    /// A key's last numbers, and what it holds, for messages.
    pub fn explain(&self, key: &str, found: Option<&str>) -> String {
        let Some(entry) = self.entries.get(key) else { return "never written".into() };
        let tail = |numbers: &[u64]| format!("{:?}", &numbers[numbers.len().saturating_sub(5)..]);
        let found = found.unwrap_or("nothing");
        let end = found.get(found.len().saturating_sub(100)..).unwrap_or(found);
        let (acknowledged, open) = (tail(&entry.acknowledged), tail(&entry.open));
        format!("acknowledged {acknowledged}, open {open}, found {end}")
    }
}

impl Entry {
    fn judge_number(&self, found: Option<&str>, first: u64) -> Wrong {
        let found: u64 = found.and_then(|text| text.parse().ok()).unwrap_or(0);
        let acknowledged = self.acknowledged.last().copied();
        if acknowledged == Some(found) || self.open.contains(&found) {
            return Wrong::default();
        }
        // Larger numbers were sent, and refused.
        let is_refused = acknowledged.unwrap_or(first.saturating_sub(1)) < found;
        let is_lost = acknowledged.is_some_and(|acknowledged| found < acknowledged);
        Wrong { lost: is_lost.into(), twice: is_refused.into() }
    }

    fn judge_list(&self, found: &str) -> Wrong {
        let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
        for number in found.split_terminator(';').filter_map(|text| text.parse().ok()) {
            *counts.entry(number).or_default() += 1;
        }
        let mut wrong = Wrong::default();
        for number in &self.acknowledged {
            match counts.remove(number) {
                None => wrong.lost += 1,
                Some(count) => wrong.twice += count - 1,
            }
        }
        for number in &self.open {
            wrong.twice += counts.remove(number).map_or(0, |count| count - 1);
        }
        wrong.twice += counts.values().sum::<u64>();
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(deed: Deed, acknowledged: &[u64], open: &[u64]) -> Book {
        let write = |number: &u64| Write { key: "key".into(), number: *number };
        let mut book = Book::new(deed, 10);
        open.iter().for_each(|number| book.leave_open(&write(number)));
        acknowledged.iter().for_each(|number| book.acknowledge(&write(number)));
        book
    }

    fn check(deed: Deed, acknowledged: &[u64], open: &[u64], cases: &[(Option<&str>, u64, u64)]) {
        for (found, lost, twice) in cases {
            let expected = Wrong { lost: *lost, twice: *twice };
            let judged = book(deed, acknowledged, open).judge("key", *found);
            assert_eq!(judged, expected, "{acknowledged:?} {open:?} {found:?}");
        }
    }

    #[test]
    fn the_last_number_that_was_acknowledged_is_there_or_a_later_one_that_was_sent() {
        check(
            Deed::Set,
            &[11, 14],
            &[12, 16],
            &[
                (Some("14"), 0, 0),
                (Some("16"), 0, 0),
                (Some("11"), 1, 0),
                // It was sent before the other was acknowledged, and came behind it.
                (Some("12"), 1, 0),
                (None, 1, 0),
                // It can only have been refused.
                (Some("15"), 0, 1),
            ],
        );
    }

    #[test]
    fn a_key_that_was_never_acknowledged_may_hold_what_it_held() {
        check(Deed::Set, &[], &[12], &[(None, 0, 0), (Some("7"), 0, 0), (Some("12"), 0, 0)]);
        check(Deed::Set, &[], &[12], &[(Some("13"), 0, 1)]);
    }

    #[test]
    fn each_number_that_was_appended_is_there_once() {
        check(
            Deed::Append,
            &[11, 12],
            &[13],
            &[
                (Some("11;12;"), 0, 0),
                (Some("11;13;12;"), 0, 0),
                (Some("11;"), 1, 0),
                (None, 2, 0),
                (Some("11;12;11;"), 0, 1),
                (Some("11;12;13;13;"), 0, 1),
                // It can only have been refused.
                (Some("11;12;14;"), 0, 1),
            ],
        );
    }

    #[test]
    fn keeps_one_number_of_a_key_that_is_set_and_all_that_are_appended() {
        let count = |deed| book(deed, &[11, 12], &[]).entries["key"].acknowledged.len();
        assert_eq!((count(Deed::Set), count(Deed::Append)), (1, 2));
        assert_eq!(book(Deed::Set, &[11], &[]).judge("other", None), Wrong::default());
        assert_eq!(book(Deed::Set, &[11], &[]).judge("other", Some("12")).twice, 1);
    }

    #[test]
    fn requests_say_what_is_written() {
        for (deed, expected) in [
            (Deed::Set, "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$2\r\n12\r\n"),
            (Deed::Append, "*3\r\n$6\r\nAPPEND\r\n$3\r\nkey\r\n$3\r\n12;\r\n"),
        ] {
            let mut out = Vec::new();
            book(deed, &[], &[]).request(&Write { key: "key".into(), number: 12 }, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
