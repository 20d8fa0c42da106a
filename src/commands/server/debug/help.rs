//! DEBUG HELP

use shards::commands::server::debug_object::usage_error;
use shards::commands::spec::Spec;
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::help;
use crate::commands::own::{Own, OwnRun};
use crate::commands::server::debug::EACH;

pub(super) const HELP: Own = Own {
    spec: Spec { name: "debug|help", summary: "Tells about the subcommands.", ..EACH },
    run: OwnRun::Client(run),
};

const LINES: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ASSERT",
    "    Crashes by an assertion that does not hold.",
    "CHANGE-REPL-ID",
    "    Gives the history of the dataset another name.",
    "DIGEST",
    "    A hash of all keys and values.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    A hash of each key's value.",
    "ERROR <text>",
    "    Answers this error.",
    "LOG <message>",
    "    Writes a line into the log.",
    "OBJECT <key> [fast]",
    "    How a key is kept.",
    "PANIC",
    "    Crashes by a panic.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Makes keys, <prefix>:0 and so on, of <size> bytes.",
    "PROTOCOL <type>",
    "    Answers a value of this type of the protocol.",
    "RELOAD [MERGE] [NOFLUSH] [NOSAVE]",
    "    Writes a snapshot, and reads it in place of all keys.",
    "SEGFAULT",
    "    Crashes by a wrong access to memory.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Whether keys that nobody asks for go when their time has come.",
    "SLEEP <seconds>",
    "    Makes all shards busy for a while. Decimals are allowed.",
    "HELP",
    "    These lines.",
];

fn run(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    if ctx.args.len() != 2 {
        return Err(usage_error(ctx.args[1]));
    }
    help::write(&mut ctx.replies, LINES);
    Ok(())
}
