//! Waits for signals while the threads serve.

use crate::log;
use crate::process::Process;
use crate::reactor::signals::{Signal, Signals};

/// Acts on signals until one ends the process: SIGTERM and SIGINT do. A second SIGINT ends it at
/// once, whatever the end is waiting for.
pub fn for_signals(signals: &Signals, process: &'static Process) -> ! {
    loop {
        match signals.next() {
            Ok(signal @ (Signal::Term | Signal::Int)) => {
                let name = if signal == Signal::Term { "SIGTERM" } else { "SIGINT" };
                // Control's lines come behind it.
                log::warning(&format!("Received {name} scheduling shutdown..."));
                if !process.ending.ask(signal) {
                    process.give_up();
                }
            }
            Ok(Signal::Hup) => {}
            Err(error) => process.fail(&format!("Signals can't be read any more: {error}.")),
        }
    }
}
