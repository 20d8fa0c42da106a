//! LPOS key element \[RANK rank] \[COUNT num-matches] \[MAXLEN len]

use alloc::vec::Vec;

use super::parse_signed;
use crate::base::number::parse_i64;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::encodings::listpack::Wanted;
use crate::resp::error::Error;
use crate::types::list::List;

pub(super) const LPOS: Command = Command {
    spec: Spec {
        name: "lpos",
        group: Group::List,
        since: "6.0.6",
        summary: "Returns the numbers of the elements that are the same as the given one.",
        complexity: "O(N), N being the number of elements looked at.",
        syntax: "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::ReadOnly]),
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: lpos,
};

const RANK_ZERO: Error = Error::Text(
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
     or use negative to start from the end of the list",
);
const COUNT_NEGATIVE: Error = Error::Text("ERR COUNT can't be negative");
const LEN_NEGATIVE: Error = Error::Text("ERR MAXLEN can't be negative");

fn lpos(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let options = Options::parse(&ctx.args[3..])?;
    let list = ctx.db.read_list(key)?;
    let most = options.count.unwrap_or(1);
    let found = list.map(|list| options.find(list, ctx.args[2], most)).unwrap_or_default();
    match (options.count, found.first()) {
        (Some(_), _) => {
            ctx.replies.array(found.len());
            found.iter().for_each(|index| ctx.replies.integer(*index as i64));
        }
        (None, Some(index)) => ctx.replies.integer(*index as i64),
        (None, None) => ctx.replies.null(),
    }
    Ok(())
}

#[derive(Debug)]
struct Options {
    /// Matches to pass over.
    skipped: usize,
    from_end: bool,
    /// How many matches to tell of, if an array is wanted.
    count: Option<usize>,
    /// Elements to compare.
    compared: usize,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Self, Error> {
        let mut options = Self { skipped: 0, from_end: false, count: None, compared: usize::MAX };
        let mut rest = args;
        while let [option, value, after @ ..] = rest {
            rest = after;
            if option.eq_ignore_ascii_case(b"RANK") {
                let rank = parse_signed(value)?;
                options.from_end = rank < 0;
                let rank = usize::try_from(rank.unsigned_abs()).unwrap_or(usize::MAX);
                options.skipped = rank.checked_sub(1).ok_or(RANK_ZERO)?;
            } else if option.eq_ignore_ascii_case(b"COUNT") {
                options.count = Some(parse_most(value).ok_or(COUNT_NEGATIVE)?);
            } else if option.eq_ignore_ascii_case(b"MAXLEN") {
                options.compared = parse_most(value).ok_or(LEN_NEGATIVE)?;
            } else {
                return Err(Error::Syntax);
            }
        }
        if rest.is_empty() { Ok(options) } else { Err(Error::Syntax) }
    }

    fn find(&self, list: &List, element: &[u8], most: usize) -> Vec<usize> {
        let (wanted, len) = (Wanted::of(element), list.len());
        let elements = if self.from_end { list.backward() } else { list.forward(0) };
        let compared = elements.take(self.compared).enumerate();
        let matches = compared.filter(|(_, element)| wanted.is(*element)).map(|(at, _)| at);
        let places = matches.map(|at| if self.from_end { len - 1 - at } else { at });
        places.skip(self.skipped).take(most).collect()
    }
}

/// How many at most: 0 means all.
fn parse_most(text: &[u8]) -> Option<usize> {
    match usize::try_from(parse_i64(text)?).ok()? {
        0 => Some(usize::MAX),
        most => Some(most),
    }
}
