//! Transfers over connections that are slow, and get on: they are given the time that they take,
//! also if the keys are few and large, and if another replica of the same transfer does not get on.

use std::time::Duration;

use crate::client::Client;
use crate::processes::Server;
use crate::proxy::{Proxy, Weather};
use crate::roles::text;
use crate::servers::Kind::{self, Keylane, Valkey91};
use crate::servers::{counter, follow, info, now, until, wait_until_online};
use crate::{SEED, Tally, say, side_by_side};

/// What is to be sent, and how much of it passes in a second.
const VALUES: usize = 20;
const VALUE_BYTES: usize = 500_000;
const SECOND_BYTES: u64 = 1_600_000;
/// `repl-progress-timeout`: less than a transfer takes.
const PROGRESS_S: u64 = 1;

#[test]
fn few_large_values_over_a_slow_connection_are_progress() {
    let mut tally = Tally::new("slow transfers");
    let mut rows = vec![[Keylane(2), Valkey91], [Keylane(1), Keylane(2)]];
    rows.retain(|kinds| tally.takes(kinds));
    side_by_side(rows, play);
    tally.tell();
}

fn play(kinds: [Kind; 2]) {
    let primary = start(kinds[0], &[]);
    let replica = match kinds[1] {
        Keylane(_) => start(kinds[1], &[]),
        other => other.start(&[]).expect("the tally found it"),
    };
    fill(&mut primary.client());
    let proxy = Proxy::start(&primary.addr, SEED).expect("there is a free port");
    proxy.set(Weather::Throttle(SECOND_BYTES));
    let began = now();
    follow(&replica, &proxy.address);
    wait_until_online(&primary, &replica);
    let took = began.elapsed();
    assert!(Duration::from_secs(2 * PROGRESS_S) < took, "{took:?} is not slow");
    assert_eq!(counter(&primary, "stats", "sync_full"), 1, "{}", primary.output());
    say(&format!("slow: {} -> {}: online after {took:?}", primary.name, replica.name));
}

#[test]
fn a_replica_that_is_stuck_takes_no_other_with_it() {
    let primary = start(Keylane(2), &["--repl-diskless-sync-delay", "1"]);
    let [stuck, other] = [(); 2].map(|()| Keylane(1).start(&[]).expect("it is built"));
    fill(&mut primary.client());
    let proxy = Proxy::start(&primary.addr, SEED).expect("there is a free port");
    proxy.set(Weather::Throttle(SECOND_BYTES));
    follow(&stuck, &proxy.address);
    follow(&other, &primary.addr);
    let both_are_sent_keys = || {
        let lines = info(&primary, "replication").into_values();
        lines.filter(|line| line.contains("state=send_bulk")).count() == 2
    };
    until("both share a transfer", both_are_sent_keys, || primary.output());
    proxy.set(Weather::Freeze);
    wait_until_online(&primary, &other);
    assert_eq!(counter(&primary, "stats", "sync_full"), 2, "{}", primary.output());
    let output = primary.output();
    assert!(output.contains("it took too little for too long"), "{output}");
}

fn start(kind: Kind, options: &[&str]) -> Server {
    let seconds = PROGRESS_S.to_string();
    let usual = ["--repl-progress-timeout", &seconds, "--rdbcompression", "no"];
    kind.start(&[&usual, options].concat()).expect("it is built")
}

fn fill(client: &mut Client) {
    let value = "v".repeat(VALUE_BYTES);
    for key in 0..VALUES {
        assert_eq!(text(client.call(&["SET", &format!("k{key}"), &value])), "OK");
    }
}
