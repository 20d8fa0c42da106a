//! Streams at every cut: what comes out of them, and what is kept.

use shards::base::random::Random;
use shards::resp::request::encode;

use super::*;

/// What a stream comes to in pieces that end at `ends`: a line per unit, then the error.
fn run(input: &[u8], ends: impl IntoIterator<Item = usize>) -> String {
    let mut split = Split::new(Scalar(1000), 0, 1 << 20, 1 << 20);
    let (mut shown, mut start, mut raw) = (String::new(), 0, Vec::new());
    for end in ends {
        split.push(&input[start..end]);
        start = end;
        loop {
            match split.advance() {
                Ok(true) => {}
                Ok(false) => break,
                Err(malformed) => {
                    assert_eq!(split.advance(), Err(malformed), "it stays malformed");
                    assert_eq!(split.received().0, 1000 + raw.len() as u64);
                    return format!("{shown}{malformed:?}");
                }
            }
            let unit = split.unit().expect("advance went on to it");
            show(&mut shown, &unit);
            raw.extend_from_slice(unit.raw);
            assert_eq!(unit.end(), split.received());
            assert_eq!(unit.end().0, 1000 + raw.len() as u64, "every byte is in a unit");
            assert_eq!(unit.raw, &input[..raw.len()][raw.len() - unit.raw.len()..]);
        }
        assert_eq!(split.read().0, 1000 + end as u64);
    }
    shown
}

fn show(shown: &mut String, unit: &Unit<'_>) {
    shown.push_str(&format!("{}:{:?}", unit.offset.0 - 1000, unit.kind));
    let mut args = Vec::new();
    for command in unit.commands() {
        command.put_args(&mut args);
        assert_eq!(encode(&args), command.raw);
        let words: Vec<String> = args.iter().map(|arg| arg.escape_ascii().to_string()).collect();
        shown.push_str(&format!(" {}>{}", command.db, words.join(" ")));
    }
    shown.push('\n');
}

fn check(input: &[u8], expected: &str) {
    let whole = run(input, [input.len()]);
    assert_eq!(whole, expected, "{}", input.escape_ascii());
    assert_eq!(run(input, 0..=input.len()), expected, "byte by byte");
    for cut in 0..=input.len() {
        assert_eq!(run(input, [cut, input.len()]), expected, "cut at {cut}");
    }
}

fn stream(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| encode(&line.split(' ').collect::<Vec<_>>())).collect()
}

/// What Valkey 9.1.2 sent to a replica, byte for byte: `SET k v`, a transaction that selects, and
/// a command elsewhere; then WAIT.
pub const RECORDED: &[u8] = b"*1\r\n$4\r\nping\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n\
    *3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n\
    *1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n\
    *2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n2\r\n\
    *1\r\n$4\r\nEXEC\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n5\r\n\
    *2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";

#[test]
fn a_recorded_stream_comes_apart_wherever_it_is_cut() {
    check(
        RECORDED,
        "0:Nothing\n14:Nothing\n37:Commands 0>SET k v\n\
         64:Commands 0>SET a 1 3>SET b 2\n170:Nothing\n193:Commands 5>INCR n\n214:GetAck\n",
    );
    // The primary's offset was 251, the GETACK of 37 bytes included.
    assert_eq!(RECORDED.len(), 251);
}

#[test]
fn odd_streams_come_apart_too() {
    for (lines, expected) in [
        (&["MULTI", "EXEC", "set a 1"][..], "0:Nothing\n29:Commands 0>set a 1\n"),
        (&["multi", "ping", "SELECT 2", "exec", "del a"], "0:Nothing\n66:Commands 2>del a\n"),
        (&["REPLCONF x", "replconf getack *"], "0:Nothing\n25:GetAck\n"),
        (&["MULTI", "SET a 1"], ""),
        (&["SET a 1", "MULTI", "MULTI"], "0:Commands 0>SET a 1\nNested"),
        (&["EXEC"], "Unopened"),
        (&["MULTI", "DISCARD"], "Unopened"),
        (&["SELECT"], "Select"),
        (&["SELECT x"], "Select"),
        (&["SELECT -1"], "Select"),
        (&["SELECT 65536"], "Select"),
        (&["SELECT 1 2"], "Select"),
        (&["SELECT 65535", "DEL a"], "0:Nothing\n27:Commands 65535>DEL a\n"),
    ] {
        check(&stream(lines), expected);
    }
    check(b"\r\n*1\r\n$4\r\nPING\r\n", "0:Nothing\n2:Nothing\n");
    check(b"*0\r\n*-1\r\n\n", "0:Nothing\n4:Nothing\n9:Nothing\n");
    check(b"*1\r\n$5\r\nMULTI\r\n\r\n*1\r\n$4\r\nEXEC\r\n", "0:Nothing\n");
    check(b"PING\r\n", "Inline");
    check(b"*1\r\n$4\r\nPING\r\n*1\r\n+\r\n", "0:Nothing\nProtocol(ExpectedDollar(43))");
}

