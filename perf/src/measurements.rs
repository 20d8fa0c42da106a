//! The ways to measure, each with its table.

mod apply;
pub mod busy;
mod contention;
mod eviction;
mod expiry;
mod handover;
mod idle;
mod instructions;
mod large;
pub mod leaving;
pub mod memory;
mod pause;
mod pipe;
mod replication;
mod resident;
mod snapshot;
mod throughput;

use crate::options::{Measurement, Options};
use crate::report::Report;

/// Measures what the options name, and writes its tables.
///
/// # Errors
///
/// A sentence on what a server or a tool did not do.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    match options.measurement {
        Measurement::Throughput => throughput::run(options, report),
        Measurement::Idle => idle::run(options, report),
        Measurement::Memory => memory::run(options, report),
        Measurement::Pause => pause::run(options, report),
        Measurement::Large => large::run(options, report),
        Measurement::Snapshot => snapshot::run(options, report),
        Measurement::Instructions => instructions::run(options, report),
        Measurement::Pipe => pipe::run(options, report),
        Measurement::Contention => contention::run(options, report),
        Measurement::Busy => busy::run(options, report),
        Measurement::Expiry => expiry::run(options, report),
        Measurement::Eviction => eviction::run(options, report),
        Measurement::Replication => replication::run(options, report),
        Measurement::Apply => apply::run(options, report),
        Measurement::Handover => handover::run(options, report),
        Measurement::Leaving => leaving::run(options, report),
        Measurement::Resident => resident::run(options, report),
    }
}
