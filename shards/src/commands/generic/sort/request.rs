//! What a request asks for.

use alloc::vec::Vec;
use core::ops::Range;

use super::pattern::{self, Pattern};
use crate::base::number::parse_i64;
use crate::base::slot::Slot;
use crate::resp::error::Error;

/// Which command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// SORT
    Full,
    /// SORT_RO, which does not store.
    ReadOnly,
}

/// The options of a request.
#[derive(Debug, Default)]
pub(super) struct Request<'a> {
    /// By which keys the elements are sorted, if not by themselves.
    pub(super) by: Option<Pattern<'a>>,
    /// The elements stay in the order which they have.
    pub(super) is_unsorted: bool,
    /// What is shown instead of the elements.
    pub(super) gets: Vec<Pattern<'a>>,
    pub(super) descending: bool,
    /// By bytes, not by numbers.
    pub(super) alpha: bool,
    /// Which argument is the key where the result is stored.
    pub(super) store: Option<usize>,
    limit: Option<(i64, i64)>,
}

const BY_ELSEWHERE: Error = Error::Text(
    "ERR BY option of SORT denied in Cluster mode when keys formed by the pattern may be in \
     different slots.",
);
const GET_ELSEWHERE: Error = Error::Text(
    "ERR GET option of SORT denied in Cluster mode when keys formed by the pattern may be in \
     different slots.",
);

impl<'a> Request<'a> {
    /// Reads the options behind name and key. Where there is a `slot`, all keys must be of it.
    pub(super) fn parse(args: &[&'a [u8]], form: Form, slot: Option<Slot>) -> Result<Self, Error> {
        let mut request = Self::default();
        let mut at = 2;
        while let [option, rest @ ..] = args.get(at..).unwrap_or_default() {
            let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
            at += 1;
            if is("ASC") {
                request.descending = false;
            } else if is("DESC") {
                request.descending = true;
            } else if is("ALPHA") {
                request.alpha = true;
            } else if let [offset, count, ..] = rest
                && is("LIMIT")
            {
                let number = |text| parse_i64(text).ok_or(Error::NotInteger);
                request.limit = Some((number(offset)?, number(count)?));
                at += 2;
            } else if let [argument, ..] = rest {
                if is("STORE") && form == Form::Full {
                    request.store = Some(at);
                } else if is("BY") {
                    let by = Pattern::of(argument);
                    // As in Valkey, one such pattern among several is enough.
                    request.is_unsorted |= !by.names_keys();
                    if by.names_keys() && slot.is_some() && pattern::slot(argument) != slot {
                        return Err(BY_ELSEWHERE);
                    }
                    request.by = Some(by);
                } else if is("GET") {
                    let get = Pattern::of(argument);
                    // As in Valkey, also if it names no key.
                    let is_key = get != Pattern::Element;
                    if is_key && slot.is_some() && pattern::slot(argument) != slot {
                        return Err(GET_ELSEWHERE);
                    }
                    request.gets.push(get);
                } else {
                    return Err(Error::Syntax);
                }
                at += 1;
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(request)
    }

    /// Whether it asks for keys that only the elements tell.
    pub(super) fn reads_other_keys(&self) -> bool {
        let by = self.by.iter().filter(|_| !self.is_unsorted);
        by.chain(&self.gets).any(Pattern::names_keys)
    }

    /// Which of so many elements are wanted, by their places in the order asked for.
    pub(super) fn wanted(&self, len: usize) -> Range<usize> {
        let (offset, count) = self.limit.unwrap_or((0, -1));
        let start = usize::try_from(offset.max(0)).unwrap_or(len).min(len);
        let count = usize::try_from(count).unwrap_or(len);
        start..start.saturating_add(count).min(len)
    }
}

/// Whether the arguments ask for keys that only the elements tell.
pub(super) fn reaches(args: &[&[u8]]) -> bool {
    // What SORT_RO refuses does no harm.
    Request::parse(args, Form::Full, None).is_ok_and(|request| request.reads_other_keys())
}

/// Where the key stands in which the result is stored, be the request valid or not.
pub(super) fn store_place(args: &[&[u8]]) -> Option<usize> {
    let (mut at, mut place) = (2, None);
    while let Some(option) = args.get(at) {
        let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
        at += 1;
        if is("STORE") && at < args.len() {
            place = Some(at);
        }
        if is("STORE") || is("BY") || is("GET") {
            at += 1;
        } else if is("LIMIT") {
            at += 2;
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<&[u8]> {
        line.split(' ').map(str::as_bytes).collect()
    }

    #[test]
    fn the_key_to_store_in_is_the_last_one_named() {
        for (line, place) in [
            ("SORT k", None),
            ("SORT k STORE", None),
            ("SORT k STORE d", Some(3)),
            ("SORT k store d ALPHA Store e", Some(6)),
            ("SORT k BY store GET store STORE d", Some(7)),
            ("SORT k LIMIT STORE STORE STORE d", Some(6)),
            ("SORT k STORE STORE", Some(3)),
            ("SORT STORE d", None),
        ] {
            assert_eq!(store_place(&words(line)), place, "{line}");
            if let Ok(request) = Request::parse(&words(line), Form::Full, None) {
                assert_eq!(request.store, place, "{line}");
            }
        }
    }

    #[test]
    fn patterns_that_name_keys_reach_beyond_the_arguments() {
        for (line, expected) in [
            ("SORT k", false),
            ("SORT k BY nosort GET #", false),
            ("SORT k BY w_*", true),
            ("SORT k BY nosort BY w_*", false),
            ("SORT k GET # GET h_*->f", true),
            ("SORT k GET constant", false),
            ("SORT k STORE *", false),
            ("SORT k BY w_* wrong", false),
        ] {
            assert_eq!(reaches(&words(line)), expected, "{line}");
        }
    }

    #[test]
    fn limits_are_cut_to_what_is_there() {
        for ((offset, count), expected) in [
            ((0, -1), 0..5),
            ((1, 2), 1..3),
            ((-3, 2), 0..2),
            ((3, 9), 3..5),
            ((2, -7), 2..5),
            ((2, 0), 2..2),
            ((5, 1), 5..5),
            ((i64::MAX, i64::MAX), 5..5),
        ] {
            let request = Request { limit: Some((offset, count)), ..Request::default() };
            assert_eq!(request.wanted(5), expected, "{offset} {count}");
        }
    }
}
