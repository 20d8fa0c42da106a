//! A shard of a primary hangs in a command, while all other threads of the process are well.

use std::time::Duration;

use crate::client::{Client, Reply};
use crate::nodes::{KEY, NODE_TIMEOUT, ask, id};
use crate::play_with;
use crate::servers::{now, until};

/// How long a shard may do without a turn.
const STALL: &str = "500";
/// How long one hangs, about, at first: longer than it takes until a replica is elected.
const HANGS: Duration = Duration::from_millis(500 + 3 * NODE_TIMEOUT);
/// A shard that hangs for so long was seen to.
const STUCK: Duration = Duration::from_millis(1000);
const TRIES_MAX: u128 = 4;
/// Strings of slot 0 that are compared, which takes as long as their lengths multiplied.
const STRINGS: [&str; 2] = ["{06S}one", "{06S}other"];
/// A comparison of strings of this length is what others are measured by.
const SHORT: u128 = 100_000;

#[test]
fn a_replica_takes_the_place_of_a_primary_whose_shard_hangs() {
    let options = ["--cluster-shard-stall", STALL, "--proto-max-bulk-len", "1000000gb"];
    play_with("a shard hangs", &["kkkkkk"], &options, |cluster| {
        let replica = cluster.replica_of(0);
        assert_eq!(ask(&cluster.nodes[0], &["SET", KEY, "kept"]), "OK");
        let mut client = cluster.nodes[0].client();
        let took = compare(&mut client, SHORT);
        // The machine may have been slower when that was measured.
        let takes_over = || cluster.is_primary(replica);
        let has_taken_over = (1..=TRIES_MAX).any(|attempt| {
            let hangs = attempt * HANGS.as_micros();
            let len = (SHORT * SHORT * hangs / took.as_micros().max(1)).isqrt();
            let goes_on = || takes_over() || set_lengths(&mut client, len);
            until("it serves, or has a successor", goes_on, || cluster.nodes[0].output());
            takes_over() || {
                hang(&mut client);
                takes_over()
            }
        });
        assert!(has_taken_over, "{}", cluster.nodes[replica].output());
        assert_eq!(ask(&cluster.nodes[replica], &["GET", KEY]), "kept");
        let (heir, former) = (id(&cluster.nodes[replica]), id(&cluster.nodes[0]));
        cluster.until_all_agree("the shard turns again", |lines| {
            let node = lines.iter().find(|line| line.id == former);
            node.is_some_and(|node| node.primary == heir && node.slots.is_empty())
        });
        let output = cluster.nodes[0].output();
        assert!(output.contains("A shard has not turned for"), "{output}");
    });
}

/// Has a shard compare the strings, with a write behind that, which was read with it. When it gets
/// to that, a replica may have been elected.
fn hang(client: &mut Client) {
    let words: [&[&str]; 2] = [&["LCS", STRINGS[0], STRINGS[1], "LEN"], &["SET", KEY, "late"]];
    let begun = now();
    client.send_all(&words).expect("they are taken");
    let compared = client.receive().expect("it is answered");
    let took = begun.elapsed();
    assert!(matches!(compared, Reply::Integer(_)), "{compared:?}");
    let reply = client.receive().expect("it is answered");
    assert!(took < STUCK || matches!(reply, Reply::Error(_)), "{reply:?} after {took:?}");
}

/// How long a shard takes to compare strings of this length.
fn compare(client: &mut Client, len: u128) -> Duration {
    assert!(set_lengths(client, len), "it serves");
    let begun = now();
    let reply = client.call(&["LCS", STRINGS[0], STRINGS[1], "LEN"]).expect("it is answered");
    assert!(matches!(reply, Reply::Integer(_)), "{reply:?}");
    begun.elapsed()
}

/// Makes the strings so long. False if writes are refused for now.
fn set_lengths(client: &mut Client, len: u128) -> bool {
    let last = (len - 1).to_string();
    STRINGS.into_iter().all(|key| {
        let reply = client.call(&["SETRANGE", key, &last, "x"]).expect("it is answered");
        matches!(reply, Reply::Integer(_))
    })
}
