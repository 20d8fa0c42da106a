//! Tests: what commands make of what is due where it is removed, hidden, or seen all the same. The
//! first is what clients know; the others are measured by it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::base::random::Random;
use crate::base::time::UnixMs;
use crate::commands::spec::Flag;
use crate::commands::testing::calls::{CALLS, FIXTURE};
use crate::commands::testing::{Harness, find, one_of};
use crate::keyspace::settings::OnExpiry;

const NOW: u64 = 2_000_000;

/// Which keys, or fields of `h`, expire.
#[derive(Clone, Copy, Debug)]
enum What {
    Keys,
    Fields,
    /// Some of both, by chance.
    Some(u64),
}

/// Keys of every type. What expires does so at `at`; the time is [`NOW`].
fn world(what: What, at: u64, expiry: OnExpiry) -> Harness {
    let mut harness = Harness::with(FIXTURE);
    let mut chance = Random::new(match what {
        What::Some(seed) => seed,
        What::Keys | What::Fields => 0,
    });
    let mut set = |line: &str| {
        let expires = match what {
            What::Keys => !line.starts_with('H'),
            What::Fields => line.starts_with('H'),
            What::Some(_) => chance.below(2) == 0,
        };
        if expires {
            assert!(harness.run(line).contains(":1"), "{line}");
        }
    };
    for field in ["a", "b", "c"] {
        set(&format!("HPEXPIREAT h {at} FIELDS 1 {field}"));
    }
    for key in "s t u b l m h q r w z y g p o x".split(' ') {
        set(&format!("PEXPIREAT {key} {at}"));
    }
    harness.keyspace.now = UnixMs(NOW);
    harness.keyspace.settings.expiry = expiry;
    harness
}

/// All keys of the first database with what is in them.
fn state(harness: &mut Harness) -> Vec<String> {
    let keys = harness.keyspace.dbs[0].table().iter();
    let keys: Vec<_> = keys.map(|it| String::from_utf8(it.key().to_vec()).unwrap()).collect();
    let mut shown = Vec::new();
    for key in keys {
        let is_hash = harness.run(&format!("TYPE {key}")).contains("hash");
        let name = if is_hash { "HGETALL" } else { "DUMP" };
        let value = harness.run(&format!("{name} {key}"));
        if harness.run(&format!("EXISTS {key}")).contains(":1") {
            shown.push(format!("{key} {value}"));
        }
    }
    shown.sort_unstable();
    shown
}

fn lines() -> impl Iterator<Item = &'static str> {
    CALLS.iter().copied().flatten().copied()
}

/// Lines about what is there, due or not.
fn looks_behind(line: &str) -> bool {
    let all = ["DBSIZE", "RANDOMKEY", "DEBUG DIGEST", "DEBUG OBJECT", "MEMORY USAGE"];
    all.iter().any(|name| line.starts_with(name))
}

/// The parts of a reply, in some order of their own if the table's tells nothing.
fn in_order<'r>(line: &str, reply: &'r str) -> Vec<&'r str> {
    let mut parts: Vec<&str> = reply.split('$').collect();
    if line.starts_with("KEYS") || line.starts_with("SCAN") {
        parts.sort_unstable();
    }
    parts
}

#[test]
fn what_is_hidden_is_to_clients_as_if_removed_and_stays_when_they_read() {
    for what in [What::Keys, What::Fields] {
        for line in lines() {
            let mut removes = world(what, NOW, OnExpiry::Removes);
            let mut hides = world(what, NOW, OnExpiry::Hides);
            let there = hides.keyspace.len();
            let (expected, reply) = (removes.run(line), hides.run(line));
            assert!(reply == expected || looks_behind(line), "{what:?} {line}: {reply}");
            if find(line).spec.flags.has(Flag::ReadOnly) {
                assert_eq!(hides.keyspace.len(), there, "{what:?} {line}");
                assert_eq!(hides.keyspace.stats.expired, 0, "{what:?} {line}");
            }
            assert_eq!(state(&mut hides), state(&mut removes), "{what:?} {line}");
        }
    }
}

#[test]
fn what_is_ignored_is_to_commands_as_if_it_were_not_due_yet() {
    let tells = ["PTTL", "PEXPIRETIME", "HPTTL", "HPEXPIRETIME", "DEBUG DIGEST", "DEBUG OBJECT"];
    for what in [What::Keys, What::Fields] {
        for line in lines() {
            let mut before = world(what, NOW + 1, OnExpiry::Removes);
            let mut ignores = world(what, NOW, OnExpiry::Ignores);
            let (expected, reply) = (before.run(line), ignores.run(line));
            let tells = tells.iter().any(|name| line.starts_with(name));
            assert!(reply == expected || tells, "{what:?} {line}: {reply}");
            assert_eq!(ignores.keyspace.stats.expired, 0, "{what:?} {line}");
            assert_eq!(state(&mut ignores), state(&mut before), "{what:?} {line}");
        }
    }
}

