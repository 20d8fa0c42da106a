//! Starts the shard threads and waits until all of them serve.

use crate::routing::node::{Condition, Role};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc;

use shards::base::hash::HashSeed;
use shards::base::random::Random;

use crate::commands::table::{self, Commands};
use crate::config::table::Config;
use crate::control::clustering::Clustering;
use crate::control::core::Control;
use crate::log;
use crate::mail::mailbox::{self, Ends};
use crate::metrics::endpoint::Endpoint;
use crate::process::Process;
use crate::process::listening::Listening;
use crate::reactor::clock::{CycleRate, Monotonic};
use crate::reactor::wake::Wake;
use crate::routing::node::Node;
use crate::routing::slots::SlotMap;
use crate::shard::turns::{Start, start_shard};
use crate::start::control_loop::start_control;
use crate::start::{Failure, plain};

/// What the shards are started with.
#[derive(Debug)]
pub struct Threads {
    /// The configuration.
    pub config: Config,
    /// The process that ends if a thread does.
    pub process: &'static Process,
    /// How many shards.
    pub shards: u16,
    /// The processor of each; empty for any.
    pub cpus: Vec<usize>,
    /// Sockets to accept on.
    pub listeners: Vec<OwnedFd>,
    /// Sockets on which metrics are served.
    pub metrics: Vec<OwnedFd>,
    /// Sockets to which other nodes of a cluster connect.
    pub bus: Vec<OwnedFd>,
}

/// Starts the control thread and all shards, and waits until they serve.
///
/// # Errors
/// If a rename makes no sense, or a thread cannot be had.
pub fn start(threads: Threads) -> Result<(), Failure> {
    let Threads { mut config, process, shards, cpus, mut listeners, metrics, bus } = threads;
    let endpoint =
        Endpoint::new(metrics).map_err(|error| fail("the sockets of the metrics", &error))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let renames = config.rename_command.iter();
    let renames: Vec<_> = renames.map(|rename| (text(&rename.command), text(&rename.to))).collect();
    let commands = table::build(&renames).map_err(|why| Failure::of_config(&why))?;
    // They live as long as the process.
    let commands: &'static Commands = Box::leak(Box::new(commands));
    let mut random = Random::new(chance().map_err(|error| fail("/dev/urandom", &error))?);
    let Ends { shards: boxes, control, relay } =
        mailbox::connect(usize::from(shards)).map_err(|error| fail("an eventfd", &error))?;
    let clustering = begin_cluster(&mut config, bus, control.bell().clone())?;
    let follows = if config.replicaof.is_some() { Role::Replica } else { Role::Primary };
    let role = clustering.as_deref().map_or(follows, Clustering::role);
    let mut node = Node {
        slots: SlotMap::configured(shards, &config),
        config: Arc::new(config),
        table: &commands.table,
        cluster: clustering.as_deref().map(|it| Arc::new(it.first_ownership())),
        seed: HashSeed(random.bits()),
        cycle_rate: CycleRate::measure(),
        condition: Condition { role, is_stale: role == Role::Replica, ..Condition::default() },
        started: Monotonic::now(),
        now: Monotonic::now(),
    };
    let mut control = Control::new((control, relay), node.clone(), &commands.of_control, process);
    control.clustering = clustering;
    control.listening = Listening::of(&listeners).map_err(|error| fail("a descriptor", &error))?;
    control.begin_loading().map_err(Failure::Log)?;
    node.condition.loading = control.loading.is_some();
    control.node.condition = node.condition;
    let (ready, all_ready) = mpsc::channel();
    let mut handles = Vec::new();
    for mailbox in boxes {
        let cpu = cpus.get(mailbox.me()).copied();
        let start = Start {
            mailbox,
            node: node.clone(),
            client_commands: &commands.of_clients,
            listeners: std::mem::take(&mut listeners),
            random: Random::new(random.bits()),
            process,
            ready: ready.clone(),
        };
        let handle = start_shard(start, cpu).map_err(|error| fail("a shard thread", &error))?;
        handles.push(Some(handle));
    }
    drop(ready);
    // A shard that cannot be set up drops its end of the channel without a word; the loop ends
    // when all have spoken or gone.
    for shard in all_ready {
        handles[shard] = None;
    }
    match handles.into_iter().flatten().next() {
        None => {
            log::notice("Server initialized");
            if control.loading.is_none() {
                process.tell_ready();
            }
            let started = start_control(control, endpoint, process).map(drop);
            started.map_err(|error| fail("the control thread", &error))
        }
        Some(failed) => Err(Failure::Log(match failed.join() {
            Ok(_) => "A shard thread ended before it served.".into(),
            Err(error) => format!("A shard thread did not start: {error}."),
        })),
    }
}

/// Begins with the cluster, if this is a node of one. It says which primary is followed.
fn begin_cluster(
    config: &mut Config,
    bus: Vec<OwnedFd>,
    bell: Wake,
) -> Result<Option<Box<Clustering>>, Failure> {
    if !config.cluster_enabled {
        return Ok(None);
    }
    let clustering = Clustering::begin(config, bus, bell).map_err(Failure::Log)?;
    config.replicaof = clustering.primary();
    Ok(Some(Box::new(clustering)))
}

/// Reads bits that cannot be guessed: keys' hashes must not be predictable.
fn chance() -> io::Result<u64> {
    let mut bits = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bits)?;
    Ok(u64::from_ne_bytes(bits))
}

fn fail(what: &str, error: &io::Error) -> Failure {
    Failure::Log(format!("Can't have {what}: {}.", plain(error)))
}
