//! What a replica tells of itself, and what follows from it.

use shards::base::random::Random;
use shards::resp::inline::split;

use super::*;

const NODE: &[u8] = b"b3caf5b4d246f53bbdce4d496b17360be1a284f3";

/// What a new peer is answered; `` is silence.
fn answer(greeting: &mut Greeting, line: &str, cluster: Cluster<'_>) -> String {
    let words = split(line.as_bytes()).expect("quotes are closed");
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    match greeting.apply(&words, cluster) {
        Ok(Answer::Ok) => "+OK".to_string(),
        Ok(Answer::Silence) => String::new(),
        Err(error) => {
            let mut out = Vec::new();
            error.write(&mut out);
            let text = String::from_utf8(out).expect("it is text");
            text.trim_end_matches("\r\n").to_string()
        }
    }
}

/// What stands behind REPLCONF, and what Valkey 9.1.2 answers.
const ANSWERS: &[(&str, &str)] = &[
    ("", "+OK"),
    ("a", "-ERR syntax error"),
    ("a b", "-ERR Unrecognized REPLCONF option: a"),
    ("a b c", "-ERR syntax error"),
    ("\"AbC\\r\\nx%s\" b", "-ERR Unrecognized REPLCONF option: AbC  x%s"),
    ("listening-port x", "-ERR value is not an integer or out of range"),
    ("listening-port ''", "-ERR value is not an integer or out of range"),
    ("listening-port 01", "-ERR value is not an integer or out of range"),
    ("listening-port 99999999999999999999", "-ERR value is not an integer or out of range"),
    ("Listening-Port 6379", "+OK"),
    ("listening-port -1", "+OK"),
    ("listening-port 70000", "+OK"),
    ("ip-address 1.2.3.4", "+OK"),
    ("ip-address ''", "+OK"),
    ("capa eof", "+OK"),
    ("capa nope", "+OK"),
    ("capa ''", "+OK"),
    ("capa eof capa psync2 capa dual-channel", "+OK"),
    ("capa eof bogus x", "-ERR Unrecognized REPLCONF option: bogus"),
    ("version 9.1.2", "+OK"),
    ("version 255.255.255", "+OK"),
    ("version 09.01.02", "+OK"),
    ("version 9..1", "+OK"),
    ("version ..", "+OK"),
    ("version x", "-ERR Unrecognized version format: x"),
    ("version ''", "-ERR Unrecognized version format: "),
    ("version 9", "-ERR Unrecognized version format: 9"),
    ("version 9.1", "-ERR Unrecognized version format: 9.1"),
    ("version 1.2.3.", "-ERR Unrecognized version format: 1.2.3."),
    ("version 9.1.2-rc1", "-ERR Unrecognized version format: 9.1.2-rc1"),
    ("version +9.1.2", "-ERR Unrecognized version format: +9.1.2"),
    ("version 256.0.0", "-ERR Unrecognized version format: 256.0.0"),
    ("version 2560.0.0", "-ERR Unrecognized version format: 2560.0.0"),
    ("rdb-only 0", "+OK"),
    ("rdb-only 1", "+OK"),
    ("rdb-only 2", "-ERR value is out of range, value must between 0 and 1"),
    ("rdb-only -1", "-ERR value is out of range, value must between 0 and 1"),
    ("rdb-only x", "-ERR value is not an integer or out of range"),
    ("rdb-filter-only ''", "+OK"),
    ("rdb-filter-only FUNCTIONS", "+OK"),
    ("rdb-filter-only ' functions functions '", "+OK"),
    ("rdb-filter-only 'functions x'", "-ERR Unsupported rdb-filter-only option: x"),
    ("rdb-filter-only '\"x'", "-ERR Missing rdb-filter-only values"),
    ("set-cluster-node-id x", "-ERR This instance has cluster support disabled"),
    ("ack 1", ""),
    ("ack x", ""),
    ("ack 1 fack 2", ""),
    ("ack 1 bogus x", ""),
    ("capa eof ack 1 bogus x", ""),
    ("fack 1", "-ERR Unrecognized REPLCONF option: fack"),
    ("getack *", ""),
    ("GETACK x bogus 1", ""),
];

