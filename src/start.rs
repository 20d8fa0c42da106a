//! Starting the process, step by step: configuration, checks, listeners, threads. Every failure is
//! told in a sentence, and the exit status is then 1.

pub mod checks;
pub mod control_loop;
pub mod listeners;
#[cfg(test)]
mod rig;
pub mod texts;
pub mod threads;
pub mod usage;
pub mod wait;

use std::env;
use std::fs;
use std::path::PathBuf;

use crate::config::parse::Loaded;
use crate::config::table::Config;
use crate::log;
use crate::persistence::leftovers;
use crate::process::listening::absolute;
use crate::process::{OwnFile, Process, Supervisor, VALKEY_VERSION, VERSION, plain};
use crate::reactor::own_path::OwnPath;
use crate::reactor::{cpus, heap, huge_pages};

/// Why the process does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Something about the configuration: told on the error output, as it is not known yet where
    /// to log.
    Config(String),
    /// Anything else: a line of the log.
    Log(String),
}

impl Failure {
    /// A report about the configuration in Valkey's form, where no line is to blame.
    fn of_config(why: &str) -> Self {
        let head = format!("*** FATAL CONFIG FILE ERROR (Version {VALKEY_VERSION}) ***");
        Self::Config(format!("\n{head}\n{why}\n"))
    }

    /// Tells the user who started the process.
    pub fn tell(&self) {
        match self {
            Self::Config(report) => eprint!("{report}"),
            Self::Log(line) => log::warning(line),
        }
    }
}

/// A process that is known to the world, before it listens.
#[derive(Debug)]
pub struct Prepared {
    /// The configuration, with what the system does not grant taken away.
    pub config: Config,
    /// The process.
    pub process: Process,
    /// How many shards there are to be.
    pub shards: u16,
    /// The processor of each shard; empty to leave that to the system.
    pub cpus: Vec<usize>,
}

/// Takes the configuration into force: working folder, log, limits.
///
/// # Errors
/// If the system does not grant what it needs.
pub fn prepare(loaded: Loaded, config_file: Option<PathBuf>) -> Result<Prepared, Failure> {
    let Loaded { mut config, warnings } = loaded;
    if config.cluster_enabled && config.replicaof.is_some() {
        return Err(Failure::of_config("replicaof directive not allowed in cluster mode"));
    }
    // Paths are relative to the working folder, and stay where they are if CONFIG SET changes it.
    let executable = env::current_exe().unwrap_or_default();
    checks::working_folder(&config)?;
    config.dir = env::current_dir().unwrap_or(config.dir);
    if let Some(file) = absolute(&config.logfile) {
        log::use_file(&file).map_err(|error| {
            let (file, error) = (file.display(), plain(&error));
            Failure::of_config(&format!(
                "Can't open the log file: {error}. Make the folder of {file} and let the process \
                 write there, or choose another `logfile`."
            ))
        })?;
    }
    log::use_syslog(&config);
    log::configure(&config);
    log::notice("oO0OoO0OoO0Oo Keylane is starting oO0OoO0OoO0Oo");
    log::notice(&format!(
        "Keylane version={VERSION}, Valkey version={VALKEY_VERSION}, bits={}, pid={}, just started",
        usize::BITS,
        std::process::id()
    ));
    log::notice("Configuration loaded");
    for warning in warnings {
        log::warning(&warning);
    }
    leftovers::remove(&config.dir, config_file.as_deref());
    let allowed = cpus::allowed().map_err(|error| {
        let error = plain(&error);
        Failure::Log(format!("Can't tell which processors may be used: {error}."))
    })?;
    let (shards, cpus) = placement(&config, &allowed).map_err(Failure::Log)?;
    checks::system(shards)?;
    checks::open_files(&mut config, shards)?;
    if !config.huge_pages
        && let Err(error) = huge_pages::disable()
    {
        log::warning(&format!("Can't do without huge pages: {}.", plain(&error)));
    }
    heap::decay_in_background(config.jemalloc_bg_thread);
    heap::give_large_blocks_back();
    let supervisor = Supervisor::find(config.supervised);
    let unix_socket = OwnPath::new(absolute(&config.unixsocket));
    let process =
        Process { executable, config_file, unix_socket, supervisor, ..Process::default() };
    Ok(Prepared { config, process, shards, cpus })
}

/// Writes the pid file, if there is to be one and it can be written.
pub fn write_pid_file(config: &Config) -> Option<OwnFile> {
    let path = absolute(&config.pidfile)?;
    match fs::write(&path, format!("{}\n", std::process::id())) {
        Ok(()) => Some(OwnFile { path, name: "pid" }),
        Err(error) => {
            log::warning(&format!("Failed to write PID file: {}", plain(&error)));
            None
        }
    }
}

/// How many shards, and the processor of each. Shards are pinned where they are as many as the
/// processors or where `shard-cpus` says so; fewer are left to the system, or two servers beside
/// each other would share one processor while others idle.
fn placement(config: &Config, allowed: &[usize]) -> Result<(u16, Vec<usize>), String> {
    let listed = &config.shard_cpus;
    if let Some(cpu) = listed.iter().find(|cpu| !allowed.contains(cpu)) {
        return Err(format!(
            "shard-cpus names processor {cpu}, but the process may use only {allowed:?}: take it \
             out of the list."
        ));
    }
    let cpus = if listed.is_empty() { allowed } else { listed };
    let all = u16::try_from(cpus.len()).map_err(|_| "Too many processors; set `shards`.")?;
    let shards = if config.shards == 0 { all } else { config.shards };
    let pinned = !listed.is_empty() || shards == all;
    let cpus = cpus.iter().copied().cycle().take(usize::from(shards));
    Ok((shards, if pinned { cpus.collect() } else { Vec::new() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shards: u16, listed: &[usize], allowed: &[usize], expected: Option<(u16, &[usize])>) {
        let config = Config { shards, shard_cpus: listed.to_vec(), ..Config::default() };
        let expected = expected.map(|(shards, cpus)| (shards, cpus.to_vec()));
        assert_eq!(placement(&config, allowed).ok(), expected);
    }

    #[test]
    fn shards_are_as_many_as_processors() {
        check(0, &[], &[2, 3], Some((2, &[2, 3])));
        check(0, &[3], &[2, 3], Some((1, &[3])));
        check(1, &[], &[2, 3], Some((1, &[])));
        check(4, &[], &[2, 3], Some((4, &[])));
        check(4, &[3, 2], &[2, 3], Some((4, &[3, 2, 3, 2])));
        check(1, &[3, 2], &[2, 3], Some((1, &[3])));
        check(0, &[1], &[2, 3], None);
    }
}
