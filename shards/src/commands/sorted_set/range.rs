//! What ZRANGE and its many forms ask for: bounds, direction and limit.

use core::ops::Range;

use super::bounds::{lex_range, score_range};
use crate::base::number::parse_i64;
use crate::base::spelling::Spelling;
use crate::resp::error::Error;
use crate::types::sorted_set::SortedSet;
use crate::types::sorted_set::bounds::{LexRange, ScoreRange};

/// By what a range is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Rank,
    Score,
    Lex,
}

/// What the form of the command leaves open, and what it says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Form {
    /// By what the range is given; if `None`, an option may say it.
    pub(super) by: Option<By>,
    /// Whether it is read from its end; if `None`, an option may say it.
    pub(super) reverse: Option<bool>,
    /// Whether scores cannot be asked for.
    pub(super) stores: bool,
}

/// A range as it was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    bounds: Bounds<'a>,
    /// From the highest member to the lowest.
    pub(super) reverse: bool,
    /// Whether scores are shown.
    pub(super) with_scores: bool,
    offset: i64,
    /// All of them if negative.
    limit: i64,
}

#[derive(Clone, Copy, Debug)]
enum Bounds<'a> {
    Rank(i64, i64),
    Score(ScoreRange),
    Lex(LexRange<'a>),
}

impl<'a> Request<'a> {
    /// Reads `start stop [options]`.
    pub(super) fn parse(args: &[&'a [u8]], form: Form, spelling: Spelling) -> Result<Self, Error> {
        let (mut by, mut reverse, mut with_scores) = (form.by, form.reverse, false);
        let (mut offset, mut limit) = (0, -1);
        let mut options = &args[2..];
        while let [name, rest @ ..] = options {
            options = rest;
            let is = |option: &str| name.eq_ignore_ascii_case(option.as_bytes());
            if !form.stores && is("WITHSCORES") {
                with_scores = true;
            } else if let [first, count, rest @ ..] = rest
                && is("LIMIT")
            {
                offset = parse_i64(first).ok_or(Error::NotInteger)?;
                limit = parse_i64(count).ok_or(Error::NotInteger)?;
                options = rest;
            } else if reverse.is_none() && is("REV") {
                reverse = Some(true);
            } else if by.is_none() && is("BYLEX") {
                by = Some(By::Lex);
            } else if by.is_none() && is("BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(Error::Syntax);
            }
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if limit != -1 && by == By::Rank {
            return Err(Error::Text(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or \
                 BYLEX",
            ));
        }
        if with_scores && by == By::Lex {
            return Err(Error::Text(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let (min, max) = if reverse { (args[1], args[0]) } else { (args[0], args[1]) };
        let bounds = match by {
            By::Rank => {
                let number = |text| parse_i64(text).ok_or(Error::NotInteger);
                Bounds::Rank(number(args[0])?, number(args[1])?)
            }
            By::Score => Bounds::Score(score_range(min, max, spelling)?),
            By::Lex => Bounds::Lex(lex_range(min, max)?),
        };
        Ok(Self { bounds, reverse, with_scores, offset, limit })
    }

    /// The ranks, in ascending order, of the members asked for.
    pub(super) fn ranks(&self, set: &SortedSet) -> Range<usize> {
        match &self.bounds {
            Bounds::Rank(start, stop) => {
                let len = set.len();
                let ranks = by_rank(*start, *stop, len);
                if self.reverse { len - ranks.end..len - ranks.start } else { ranks }
            }
            Bounds::Score(range) => self.limited(set, set.ranks(range)),
            Bounds::Lex(range) => self.limited(set, set.ranks(range)),
        }
    }

    /// Whether the members asked for depend on how the set is encoded, which may be otherwise on a
    /// replica.
    pub(super) fn depends_on_encoding(&self) -> bool {
        self.offset < 0 && !matches!(self.bounds, Bounds::Rank(..))
    }

    fn limited(&self, set: &SortedSet, ranks: Range<usize>) -> Range<usize> {
        let offset = match set {
            // Valkey counts negative offsets from the end here, and finds nothing there in small
            // sets.
            SortedSet::Skiplist(_) if self.offset < 0 => {
                let from_end = usize::try_from(self.offset.unsigned_abs()).unwrap_or(usize::MAX);
                ranks.len().checked_sub(from_end).unwrap_or(usize::MAX)
            }
            SortedSet::Skiplist(_) | SortedSet::Listpack(_) => {
                usize::try_from(self.offset).unwrap_or(usize::MAX)
            }
        };
        let offset = offset.min(ranks.len());
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let count = limit.min(ranks.len() - offset);
        if self.reverse {
            let end = ranks.end - offset;
            end - count..end
        } else {
            let start = ranks.start + offset;
            start..start + count
        }
    }
}

/// The ranks from `start` to `stop`, both included; negative ones count from the end.
pub(super) fn by_rank(start: i64, stop: i64, len: usize) -> Range<usize> {
    let len = i64::try_from(len).expect("members lie in memory");
    let from_end = |rank: i64| if rank < 0 { rank.saturating_add(len).max(-1) } else { rank };
    let (start, stop) = (from_end(start).max(0), from_end(stop).min(len - 1));
    if stop < start {
        return 0..0;
    }
    let rank = |rank| usize::try_from(rank).expect("it is not negative");
    rank(start)..rank(stop) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_count_from_either_end() {
        for ((start, stop), expected) in [
            ((0, -1), 0..5),
            ((1, 1), 1..2),
            ((-2, -1), 3..5),
            ((-9, 9), 0..5),
            ((3, 2), 0..0),
            ((5, 9), 0..0),
            ((0, -6), 0..0),
            ((i64::MIN, i64::MAX), 0..5),
            ((i64::MAX, i64::MIN), 0..0),
        ] {
            assert_eq!(by_rank(start, stop, 5), expected, "{start} {stop}");
        }
        assert_eq!(by_rank(0, -1, 0), 0..0);
    }
}
