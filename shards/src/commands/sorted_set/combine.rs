//! ZUNION, ZINTER and ZDIFF, which answer, and ZUNIONSTORE, ZINTERSTORE and ZDIFFSTORE, which store

use alloc::format;
use alloc::vec::Vec;

use super::sources::Source;
use super::{shown, store};
use crate::base::hash::HashSeed;
use crate::base::number::{DIGITS_MAX, parse_i64};
use crate::base::spelling::Spelling;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Begin, Command, Find, Flag, Flags, Group, KeySpec, Spec};
use crate::encodings::listpack::Element;
use crate::encodings::ranking::{Ranking, Scores};
use crate::resp::error::Error;
use crate::types::sorted_set::SortedSet;

pub(super) const ZUNION: Command = Command {
    spec: Spec {
        name: "zunion",
        since: "6.2.0",
        summary: "Returns the members of all sorted sets, scores added up.",
        complexity: "O(N)+O(M*log(M)), N being the number of all members and M that of those \
                     returned.",
        syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] \
                 [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
        ..SHOWS
    },
    run: |ctx| show(ctx, "zunion", Operation::Union),
};

pub(super) const ZINTER: Command = Command {
    spec: Spec {
        name: "zinter",
        since: "6.2.0",
        summary: "Returns the members that are in each of several sorted sets, scores added up.",
        complexity: INTER,
        syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] \
                 [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
        ..SHOWS
    },
    run: |ctx| show(ctx, "zinter", Operation::Inter),
};

pub(super) const ZDIFF: Command = Command {
    spec: Spec {
        name: "zdiff",
        since: "6.2.0",
        summary: "Returns the members of a sorted set that are in none of the others.",
        complexity: DIFF,
        syntax: "numkeys key [key ...] [WITHSCORES]",
        ..SHOWS
    },
    run: |ctx| show(ctx, "zdiff", Operation::Diff),
};

pub(super) const ZUNIONSTORE: Command = Command {
    spec: Spec {
        name: "zunionstore",
        since: "2.0.0",
        summary: "Stores the members of all sorted sets, scores added up.",
        complexity: "O(N)+O(M*log(M)), N being the number of all members and M that of those \
                     stored.",
        syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] \
                 [AGGREGATE <SUM | MIN | MAX>]",
        ..STORES
    },
    run: |ctx| store_all(ctx, "zunionstore", Operation::Union),
};

pub(super) const ZINTERSTORE: Command = Command {
    spec: Spec {
        name: "zinterstore",
        since: "2.0.0",
        summary: "Stores the members that are in each of several sorted sets, scores added up.",
        complexity: INTER,
        syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] \
                 [AGGREGATE <SUM | MIN | MAX>]",
        ..STORES
    },
    run: |ctx| store_all(ctx, "zinterstore", Operation::Inter),
};

pub(super) const ZDIFFSTORE: Command = Command {
    spec: Spec {
        name: "zdiffstore",
        since: "6.2.0",
        summary: "Stores the members of a sorted set that are in none of the others.",
        complexity: DIFF,
        syntax: "destination numkeys key [key ...]",
        ..STORES
    },
    run: |ctx| store_all(ctx, "zdiffstore", Operation::Diff),
};

pub(super) const ZINTERCARD: Command = Command {
    spec: Spec {
        name: "zintercard",
        since: "7.0.0",
        summary: "Returns how many members are in each of several sorted sets.",
        complexity: "O(N*K), N being the number of members of the smallest sorted set and K that \
                     of sorted sets.",
        syntax: "numkeys key [key ...] [LIMIT limit]",
        ..SHOWS
    },
    run: zintercard,
};

const SHOWS: Spec = Spec {
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::of(&[Flag::ReadOnly, Flag::MovableKeys]),
    keys: &[KeySpec {
        begin: Begin::Index(1),
        find: Find::Number { at: 0, first: 1, step: 1 },
        flags: &["RO", "ACCESS"],
    }],
    ..Spec::EMPTY
};

