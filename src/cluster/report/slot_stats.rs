//! CLUSTER SLOT-STATS: what slots have and cost, a range of them or the first by some figure.

use std::cmp::Reverse;

use shards::base::number::parse_i64;
use shards::base::slot::{SLOTS, Slot};
use shards::resp::error::Error;
use shards::resp::reply::Replies;

/// What is said of one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Keys in all databases.
    pub keys: u64,
    /// Microseconds that its commands took.
    pub micros: u64,
    /// Bytes of requests.
    pub bytes_in: u64,
    /// Bytes of replies.
    pub bytes_out: u64,
}

/// By which figure slots are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// `key-count`
    Keys,
    /// `cpu-usec`
    Micros,
    /// `network-bytes-in`
    BytesIn,
    /// `network-bytes-out`
    BytesOut,
}

/// Which slots come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// By this.
    pub metric: Metric,
    /// The smallest first.
    pub ascends: bool,
    /// So many slots at most.
    pub limit: usize,
}

const METRICS: [(&str, Metric); 4] = [
    ("key-count", Metric::Keys),
    ("cpu-usec", Metric::Micros),
    ("network-bytes-in", Metric::BytesIn),
    ("network-bytes-out", Metric::BytesOut),
];

impl Order {
    /// The words behind ORDERBY. What is not counted orders nothing.
    ///
    /// # Errors
    /// There is no such figure, an option is there twice, the limit is no number of slots, or a
    /// word means nothing.
    pub fn parse(args: &[&[u8]], counts: bool) -> Result<Self, Error> {
        let unrecognized = Error::Text("ERR Unrecognized sort metric for ORDERBY.");
        let (word, mut rest) = args.split_first().ok_or(Error::Syntax)?;
        let known = METRICS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        let counted = known.filter(|(_, metric)| counts || *metric == Metric::Keys);
        let metric = counted.ok_or(unrecognized)?.1;
        let (mut ascends, mut limit) = (None, None);
        while let [option, behind @ ..] = rest {
            let is_repeated = if option.eq_ignore_ascii_case(b"limit")
                && let [number, behind @ ..] = behind
            {
                rest = behind;
                limit.replace(parse_limit(number)?).is_some()
            } else {
                rest = behind;
                let is_ascending = option.eq_ignore_ascii_case(b"asc");
                if !is_ascending && !option.eq_ignore_ascii_case(b"desc") {
                    return Err(Error::Syntax);
                }
                ascends.replace(is_ascending).is_some()
            };
            if is_repeated {
                return Err(Error::Text("ERR Multiple filters of the same type are disallowed."));
            }
        }
        let limit = limit.unwrap_or(usize::from(SLOTS));
        Ok(Self { metric, ascends: ascends.unwrap_or(false), limit })
    }

    /// Brings slots, which are in the order of their numbers, into this order: those that are
    /// equal stay in that order, as in Valkey.
    pub fn apply(&self, slots: &mut Vec<(Slot, Figures)>) {
        let figure = |(_, figures): &(Slot, Figures)| figures.of(self.metric);
        if self.ascends {
            slots.sort_by_key(figure);
        } else {
            slots.sort_by_key(|slot| Reverse(figure(slot)));
        }
        slots.truncate(self.limit);
    }
}

impl Figures {
    fn of(&self, metric: Metric) -> u64 {
        match metric {
            Metric::Keys => self.keys,
            Metric::Micros => self.micros,
            Metric::BytesIn => self.bytes_in,
            Metric::BytesOut => self.bytes_out,
        }
    }
}

fn parse_limit(word: &[u8]) -> Result<usize, Error> {
    let limit = parse_i64(word).and_then(|limit| usize::try_from(limit).ok());
    limit.filter(|limit| (1..=usize::from(SLOTS)).contains(limit)).ok_or(Error::Text(
        "ERR Limit has to lie in between 1 and 16384 (maximum number of slots).",
    ))
}

/// Writes the reply: for each slot its number and a map of its figures. What is not counted is not
/// in it.
pub fn write(slots: &[(Slot, Figures)], counts: bool, replies: &mut Replies<'_>) {
    let shown = &METRICS[..if counts { METRICS.len() } else { 1 }];
    replies.array(slots.len());
    for (slot, figures) in slots {
        replies.array(2);
        replies.integer(i64::from(slot.number()));
        replies.map(shown.len());
        for (name, metric) in shown {
            replies.bulk(name.as_bytes());
            replies.integer(i64::try_from(figures.of(*metric)).unwrap_or(i64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use shards::resp::reply::Protocol;

    use super::*;

    fn parse(words: &str, counts: bool) -> Result<Order, Error> {
        let words: Vec<&[u8]> = words.split_whitespace().map(str::as_bytes).collect();
        Order::parse(&words, counts)
    }

    fn slots() -> Vec<(Slot, Figures)> {
        let keys = [(1, 5), (2, 7), (3, 5), (4, 0)];
        let slot = |(slot, keys)| {
            (Slot::new(slot).unwrap(), Figures { keys, micros: 1000 - keys, ..Figures::default() })
        };
        keys.into_iter().map(slot).collect()
    }

    #[test]
    fn slots_with_equal_figures_keep_their_order() {
        for (words, expected) in [
            ("key-count", &[2, 1, 3, 4][..]),
            ("KEY-COUNT DESC", &[2, 1, 3, 4]),
            ("key-count asc", &[4, 1, 3, 2]),
            ("key-count limit 2", &[2, 1]),
            ("key-count asc LIMIT 3", &[4, 1, 3]),
            ("key-count limit 16384", &[2, 1, 3, 4]),
            ("cpu-usec", &[4, 1, 3, 2]),
            ("network-bytes-in", &[1, 2, 3, 4]),
            ("network-bytes-out asc", &[1, 2, 3, 4]),
        ] {
            let mut slots = slots();
            parse(words, true).unwrap().apply(&mut slots);
            let numbers: Vec<u16> = slots.iter().map(|(slot, _)| slot.number()).collect();
            assert_eq!(numbers, expected, "{words}");
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        let limit = "ERR Limit has to lie in between 1 and 16384 (maximum number of slots).";
        for (words, counts, expected) in [
            ("foo limit 0", true, "ERR Unrecognized sort metric for ORDERBY."),
            ("cpu-usec", false, "ERR Unrecognized sort metric for ORDERBY."),
            ("key-count limit 0", true, limit),
            ("key-count limit 16385", true, limit),
            ("key-count limit x foo", true, limit),
            ("key-count limit 1 limit 0", true, limit),
            ("key-count asc desc", true, "ERR Multiple filters of the same type are disallowed."),
            ("key-count limit", true, "ERR syntax error"),
            ("key-count foo", true, "ERR syntax error"),
        ] {
            let mut out = Vec::new();
            let error = parse(words, counts).unwrap_err();
            error.write(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("-{expected}\r\n"), "{words}");
        }
    }

    #[test]
    fn figures_are_maps_of_what_is_counted() {
        let (mut out, slots) = (Vec::new(), &slots()[..1]);
        write(slots, false, &mut Replies::new(&mut out, Protocol::Resp2));
        assert_eq!(out, b"*1\r\n*2\r\n:1\r\n*2\r\n$9\r\nkey-count\r\n:5\r\n");
        out.clear();
        write(slots, true, &mut Replies::new(&mut out, Protocol::Resp3));
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("*1\r\n*2\r\n:1\r\n%4\r\n$9\r\nkey-count\r\n:5\r\n"));
        assert!(text.contains("$8\r\ncpu-usec\r\n:995\r\n"));
    }
}
