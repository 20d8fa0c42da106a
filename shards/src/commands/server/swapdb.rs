//! SWAPDB index1 index2

use crate::base::number;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, Merge, Spec, Spread};
use crate::resp::error::Error;

pub(super) const SWAPDB: Command = Command {
    spec: Spec {
        name: "swapdb",
        group: Group::Server,
        since: "4.0.0",
        summary: "Lets two databases change places, for all clients at once.",
        complexity: "O(N), N being the number of watched keys in both.",
        syntax: "index1 index2",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        categories: &["keyspace", "dangerous"],
        spread: Spread::Everywhere(Merge::Same),
        ..Spec::EMPTY
    },
    run: swapdb,
};

const IN_CLUSTER: Error = Error::Text("ERR SWAPDB is not allowed in cluster mode");

fn swapdb(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    if ctx.db.keyspace.settings.in_cluster {
        return Err(IN_CLUSTER);
    }
    let parse = |text| number::parse_i64(text).and_then(|number| i32::try_from(number).ok());
    let first = parse(ctx.args[1]).ok_or(Error::Text("ERR invalid first DB index"))?;
    let second = parse(ctx.args[2]).ok_or(Error::Text("ERR invalid second DB index"))?;
    let databases = ctx.db.keyspace.dbs.len();
    let known = |index: i32| usize::try_from(index).ok().filter(|index| *index < databases);
    let (first, second) =
        (known(first).ok_or(Error::DbIndex)?, known(second).ok_or(Error::DbIndex)?);
    if first != second {
        ctx.db.touch_watched(first, Some(second));
        ctx.db.touch_watched(second, Some(first));
        ctx.db.keyspace.dbs.swap(first, second);
        ctx.db.effects.dirty += 1;
    }
    ctx.replies.ok();
    Ok(())
}
