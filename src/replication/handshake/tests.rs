//! A talk with a primary at every cut, and a row for each answer.

use shards::base::random::Random;

use super::*;
use crate::replication::greeting::member::Member;

const ID: &str = "71fe5b53d9766a5a07cae29ac7d144ac6256b3a0";

fn ask(resume: Option<u64>, purpose: Purpose) -> Ask {
    let id = ReplId::parse(ID.as_bytes()).expect("it has 40 characters");
    Ask { resume: resume.map(|offset| (id, Scalar(offset))), vector: None, fence: None, purpose }
}

fn hello() -> Hello {
    Hello { listening_port: 7777, version: "9.1.2".to_string(), ..Hello::default() }
}

fn full_hello() -> Hello {
    let credentials = Credentials { user: Some(b"u".to_vec()), password: b"p w".to_vec() };
    Hello {
        credentials: Some(credentials),
        announced_ip: Some("10.0.0.9".to_string()),
        identity: Identity { node_id: Some(vec![b'a'; 40]), member: None },
        ..hello()
    }
}

/// Commands as words; a word with a space is quoted.
fn commands(mut bytes: &[u8]) -> String {
    let limits = shards::resp::parser::Limits { bulk_bytes_max: 1 << 20, authenticated: true };
    let mut parser = shards::resp::parser::Parser::default();
    let mut shown = String::new();
    while !bytes.is_empty() {
        let mut ranges = Vec::new();
        let step = parser.step(bytes, &mut ranges, &limits).expect("it is RESP");
        let shards::resp::parser::Step::Request { consumed } = step else { panic!("{step:?}") };
        let words = ranges.iter().map(|range| range.of(bytes).escape_ascii().to_string());
        let words = words.map(|w| if w.contains(' ') { format!("'{w}'") } else { w });
        shown.push_str(&format!("> {}\n", words.collect::<Vec<_>>().join(" ")));
        bytes = &bytes[consumed..];
    }
    shown
}

/// The whole talk with a primary that says `input` in pieces that end at `ends`.
fn run(hello: &Hello, ask: Ask, input: &[u8], ends: impl IntoIterator<Item = usize>) -> String {
    let (mut handshake, ping) = Handshake::begin(hello, ask);
    let (mut shown, mut start) = (commands(&ping), 0);
    for end in ends {
        let mut heard = Vec::new();
        let taken = handshake.take(&input[start..end], &mut heard);
        for heard in heard {
            match heard {
                Heard::Alive => shown.push_str("alive\n"),
                Heard::Reply(step) => shown.push_str(&format!("ok {}\n", step.name())),
                Heard::Unknown(step, text) => {
                    shown.push_str(&format!("unknown {}: {text}\n", step.name()));
                }
                Heard::NoPsync(text) => shown.push_str(&format!("no psync: {text}\n")),
                Heard::Send(bytes) | Heard::Ask(bytes) => shown.push_str(&commands(&bytes)),
                Heard::Answer(Answer::Continue(id)) => {
                    let id = id.map_or("-".to_string(), |id| id.to_string());
                    return format!("{shown}continue {id}, rest at {}", start + taken.unwrap_or(0));
                }
                Heard::Answer(Answer::Chunks(offered)) => {
                    let rest = start + taken.unwrap_or(0);
                    let line = String::from_utf8_lossy(&offered.line()).into_owned();
                    let words = line.trim_ascii_end().trim_start_matches("+SNAPSHOT ");
                    return format!("{shown}chunks {words}, rest at {rest}");
                }
                Heard::Answer(Answer::Full(from)) => {
                    let from = from.map_or("-".to_string(), |(id, at)| format!("{id} {at}"));
                    return format!("{shown}full {from}, rest at {}", start + taken.unwrap_or(0));
                }
            }
        }
        match taken {
            Ok(taken) => assert_eq!(taken, end - start, "all is taken before the answer"),
            Err(failure) => return format!("{shown}{failure:?}"),
        }
        start = end;
    }
    shown
}

fn check(hello: &Hello, ask: Ask, input: &str, expected: &str) {
    let input = input.as_bytes();
    assert_eq!(run(hello, ask.clone(), input, [input.len()]), expected, "{}", input.escape_ascii());
    for cut in 0..=input.len() {
        assert_eq!(run(hello, ask.clone(), input, [cut, input.len()]), expected, "cut at {cut}");
    }
    assert_eq!(run(hello, ask, input, 0..=input.len()), expected, "byte by byte");
}

