//! Measures Keylane beside other servers that speak its protocol: `perf --help` lists the ways.
//!
//! Nothing of Keylane's own code is used here: every server is a process behind a socket.

mod apply;
mod benchmark;
mod busy;
mod client;
mod contention;
mod eviction;
mod expiry;
mod handover;
mod idle;
mod instructions;
mod large;
mod leaving;
mod memory;
mod options;
mod pause;
mod peer;
mod pipe;
mod process;
mod replication;
mod report;
mod resident;
mod scatter;
mod scrape;
mod server;
mod snapshot;
mod summary;
mod throughput;

use std::process::ExitCode;

use crate::options::{Measurement, Options};
use crate::report::Report;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args == [busy::SPIN] {
        return busy::spin();
    }
    if args.is_empty() || args.iter().any(|arg| arg == "--help") {
        print!("{}", options::usage());
        return ExitCode::SUCCESS;
    }
    match measure(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("perf: {message}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &[String]) -> Result<(), String> {
    let options = Options::parse(args)?;
    process::pin_self(&options.load_cpus)?;
    let mut report = Report::new(args, &options)?;
    match options.measurement {
        Measurement::Throughput => throughput::run(&options, &mut report)?,
        Measurement::Idle => idle::run(&options, &mut report)?,
        Measurement::Memory => memory::run(&options, &mut report)?,
        Measurement::Pause => pause::run(&options, &mut report)?,
        Measurement::Large => large::run(&options, &mut report)?,
        Measurement::Snapshot => snapshot::run(&options, &mut report)?,
        Measurement::Instructions => instructions::run(&options, &mut report)?,
        Measurement::Pipe => pipe::run(&options, &mut report)?,
        Measurement::Contention => contention::run(&options, &mut report)?,
        Measurement::Busy => busy::run(&options, &mut report)?,
        Measurement::Expiry => expiry::run(&options, &mut report)?,
        Measurement::Eviction => eviction::run(&options, &mut report)?,
        Measurement::Replication => replication::run(&options, &mut report)?,
        Measurement::Apply => apply::run(&options, &mut report)?,
        Measurement::Handover => handover::run(&options, &mut report)?,
        Measurement::Leaving => leaving::run(&options, &mut report)?,
        Measurement::Resident => resident::run(&options, &mut report)?,
    }
    print!("{}", report.text());
    let path = report.save()?;
    println!("\nSaved as {}", path.display());
    Ok(())
}