const STORES: Spec = Spec {
    arity: Arity::AtLeast(4),
    flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::MovableKeys]),
    keys: &[
        KeySpec::nth(1, &["OW", "UPDATE"]),
        KeySpec {
            begin: Begin::Index(2),
            find: Find::Number { at: 0, first: 1, step: 1 },
            flags: &["RO", "ACCESS"],
        },
    ],
    ..SHOWS
};

const INTER: &str = "O(N*K)+O(M*log(M)), N being the number of members of the smallest sorted set, \
                     K that of sorted sets and M that of members in the result.";
const DIFF: &str = "O(L + (N-K)*log(N)), L being the number of all members, N that of the first \
                    sorted set and K that of members in the result.";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// How the scores of a member become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn join(self, score: f64, other: f64) -> f64 {
        match self {
            // Infinities of both signs make nothing.
            Self::Sum => number(score + other),
            Self::Min if other < score => other,
            Self::Max if score < other => other,
            Self::Min | Self::Max => score,
        }
    }
}

/// Zero for what is no number.
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What stands behind the keys.
#[derive(Debug)]
struct Options {
    /// None if all are 1.
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
}

impl Options {
    fn parse(
        mut args: &[&[u8]],
        keys: usize,
        operation: Operation,
        shows: bool,
        spelling: Spelling,
    ) -> Result<Self, Error> {
        let mut options =
            Self { weights: Vec::new(), aggregate: Aggregate::Sum, with_scores: false };
        let counts = operation != Operation::Diff;
        while let [name, rest @ ..] = args {
            let is = |option: &str| name.eq_ignore_ascii_case(option.as_bytes());
            args = rest;
            if let Some((weights, rest)) = rest.split_at_checked(keys)
                && counts
                && is("WEIGHTS")
            {
                let weight = |text: &&[u8]| spelling.read(text).ok_or(NO_WEIGHT);
                options.weights = weights.iter().map(weight).collect::<Result<_, _>>()?;
                args = rest;
            } else if let [kind, rest @ ..] = rest
                && counts
                && is("AGGREGATE")
            {
                let kinds =
                    [("SUM", Aggregate::Sum), ("MIN", Aggregate::Min), ("MAX", Aggregate::Max)];
                let kind = kinds.iter().find(|it| kind.eq_ignore_ascii_case(it.0.as_bytes()));
                options.aggregate = kind.ok_or(Error::Syntax)?.1;
                args = rest;
            } else if shows && is("WITHSCORES") {
                options.with_scores = true;
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }
}

const NO_WEIGHT: Error = Error::Text("ERR weight value is not a float");

/// The number of keys at argument `at`, which follow it.
fn key_count(ctx: &Ctx<'_>, at: usize, name: &str) -> Result<usize, Error> {
    let count = parse_i64(ctx.args[at]).ok_or(Error::NotInteger)?;
    let Some(count) = usize::try_from(count).ok().filter(|count| 0 < *count) else {
        let text = format!("ERR at least 1 input key is needed for '{name}' command");
        return Err(Error::Owned(text));
    };
    if ctx.args.len() - at - 1 < count { Err(Error::Syntax) } else { Ok(count) }
}

fn show(ctx: &mut Ctx<'_>, name: &str, operation: Operation) -> Result<(), Error> {
    let keys = key_count(ctx, 1, name)?;
    let (args, seed) = (ctx.args, ctx.db.keyspace.seed);
    let spelling = ctx.db.keyspace.settings.spelling();
    let sources = Source::read(ctx, 2, keys)?;
    let options = Options::parse(&args[2 + keys..], keys, operation, true, spelling)?;
    let result = Ranking::of(operation.run(&sources, &options, seed));
    let members = result.iter(0..result.len(), false);
    let members = members.map(|(member, score)| (Element::Bytes(member), score));
    shown::members(&mut ctx.replies, result.len(), options.with_scores, members);
    Ok(())
}

fn store_all(ctx: &mut Ctx<'_>, name: &'static str, operation: Operation) -> Result<(), Error> {
    let keys = key_count(ctx, 2, name)?;
    let (args, rules) = (ctx.args, ctx.db.sorted_set_rules());
    let spelling = ctx.db.keyspace.settings.spelling();
    let sources = Source::read(ctx, 3, keys)?;
    let options = Options::parse(&args[3 + keys..], keys, operation, false, spelling)?;
    let result = SortedSet::of_scores(operation.run(&sources, &options, rules.seed), &rules);
    let key = ctx.key(1);
    store(ctx, key, result, name);
    Ok(())
}

fn zintercard(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let keys = key_count(ctx, 1, "zintercard")?;
    let args = ctx.args;
    let mut sources = Source::read(ctx, 2, keys)?;
    let (mut options, mut limit) = (&args[2 + keys..], 0);
    while let [name, count, rest @ ..] = options
        && name.eq_ignore_ascii_case(b"LIMIT")
    {
        let count = parse_i64(count).and_then(|count| usize::try_from(count).ok());
        limit = count.ok_or(Error::Text("ERR LIMIT can't be negative"))?;
        options = rest;
    }
    if !options.is_empty() {
        return Err(Error::Syntax);
    }
    sources.sort_by_key(|source| source.len());
    let mut scratch = [0; DIGITS_MAX];
    let is_common = |(member, _): &(Element<'_>, f64)| {
        let member = member.bytes(&mut scratch);
        sources[1..].iter().all(|source| source.score(member).is_some())
    };
    let common = sources[0].iter().filter(is_common);
    let count = common.take(if limit == 0 { usize::MAX } else { limit }).count();
    ctx.replies.integer(count as i64);
    Ok(())
}

impl Operation {
    fn run(self, sources: &[Source<'_>], options: &Options, seed: HashSeed) -> Scores {
        let weight = |at: usize| options.weights.get(at).copied().unwrap_or(1.0);
        let mut weighted: Vec<_> =
            sources.iter().enumerate().map(|(at, source)| (*source, weight(at))).collect();
        // In this order scores are added up, which decides how sums are rounded.
        weighted.sort_by_key(|(source, _)| source.len());
        match self {
            Self::Union => union(&weighted, options.aggregate, seed),
            Self::Inter => inter(&weighted, options.aggregate, seed),
            Self::Diff => diff(sources[0], &sources[1..], seed),
        }
    }
}

fn union(sources: &[(Source<'_>, f64)], aggregate: Aggregate, seed: HashSeed) -> Scores {
    let (mut scores, mut scratch) = (Scores::new(seed), [0; DIGITS_MAX]);
    for (source, weight) in sources {
        for (member, score) in source.iter() {
            let score = number(score * weight);
            let join = |there: Option<f64>| there.map_or(score, |it| aggregate.join(it, score));
            scores.set(member.bytes(&mut scratch), join);
        }
    }
    scores
}

fn inter(sources: &[(Source<'_>, f64)], aggregate: Aggregate, seed: HashSeed) -> Scores {
    let (mut scores, mut scratch) = (Scores::new(seed), [0; DIGITS_MAX]);
    let ((smallest, weight), others) = (sources[0], &sources[1..]);
    for (member, score) in smallest.iter() {
        let member = member.bytes(&mut scratch);
        let joined = others.iter().try_fold(number(score * weight), |score, (source, weight)| {
            Some(aggregate.join(score, source.score(member)? * weight))
        });
        if let Some(score) = joined {
            scores.set(member, |_| score);
        }
    }
    scores
}

fn diff(first: Source<'_>, others: &[Source<'_>], seed: HashSeed) -> Scores {
    let (mut scores, mut scratch) = (Scores::new(seed), [0; DIGITS_MAX]);
    let all: usize = others.iter().map(|source| source.len()).sum();
    // Either way is right; this is the shorter one.
    let asks_others = first.len().saturating_mul(others.len()) / 2 <= all;
    for (member, score) in first.iter() {
        let member = member.bytes(&mut scratch);
        if !asks_others || others.iter().all(|source| source.score(member).is_none()) {
            scores.set(member, |_| score);
        }
    }
    if !asks_others {
        for (member, _) in others.iter().flat_map(|source| source.iter()) {
            scores.remove(member.bytes(&mut scratch));
        }
    }
    scores
}