#[test]
fn the_database_of_half_a_unit_is_not_kept() {
    let mut split = Split::new(Scalar(7), 3, 1 << 20, 1 << 20);
    split.push(&stream(&["SELECT 4", "MULTI", "SELECT 5", "SET a 1"]));
    assert_eq!(split.advance(), Ok(true));
    assert_eq!(split.advance(), Ok(false));
    assert_eq!((split.received(), split.db()), (Scalar(30), 4));
    assert!(split.unit().is_none());
    split.push(&stream(&["EXEC"]));
    assert_eq!(split.advance(), Ok(true));
    assert_eq!((split.received(), split.db()), (split.read(), 5));
}

#[test]
fn a_unit_has_a_limit() {
    let set = stream(&["SET key value"]);
    let unit = stream(&["MULTI", "SET key value", "SET key value", "EXEC"]);
    for (max, expected) in [(unit.len(), Ok(true)), (unit.len() - 1, Err(Malformed::TooLong))] {
        let mut split = Split::new(Scalar(0), 0, 1 << 20, max);
        // Units that were given out do not count.
        for _ in 0..100 {
            split.push(&set);
            assert_eq!(split.advance(), Ok(true));
        }
        split.push(&unit);
        assert_eq!(split.advance(), expected, "{max}");
    }
    let mut split = Split::new(Scalar(0), 0, 1 << 20, 100);
    // The length that a primary declares is enough to know.
    split.push(b"*2\r\n$3\r\nDEL\r\n$200\r\n");
    assert_eq!(split.advance(), Err(Malformed::TooLong));
}

#[test]
fn memory_does_not_grow_with_the_stream() {
    let mut split = Split::new(Scalar(0), 0, 1 << 20, 1 << 20);
    let bytes = stream(&["SET key value", "MULTI", "SET a 1", "DEL a", "EXEC", "PING"]);
    let mut start = 0;
    for round in 0..20_000 {
        let end = (start + 1 + round % 40).min(bytes.len());
        split.push(&bytes[start..end]);
        start = end % bytes.len();
        while split.advance() == Ok(true) {}
        assert!(split.buffer.len() < 2 * SPENT_BYTES_MAX);
    }
    split.push(&encode(&["SET", "a", &"x".repeat(2 * IDLE_ROOM_MAX)]));
    let mut split = Split::new(Scalar(0), 0, 4 << 20, 4 << 20);
    split.push(&encode(&["SET", "a", &"x".repeat(2 * IDLE_ROOM_MAX)]));
    assert_eq!(split.advance(), Ok(true));
    split.push(b"*1\r\n");
    assert!(split.buffer.capacity() < IDLE_ROOM_MAX, "room for a long unit is given back");
}

#[test]
fn random_bytes_and_cuts_come_to_the_same() {
    let words: [&[u8]; 12] = [
        b"*1\r\n$4\r\nPING\r\n",
        b"*1\r\n$5\r\nMULTI\r\n",
        b"*1\r\n$4\r\nEXEC\r\n",
        b"*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n\r\n\r\n",
        b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n",
        b"*3\r\n$8\r\nREPLCONF\r\n$6\r\ngetack\r\n$1\r\n*\r\n",
        b"\r\n",
        b"*2\r\n$3\r\n",
        b"*",
        b"$9\r\n",
        b"\x00\xff",
    ];
    let seed = 3;
    let mut random = Random::new(seed);
    let mut below = |bound: u64| usize::try_from(random.below(bound)).expect("it is small");
    for round in 0..3_000 {
        // Most streams are whole for a while.
        let kinds = if below(2) == 0 { 8 } else { 12 };
        let input: Vec<u8> = (0..below(30)).flat_map(|_| words[below(kinds)].to_vec()).collect();
        let mut ends: Vec<usize> = (0..below(12)).map(|_| below(input.len() as u64 + 1)).collect();
        ends.sort_unstable();
        ends.push(input.len());
        let whole = run(&input, [input.len()]);
        assert_eq!(run(&input, ends), whole, "seed {seed} round {round}");
    }
}
