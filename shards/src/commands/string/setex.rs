//! SETEX key seconds value, PSETEX key milliseconds value

use crate::commands::ctx::Ctx;
use crate::commands::expiry::TimeForm;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::commands::string::set::set_until;
use crate::resp::error::Error;

pub(super) const SETEX: Command = Command {
    spec: Spec {
        name: "setex",
        since: "2.0.0",
        summary: "Sets the string value of a key and in how many seconds it expires.",
        syntax: "key seconds value",
        ..SPEC
    },
    run: |ctx| set_for(ctx, TimeForm::Ex, "setex"),
};

pub(super) const PSETEX: Command = Command {
    spec: Spec {
        name: "psetex",
        since: "2.6.0",
        summary: "Sets the string value of a key and in how many milliseconds it expires.",
        syntax: "key milliseconds value",
        ..SPEC
    },
    run: |ctx| set_for(ctx, TimeForm::Px, "psetex"),
};

const SPEC: Spec = Spec {
    group: Group::String,
    complexity: "O(1)",
    arity: Arity::Exactly(4),
    flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
    keys: &[KeySpec::first(&["OW", "UPDATE"])],
    ..Spec::EMPTY
};

fn set_for(ctx: &mut Ctx<'_>, form: TimeForm, command: &'static str) -> Result<(), Error> {
    let at = form.deadline(ctx.args[2], ctx.db.now(), command)?;
    let key = ctx.key(1);
    set_until(ctx, key, ctx.args[3], at);
    ctx.replies.ok();
    Ok(())
}
