//! The memory limit: looked at before a request or EXEC and never inside, and what is lacking is
//! taken where it is.

use super::{all_ok, number, requests, start};
use crate::asking::{field, ok, text};
use crate::client::{Client, Reply};
use crate::running::Running;

const MIB: u64 = 1 << 20;

/// Sends commands in one piece; how many are refused with OOM.
fn refused(client: &mut Client, lines: impl IntoIterator<Item = String>) -> usize {
    let lines: Vec<String> = lines.into_iter().collect();
    client.send_raw(&requests(&lines)).expect("the server takes them");
    let replies = lines.iter().map(|_| client.receive().expect("the server answers"));
    replies
        .filter(|reply| matches!(reply, Reply::Error(error) if error.starts_with(b"OOM")))
        .count()
}

#[test]
fn a_shard_with_nothing_to_evict_takes_from_the_others() {
    for shards in [2, 3] {
        let options = ["--maxmemory", "20mb", "--maxmemory-policy", "allkeys-lru"];
        let (_running, _, mut client) = start(shards, &options);
        let value = "x".repeat(1000);
        for at in 0..250 {
            let fill = (0..100).map(|number| format!("SET {{tag}}{at}:{number} {value}"));
            assert_eq!(refused(&mut client, fill), 0);
        }
        assert_ne!(field(&mut client, "evicted_keys"), "0");
        let value = "y".repeat(100);
        for number in 0..1000 {
            let reply = text(&mut client, &format!("SET other:{number} {value}"));
            assert_eq!(reply, "OK", "write {number} with {shards} shards");
        }
    }
}

#[test]
fn a_pipeline_exceeds_the_limit_by_one_request_at_most() {
    const LIMIT: u64 = 20 * MIB;
    const VALUE: u64 = 4 * MIB;
    const WRITES: usize = 24;
    for (shards, tag) in [(1, ""), (3, ""), (3, "{tag}")] {
        for policy in ["noeviction", "allkeys-lru"] {
            let label = format!("{policy}, {shards} shards, tag {tag:?}");
            let limit = LIMIT.to_string();
            let options = ["--maxmemory", &limit, "--maxmemory-policy", policy];
            let (running, _, mut client) = start(shards, &options);
            let write = |key| format!("SETRANGE {key}{tag} {} x", VALUE - 1);
            let refused = refused(&mut client, (0..WRITES).map(write));
            let used = number(&mut client, "used_memory");
            assert!(used <= LIMIT + VALUE + MIB, "{label}: {used} bytes");
            if policy == "noeviction" {
                assert!(WRITES / 2 <= refused, "{label}: {refused} refused");
            } else {
                assert_eq!(refused, 0, "{label}");
                let below = running.comes_to(|_| number(&mut client, "used_memory") <= LIMIT);
                assert!(below, "{label}: {}", field(&mut client, "used_memory"));
            }
        }
    }
}

#[test]
fn nothing_is_evicted_inside_of_a_transaction() {
    const WRITES: usize = 300;
    for (shards, tag) in [(1, ""), (3, ""), (3, "{tag}")] {
        let (_running, _, mut client) = start(shards, &["--maxmemory-policy", "allkeys-random"]);
        let value = "x".repeat(10_000);
        all_ok(&mut client, (0..1000).map(|key| format!("SET old:{key} {value}")));
        let limit = number(&mut client, "used_memory") + 100_000;
        ok(&mut client, &format!("CONFIG SET maxmemory {limit}"));
        let names: Vec<String> = (0..WRITES).map(|key| format!("{tag}new:{key}")).collect();
        ok(&mut client, "MULTI");
        all_ok(&mut client, names.iter().map(|name| format!("SET {name} {value}")));
        ok(&mut client, &format!("EXISTS {}", names.join(" ")));
        let Reply::Group('*', replies) = client.call(&["EXEC"]).unwrap() else {
            panic!("EXEC runs")
        };
        let there = replies.last().map(Reply::head);
        let wanted = format!(":{WRITES}");
        assert_eq!(there.as_deref(), Some(wanted.as_str()), "{shards} shards, tag {tag:?}");
    }
}

