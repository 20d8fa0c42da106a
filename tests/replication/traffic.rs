//! What INFO counts of the bytes that a primary sends to its replicas, and a replica gets from its
//! primary: snapshots, streams, and logs and chunks by connections of their own. The first row
//! shows how Valkey counts.

use crate::client::{Reply, push_request};
use crate::processes::Server;
use crate::servers::Kind::{self, Keylane, Native, Valkey91};
use crate::servers::{counter, describe, follow, info, until};
use crate::servers::{wait_until_offsets_meet, wait_until_online};
use crate::{Tally, side_by_side};

const ROWS: &[[Kind; 2]] = &[
    [Valkey91, Valkey91],
    [Valkey91, Keylane(2)],
    [Keylane(2), Valkey91],
    [Keylane(3), Keylane(2)],
    [Native(3), Native(2)],
];
/// Keys that are written at once, and bytes of each.
const KEYS: usize = 1_000;
const VALUE_BYTES: usize = 1_000;
/// Bytes that go to and fro besides: headers of keys and chunks, PINGs, greetings.
const BESIDES: u64 = 150_000;
/// What one side counts of the same bytes and the other does not: greetings, and what is still on
/// its way.
const APART: u64 = 20_000;

#[test]
fn what_replication_takes_is_counted_on_both_sides() {
    let mut tally = Tally::new("traffic");
    let rows: Vec<_> = ROWS.iter().filter(|kinds| tally.takes(&kinds[..])).collect();
    tally.tell();
    side_by_side(rows, play);
}

fn play(kinds: &[Kind; 2]) {
    let servers = kinds.map(|kind| {
        let options = ["--rdbcompression", "no", "--repl-diskless-sync", "yes"];
        kind.start(&options).expect("the tally found it")
    });
    let [primary, replica] = &servers;
    write(primary, 0);
    let before = servers.each_ref().map(counts);
    assert_eq!(before.map(|counts| (counts.repl_in, counts.repl_out)), [(0, 0); 2]);

    follow(replica, &primary.addr);
    wait_until_online(primary, replica);
    check("snapshot", &servers);

    for server in &servers {
        let reply = server.client().call(&["CONFIG", "RESETSTAT"]);
        assert!(matches!(&reply, Ok(Reply::Simple(text)) if text == b"OK"), "{reply:?}");
        let Counts { repl_in, repl_out, .. } = counts(server);
        assert!(repl_in + repl_out < APART, "{}: {repl_in} {repl_out}", server.name);
    }
    write(primary, KEYS);
    wait_until_offsets_meet(primary, replica);
    let rate = |server: &Server, name: &str| {
        info(server, "stats").get(name).and_then(|rate| rate.parse().ok()).unwrap_or(0.0)
    };
    let are_shown = || {
        0.0 < rate(primary, "instantaneous_output_repl_kbps")
            && 0.0 < rate(replica, "instantaneous_input_repl_kbps")
    };
    until("rates are shown", are_shown, || describe(&servers));
    assert_eq!(rate(primary, "instantaneous_input_repl_kbps"), 0.0, "{}", primary.name);
    assert_eq!(rate(replica, "instantaneous_output_repl_kbps"), 0.0, "{}", replica.name);
    check("stream", &servers);
}

/// Waits until both sides have counted what so many keys take, and looks whether it is no more.
fn check(what: &str, servers: &[Server; 2]) {
    let [primary, replica] = servers;
    let least = (KEYS * VALUE_BYTES) as u64;
    let are_counted = || least <= counts(primary).repl_out && least <= counts(replica).repl_in;
    until("it is counted", are_counted, || {
        format!("{what}: {:?}\n{}", servers.each_ref().map(counts), describe(servers))
    });
    let [sent, got] = servers.each_ref().map(counts);
    let names = servers.each_ref().map(|server| &server.name);
    let all = format!("{what} {names:?}: {sent:?} {got:?}");
    assert!(sent.repl_out < least + BESIDES, "{all}");
    assert!(sent.repl_out.abs_diff(got.repl_in) < APART, "{all}");
    assert_eq!((sent.repl_in, got.repl_out), (0, 0), "{all}");
    // The totals have both.
    assert!(sent.repl_out <= sent.all_out && got.repl_in <= got.all_in, "{all}");
}

#[derive(Clone, Copy, Debug)]
struct Counts {
    all_in: u64,
    all_out: u64,
    repl_in: u64,
    repl_out: u64,
}

fn counts(server: &Server) -> Counts {
    let count = |name: &str| counter(server, "stats", name);
    // Totals come last: they are not to have less than their parts.
    let (repl_in, repl_out) =
        (count("total_net_repl_input_bytes"), count("total_net_repl_output_bytes"));
    let (all_in, all_out) = (count("total_net_input_bytes"), count("total_net_output_bytes"));
    Counts { all_in, all_out, repl_in, repl_out }
}

/// Writes keys from this number on.
fn write(server: &Server, from: usize) {
    let mut requests = Vec::new();
    let value = vec![b'v'; VALUE_BYTES];
    for key in from..from + KEYS {
        push_request(&mut requests, &[b"SET", format!("key:{key}").as_bytes(), &value]);
    }
    let mut client = server.client();
    client.send_raw(&requests).expect("it is taken");
    for _ in 0..KEYS {
        assert!(matches!(client.receive(), Ok(Reply::Simple(_))));
    }
}
