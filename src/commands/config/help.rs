//! CONFIG HELP

use shards::commands::spec::Spec;
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::help;
use crate::commands::own::{Own, OwnRun};

pub(super) const HELP: Own =
    Own { spec: Spec { name: "config|help", ..help::HELP }, run: OwnRun::Client(run) };

const LINES: &[&str] = &[
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern> [<pattern> ...]",
    "    Settings whose names match, and their values.",
    "RESETSTAT",
    "    Makes the counters of INFO begin anew.",
    "REWRITE",
    "    Writes the settings in force into the configuration file.",
    "SET <name> <value> [<name> <value> ...]",
    "    Changes settings: all of them or none.",
    "HELP",
    "    These lines.",
];

fn run(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    help::write(&mut ctx.replies, LINES);
    Ok(())
}
