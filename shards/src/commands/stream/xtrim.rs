//! XTRIM key <MAXLEN | MINID> [= | ~] threshold [LIMIT count]

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::commands::stream::trim_options::{Exactly, For, TrimOptions};
use crate::effects::Class;
use crate::resp::error::Error;
use crate::types::stream::trim::Precision;

pub(super) const XTRIM: Command = Command {
    spec: Spec {
        name: "xtrim",
        group: Group::Stream,
        since: "5.0.0",
        summary: "Removes the oldest entries of a stream and counts them.",
        complexity: "O(N), N being the number of entries removed.",
        syntax: "key <MAXLEN | MINID> [= | ~] threshold [LIMIT count]",
        arity: Arity::AtLeast(4),
        flags: Flags::of(&[Flag::Write]),
        tips: &["nondeterministic_output"],
        keys: &[KeySpec::first(&["RW", "DELETE"])],
        ..Spec::EMPTY
    },
    run: xtrim,
};

fn xtrim(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let options = TrimOptions::parse(ctx.args, For::Xtrim, &ctx.db.keyspace.settings)?;
    let trim = options.trim.expect("XTRIM is not parsed without");
    let Some(stream) = ctx.db.write_stream(key)? else {
        ctx.replies.integer(0);
        return Ok(());
    };
    let log = stream.log_mut();
    let removed = log.trim(trim);
    let settled = log.settled(trim.keep);
    if 0 < removed {
        ctx.db.changed(key, Class::Stream, "xtrim");
        ctx.db.effects.dirty += removed - 1; // Each entry counts; the first one did.
        if trim.precision != Precision::Exact {
            let exactly = Exactly::new(settled);
            let [name, exactly, threshold] = exactly.args();
            ctx.db.effects.log_instead(&[b"XTRIM", key.bytes, name, exactly, threshold]);
        }
    }
    ctx.replies.integer(i64::try_from(removed).expect("entries take more than a byte"));
    Ok(())
}