#[test]
fn a_recorded_handshake_is_the_same_wherever_it_is_cut() {
    // Valkey 9.1.2 without a cluster.
    let replies = "+PONG\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n\
                   -ERR This instance has cluster support disabled\r\n\n\n";
    let input = format!("{replies}+FULLRESYNC {ID} 265\r\n$EOF:4e95");
    let told = "> PING\n\
         ok PING\n\
         > AUTH u 'p w'\n\
         > REPLCONF listening-port 7777\n\
         > REPLCONF ip-address 10.0.0.9\n\
         > REPLCONF capa eof capa psync2\n\
         > REPLCONF version 9.1.2\n\
         > REPLCONF SET-CLUSTER-NODE-ID aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n\
         ok AUTH\n\
         ok REPLCONF listening-port\n\
         ok REPLCONF ip-address\n\
         ok REPLCONF capa\n\
         ok REPLCONF VERSION\n\
         unknown REPLCONF SET-CLUSTER-NODE-ID: -ERR This instance has cluster support disabled\n";
    let expected =
        format!("{told}> PSYNC ? -1\nalive\nalive\nfull {ID} 265, rest at {}", input.len() - 9);
    check(&full_hello(), ask(None, Purpose::Follow), &input, &expected);
}

#[test]
fn a_node_of_a_topology_from_outside_tells_its_version() {
    let member = Member { id: "b".repeat(40), version: 7 };
    let identity = Identity { member: Some(member), ..hello().identity };
    let hello = Hello { identity, ..hello() };
    // A Valkey does not know the option.
    let input = format!(
        "+PONG\r\n+OK\r\n+OK\r\n+OK\r\n-ERR Unrecognized REPLCONF option: keylane-topology\r\n\
         +CONTINUE {ID}\r\n"
    );
    let shown = run(&hello, ask(Some(1), Purpose::Follow), input.as_bytes(), [input.len()]);
    let told = format!("> REPLCONF keylane-topology {}:7\n", "b".repeat(40));
    assert!(shown.contains(&told), "{shown}");
    assert!(shown.contains("unknown REPLCONF keylane-topology: -ERR Unrecognized"), "{shown}");
    assert!(shown.contains("> PSYNC "), "{shown}");
}

/// What a plain replica says, and hears, up to PSYNC.
const TOLD: &str = "> PING\n\
    ok PING\n\
    > REPLCONF listening-port 7777\n\
    > REPLCONF capa eof capa psync2\n\
    > REPLCONF version 9.1.2\n\
    ok REPLCONF listening-port\n\
    ok REPLCONF capa\n\
    ok REPLCONF VERSION\n";

/// The resumed offset, the purpose, the answer to PSYNC, what is asked, and what comes of it.
const ANSWERS: &[(Option<u64>, Purpose, &str, &str, &str)] = {
    use Purpose::{Failover, Follow};
    &[
        (Some(251), Follow, "+CONTINUE ID", "PSYNC ID 252", "continue ID, rest at"),
        (Some(0), Follow, "+CONTINUE", "PSYNC ID 1", "continue -, rest at"),
        (None, Follow, "+CONTINUE ID", "PSYNC ? -1", "Syntax(\"+CONTINUE ID\")"),
        (None, Follow, "+CONTINUE", "PSYNC ? -1", "Syntax(\"+CONTINUE\")"),
        (Some(1), Follow, "+CONTINUE x", "PSYNC ID 2", "Syntax(\"+CONTINUE x\")"),
        (Some(1), Follow, "+FULLRESYNC ID 9", "PSYNC ID 2", "full ID 9, rest at"),
        (None, Follow, "+FULLRESYNC ID", "PSYNC ? -1", "Syntax(\"+FULLRESYNC ID\")"),
        (None, Follow, "+FULLRESYNC x 1", "PSYNC ? -1", "Syntax(\"+FULLRESYNC x 1\")"),
        (None, Follow, "+FULLRESYNC ID -1", "PSYNC ? -1", "Syntax(\"+FULLRESYNC ID -1\")"),
        (
            None,
            Follow,
            "+FULLRESYNC ID 4611686018427387905",
            "PSYNC ? -1",
            "Syntax(\"+FULLRESYNC ID 4611686018427387905\")",
        ),
        (None, Follow, "-NOMASTERLINK x", "PSYNC ? -1", "NotYet(\"-NOMASTERLINK x\")"),
        (None, Follow, "-LOADING x", "PSYNC ? -1", "NotYet(\"-LOADING x\")"),
        (None, Follow, "-MASTERDOWN x", "PSYNC ? -1", "NotYet(\"-MASTERDOWN x\")"),
        (None, Follow, "-ERR x", "PSYNC ? -1", "no psync: -ERR x\n> SYNC\nfull -, rest at"),
        (None, Follow, "-NOPERM x", "PSYNC ? -1", "Psync(\"-NOPERM x\")"),
        (None, Follow, "-NOAUTH x", "PSYNC ? -1", "Psync(\"-NOAUTH x\")"),
        (None, Follow, "+OK", "PSYNC ? -1", "Psync(\"+OK\")"),
        (None, Follow, "+DUALCHANNELSYNC", "PSYNC ? -1", "Psync(\"+DUALCHANNELSYNC\")"),
        (None, Follow, "$5", "PSYNC ? -1", "Psync(\"$5\")"),
        (Some(7), Failover, "+CONTINUE ID", "PSYNC ID 8 FAILOVER", "continue ID, rest at"),
        (Some(7), Failover, "+FULLRESYNC ID 9", "PSYNC ID 8 FAILOVER", "full ID 9, rest at"),
        (
            Some(7),
            Failover,
            "-ERR PSYNC FAILOVER can't be sent to a master.",
            "PSYNC ID 8 FAILOVER",
            "FailoverIsOver(\"-ERR PSYNC FAILOVER can't be sent to a master.\")",
        ),
        (Some(7), Failover, "-ERR x", "PSYNC ID 8 FAILOVER", "FailoverRefused(\"-ERR x\")"),
        (Some(7), Failover, "-LOADING", "PSYNC ID 8 FAILOVER", "FailoverRefused(\"-LOADING\")"),
        (Some(7), Failover, "+OK", "PSYNC ID 8 FAILOVER", "FailoverRefused(\"+OK\")"),
    ]
};

