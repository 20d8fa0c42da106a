//! ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...],
//! ZINCRBY key increment member

use alloc::vec;

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::resp::error::Error;
use crate::types::sorted_set::SortedSet;

pub(super) const ZADD: Command = Command {
    spec: Spec {
        name: "zadd",
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Adds members to a sorted set or changes their scores, making the key if needed.",
        complexity: "O(log(N)) for each member, N being the number of members.",
        syntax: "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
        arity: Arity::AtLeast(4),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: zadd,
};

pub(super) const ZINCRBY: Command = Command {
    spec: Spec {
        name: "zincrby",
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Adds to the score of a member of a sorted set, making both if needed.",
        complexity: "O(log(N)), N being the number of members.",
        syntax: "key increment member",
        arity: Arity::Exactly(4),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "ACCESS", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: zincrby,
};

/// What [`add`] does with members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Only adds.
    pub nx: bool,
    /// Only changes.
    pub xx: bool,
    /// Only raises.
    pub gt: bool,
    /// Only lowers.
    pub lt: bool,
    /// Answers how many were changed as well.
    pub ch: bool,
    /// Adds to the score; answers what it is then.
    pub incr: bool,
}

impl Options {
    /// Takes in an option; false if `word` is none.
    fn take(&mut self, word: &[u8]) -> bool {
        let flags = [
            (b"NX".as_slice(), &mut self.nx),
            (b"XX", &mut self.xx),
            (b"GT", &mut self.gt),
            (b"LT", &mut self.lt),
            (b"CH", &mut self.ch),
            (b"INCR", &mut self.incr),
        ];
        let flag = flags.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        flag.map(|(_, flag)| *flag = true).is_some()
    }

    fn check(self, pairs: usize) -> Result<(), Error> {
        if self.nx && self.xx {
            return Err(Error::Text("ERR XX and NX options at the same time are not compatible"));
        }
        if (self.gt || self.lt) && self.nx || self.gt && self.lt {
            return Err(Error::Text(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.incr && 1 < pairs {
            return Err(Error::Text("ERR INCR option supports a single increment-element pair"));
        }
        Ok(())
    }

    /// The score that a member is to have whose score is `before`; none if nothing is to be done.
    #[inline]
    fn decide(self, before: Option<f64>, given: f64) -> Result<Option<f64>, Error> {
        let Some(before) = before else { return Ok((!self.xx).then_some(given)) };
        if self.nx {
            return Ok(None);
        }
        let score = if self.incr { before + given } else { given };
        if score.is_nan() {
            return Err(NOT_A_NUMBER);
        }
        let is_refused = self.gt && score <= before || self.lt && before <= score;
        Ok((!is_refused).then_some(score))
    }
}

const NOT_A_NUMBER: Error = Error::Text("ERR resulting score is not a number (NaN)");

/// Scores that are read without an allocation.
const FEW: usize = 8;

fn zadd(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let mut options = Options::default();
    let words = ctx.args[2..].iter().take_while(|word| options.take(word)).count();
    let pairs = &ctx.args[2 + words..];
    let count = pairs.len() / 2;
    if count == 0 || !pairs.len().is_multiple_of(2) {
        return Err(Error::Syntax);
    }
    options.check(count)?;
    let mut few = [0.0; FEW];
    let mut many = vec![];
    let scores = match few.get_mut(..count) {
        Some(few) => few,
        None => {
            many.resize(count, 0.0);
            &mut many
        }
    };
    let spelling = ctx.db.keyspace.settings.spelling();
    for (score, pair) in scores.iter_mut().zip(pairs.chunks_exact(2)) {
        *score = spelling.read(pair[0]).ok_or(Error::NotFloat)?;
    }
    let members = scores.iter().copied().zip(pairs.chunks_exact(2).map(|pair| pair[1]));
    add(ctx, members, options)
}

fn zincrby(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    // As in Valkey, which reads it as ZADD.
    if Options::default().take(ctx.args[2]) {
        return Err(Error::Syntax);
    }
    let by = ctx.db.keyspace.settings.spelling().read(ctx.args[2]).ok_or(Error::NotFloat)?;
    let options = Options { incr: true, ..Options::default() };
    add(ctx, core::iter::once((by, ctx.args[3])), options)
}

/// Gives members of the sorted set at argument 1 their scores as `options` say, and answers.
#[inline]
pub fn add<'m>(
    ctx: &mut Ctx<'_>,
    members: impl ExactSizeIterator<Item = (f64, &'m [u8])> + Clone,
    options: Options,
) -> Result<(), Error> {
    let (key, rules) = (ctx.key(1), ctx.db.sorted_set_rules());
    let set = if options.xx { ctx.db.write_as(key)? } else { Some(ctx.db.as_or_new(key)?) };
    let (mut added, mut changed, mut score) = (0u64, 0u64, None);
    if let Some(set) = set {
        let set: &mut SortedSet = set;
        let longest = members.clone().map(|(_, member)| member.len()).max();
        set.prepare(members.len(), longest.unwrap_or(0), &rules);
        for (given, member) in members {
            let mut refused = true;
            let change = set.change(member, &rules, |before| {
                let decided = options.decide(before, given)?;
                refused = decided.is_none();
                Ok::<_, Error>(decided)
            })?;
            added += u64::from(change.before.is_none() && change.after.is_some());
            changed += u64::from(change.before.is_some() && change.before != change.after);
            score = change.after.filter(|_| !refused);
        }
    }
    if 0 < added + changed {
        ctx.db.effects.dirty += added + changed - 1;
        ctx.db.changed(key, Class::SortedSet, if options.incr { "zincr" } else { "zadd" });
    }
    match score {
        Some(score) if options.incr => ctx.replies.double(score),
        None if options.incr => ctx.replies.null(),
        Some(_) | None => {
            let count = if options.ch { added + changed } else { added };
            ctx.replies.integer(i64::try_from(count).expect("there are fewer arguments"));
        }
    }
    Ok(())
}
