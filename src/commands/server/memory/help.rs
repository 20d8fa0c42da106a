//! MEMORY HELP

use shards::commands::spec::Spec;
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::help;
use crate::commands::own::{Own, OwnRun};

pub(super) const HELP: Own = Own {
    spec: Spec { name: "memory|help", since: "4.0.0", ..help::HELP },
    run: OwnRun::Client(run),
};

const LINES: &[&str] = &[
    "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    What is wrong with the use of memory, if anything.",
    "MALLOC-STATS",
    "    What the allocator says of itself.",
    "PURGE",
    "    Gives memory that is not in use back to the system.",
    "STATS",
    "    Where the memory is.",
    "USAGE <key> [SAMPLES <count>]",
    "    The bytes that a key and its value take.",
    "HELP",
    "    These lines.",
];

fn run(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    help::write(&mut ctx.replies, LINES);
    Ok(())
}
