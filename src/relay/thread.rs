//! The relay's thread.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::config::table::Config;
use crate::mail::mailbox::Mailbox;
use crate::mail::to_relay::ToRelay;
use crate::process::Process;
use crate::reactor::clock::Monotonic;
use crate::reactor::crash;
use crate::relay::core::Relay;

/// How long the relay looks away from its mail when there was some. Shards need not wake it then,
/// and what they write meanwhile is sent together: one wake-up for each of their turns took 0.2 us
/// of each SET at 16 in a pipeline. Control wakes it when a client waits for replicas.
const NAP: Duration = Duration::from_micros(500);
/// How often the relay looks after what is due.
const TICK: Duration = Duration::from_millis(100);

/// Starts the relay. `started` is the moment from which all threads count.
///
/// # Errors
/// The system's, if it has no room for a thread.
pub fn start_relay(
    mailbox: Mailbox<ToRelay>,
    config: Arc<Config>,
    started: Monotonic,
    process: &'static Process,
) -> io::Result<()> {
    let run = move || {
        crash::guard_thread();
        let mut relay = Relay::new(mailbox, config, started);
        let error = loop {
            if let Err(error) = turn(&mut relay) {
                break error;
            }
        };
        process.fail(&format!("The relay can't go on: {error}."))
    };
    thread::Builder::new().name("relay".into()).spawn(run).map(drop)
}

fn turn(relay: &mut Relay) -> io::Result<()> {
    let had_mail = relay.turn();
    let left = relay.mailbox.flush();
    if left || relay.is_urgent() {
        return Ok(());
    }
    if had_mail && !relay.owes_ack() {
        return relay.mailbox.bell().wait(relay.awaited(), NAP);
    }
    if !relay.mailbox.sleep() {
        return Ok(());
    }
    let patience = relay.patience().min(TICK);
    relay.mailbox.bell().wait(relay.awaited(), patience)?;
    relay.mailbox.awake();
    Ok(())
}
