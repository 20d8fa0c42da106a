//! Members and scores in replies.

use crate::encodings::listpack::Element;
use crate::resp::reply::{Protocol, Replies};

/// A member as a bulk string.
#[inline]
pub(super) fn member(replies: &mut Replies<'_>, member: Element<'_>) {
    match member {
        Element::Int(number) => replies.bulk_integer(number),
        Element::Bytes(bytes) => replies.bulk(bytes),
    }
}

/// An array of `len` members. Scores stand behind their members; in RESP3 each makes a pair with
/// its own.
#[inline]
pub(super) fn members<'a>(
    replies: &mut Replies<'_>,
    len: usize,
    with_scores: bool,
    members: impl Iterator<Item = (Element<'a>, f64)>,
) {
    if !with_scores {
        replies.array(len);
        members.for_each(|(it, _)| member(replies, it));
    } else if replies.protocol == Protocol::Resp3 {
        pairs(replies, len, members);
    } else {
        flat(replies, len, members);
    }
}

/// An array of `len` members, each with its score behind it.
pub(super) fn flat<'a>(
    replies: &mut Replies<'_>,
    len: usize,
    members: impl Iterator<Item = (Element<'a>, f64)>,
) {
    replies.array(2 * len);
    members.for_each(|(it, score)| {
        member(replies, it);
        replies.double(score);
    });
}

/// An array of `len` pairs of member and score.
pub(super) fn pairs<'a>(
    replies: &mut Replies<'_>,
    len: usize,
    members: impl Iterator<Item = (Element<'a>, f64)>,
) {
    replies.array(len);
    for (it, score) in members {
        replies.array(2);
        member(replies, it);
        replies.double(score);
    }
}
