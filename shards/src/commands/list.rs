//! The list of list commands, and what several of them share.

mod blmove;
mod blmpop;
mod blpop;
mod lindex;
mod linsert;
mod llen;
pub mod lmove;
pub mod lmpop;
mod lpos;
mod lrange;
mod lrem;
mod lset;
mod ltrim;
pub mod pop;
mod push;

use crate::base::number::parse_i64;
use crate::commands::spec::Command;
use crate::encodings::listpack::Element;
use crate::encodings::quicklist::End;
use crate::keyspace::selected::Selected;
use crate::resp::error::Error;
use crate::resp::reply::Replies;
use crate::types::limits::ListLimits;

/// Every list command.
pub const COMMANDS: &[Command] = &[
    blmove::BLMOVE,
    blmpop::BLMPOP,
    blpop::BLPOP,
    blpop::BRPOP,
    blmove::BRPOPLPUSH,
    lindex::LINDEX,
    linsert::LINSERT,
    llen::LLEN,
    lmove::LMOVE,
    lmpop::LMPOP,
    pop::LPOP,
    lpos::LPOS,
    push::LPUSH,
    push::LPUSHX,
    lrange::LRANGE,
    lrem::LREM,
    lset::LSET,
    ltrim::LTRIM,
    pop::RPOP,
    lmove::RPOPLPUSH,
    push::RPUSH,
    push::RPUSHX,
];

/// Appends an element as a bulk string.
#[inline]
fn reply_element(replies: &mut Replies<'_>, element: Element<'_>) {
    match element {
        Element::Int(number) => replies.bulk_integer(number),
        Element::Bytes(bytes) => replies.bulk(bytes),
    }
}

/// `LEFT` or `RIGHT`.
fn parse_end(word: &[u8]) -> Result<End, Error> {
    if word.eq_ignore_ascii_case(b"LEFT") {
        Ok(End::Left)
    } else if word.eq_ignore_ascii_case(b"RIGHT") {
        Ok(End::Right)
    } else {
        Err(Error::Syntax)
    }
}

const NO_MINIMUM: Error = Error::Text(
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
);

/// An integer whose negative is one, too.
fn parse_signed(text: &[u8]) -> Result<i64, Error> {
    match parse_i64(text).ok_or(Error::NotInteger)? {
        i64::MIN => Err(NO_MINIMUM),
        number => Ok(number),
    }
}

/// The elements from `start` to `stop`, both of which count from the end if negative, of a list
/// of `len`: the number of the first one and that behind the last one.
fn span(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let place = |index: i64| {
        let distance = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
        if index < 0 { len.checked_sub(distance) } else { Some(distance) }
    };
    let (first, last) = (place(start).unwrap_or(0), place(stop));
    match last {
        Some(last) if first <= last && first < len => (first, len.min(last.saturating_add(1))),
        Some(_) | None => (0, 0),
    }
}

