//! Every command this process knows.

use shards::commands::server::{DEBUG_SUBCOMMANDS, MEMORY_SUBCOMMANDS};
use shards::commands::spec::{Command, Spec};
use shards::commands::table::{CONTAINERS as ENGINE_CONTAINERS, GROUPS as ENGINE_GROUPS};

use crate::commands::config;
use crate::commands::connection::{self, client};
use crate::commands::pubsub;
use crate::commands::server::{self, command, commandlog, debug, latency, memory, slowlog};
use crate::commands::transactions;
use crate::routing::call::{Listed, Run, Table};

/// A command of the server: specified like one of the engine, but it runs elsewhere.
#[derive(Debug)]
pub struct Own {
    /// What the world may know.
    pub spec: Spec,
    /// Where and how it runs.
    pub run: Run,
}

/// Commands of the server without subcommands.
const GROUPS: &[&[Own]] =
    &[connection::COMMANDS, pubsub::COMMANDS, transactions::COMMANDS, server::COMMANDS];

/// A command with subcommands.
struct Container {
    own: &'static Own,
    /// Subcommands that work on keys.
    of_engine: &'static [Command],
    /// Those of the server, one list per module.
    of_server: &'static [&'static [Own]],
}

/// Commands with subcommands, but for those that are the engine's as a whole.
const CONTAINERS: &[Container] = &[
    Container { own: &client::CLIENT, of_engine: &[], of_server: &[client::SUBCOMMANDS] },
    Container { own: &command::COMMAND, of_engine: &[], of_server: &[command::SUBCOMMANDS] },
    Container { own: &config::CONFIG, of_engine: &[], of_server: &[config::SUBCOMMANDS] },
    Container {
        own: &commandlog::COMMANDLOG,
        of_engine: &[],
        of_server: &[commandlog::SUBCOMMANDS],
    },
    Container {
        own: &debug::DEBUG,
        of_engine: DEBUG_SUBCOMMANDS,
        of_server: &[debug::SUBCOMMANDS],
    },
    Container { own: &latency::LATENCY, of_engine: &[], of_server: &[latency::SUBCOMMANDS] },
    Container {
        own: &memory::MEMORY,
        of_engine: MEMORY_SUBCOMMANDS,
        of_server: &[memory::SUBCOMMANDS],
    },
    Container { own: &pubsub::PUBSUB, of_engine: &[], of_server: &[pubsub::SUBCOMMANDS] },
    Container { own: &slowlog::SLOWLOG, of_engine: &[], of_server: &[slowlog::SUBCOMMANDS] },
];

/// All commands under the names in force.
///
/// # Errors
/// Says which `rename-command` makes no sense.
pub fn build(renames: &[(String, String)]) -> Result<Table, String> {
    let mut listed: Vec<Listed> = Vec::new();
    listed.extend(ENGINE_GROUPS.iter().copied().flatten().map(engine));
    listed.extend(ENGINE_CONTAINERS.iter().map(|(spec, subcommands)| Listed {
        spec,
        run: Run::Container,
        subcommands: subcommands.iter().map(engine).collect(),
    }));
    listed.extend(GROUPS.iter().copied().flatten().map(own));
    listed.extend(CONTAINERS.iter().map(|container| {
        let of_server = container.of_server.iter().copied().flatten().map(own);
        Listed {
            subcommands: container.of_engine.iter().map(engine).chain(of_server).collect(),
            ..own(container.own)
        }
    }));
    Table::new(listed, renames)
}

fn engine(command: &'static Command) -> Listed {
    Listed { spec: &command.spec, run: Run::Engine(command), subcommands: Vec::new() }
}

fn own(command: &'static Own) -> Listed {
    Listed { spec: &command.spec, run: command.run, subcommands: Vec::new() }
}
