//! A shard of a primary hangs in a command, while all other threads of the process are well.

use std::time::Duration;

use crate::client::{Client, Reply};
use crate::nodes::{KEY, NODE_TIMEOUT, ask, id};
use crate::play_with;
use crate::servers::{now, until};

/// How long a shard may do without a turn.
const STALL: &str = "500";
/// How long one hangs, about: longer than it takes until a replica is elected.
const HANGS: Duration = Duration::from_millis(500 + 2 * NODE_TIMEOUT);
/// Strings of slot 0 that are compared, which takes as long as their lengths multiplied.
const STRINGS: [&str; 2] = ["{06S}one", "{06S}other"];
/// A comparison of strings of this length is what others are measured by.
const SHORT: u128 = 100_000;

#[test]
fn a_replica_takes_the_place_of_a_primary_whose_shard_hangs() {
    let options = ["--cluster-shard-stall", STALL, "--proto-max-bulk-len", "1000gb"];
    play_with("a shard hangs", &["kkkkkk"], &options, |cluster| {
        let replica = cluster.replica_of(0);
        assert_eq!(ask(&cluster.nodes[0], &["SET", KEY, "kept"]), "OK");
        let mut client = cluster.nodes[0].client();
        let took = compare(&mut client, SHORT);
        let times = HANGS.as_micros() / took.as_micros().max(1);
        set_lengths(&mut client, SHORT * times.isqrt());
        client.send(&["LCS", STRINGS[0], STRINGS[1], "LEN"]).expect("it takes a command");
        let takes_over = || cluster.is_primary(replica);
        until("a replica has taken over", takes_over, || cluster.nodes[replica].output());
        assert_eq!(ask(&cluster.nodes[replica], &["GET", KEY]), "kept");
        assert!(matches!(client.receive(), Ok(Reply::Integer(_))), "the shard goes on");
        let (heir, former) = (id(&cluster.nodes[replica]), id(&cluster.nodes[0]));
        cluster.until_all_agree("the shard turns again", |lines| {
            let node = lines.iter().find(|line| line.id == former);
            node.is_some_and(|node| node.primary == heir && node.slots.is_empty())
        });
        let output = cluster.nodes[0].output();
        assert!(output.contains("A shard has not turned for"), "{output}");
    });
}

/// How long a shard takes to compare strings of this length.
fn compare(client: &mut Client, len: u128) -> Duration {
    set_lengths(client, len);
    let begun = now();
    let reply = client.call(&["LCS", STRINGS[0], STRINGS[1], "LEN"]).expect("it is answered");
    assert!(matches!(reply, Reply::Integer(_)), "{reply:?}");
    begun.elapsed()
}

fn set_lengths(client: &mut Client, len: u128) {
    for key in STRINGS {
        let last = (len - 1).to_string();
        let reply = client.call(&["SETRANGE", key, &last, "x"]).expect("it is answered");
        assert!(matches!(reply, Reply::Integer(_)), "{reply:?}");
    }
}