/// The limits that lists obey.
#[inline]
fn limits(db: &Selected<'_>) -> ListLimits {
    db.keyspace.settings.limits.list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Harness;
    use crate::keyspace::chores::Left;

    /// Valkey's events and what it propagates, as observed.
    #[test]
    fn commands_leave_behind_what_valkey_does() {
        let mut harness = Harness::new();
        for (line, changes, events, log) in [
            ("LPUSH k a b c", 3, "new:k lpush:k", "LPUSH k a b c"),
            ("LPUSHX k d", 1, "lpush:k", "LPUSHX k d"),
            ("LPUSHX none d", 0, "", ""),
            ("RPUSH k 1 2 3", 3, "rpush:k", "RPUSH k 1 2 3"),
            ("RPUSHX k 1", 1, "rpush:k", "RPUSHX k 1"),
            ("LPOP k", 1, "lpop:k", "LPOP k"),
            ("LPOP k 0", 0, "", ""),
            ("LPOP k 2", 2, "lpop:k", "LPOP k 2"),
            ("RPOP k 100", 5, "rpop:k del:k", "RPOP k 100"),
            ("LPOP k", 0, "", ""),
            ("LPOP k 2", 0, "", ""),
            ("RPUSH k a b c a b c", 6, "new:k rpush:k", "RPUSH k a b c a b c"),
            ("LRANGE k 0 1", 0, "", ""),
            ("LRANGE none 0 1", 0, "keymiss:none", ""),
            ("LINDEX none 1", 0, "keymiss:none", ""),
            ("LLEN none", 0, "keymiss:none", ""),
            ("LPOS none a", 0, "keymiss:none", ""),
            ("LSET k 0 x", 1, "lset:k", "LSET k 0 x"),
            ("LSET k 10 x", 0, "", ""),
            ("LINSERT k before b z", 1, "linsert:k", "LINSERT k before b z"),
            ("LINSERT k before q z", 0, "", ""),
            ("LINSERT none before q z", 0, "", ""),
            ("LREM k 0 b", 2, "lrem:k", "LREM k 0 b"),
            ("LREM k 0 q", 0, "", ""),
            ("LTRIM k 0 -1", 0, "ltrim:k", ""),
            ("LTRIM k 1 -2", 2, "ltrim:k", "LTRIM k 1 -2"),
            ("LTRIM k 5 4", 3, "ltrim:k del:k", "LTRIM k 5 4"),
            ("LTRIM none 5 4", 0, "", ""),
            ("RPUSH k a", 1, "new:k rpush:k", "RPUSH k a"),
            ("LMOVE k k LEFT RIGHT", 1, "rpush:k lpop:k", "LMOVE k k LEFT RIGHT"),
            ("LMOVE k j LEFT RIGHT", 1, "new:j rpush:j lpop:k del:k", "LMOVE k j LEFT RIGHT"),
            ("LMOVE j k RIGHT LEFT", 1, "new:k lpush:k rpop:j del:j", "LMOVE j k RIGHT LEFT"),
            ("RPOPLPUSH k j", 1, "new:j lpush:j rpop:k del:k", "RPOPLPUSH k j"),
            ("RPOPLPUSH k j", 0, "", ""),
            ("RPUSH k a b c d e", 5, "new:k rpush:k", "RPUSH k a b c d e"),
            ("LMPOP 2 none k LEFT", 1, "lpop:k", "LPOP k 1"),
            ("LMPOP 2 none k RIGHT COUNT 2", 2, "rpop:k", "RPOP k 2"),
            ("LMPOP 2 none k RIGHT COUNT 20", 2, "rpop:k del:k", "RPOP k 2"),
            ("LMPOP 2 none k RIGHT COUNT 20", 0, "", ""),
            ("RPUSH k a b", 2, "new:k rpush:k", "RPUSH k a b"),
            ("LREM k -1 a", 1, "lrem:k", "LREM k -1 a"),
            ("LREM k 1 b", 1, "lrem:k del:k", "LREM k 1 b"),
            ("BLPOP k none 0", 0, "", ""),
            ("BLMOVE k none LEFT LEFT 0", 0, "", ""),
            ("RPUSH k a b c d e", 5, "new:k rpush:k", "RPUSH k a b c d e"),
            ("BLPOP none k 0", 1, "lpop:k", "LPOP k"),
            ("BRPOP k none 0", 1, "rpop:k", "RPOP k"),
            ("BLMPOP 0 2 none k LEFT", 1, "lpop:k", "LPOP k 1"),
            ("BLMOVE k l LEFT RIGHT 0", 1, "new:l rpush:l lpop:k", "LMOVE k l LEFT RIGHT"),
            ("BRPOPLPUSH k l 0", 1, "lpush:l rpop:k del:k", "RPOPLPUSH k l"),
        ] {
            harness.check(line, changes, events, log);
        }
    }

    #[test]
    fn a_span_stays_within_the_list() {
        for (start, stop, expected) in [
            (0, -1, (0, 5)),
            (0, 0, (0, 1)),
            (1, 2, (1, 3)),
            (-2, -1, (3, 5)),
            (-9, 9, (0, 5)),
            (4, 9, (4, 5)),
            (5, 9, (0, 0)),
            (3, 2, (0, 0)),
            (0, -6, (0, 0)),
            (-9, -6, (0, 0)),
            (i64::MIN, i64::MAX, (0, 5)),
            (i64::MAX, i64::MIN, (0, 0)),
            (i64::MIN, i64::MIN, (0, 0)),
            (i64::MAX, i64::MAX, (0, 0)),
        ] {
            assert_eq!(span(start, stop, 5), expected, "{start} {stop}");
            assert_eq!(span(start, stop, 0), (0, 0));
        }
    }

    #[test]
    fn what_is_trimmed_off_a_long_list_is_freed_later() {
        let mut harness = Harness::new();
        harness.keyspace.settings.limits.list.listpack_size = 1;
        (0..400).for_each(|_| drop(harness.run("RPUSH k a")));
        harness.run("LTRIM k 100 -101");
        assert_eq!(
            (harness.run("LLEN k").as_str(), harness.keyspace.garbage.len()),
            (":200\\r\\n", 2)
        );
        harness.run("LPOP k 100");
        assert_eq!(
            (harness.run("LLEN k").as_str(), harness.keyspace.garbage.len()),
            (":100\\r\\n", 3)
        );
        harness.run("LTRIM k 1 0");
        assert_eq!((harness.keyspace.dbs[0].len(), harness.keyspace.garbage.len()), (0, 4));
        let slices =
            (1..).find(|_| harness.keyspace.free_garbage(50).left == Left::Nothing).unwrap();
        assert_eq!(slices, 8);
    }
}