#[test]
fn a_replica_says_which_node_of_a_topology_it_is() {
    let mut greeting = Greeting::default();
    assert_eq!(greeting.identity().member, None);
    let said = answer(&mut greeting, "keylane-topology a1:7", Cluster::Off);
    assert_eq!(said, "+OK");
    assert_eq!(
        greeting.identity().member.as_ref().map(ToString::to_string).as_deref(),
        Some("a1:7")
    );
    let said = answer(&mut greeting, "keylane-topology a1", Cluster::Off);
    assert_eq!(said, "-ERR Unrecognized member of a topology: a1");
}

#[test]
fn a_replica_says_that_it_takes_logs_and_where_it_is_in_them() {
    for (said, answered, vector) in [
        ("keylane 1", "+OK", Some(None)),
        ("keylane 1:5,0", "+OK", Some(Some("5,0"))),
        // A later release speaks the version of this one, too.
        ("keylane 2", "+OK", Some(None)),
        ("keylane 3:5", "+OK", Some(Some("5"))),
        ("keylane 0", "-ERR Unrecognized version of flows: 0", None),
        ("keylane 1:", "-ERR Unrecognized version of flows: 1:", None),
        ("keylane 1:5,0:stream", "+OK", Some(Some("5,0"))),
        ("keylane 1:5:x", "-ERR Unrecognized version of flows: 1:5:x", None),
        ("keylane 1:x", "-ERR Unrecognized version of flows: 1:x", None),
        ("keylane x", "-ERR Unrecognized version of flows: x", None),
        // A tool wants a file.
        ("rdb-only 1 keylane 1", "+OK", None),
    ] {
        let mut greeting = Greeting::default();
        assert_eq!(answer(&mut greeting, said, Cluster::Off), answered, "{said}");
        let at = greeting.flows().map(|flows| flows.vector.as_ref().map(Vector::to_string));
        assert_eq!(at, vector.map(|vector| vector.map(str::to_owned)), "{said}");
        let takes = |is: fn(&FlowsAsked) -> bool| greeting.flows().is_some_and(is);
        let has_chunks = matches!(said, "keylane 2" | "keylane 3:5");
        assert_eq!(takes(|flows| flows.takes_chunks), has_chunks, "{said}");
        assert_eq!(takes(|flows| flows.stores_logs), said == "keylane 3:5", "{said}");
    }
}

#[test]
fn a_peer_is_answered_as_valkey_answers_it() {
    for (line, expected) in ANSWERS {
        assert_eq!(answer(&mut Greeting::default(), line, Cluster::Off), *expected, "{line}");
    }
}

#[test]
fn an_address_is_short_and_plain() {
    let mut greeting = Greeting::default();
    let long = format!("ip-address {}", "x".repeat(HOST_BYTES_MAX));
    assert_eq!(answer(&mut greeting, &long, Cluster::Off), "+OK");
    let longer = format!("{long}x");
    let text = "-ERR REPLCONF ip-address provided by replica instance is too long: 256 bytes";
    assert_eq!(answer(&mut greeting, &longer, Cluster::Off), text);
    for odd in ["'a b'", "a,b", "a=b", "\"a\\r\\nrole:x\"", "\"\\xff\""] {
        let given = answer(&mut greeting, &format!("ip-address {odd}"), Cluster::Off);
        assert_eq!(given, "-ERR REPLCONF ip-address is no address", "{odd}");
    }
    assert_eq!(greeting.address("::1").host.len(), HOST_BYTES_MAX);
}

#[test]
fn a_node_must_belong_to_the_cluster() {
    let cluster = Cluster::On(&|id| id == NODE);
    let mut greeting = Greeting::default();
    let unknown = answer(&mut greeting, "set-cluster-node-id abc", cluster);
    assert_eq!(unknown, "-ERR Unknown node abc");
    assert_eq!(greeting.identity().node_id.as_deref(), Some(&b"abc"[..]));
    let line = format!("SET-CLUSTER-NODE-ID {}", NODE.escape_ascii());
    assert_eq!(answer(&mut greeting, &line, cluster), "+OK");
    assert_eq!(greeting.identity().node_id.as_deref(), Some(NODE));
}

