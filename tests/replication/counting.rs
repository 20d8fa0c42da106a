//! WAIT in a transaction: it does not wait, and answers how many replicas have what was written
//! before. The first row shows that Valkey does so.

use nix::sys::signal::Signal;

use crate::client::{Client, Reply};
use crate::servers::Kind::{self, Keylane, Native, Valkey91};
use crate::servers::{describe, follow, until, wait_until_online};
use crate::silence::signal;
use crate::{Tally, side_by_side};

const ROWS: &[[Kind; 2]] = &[
    [Valkey91, Valkey91],
    [Keylane(3), Valkey91],
    [Keylane(1), Keylane(2)],
    [Native(3), Native(2)],
];

#[test]
fn wait_in_a_transaction_counts_replicas() {
    let mut tally = Tally::new("WAIT in a transaction");
    let rows: Vec<_> = ROWS.iter().filter(|kinds| tally.takes(&kinds[..])).collect();
    tally.tell();
    side_by_side(rows, play);
}

fn play(kinds: &[Kind; 2]) {
    let [primary, replica] = kinds.map(|kind| kind.start(&[]).expect("the tally found it"));
    let what = kinds.map(Kind::name).join(" and ");
    let mut client = primary.client();
    let wait = ["WAIT", "1", "0"];
    assert_eq!(exec(&mut client, &[&wait]), [Reply::Integer(0)], "{what}: there is none");
    follow(&replica, &primary.addr);
    wait_until_online(&primary, &replica);

    // A transaction's own writes are not asked about.
    let set = ["SET", "a", "1"];
    ok(&mut client, &set);
    let commands: &[&[&str]] = &[&set, &wait, &["SET", "b", "1"], &["WAIT", "0", "0"]];
    let ok_reply = Reply::Simple(b"OK".to_vec());
    let counted = |count| {
        let count = Reply::Integer(count);
        [ok_reply.clone(), count.clone(), ok_reply.clone(), count]
    };
    let is_counted = || {
        // What it wrote the last time is asked about now.
        exec(&mut client, &[&wait]) == [Reply::Integer(1)]
            && exec(&mut client, commands) == counted(1)
    };
    until("the replica is counted", is_counted, || describe([&primary, &replica]));

    // It answers at once however many are asked for, and however long it might wait.
    signal(&replica, Signal::SIGSTOP);
    ok(&mut client, &set);
    assert_eq!(exec(&mut client, &[&wait]), [Reply::Integer(0)], "{what}: it lacks a write");
    assert_eq!(exec(&mut client, commands), counted(0), "{what}");
    signal(&replica, Signal::SIGCONT);
    let is_counted = || exec(&mut client, &[&["WAIT", "2", "0"]]) == [Reply::Integer(1)];
    until("the replica is counted again", is_counted, || describe([&primary, &replica]));

    let mut client = replica.client();
    let replies = exec(&mut client, &[&wait]);
    assert!(matches!(&replies[..], [Reply::Error(_)]), "{what}: {replies:?}");
}

fn ok(client: &mut Client, words: &[&str]) {
    let reply = client.call(words);
    assert!(matches!(&reply, Ok(Reply::Simple(text)) if text == b"OK"), "{words:?}: {reply:?}");
}

/// What the commands of a transaction are answered.
fn exec(client: &mut Client, commands: &[&[&str]]) -> Vec<Reply> {
    ok(client, &["MULTI"]);
    for words in commands {
        let reply = client.call(words);
        assert!(matches!(&reply, Ok(Reply::Simple(text)) if text == b"QUEUED"), "{reply:?}");
    }
    match client.call(&["EXEC"]) {
        Ok(Reply::Group('*', replies)) => replies,
        other => panic!("{other:?}"),
    }
}
