//! PFDEBUG subcommand key: GETREG, DECODE, ENCODING, TODENSE

use super::{read, write};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::keyspace::selected::Key;
use crate::resp::error::Error;
use crate::types::hyperloglog::{Encoding, Union, become_dense, described, encoding};

pub(super) const PFDEBUG: Command = Command {
    spec: Spec {
        name: "pfdebug",
        group: Group::HyperLogLog,
        since: "2.8.9",
        summary: "Shows how a HyperLogLog is kept.",
        complexity: "N/A",
        syntax: "subcommand key",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Admin]),
        keys: &[KeySpec::nth(2, &["RW", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: pfdebug,
};

fn pfdebug(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (subcommand, key) = (ctx.args[1], ctx.key(2));
    if subcommand.eq_ignore_ascii_case(b"SIMD") {
        return simd(ctx);
    }
    let missing = Error::Text("ERR The specified key does not exist");
    // As in Valkey, it is raw from now on.
    let bytes = write(ctx.db.write(key).ok_or(missing)?)?;
    if subcommand.eq_ignore_ascii_case(b"ENCODING") {
        let is_dense = encoding(bytes) == Some(Encoding::Dense);
        ctx.replies.simple(if is_dense { "dense" } else { "sparse" });
    } else if subcommand.eq_ignore_ascii_case(b"DECODE") {
        let text = described(bytes).ok_or(Error::Text("ERR HLL encoding is not sparse"))?;
        ctx.replies.bulk(text.as_bytes());
    } else if subcommand.eq_ignore_ascii_case(b"TODENSE") {
        let converted = make_dense(ctx, key)?;
        ctx.replies.integer(converted.into());
    } else if subcommand.eq_ignore_ascii_case(b"GETREG") {
        make_dense(ctx, key)?;
        let mut union = Union::default();
        union.add(read(ctx.db.write(key).expect("it was found just now"))?)?;
        ctx.replies.array(union.registers().len());
        union.registers().iter().for_each(|value| ctx.replies.integer((*value).into()));
    } else {
        return Err(Error::naming("ERR Unknown PFDEBUG subcommand '", subcommand, "'"));
    }
    Ok(())
}

/// Makes the HyperLogLog at `key`, which is there, dense; false if it was.
fn make_dense(ctx: &mut Ctx<'_>, key: Key<'_>) -> Result<bool, Error> {
    let converted = become_dense(write(ctx.db.write(key).expect("it was found just now"))?)?;
    if converted {
        ctx.db.effects.dirty += 1;
    }
    Ok(converted)
}

/// Nothing here depends on wide instructions, so they are neither on nor off.
fn simd(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    match ctx.args[2] {
        on if on.eq_ignore_ascii_case(b"ON") => ctx.replies.simple("enabled"),
        off if off.eq_ignore_ascii_case(b"OFF") => ctx.replies.simple("disabled"),
        _ => return Err(Error::Text("ERR Argument must be ON or OFF")),
    }
    Ok(())
}
