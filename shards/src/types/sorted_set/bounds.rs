//! Between which scores, or which members, a range lies.

use crate::base::number::DIGITS_MAX;
use crate::encodings::listpack::Element;

/// What tells whether a member is within a range, or on which side of it.
pub trait Bounds {
    /// Whether it comes before the range.
    fn is_below(&self, score: f64, member: Element<'_>) -> bool;
    /// Whether it comes after the range.
    fn is_above(&self, score: f64, member: Element<'_>) -> bool;
}

/// Scores from `min` to `max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRange {
    /// The lowest.
    pub min: ScoreBound,
    /// The highest.
    pub max: ScoreBound,
}

/// A score at which a range ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreBound {
    /// The score.
    pub score: f64,
    /// Whether it is not part of the range.
    pub is_exclusive: bool,
}

impl Bounds for ScoreRange {
    #[inline]
    fn is_below(&self, score: f64, _: Element<'_>) -> bool {
        score < self.min.score || self.min.is_exclusive && score == self.min.score
    }

    #[inline]
    fn is_above(&self, score: f64, _: Element<'_>) -> bool {
        self.max.score < score || self.max.is_exclusive && score == self.max.score
    }
}

/// Members from `min` to `max`, for sets whose members all have the same score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LexRange<'a> {
    /// The lowest.
    pub min: LexBound<'a>,
    /// The highest.
    pub max: LexBound<'a>,
}

/// A member at which a range ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// Before all members.
    First,
    /// Behind all members.
    Last,
    /// At this one, which is part of the range.
    Inclusive(&'a [u8]),
    /// At this one, which is not.
    Exclusive(&'a [u8]),
}

impl Bounds for LexRange<'_> {
    fn is_below(&self, _: f64, member: Element<'_>) -> bool {
        let mut scratch = [0; DIGITS_MAX];
        match self.min {
            LexBound::First => false,
            LexBound::Last => true,
            LexBound::Inclusive(min) => member.bytes(&mut scratch) < min,
            LexBound::Exclusive(min) => member.bytes(&mut scratch) <= min,
        }
    }

    fn is_above(&self, _: f64, member: Element<'_>) -> bool {
        let mut scratch = [0; DIGITS_MAX];
        match self.max {
            LexBound::First => true,
            LexBound::Last => false,
            LexBound::Inclusive(max) => max < member.bytes(&mut scratch),
            LexBound::Exclusive(max) => max <= member.bytes(&mut scratch),
        }
    }
}
