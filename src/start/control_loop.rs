//! The loop of the control thread.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};

use crate::control::core::Control;
use crate::metrics::endpoint::Endpoint;
use crate::process::Process;
use crate::reactor::clock::Monotonic;
use crate::reactor::crash;
use crate::reactor::wake::Awaited;

/// How often control looks after what is due.
const TICK: Duration = Duration::from_millis(TICK_MILLIS);
const TICK_MILLIS: u64 = 100;

/// Starts the control thread, on any processor. `process` ends when control is asked for it, or
/// cannot go on.
///
/// # Errors
/// The system's, if it cannot start threads.
pub fn start_control(
    control: Control,
    endpoint: Endpoint,
    process: &'static Process,
) -> io::Result<ExecutorJoinHandle<Infallible>> {
    process.ending.ring(control.mailbox.bell().clone());
    LocalExecutorBuilder::new(Placement::Unbound)
        .name("control")
        .io_memory(64 << 10)
        .ring_depth(128)
        .spawn(move || async move {
            crash::guard_thread();
            match run_control(control, endpoint).await {
                Ok(()) => process.stop(),
                Err(error) => process.fail(&format!("Control can't go on: {error}.")),
            }
        })
        .map_err(|error| io::Error::other(error.to_string()))
}

async fn run_control(mut control: Control, mut endpoint: Endpoint) -> io::Result<()> {
    let mut last_tick = Monotonic::now();
    if control.loading.is_none() {
        control.begin_with_data();
    }
    loop {
        let now = Monotonic::now();
        control.node.now = now;
        if TICK_MILLIS <= now.millis_since(last_tick) {
            last_tick = now;
            control.tick();
        }
        let mut busy = control.read_mail();
        if !control.end.shutdown.is_under_way() {
            busy |= control.load_on();
        }
        control.see_to_snapshots();
        control.see_to_disk();
        control.see_to_replicas();
        busy |= control.see_to_cluster();
        if let Some(signal) = control.process.ending.take() {
            control.end_by(signal);
        }
        if control.go_on_ending() {
            endpoint.close();
            control.leave_cluster();
            return Ok(());
        }
        endpoint.turn(&mut control);
        let left = control.mailbox.flush();
        if !busy && !left && control.mailbox.sleep() {
            let patience = control.end_patience().map_or(TICK, Duration::from_millis).min(TICK);
            let repair = control.saving.repair.as_ref();
            let patience = repair.map_or(TICK, |repair| repair.patience(now)).min(patience);
            let acks = control.acks_patience().map_or(TICK, Duration::from_millis);
            let failover = control.failover_patience().map_or(TICK, Duration::from_millis);
            let cluster = control.clustering.as_ref().map(|clustering| clustering.patience());
            let cluster = cluster.map_or(TICK, Duration::from_millis);
            let patience = patience.min(acks).min(failover).min(cluster);
            let news = control.saving.news().into_iter().chain(control.disk.news());
            let links = control.clustering.iter().flat_map(|clustering| clustering.awaited());
            let awaited = endpoint.awaited().chain(news.map(Awaited::Readable)).chain(links);
            control.mailbox.bell().wait(awaited, patience)?;
            control.mailbox.awake();
        }
    }
}