#[test]
fn options_in_front_of_a_bad_one_hold() {
    let mut greeting = Greeting::default();
    answer(&mut greeting, "capa psync2 listening-port 7 bogus x version 9.0.0", Cluster::Off);
    assert!(greeting.knows_psync2());
    let address = Address { host: "10.0.0.1".to_string(), port: 7 };
    assert_eq!(greeting.address("10.0.0.1"), address);
    assert_eq!(greeting.version(), None);
    answer(&mut greeting, "ip-address name listening-port 70000", Cluster::Off);
    assert_eq!(greeting.address("10.0.0.1"), Address { host: "name".to_string(), port: 0 });
    answer(&mut greeting, "ip-address ''", Cluster::Off);
    assert_eq!(greeting.address("10.0.0.1").host, "10.0.0.1");
}

/// The greeting, the command, and what follows: version, framing, filter, sequel.
const TERMS: &[(&str, &str, &str)] = &[
    ("", "psync", "10 length all stream"),
    ("capa eof capa psync2", "psync", "10 eof all await"),
    ("capa eof version ..", "psync", "10 eof all await"),
    ("capa eof version 7.1.9", "psync", "10 eof all await"),
    ("capa eof version 7.2.0", "psync", "11 eof all await"),
    ("capa eof version 8.9.9", "psync", "11 eof all await"),
    ("capa eof version 9.0.0", "psync", "80 eof all await"),
    ("version 255.0.0", "psync", "80 length all stream"),
    ("", "sync", "10 length all unacked"),
    ("capa eof version 9.1.2", "sync", "80 length all unacked"),
    ("capa eof rdb-only 1", "sync", "lowest length all end"),
    ("capa eof rdb-only 1", "psync", "lowest length all end"),
    ("capa eof rdb-only 1 version 8.0.0", "psync", "11 eof all end"),
    ("rdb-only 1", "sync", "lowest length all end"),
    ("capa eof rdb-only 1 rdb-filter-only functions", "sync", "10 length functions end"),
    ("capa eof rdb-only 1 rdb-filter-only ''", "psync", "10 eof nothing end"),
    ("rdb-only 1 rdb-filter-only functions", "sync", "refused"),
];

fn words(terms: &Terms) -> String {
    let rdb = match terms.rdb {
        RdbForm::Exactly(version) => version.number().to_string(),
        RdbForm::Lowest => "lowest".to_string(),
    };
    let framing = match terms.framing {
        Framing::Eof => "eof",
        Framing::Length => "length",
        Framing::Chunks => "chunks",
    };
    let filter = match terms.filter {
        Filter::All => "all",
        Filter::Functions => "functions",
        Filter::Nothing => "nothing",
    };
    let sequel = match terms.sequel {
        Sequel::End => "end",
        Sequel::AwaitAck => "await",
        Sequel::Stream => "stream",
        Sequel::StreamUnacked => "unacked",
    };
    format!("{rdb} {framing} {filter} {sequel}")
}

#[test]
fn what_was_told_decides_how_a_sync_looks() {
    for (line, command, expected) in TERMS {
        let mut greeting = Greeting::default();
        assert_eq!(answer(&mut greeting, line, Cluster::Off), "+OK", "{line}");
        let asked = if *command == "sync" { Asked::Sync } else { Asked::Psync };
        let given = greeting.terms(asked);
        let given = given.map_or("refused".to_string(), |terms| words(&terms));
        assert_eq!(given, *expected, "{line} {command}");
    }
}

#[test]
fn bytes_by_chance_are_noted_or_refused() {
    const NAMES: [&[u8]; 8] =
        [b"listening-port", b"ip-address", b"capa", b"version", b"rdb-only", b"ack", b"", b"x"];
    let seed = 12;
    let mut random = Random::new(seed);
    for round in 0..20_000 {
        let mut greeting = Greeting::default();
        let mut args = Vec::new();
        for _ in 0..random.below(5) {
            let pick = usize::try_from(random.below(8)).expect("it is small");
            args.push(NAMES[pick].to_vec());
            let value = (0..random.below(12)).map(|_| {
                b"019.\x00\xff-x \"e,"[usize::try_from(random.below(12)).expect("it is small")]
            });
            args.push(value.collect());
        }
        args.truncate(usize::try_from(random.below(10)).expect("it is small"));
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let given = greeting.apply(&args, Cluster::Off);
        let odd = !args.len().is_multiple_of(2);
        assert!(!odd || given == Err(Error::Syntax), "seed {seed} round {round}: {args:?}");
        let host = greeting.address("h").host;
        assert!(!host.contains([',', '\0']), "seed {seed} round {round}: {host}");
    }
}
