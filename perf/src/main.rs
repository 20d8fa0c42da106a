//! Measures Keylane beside other servers that speak its protocol: `perf --help` lists the ways.
//!
//! Nothing of Keylane's own code is used here: every server is a process behind a socket.

mod measurements;
mod options;
mod report;
mod servers;
mod summary;

use std::process::ExitCode;

use crate::measurements::busy;
use crate::options::Options;
use crate::report::Report;
use crate::servers::process;

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
    measurements::run(&options, &mut report)?;
    print!("{}", report.text());
    let path = report.save()?;
    println!("\nSaved as {}", path.display());
    match report.failures() {
        0 => Ok(()),
        failures => Err(format!("{failures} of its parts did not come to an end: see there")),
    }
}
