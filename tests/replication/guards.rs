//! `min-replicas-to-write`: a primary refuses writes while too few replicas keep up, and takes them
//! again when they are back.

use crate::client::Client;
use crate::processes::Server;
use crate::roles::text;
use crate::servers::Kind::{self, Keylane, Redis80, Valkey91};
use crate::servers::{counter, follow, until, wait_until_online};
use crate::{Tally, say};

/// A primary and its replica. The first row shows that Valkey does so.
const ROWS: &[[Kind; 2]] = &[
    [Valkey91, Valkey91],
    [Keylane(1), Valkey91],
    [Keylane(3), Redis80],
    [Keylane(2), Keylane(3)],
    [Valkey91, Keylane(2)],
];

#[test]
fn writes_need_replicas_that_keep_up() {
    let mut tally = Tally::new("guards");
    for kinds in ROWS {
        if tally.takes(kinds) {
            play(kinds);
        }
    }
    tally.tell();
}

fn play(kinds: &[Kind; 2]) {
    let options = ["--min-replicas-to-write", "1"];
    let primary = kinds[0].start(&options).expect("the tally found it");
    let mut replica = kinds[1].start(&[]).expect("the tally found it");
    let mut client = primary.client();
    assert_eq!(set(&mut client), "NOREPLICAS Not enough good replicas to write.");

    // Twice, since the replica comes back as another session.
    for _ in 0..2 {
        join(&primary, &replica);
        assert_eq!(text(client.call(&["MULTI"])), "OK");
        assert_eq!(text(client.call(&["INCR", "k"])), "QUEUED");
        replica.kill();
        until("writes are refused", || set(&mut primary.client()) != "OK", || primary.output());
        assert_eq!(counter(&primary, "replication", "min_slaves_good_slaves"), 0);
        assert_eq!(
            text(client.call(&["EXEC"])),
            "EXECABORT Transaction discarded because of: NOREPLICAS Not enough good replicas to \
             write."
        );
        replica.start_again();
    }

    let off = client.call(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    assert_eq!(text(off), "OK");
    assert_eq!(set(&mut client), "OK", "the setting holds from its answer on");
    say(&format!("guards: {} and {}", kinds[0].name(), kinds[1].name()));
}

/// Lets the replica follow, and waits until writes are taken.
fn join(primary: &Server, replica: &Server) {
    follow(replica, &primary.addr);
    wait_until_online(primary, replica);
    until("writes are taken", || set(&mut primary.client()) == "OK", || primary.output());
    assert_eq!(counter(primary, "replication", "min_slaves_good_slaves"), 1);
}

fn set(client: &mut Client) -> String {
    text(client.call(&["SET", "a", "1"]))
}