/// What an empty server uses, once its threads have all that they keep.
fn settled(running: &Running, client: &mut Client) -> u64 {
    const ALIKE: usize = 5;
    all_ok(client, (0..200).map(|key| format!("SET {key} 1 EX 1000")));
    ok(client, "FLUSHALL SYNC");
    let (mut used, mut alike) = (0, 0);
    let settles = running.comes_to(|_| {
        let now = number(client, "used_memory");
        alike = if now == used { alike + 1 } else { 0 };
        used = now;
        alike == ALIKE
    });
    assert!(settles, "{used} bytes are used by nothing");
    used
}

#[test]
fn a_small_limit_holds_under_every_policy() {
    const OVER_BYTES_MAX: u64 = 8 << 10;
    let policies = [
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "volatile-lru",
        "volatile-ttl",
        "noeviction",
    ];
    for shards in [1, 3] {
        for policy in policies {
            let (running, _, mut client) = start(shards, &["--maxmemory-policy", policy]);
            let value = "v".repeat(100);
            let limit = settled(&running, &mut client) + (100 << 10);
            ok(&mut client, &format!("CONFIG SET maxmemory {limit}"));
            for round in 0..15 {
                for key in round * 100..(round + 1) * 100 {
                    text(&mut client, &format!("SET key:{key:08} {value} EX 1000"));
                }
                let used = number(&mut client, "used_memory");
                let most = limit + OVER_BYTES_MAX;
                assert!(used <= most, "{policy}, {shards} shards: {used} bytes of {limit}");
            }
            assert_ne!(text(&mut client, "DBSIZE"), "Integer(0)", "{policy}, {shards} shards");
        }
    }
}

#[test]
fn memory_that_waits_to_be_freed_goes_before_any_key() {
    const LIMIT: u64 = 32 * MIB;
    for shards in [1, 3] {
        let limit = LIMIT.to_string();
        let options = ["--maxmemory", &limit, "--maxmemory-policy", "allkeys-lru"];
        let (_running, _, mut client) = start(shards, &options);
        all_ok(&mut client, (0..1000).map(|key| format!("SET small:{key} 1")));
        let field = "f".repeat(100);
        for at in 0..100 {
            let names: Vec<String> = (0..1000).map(|name| format!("{field}{at}:{name}")).collect();
            ok(&mut client, &format!("SADD large {}", names.join(" ")));
        }
        let used = number(&mut client, "used_memory");
        assert!(used < LIMIT, "{used} bytes are used before");
        ok(&mut client, "UNLINK large");
        let value = "v".repeat(1 << 20);
        let fill = (0..16).map(|key| format!("SET next:{key} {value}"));
        assert_eq!(refused(&mut client, fill), 0, "{shards} shards");
        assert_eq!(number(&mut client, "evicted_keys"), 0, "{shards} shards");
    }
}

#[test]
fn a_command_over_several_shards_is_done_as_a_whole_or_refused() {
    const KEYS: usize = 8;
    for shards in [1, 3] {
        let (_running, _, mut client) = start(shards, &["--maxmemory-policy", "noeviction"]);
        let value = "x".repeat(100_000);
        let keys: Vec<String> = (0..KEYS).map(|number| format!("key{number}")).collect();
        let write: String = keys.iter().map(|key| format!(" {key} {value}")).collect();
        let mut outcomes = [0, 0];
        // From where there is room for one of the keys to where there is for all.
        for room in (0..=20).map(|tenth| tenth * 100_000) {
            ok(&mut client, "CONFIG SET maxmemory 0");
            ok(&mut client, "FLUSHALL SYNC");
            let used = number(&mut client, "used_memory");
            ok(&mut client, &format!("CONFIG SET maxmemory {}", used + room));
            let is_refused = refused(&mut client, [format!("MSET{write}")]) == 1;
            let there = text(&mut client, &format!("EXISTS {}", keys.join(" ")));
            let expected = if is_refused { "Integer(0)" } else { "Integer(8)" };
            assert_eq!(there, expected, "{shards} shards, room for {room} bytes");
            outcomes[usize::from(is_refused)] += 1;
        }
        assert!(outcomes.iter().all(|times| 0 < *times), "{outcomes:?}");
    }
}
