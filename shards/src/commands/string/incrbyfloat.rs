//! INCRBYFLOAT key increment

use alloc::vec::Vec;

use crate::base::long_double::LongDouble;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::keyspace::db::Entry;
use crate::resp::error::Error;

pub(super) const INCRBYFLOAT: Command = Command {
    spec: Spec {
        name: "incrbyfloat",
        group: Group::String,
        since: "2.6.0",
        summary: "Adds a number to the floating-point value of a key; a missing key counts as 0.",
        complexity: "O(1)",
        syntax: "key increment",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "ACCESS", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: incrbyfloat,
};

fn incrbyfloat(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let parse = |text: &[u8]| LongDouble::parse(text).ok_or(Error::NotFloat);
    let add = |text: &[u8], increment: &[u8]| {
        let sum = parse(text)? + parse(increment)?;
        if !sum.is_finite() {
            return Err(Error::NanOrInfinity);
        }
        let mut text = Vec::new();
        sum.write(&mut text);
        Ok(text)
    };
    let mut scratch = [0; 20];
    let sum = match ctx.db.write(key) {
        Some(entry) => {
            let sum = add(entry.bytes(&mut scratch).ok_or(Error::WrongType)?, ctx.args[2])?;
            entry.set_text(&sum);
            sum
        }
        None => {
            let sum = add(b"0", ctx.args[2])?;
            ctx.db.insert(key, Entry::text(key.bytes, &sum));
            sum
        }
    };
    ctx.db.changed(key, Class::String, "incrbyfloat");
    // A replica that computes differently would drift away.
    ctx.db.effects.log_instead(&[b"SET", key.bytes, &sum, b"KEEPTTL"]);
    ctx.replies.bulk(&sum);
    Ok(())
}