#[test]
fn each_answer_to_psync_has_one_meaning() {
    for (resume, purpose, answer, asked, outcome) in ANSWERS {
        let answer = answer.replace("ID", ID);
        let input = format!("+PONG\r\n+OK\r\n+OK\r\n+OK\r\n{answer}\r\n");
        let outcome = outcome.replace("ID", ID);
        let rest =
            if outcome.ends_with("rest at") { format!(" {}", input.len()) } else { "".into() };
        let expected = format!("{TOLD}> {}\n{outcome}{rest}", asked.replace("ID", ID));
        check(&hello(), ask(*resume, *purpose), &input, &expected);
    }
}

#[test]
fn a_snapshot_comes_by_connections_where_that_was_asked_for() {
    let native = Hello { flows: true, ..hello() };
    let stock = format!("Psync(\"+SNAPSHOT {ID} 3\")");
    for (hello, keylane, answer, outcome) in [
        (&native, "+OK", format!("+SNAPSHOT {ID} 3"), format!("chunks {ID} 3, rest at")),
        (&native, "+OK", format!("+SNAPSHOT {ID} 64"), format!("chunks {ID} 64, rest at")),
        (&native, "+OK", format!("+SNAPSHOT {ID} 3 99"), format!("chunks {ID} 3 99, rest at")),
        (&native, "+OK", format!("+SNAPSHOT {ID} 3 9 x"), format!("chunks {ID} 3 9, rest at")),
        (&native, "+OK", format!("+SNAPSHOT {ID} 3 9 {ID}"), format!("chunks {ID} 3 9, rest at")),
        (
            &native,
            "+OK",
            format!("+SNAPSHOT {ID} 3 9 {ID} 7 x"),
            format!("chunks {ID} 3 9 {ID} 7, rest at"),
        ),
        (&native, "+OK", format!("+SNAPSHOT {ID} 3 x"), format!("chunks {ID} 3, rest at")),
        (&native, "+OK", format!("+SNAPSHOT {ID} 65"), format!("Syntax(\"+SNAPSHOT {ID} 65\")")),
        (&native, "+OK", format!("+SNAPSHOT {ID} 0"), format!("Syntax(\"+SNAPSHOT {ID} 0\")")),
        (&native, "+OK", format!("+SNAPSHOT {ID}"), format!("Syntax(\"+SNAPSHOT {ID}\")")),
        (&native, "+OK", "+SNAPSHOT x 3".to_owned(), "Syntax(\"+SNAPSHOT x 3\")".to_owned()),
        (&native, "-ERR no", format!("+SNAPSHOT {ID} 3"), stock.clone()),
        (&hello(), "", format!("+SNAPSHOT {ID} 3"), stock.clone()),
        (&native, "+OK", format!("+FULLRESYNC {ID} 9"), format!("full {ID} 9, rest at")),
    ] {
        let (line, told) = match keylane {
            "" => (String::new(), TOLD.to_owned()),
            line => {
                let asked = "> REPLCONF version 9.1.2\n";
                let more = format!("{asked}> REPLCONF keylane 3\n");
                let told = TOLD.replace(asked, &more);
                (format!("{line}\r\n"), format!("{told}ok REPLCONF keylane\n"))
            }
        };
        let input = format!("+PONG\r\n+OK\r\n+OK\r\n+OK\r\n{line}{answer}\r\n");
        let rest =
            if outcome.ends_with("rest at") { format!(" {}", input.len()) } else { "".into() };
        let expected = format!("{told}> PSYNC ? -1\n{outcome}{rest}");
        check(hello, ask(None, Purpose::Follow), &input, &expected);
    }
}