#[test]
fn sequences_of_commands_end_the_same_in_every_mode() {
    let lines: Vec<&str> = lines().filter(|line| !looks_behind(line)).collect();
    for seed in 0..300 {
        let what = What::Some(seed);
        let pairs = [
            (world(what, NOW, OnExpiry::Removes), world(what, NOW, OnExpiry::Hides)),
            (world(what, NOW + 1, OnExpiry::Removes), world(what, NOW, OnExpiry::Ignores)),
        ];
        for (mut known, mut other) in pairs {
            let mut chance = Random::new(seed);
            for _ in 0..30 {
                let line = one_of(&lines, &mut chance);
                let (expected, reply) = (known.run(line), other.run(line));
                let tells = line.contains("PTTL") || line.contains("PEXPIRETIME");
                assert!(
                    tells || in_order(line, &reply) == in_order(line, &expected),
                    "seed {seed} {line}: {reply} for {expected}"
                );
            }
            assert_eq!(state(&mut other), state(&mut known), "seed {seed}");
        }
    }
}

#[test]
fn a_hidden_key_is_missed_and_makes_way_for_a_write() {
    let hidden = || {
        let mut harness = Harness::with(&["SET z 1 PXAT 2000000", "HSET h f 1"]);
        harness.run("HPEXPIREAT h 2000000 FIELDS 1 f");
        harness.keyspace.now = UnixMs(NOW);
        harness.keyspace.settings.expiry = OnExpiry::Hides;
        harness
    };
    // line, changes, events, log
    let cases = [
        ("GET z", 0, "keymiss:z", ""),
        ("EXISTS z", 0, "keymiss:z", ""),
        ("OBJECT ENCODING z", 0, "", ""),
        ("SCAN 0", 0, "", ""),
        ("RANDOMKEY", 0, "", ""),
        ("COPY z y", 0, "keymiss:z", ""),
        ("DEL z", 0, "expired:z", "DEL z"),
        ("SET z 2", 1, "expired:z new:z set:z", "DEL z; SET z 2"),
        ("SADD z 2", 1, "expired:z new:z sadd:z", "DEL z; SADD z 2"),
        ("DEBUG POPULATE 1 z", 0, "new:z:0", ""),
        ("HGET h f", 0, "", ""),
        ("HINCRBY h f 3", 1, "hexpired:h hincrby:h", "HDEL h f; HINCRBY h f 3"),
    ];
    for (line, changes, events, log) in cases {
        hidden().check(line, changes, events, log);
    }
    let mut harness = hidden();
    harness.run("GET z");
    assert_eq!((harness.keyspace.stats.misses, harness.keyspace.len()), (1, 2));
    harness.run("DEL h");
    assert_eq!(harness.run("RANDOMKEY"), "*2\\r\\n$-1\\r\\n:1\\r\\n");
    assert_eq!(harness.run("DBSIZE"), ":1\\r\\n");
    harness.run("SET a 1");
    for _ in 0..20 {
        assert_eq!(harness.run("RANDOMKEY"), "*2\\r\\n$1\\r\\na\\r\\n:2\\r\\n");
    }
}

#[test]
fn a_time_that_is_past_is_kept_where_times_are_ignored() {
    for (line, key) in [
        ("SET s 7 PXAT 1000", "s"),
        ("PEXPIREAT s 1000", "s"),
        ("GETEX s PXAT 1000", "s"),
        ("MSETEX 1 s 1 PXAT 1000", "s"),
        ("HPEXPIREAT h 1000 FIELDS 1 a", "h"),
        ("HGETEX h PXAT 1000 FIELDS 1 a", "h"),
        ("HSETEX h PXAT 1000 FIELDS 1 a 1", "h"),
    ] {
        let mut harness = world(What::Keys, NOW, OnExpiry::Ignores);
        harness.run(line);
        assert_eq!(harness.run(&format!("EXISTS {key}")), ":1\\r\\n", "{line}");
        assert_ne!(harness.run("HGET h a"), "$-1\\r\\n", "{line}");
        harness.keyspace.settings.expiry = OnExpiry::Hides;
        let gone = [format!("EXISTS {key}"), String::from("HEXISTS h a")];
        assert!(gone.iter().any(|it| harness.run(it) == ":0\\r\\n"), "{line}");
    }
}
