//! GETRANGE key start end, SUBSTR key start end

use core::ops::Range;

use crate::base::number::parse_i64;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

pub(super) const GETRANGE: Command = Command {
    spec: Spec {
        name: "getrange",
        since: "2.4.0",
        summary: "Returns a part of a string value.",
        ..SPEC
    },
    run: getrange,
};

pub(super) const SUBSTR: Command = Command {
    spec: Spec {
        name: "substr",
        since: "1.0.0",
        summary: "Returns a part of a string value; the older name of GETRANGE.",
        ..SPEC
    },
    run: getrange,
};

const SPEC: Spec = Spec {
    group: Group::String,
    complexity: "O(N), N being the length of the part returned.",
    syntax: "key start end",
    arity: Arity::Exactly(4),
    flags: Flags::of(&[Flag::ReadOnly]),
    keys: &[KeySpec::first(&["RO", "ACCESS"])],
    ..Spec::EMPTY
};

fn getrange(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let start = parse_i64(ctx.args[2]).ok_or(Error::NotInteger)?;
    let end = parse_i64(ctx.args[3]).ok_or(Error::NotInteger)?;
    let key = ctx.key(1);
    let mut scratch = [0; 20];
    match ctx.db.read(key) {
        Some(entry) => {
            let bytes = entry.bytes(&mut scratch).ok_or(Error::WrongType)?;
            ctx.replies.bulk(&bytes[part(start, end, bytes.len())]);
        }
        None => ctx.replies.bulk(b""),
    }
    Ok(())
}

/// The part from `start` to `end`, both included and negative from the end. As in Valkey, an end
/// before the first byte means the first byte, unless it lies before the start as well.
fn part(start: i64, end: i64, len: usize) -> Range<usize> {
    if start < 0 && end < start {
        return 0..0;
    }
    let len = len as i64; // No allocation is longer than 63 bits can count.
    let from_front = |at: i64| if at < 0 { (at + len).max(0) } else { at };
    let end = from_front(end).saturating_add(1).min(len);
    let start = from_front(start).min(end);
    let index = |at: i64| usize::try_from(at).expect("it lies between 0 and the length");
    index(start)..index(end)
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn ends_are_included_and_negative_ones_count_from_the_end() {
        for (start, end, expected) in [
            (0, -1, 0..4),
            (1, 2, 1..3),
            (-3, -2, 1..3),
            (3, 1, 2..2),
            (4, 9, 4..4),
            (9, 9, 4..4),
            (-100, -50, 0..1),
            (-50, -100, 0..0),
            (i64::MIN, i64::MAX, 0..4),
            (i64::MAX, i64::MIN, 1..1),
        ] {
            assert_eq!(part(start, end, 4), expected, "{start} {end}");
        }
        assert_eq!(part(0, -1, 0), 0..0);
    }
}
