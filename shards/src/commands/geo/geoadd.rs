//! GEOADD key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]

use alloc::vec::Vec;

use super::request::place;
use crate::base::float::format_f64;
use crate::commands::ctx::Ctx;
use crate::commands::sorted_set::zadd::{self, Options};
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

pub(super) const GEOADD: Command = Command {
    spec: Spec {
        name: "geoadd",
        group: Group::Geo,
        since: "3.2.0",
        summary: "Adds places to a sorted set or moves them, making the key if needed.",
        complexity: "O(log(N)) for each place, N being the number of members.",
        syntax: "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
        arity: Arity::AtLeast(5),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::first(&["RW", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: geoadd,
};

fn geoadd(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let mut options = Options::default();
    let is_option = |word: &&&[u8]| {
        let flags = [("NX", &mut options.nx), ("XX", &mut options.xx), ("CH", &mut options.ch)];
        let flag = flags.into_iter().find(|it| word.eq_ignore_ascii_case(it.0.as_bytes()));
        flag.map(|(_, flag)| *flag = true).is_some()
    };
    let words = ctx.args[2..].iter().take_while(is_option).count();
    let given = &ctx.args[2 + words..];
    if given.is_empty() || !given.len().is_multiple_of(3) || options.nx && options.xx {
        return Err(Error::Syntax);
    }
    let mut members = Vec::with_capacity(given.len() / 3);
    let spelling = ctx.db.keyspace.settings.spelling();
    for given in given.chunks_exact(3) {
        members.push((place(given[0], given[1], spelling)?.score(), given[2]));
    }
    let before = ctx.db.effects.dirty;
    zadd::add(ctx, members.iter().copied(), options)?;
    if ctx.db.effects.keeps_log && ctx.db.effects.dirty != before {
        // Scores rather than degrees, so that a replica has no need to calculate.
        let scores: Vec<_> = members.iter().map(|(score, _)| format_f64(*score)).collect();
        let mut args = alloc::vec![&b"ZADD"[..]];
        args.extend_from_slice(&ctx.args[1..2 + words]);
        for (score, (_, member)) in scores.iter().zip(&members) {
            args.extend([score.bytes(), member]);
        }
        ctx.db.effects.log_instead(&args);
    }
    Ok(())
}