#[test]
fn a_line_offers_logs_while_a_snapshot_comes() {
    let id = ReplId::parse(ID.as_bytes()).expect("it is a name");
    let vector = Vector::parse(b"5,0,18").expect("it is one");
    let offered = LogsOffered { name: id, history: id, at: Fence { scalar: Scalar(7), vector } };
    let line = offered.line();
    assert_eq!(line, format!("+LOGS {ID} {ID} 7 5,0,18\r\n").into_bytes());
    assert_eq!(LogsOffered::parse(line.trim_ascii_end()), Ok(Some(offered)));
    assert_eq!(LogsOffered::parse(b"+OTHER"), Ok(None));
    for bad in ["x x 7 5", &format!("{ID} {ID} 7 5,"), &format!("{ID} {ID} -7 5"), ""] {
        let line = format!("+LOGS {bad}");
        let parsed = LogsOffered::parse(line.as_bytes());
        assert_eq!(parsed, Err(Failure::Syntax(line.clone())), "{line}");
    }
}

#[test]
fn which_errors_end_an_attempt_depends_on_the_step() {
    let asked = ask(None, Purpose::Follow);
    let ping = "> PING\n";
    for (error, expected) in [
        ("-MASTERDOWN x", "Ping(\"-MASTERDOWN x\")"),
        ("-LOADING x", "Ping(\"-LOADING x\")"),
        ("-ERR max number of clients reached", "Ping(\"-ERR max number of clients reached\")"),
        ("HTTP/1.1 400 Bad Request", "Unexpected(\"HTTP/1.1 400 Bad Request\")"),
        (":1", "Unexpected(\":1\")"),
    ] {
        check(&hello(), asked.clone(), &format!("{error}\r\n"), &format!("{ping}{expected}"));
    }
    for error in ["-NOAUTH x", "-NOPERM x", "-ERR operation not permitted"] {
        let given =
            run(&hello(), asked.clone(), format!("{error}\r\n").as_bytes(), [error.len() + 2]);
        assert!(given.starts_with("> PING\nok PING\n> REPLCONF"), "{given}");
    }
    let credentials = Credentials { user: None, password: b"x".to_vec() };
    assert_eq!(format!("{credentials:?}"), "Credentials { user: None, .. }");
    let hello = Hello { credentials: Some(credentials), ..hello() };
    let input = b"+PONG\r\n-WRONGPASS x\r\n";
    let given = run(&hello, asked.clone(), input, [input.len()]);
    assert!(given.starts_with("> PING\nok PING\n> AUTH x\n"), "{given}");
    assert!(given.ends_with("Auth(\"-WRONGPASS x\")"), "{given}");
}

#[test]
fn a_refused_option_harms_nothing() {
    // Redis 7.0.15 has no `version`.
    let input = "+PONG\r\n+OK\r\n+OK\r\n-ERR Unrecognized REPLCONF option: version\r\n";
    let told = TOLD.replace(
        "ok REPLCONF VERSION",
        "unknown REPLCONF VERSION: -ERR Unrecognized REPLCONF option: version",
    );
    check(&hello(), ask(None, Purpose::Follow), input, &format!("{told}> PSYNC ? -1\n"));
}

#[test]
fn bytes_by_chance_end_an_attempt_or_wait_for_more() {
    let seed = 5;
    let mut random = Random::new(seed);
    let mut below = |bound: u64| usize::try_from(random.below(bound)).expect("it is small");
    let words =
        ["+PONG\r\n", "+OK\r\n", "-ERR\r\n", "\n", "+CONTINUE", " ", ID, "\r", "+", "-", "$", "\0"];
    for round in 0..5_000 {
        let text: String = (0..below(30)).map(|_| words[below(12)]).collect();
        let mut input = text.into_bytes();
        if below(3) == 0 {
            input.extend((0..below(40)).map(|_| u8::try_from(below(256)).expect("a byte")));
        }
        let cut = below(input.len() as u64 + 1);
        let asked = ask((below(2) == 0).then_some(3), Purpose::Follow);
        let whole = run(&hello(), asked.clone(), &input, [input.len()]);
        let given = run(&hello(), asked, &input, [cut, input.len()]);
        assert_eq!(given, whole, "seed {seed} round {round} cut at {cut}");
    }
}
