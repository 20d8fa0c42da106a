//! What a Redis has accepted is not refused when it comes from a primary.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::commands::testing::Harness;

/// What is there before, a command with a place for a number, and the text of a number that a Redis
/// takes there (8.0.6 or 7.0.15) and Valkey 9.1.2 does not; `E` stands for no text.
const ACCEPTED: &[(&[&str], &str, &[&str])] = &[
    (&["RPUSH k 1 #"], "SORT k STORE o", &["E", "0x10", "1e400", "1e-400"]),
    (&["RPUSH k a b", "SET w_a #"], "SORT k BY w_* STORE o", &["E", "-1e400"]),
    (&[], "ZADD o # a", &["0x10", "0x1.8p1"]),
    (&["ZADD o 1 a"], "ZADD o INCR # a", &["0x1p3"]),
    (&["ZADD o 1 a"], "ZINCRBY o # a", &["0x1p3"]),
    (&["ZADD o 1 a"], "ZREMRANGEBYSCORE o # 0xff", &["0x1", "\t1"]),
    (&["ZADD o 1 a"], "ZREMRANGEBYSCORE o -inf (#", &["0x2", "\t2"]),
    (&["ZADD k 1 a"], "ZRANGESTORE o k # 9 BYSCORE", &["0x1", "\t1"]),
    (&["ZADD k 1 a"], "ZUNIONSTORE o 1 k WEIGHTS #", &["0x2"]),
    (&["ZADD k 1 a"], "ZINTERSTORE o 1 k WEIGHTS #", &["0x2"]),
    (&[], "GEOADD o # 1 a", &["0x10"]),
    (&[], "GEOADD o 1 # a", &["0x10"]),
    (&["GEOADD k 1 1 a"], "GEORADIUS k 0x1 1 # km STORE o", &["0x10"]),
    (&["GEOADD k 1 1 a"], "GEORADIUSBYMEMBER k a # km STORE o", &["0x10"]),
    (&["GEOADD k 1 1 a"], "GEOSEARCHSTORE o k FROMLONLAT 1 # BYRADIUS 5 km", &["0x1"]),
    (&["GEOADD k 1 1 a"], "GEOSEARCHSTORE o k FROMLONLAT 1 1 BYRADIUS # km", &["0x10"]),
    (&["GEOADD k 1 1 a"], "GEOSEARCHSTORE o k FROMLONLAT 1 1 BYBOX # 0x5 km", &["0x10"]),
];

#[test]
fn numbers_are_read_as_any_primary_has_read_them() {
    for (before, command, texts) in ACCEPTED {
        for text in *texts {
            let run = |obeys: bool| {
                let mut harness = Harness::new();
                harness.keyspace.settings.obeys = obeys;
                let mut run = |line: &str| {
                    let words = line.split(' ').map(|word| word.replace('#', text));
                    let words = words.map(|word| if word == "E" { String::new() } else { word });
                    let words: Vec<String> = words.collect();
                    let args: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
                    format!("{}", harness.call(&args).escape_ascii())
                };
                before.iter().for_each(|line| drop(run(line)));
                run(command)
            };
            assert!(run(false).starts_with('-'), "a client: {command}, {text:?}");
            assert!(!run(true).starts_with('-'), "a primary: {command}, {text:?}: {}", run(true));
        }
    }
}
