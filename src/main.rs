//! The server's process: configuration, checks, listeners, threads, and then waiting for signals.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::ExitCode;

use keylane::log;
use keylane::persistence::checking;
use keylane::process::{self, Process};
use keylane::reactor::clock;
use keylane::reactor::signals;
use keylane::start::listeners::Listeners;
use keylane::start::threads::{self, Threads};
use keylane::start::{self, Failure, Prepared, checks, texts, usage, wait};

fn main() -> ExitCode {
    let mut args = std::env::args_os().map(OsStringExt::into_vec);
    let program = args.next().unwrap_or_default();
    let args: Vec<_> = args.collect();
    if let Some(text) = usage::answer(&String::from_utf8_lossy(&program), &args) {
        println!("{text}");
        return ExitCode::SUCCESS;
    }
    let ended = match args.as_slice() {
        [word] if word == b"--check-system" => {
            checks::system(1).map(|()| println!("Keylane can run on this machine."))
        }
        [word, file] if word == b"check" => check(file),
        args => run(args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            ExitCode::FAILURE
        }
    }
}

/// Looks through a snapshot.
fn check(file: &[u8]) -> Result<(), Failure> {
    let summary = checking::check(Path::new(OsStr::from_bytes(file)), clock::wall());
    summary.map(|text| println!("{text}")).map_err(|why| Failure::Config(format!("{why}\n")))
}

fn run(args: &[Vec<u8>]) -> Result<(), Failure> {
    process::end_on_crash();
    // Before any thread is there, so that all leave signals to this one.
    let signals = signals::take().map_err(|error| {
        Failure::Log(format!("Can't take signals: {error}. Is the limit of open files reached?"))
    })?;
    let (loaded, config_file) = texts::load(args)?;
    let Prepared { config, process, shards, cpus } = start::prepare(loaded, config_file)?;
    let mode = if config.cluster_enabled { "cluster" } else { "standalone" };
    log::notice(&format!("Running mode={mode}, port={}.", config.port));
    log::notice(&format!("PID: {}", std::process::id()));
    let unix_path = process.unix_socket.get();
    let Listeners { tcp, unix, metrics, bus } = Listeners::open(&config, unix_path.as_deref())?;
    let pid_file = start::write_pid_file(&config);
    // It lives as long as the process does.
    let kinds = [(!tcp.is_empty(), "tcp"), (unix.is_some(), "unix")];
    let listens = kinds.into_iter().filter_map(|(listens, kind)| listens.then_some(kind)).collect();
    let process: &'static _ = Box::leak(Box::new(Process { pid_file, listens, ..process }));
    let listeners = tcp.into_iter().chain(unix).collect();
    let all = Threads { config, process, shards, cpus, listeners, metrics, bus };
    threads::start(all).inspect_err(|_| process.remove_files())?;
    wait::for_signals(&signals, process)
}
