//! Work between commands: what is due goes in time whatever clients do, and what was taken out of
//! the keyspace is freed.

use super::{all_ok, number, start};
use crate::asking::{field, find_field, ok, text};
use crate::client::Client;
use crate::running::Running;

const SHARDS: [usize; 2] = [1, 3];

/// Sends commands in pieces that the server can answer at once.
fn fill(client: &mut Client, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.collect();
    for part in lines.chunks(1000) {
        all_ok(client, part);
    }
}

/// Waits until a field of INFO is at least so; how many times it was asked for.
fn asked_until(running: &Running, client: &mut Client, name: &str, least: u64) -> usize {
    let mut asked = 0;
    let comes = running.comes_to(|_| {
        asked += 1;
        least <= number(client, name)
    });
    assert!(comes, "{name} does not come to {least}: {}", field(client, name));
    asked
}

#[test]
fn many_keys_that_are_due_go_beside_light_traffic() {
    const DUE: u64 = 30_000;
    const ASKED_MAX: usize = 60;
    for shards in SHARDS {
        let (running, _, mut client) = start(shards, &[]);
        ok(&mut client, "DEBUG SET-ACTIVE-EXPIRE 0");
        fill(&mut client, (0..DUE).map(|key| format!("SET {key} 1 PX 1")));
        ok(&mut client, "DEBUG SET-ACTIVE-EXPIRE 1");
        let asked = asked_until(&running, &mut client, "expired_keys", DUE);
        assert!(asked <= ASKED_MAX, "asked {asked} times with {shards} shards");
    }
}

#[test]
fn many_fields_that_are_due_go_beside_light_traffic() {
    const HASHES: u64 = 300;
    const FIELDS: u64 = 50;
    const ASKED_MAX: usize = 60;
    for shards in SHARDS {
        let (running, _, mut client) = start(shards, &[]);
        ok(&mut client, "DEBUG SET-ACTIVE-EXPIRE 0");
        let fields: Vec<String> = (0..FIELDS).map(|field| format!("f{field} v")).collect();
        let line = |key| format!("HSETEX {key} PX 1 FIELDS {FIELDS} {}", fields.join(" "));
        fill(&mut client, (0..HASHES).map(line));
        ok(&mut client, "DEBUG SET-ACTIVE-EXPIRE 1");
        let asked = asked_until(&running, &mut client, "expired_fields", HASHES * FIELDS);
        assert!(asked <= ASKED_MAX, "asked {asked} times with {shards} shards");
        assert_eq!(text(&mut client, "DBSIZE"), "Integer(0)");
    }
}

#[test]
fn readers_of_all_shards_do_not_stop_what_is_due_from_going() {
    const DUE: usize = 2000;
    const ASKED_MAX: usize = 30_000;
    for shards in SHARDS {
        let (_running, _, mut client) = start(shards, &[]);
        ok(&mut client, "DEBUG SET-ACTIVE-EXPIRE 0");
        fill(&mut client, (0..DUE).map(|key| format!("SET {key} 1 PX 1")));
        ok(&mut client, "DEBUG SET-ACTIVE-EXPIRE 1");
        let mut asked = 0;
        while text(&mut client, "DBSIZE") != "Integer(0)" {
            asked += 1;
            assert!(asked < ASKED_MAX, "{} are left", text(&mut client, "DBSIZE"));
        }
    }
}

/// What a transaction over several shards takes out of the keyspace.
#[test]
fn what_a_transaction_removes_is_freed() {
    const ROUNDS: usize = 5;
    const LEFT_BYTES_MAX: u64 = 1 << 20;
    let keys: Vec<String> = ["a", "b", "c"]
        .iter()
        .flat_map(|name| ["list", "hash", "set"].map(|kind| format!("{kind}:{name}")))
        .collect();
    let store = |key: &String| format!("SUNIONSTORE {key} none other");
    let ways: [Vec<String>; 3] = [
        vec![format!("UNLINK {}", keys.join(" "))],
        vec![format!("DEL {}", keys.join(" "))],
        keys.iter().map(store).collect(),
    ];
    for shards in SHARDS {
        let (running, _, mut client) = start(shards, &[]);
        let mut before = 0;
        // The first round warms up what is kept for the next.
        for round in 0..=ROUNDS {
            for way in &ways {
                fill(&mut client, keys.iter().map(|key| large(key)));
                ok(&mut client, "MULTI");
                all_ok(&mut client, way);
                let reply = text(&mut client, "EXEC");
                assert!(!reply.contains("Error"), "{reply}");
                assert_eq!(text(&mut client, "DBSIZE"), "Integer(0)");
            }
            if round == 0 {
                ok(&mut client, "FLUSHALL SYNC");
                running.comes_to(|_| {
                    find_field(&mut client, "lazyfree_pending_objects").is_none_or(|it| it == "0")
                });
                before = number(&mut client, "used_memory");
            }
        }
        let back =
            running.comes_to(|_| number(&mut client, "used_memory") <= before + LEFT_BYTES_MAX);
        let left = number(&mut client, "used_memory").saturating_sub(before);
        assert!(back, "{left} bytes are left with {shards} shards");
    }
}

/// The command that makes a value large enough to be freed piece by piece.
fn large(key: &str) -> String {
    const MEMBERS: usize = 1000;
    let text = "x".repeat(60);
    let kind = key.split(':').next().expect("it has a kind");
    let members: Vec<String> = (0..MEMBERS)
        .map(|member| match kind {
            "hash" => format!("f{member} {text}{member}"),
            _ => format!("{text}{member}"),
        })
        .collect();
    let command = match kind {
        "hash" => "HSET",
        "set" => "SADD",
        _ => "RPUSH",
    };
    format!("{command} {key} {}", members.join(" "))
}
