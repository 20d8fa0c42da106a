//! Every command this process knows.

use std::iter;

use hashbrown::HashMap;
use shards::commands::server::{CLUSTER_SUBCOMMANDS, DEBUG_SUBCOMMANDS, MEMORY_SUBCOMMANDS};
use shards::commands::spec::Command;
use shards::commands::table::{CONTAINERS as ENGINE_CONTAINERS, GROUPS as ENGINE_GROUPS};

use crate::clients::ctx::ClientCommands;
use crate::commands::cluster;
use crate::commands::config;
use crate::commands::connection::{self, client};
use crate::commands::function;
use crate::commands::own::{Own, OwnRun};
use crate::commands::pubsub;
use crate::commands::replication;
use crate::commands::server::{
    self, acl, command, commandlog, debug, latency, memory, module, slowlog,
};
use crate::commands::transactions;
use crate::control::ctx::ControlCommands;
use crate::routing::call::{Listed, Run, Table};

/// Commands of the server without subcommands.
const GROUPS: &[&[Own]] = &[
    connection::COMMANDS,
    cluster::COMMANDS,
    pubsub::COMMANDS,
    transactions::COMMANDS,
    replication::COMMANDS,
    server::COMMANDS,
];

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
    Container { own: &acl::ACL, of_engine: &[], of_server: &[acl::SUBCOMMANDS] },
    Container { own: &client::CLIENT, of_engine: &[], of_server: &[client::SUBCOMMANDS] },
    Container {
        own: &cluster::CLUSTER,
        of_engine: CLUSTER_SUBCOMMANDS,
        of_server: cluster::SUBCOMMANDS,
    },
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
    Container { own: &function::FUNCTION, of_engine: &[], of_server: &[function::SUBCOMMANDS] },
    Container { own: &latency::LATENCY, of_engine: &[], of_server: &[latency::SUBCOMMANDS] },
    Container {
        own: &memory::MEMORY,
        of_engine: MEMORY_SUBCOMMANDS,
        of_server: &[memory::SUBCOMMANDS],
    },
    Container { own: &module::MODULE, of_engine: &[], of_server: &[module::SUBCOMMANDS] },
    Container { own: &pubsub::PUBSUB, of_engine: &[], of_server: &[pubsub::SUBCOMMANDS] },
    Container { own: &slowlog::SLOWLOG, of_engine: &[], of_server: &[slowlog::SUBCOMMANDS] },
];

/// All commands under the names in force, and what those of the server do.
#[derive(Debug)]
pub struct Commands {
    /// Every command.
    pub table: Table,
    /// What commands about their own clients do.
    pub of_clients: ClientCommands,
    /// What commands of control do.
    pub of_control: ControlCommands,
}

/// Makes the table of all commands.
///
/// # Errors
/// Says which `rename-command` makes no sense.
pub fn build(renames: &[(String, String)]) -> Result<Commands, String> {
    let table = Table::new(listed(), renames)?;
    let mut of_clients = vec![None; table.ids];
    let mut of_control = vec![None; table.ids];
    let runs: HashMap<&str, OwnRun> = owns().map(|own| (own.spec.name, own.run)).collect();
    for call in table.calls.iter().flat_map(|call| iter::once(call).chain(&call.subcommands)) {
        match runs.get(call.spec.name) {
            Some(OwnRun::Client(run)) => of_clients[call.id] = Some(*run),
            Some(OwnRun::Control(run)) => of_control[call.id] = Some(*run),
            Some(OwnRun::Transaction(_) | OwnRun::PubSub(_) | OwnRun::Container) | None => {}
        }
    }
    let (of_clients, of_control) = (ClientCommands(of_clients), ControlCommands(of_control));
    Ok(Commands { table, of_clients, of_control })
}

/// Every command, the engine's too, in the order in which they are shown.
fn listed() -> Vec<Listed> {
    let mut listed: Vec<Listed> = Vec::new();
    listed.extend(ENGINE_GROUPS.iter().copied().flatten().map(engine));
    listed.extend(ENGINE_CONTAINERS.iter().map(|(spec, subcommands)| Listed {
        spec,
        run: Run::Container,
        subcommands: subcommands.iter().map(engine).collect(),
    }));
    listed.extend(GROUPS.iter().copied().flatten().map(server));
    listed.extend(CONTAINERS.iter().map(|container| {
        let of_server = container.of_server.iter().copied().flatten().map(server);
        Listed {
            subcommands: container.of_engine.iter().map(engine).chain(of_server).collect(),
            ..server(container.own)
        }
    }));
    listed
}

/// Every command of the server.
fn owns() -> impl Iterator<Item = &'static Own> {
    let in_containers = CONTAINERS.iter().flat_map(|container| {
        iter::once(container.own).chain(container.of_server.iter().copied().flatten())
    });
    GROUPS.iter().copied().flatten().chain(in_containers)
}

fn engine(command: &'static Command) -> Listed {
    Listed { spec: &command.spec, run: Run::Engine(command), subcommands: Vec::new() }
}

fn server(own: &'static Own) -> Listed {
    Listed { spec: &own.spec, run: own.run.run(), subcommands: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_server_is_found_by_its_number() {
        let Commands { table, of_clients, of_control } = build(&[]).expect("no renames");
        for call in table.calls.iter().flat_map(|call| iter::once(call).chain(&call.subcommands)) {
            let (client, control) = (of_clients.0[call.id], of_control.0[call.id]);
            assert_eq!(client.is_some(), matches!(call.run, Run::Client), "{}", call.spec.name);
            assert_eq!(control.is_some(), matches!(call.run, Run::Control), "{}", call.spec.name);
        }
    }
}
