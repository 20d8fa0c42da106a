//! Waits for signals while the threads serve.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use crate::log;
use crate::process::Process;
use crate::reactor::signals::{self, RECORD_BYTES, Signal};

/// Acts on signals, read from `signals`, until one ends the process: SIGTERM and SIGINT do.
/// A second SIGINT ends it at once, whatever the end is waiting for.
pub fn for_signals(signals: OwnedFd, process: &'static Process) -> ! {
    let mut signals = File::from(signals);
    let mut record = [0; RECORD_BYTES];
    loop {
        // An interrupted read, by SIGSTOP and SIGCONT for one, is repeated in there.
        if let Err(error) = signals.read_exact(&mut record) {
            process.fail(&format!("Signals can't be read any more: {error}."));
        }
        match signals::signal(&record) {
            Some(signal @ (Signal::Term | Signal::Int)) => {
                if !process.ending.ask(signal) {
                    process.give_up();
                }
                let name = if signal == Signal::Term { "SIGTERM" } else { "SIGINT" };
                log::warning(&format!("Received {name} scheduling shutdown..."));
            }
            Some(Signal::Hup) | None => {}
        }
    }
}
