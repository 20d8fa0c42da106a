//! LOLWUT [VERSION version]

use shards::base::number::parse_i64;
use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::own::{Own, OwnRun};
use crate::version::{StandsFor, VERSION};

pub(super) const LOLWUT: Own = Own {
    spec: Spec {
        name: "lolwut",
        group: Group::Server,
        since: "5.0.0",
        summary: "Shows a picture and the version.",
        syntax: "[VERSION version]",
        arity: Arity::AtLeast(1),
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        ..Spec::EMPTY
    },
    run: OwnRun::Client(lolwut),
};

/// Keys that cross a street of several lanes.
const PICTURE: &str = "\
  ______________________________________________________________________
      o-m           o--m                  o-m         o---m
  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -
            o---m           o-m     o--m                      o-m
  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -  -
   o--m               o-m                   o---m     o--m
  ______________________________________________________________________
";

fn lolwut(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    if let [_, word, version, ..] = ctx.args
        && word.eq_ignore_ascii_case(b"VERSION")
    {
        // There is one picture, whatever the version.
        parse_i64(version).ok_or(Error::NotInteger)?;
    }
    let StandsFor { name, version, .. } =
        StandsFor::of(ctx.node.config.extended_redis_compatibility);
    let text = format!("{PICTURE}\nKeylane ver. {VERSION}, as {name} ver. {version}\n");
    ctx.replies.verbatim("txt", text.as_bytes());
    Ok(())
}
