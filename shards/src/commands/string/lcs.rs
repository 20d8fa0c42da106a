//! LCS key1 key2 \[LEN] \[IDX] \[MINMATCHLEN min-match-len] \[WITHMATCHLEN]

use alloc::vec::Vec;

use crate::base::number::parse_i64;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Begin, Command, Find, Flag, Flags, Group, KeySpec, Spec};
use crate::commands::string::subsequence::{Match, Subsequence, common_len};
use crate::keyspace::selected::Key;
use crate::resp::error::Error;
use crate::resp::reply::Replies;

pub(super) const LCS: Command = Command {
    spec: Spec {
        name: "lcs",
        group: Group::String,
        since: "7.0.0",
        summary: "Finds the longest common subsequence of two strings.",
        complexity: "O(N*M), N and M being the lengths of the strings.",
        syntax: "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::ReadOnly]),
        keys: &[KeySpec {
            begin: Begin::Index(1),
            find: Find::Range { last: 1, step: 1, limit: 0 },
            flags: &["RO", "ACCESS"],
        }],
        ..Spec::EMPTY
    },
    run: lcs,
};

const NOT_STRINGS: Error = Error::Text("ERR The specified keys must contain string values");
const TOO_MUCH: Error =
    Error::Text("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");

fn lcs(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (first, second) = (ctx.key(1), ctx.key(2));
    let (a_len, b_len) = (string_len(ctx, first)?, string_len(ctx, second)?);
    let options = Options::parse(&ctx.args[3..])?;
    check_size(ctx, a_len, b_len)?;

    // Two strings of one table cannot be borrowed at once: the first is copied.
    let mut scratch = [0; 20];
    let a = match ctx.db.peek(first).and_then(|entry| entry.bytes(&mut scratch)) {
        Some(bytes) if 0 < b_len => bytes.to_vec(),
        _ => Vec::new(), // Nothing is common with nothing.
    };
    let b = ctx.db.peek(second).and_then(|entry| entry.bytes(&mut scratch)).unwrap_or_default();
    match options.answer {
        Answer::Len => ctx.replies.integer(common_len(&a, b)? as i64),
        Answer::Text => ctx.replies.bulk(&Subsequence::find(&a, b)?.text(&a)?),
        Answer::Matches => reply_matches(&mut ctx.replies, &Subsequence::find(&a, b)?, &options),
    }
    Ok(())
}

/// The length of the string at `key`, for which nothing counts as empty.
fn string_len(ctx: &mut Ctx<'_>, key: Key<'_>) -> Result<usize, Error> {
    let mut scratch = [0; 20];
    match ctx.db.read(key) {
        Some(entry) => Ok(entry.bytes(&mut scratch).ok_or(NOT_STRINGS)?.len()),
        None => Ok(0),
    }
}

/// Refuses what would take Valkey more memory than a string may have: four bytes for each pair of
/// positions. Here it takes a bit each, but the limit bounds the time as well.
fn check_size(ctx: &Ctx<'_>, a_len: usize, b_len: usize) -> Result<(), Error> {
    if u32::MAX as usize - 1 <= a_len.max(b_len) {
        return Err(Error::Text("ERR String too long for LCS"));
    }
    let bytes = (a_len + 1).checked_mul(b_len + 1).and_then(|cells| cells.checked_mul(4));
    match bytes {
        Some(bytes) if bytes <= ctx.db.keyspace.settings.string_bytes_max => Ok(()),
        _ => Err(TOO_MUCH),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Text,
    Len,
    Matches,
}

#[derive(Debug)]
struct Options {
    answer: Answer,
    min_match_len: usize,
    with_match_len: bool,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Self, Error> {
        let (mut len, mut idx) = (false, false);
        let mut options = Self { answer: Answer::Text, min_match_len: 0, with_match_len: false };
        let mut rest = args;
        while let [option, after @ ..] = rest {
            rest = after;
            if option.eq_ignore_ascii_case(b"LEN") {
                len = true;
            } else if option.eq_ignore_ascii_case(b"IDX") {
                idx = true;
            } else if option.eq_ignore_ascii_case(b"WITHMATCHLEN") {
                options.with_match_len = true;
            } else if option.eq_ignore_ascii_case(b"MINMATCHLEN")
                && let [number, after @ ..] = rest
            {
                rest = after;
                let number = parse_i64(number).ok_or(Error::NotInteger)?.max(0);
                options.min_match_len = usize::try_from(number).unwrap_or(usize::MAX);
            } else {
                return Err(Error::Syntax);
            }
        }
        options.answer = match (len, idx) {
            (false, false) => Answer::Text,
            (true, false) => Answer::Len,
            (false, true) => Answer::Matches,
            (true, true) => {
                return Err(Error::Text(
                    "ERR If you want both the length and indexes, please just use IDX.",
                ));
            }
        };
        Ok(options)
    }
}

fn reply_matches(replies: &mut Replies<'_>, found: &Subsequence, options: &Options) {
    let shown = |found: &&Match| options.min_match_len <= found.len;
    replies.map(2);
    replies.bulk(b"matches");
    replies.array(found.matches.iter().filter(shown).count());
    for found in found.matches.iter().filter(shown) {
        replies.array(if options.with_match_len { 3 } else { 2 });
        for start in [found.a, found.b] {
            replies.array(2);
            replies.integer(start as i64);
            replies.integer((start + found.len - 1) as i64);
        }
        if options.with_match_len {
            replies.integer(found.len as i64);
        }
    }
    replies.bulk(b"len");
    replies.integer(found.len as i64);
}
