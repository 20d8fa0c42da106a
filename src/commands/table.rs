//! Every command this process knows.

use shards::commands::spec::{Command, Spec};
use shards::commands::table::GROUPS;

use crate::coordination::call::{Listed, Run, Table};

/// All commands under the names in force.
///
/// # Errors
/// Says which `rename-command` makes no sense.
pub fn build(renames: &[(String, String)]) -> Result<Table, String> {
    let mut listed: Vec<Listed> = Vec::new();
    for command in GROUPS.iter().copied().flatten() {
        listed.push(engine(command));
    }
    Table::new(listed, renames)
}

fn engine(command: &'static Command) -> Listed {
    Listed { spec: &command.spec, run: Run::Engine(command), subcommands: Vec::new() }
}

#[allow(dead_code, reason = "temporary")]
fn unused(_: &Spec) {}
