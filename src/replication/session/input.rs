//! What a replica says while it is fed: acknowledgements, a line end now and then, and little else.

use shards::base::number::parse_i64;
use shards::resp::inline;
use shards::resp::parser::{Limits, Parser, Range, Step};

use crate::replication::history::Scalar;
use crate::replication::session::shown::PRIORITY_USUAL;

/// Bytes of one argument. The longest that a replica sends is an offset.
const ARGUMENT_BYTES_MAX: u64 = 512;
/// Bytes of a request whose end is not there yet.
const UNFINISHED_BYTES_MAX: usize = 4096;
/// Bytes of a command's name that a log shows.
const SHOWN_BYTES_MAX: usize = 32;

/// Bytes of a replica, and how far they are read.
#[derive(Debug, Default)]
pub struct Input {
    unfinished: Vec<u8>,
    parser: Parser,
}

/// Something that a replica has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// `REPLCONF ACK offset [FACK offset] [keylane-priority n]`. Behind it is the priority: the
    /// usual one if none is told, as by a stock replica.
    Ack(Ack, u32),
    /// It lives: an empty line, as a replica sends while it loads.
    Alive,
    /// What Valkey passes over without a reply.
    Idle,
    /// `QUIT`
    Quit,
    /// A command that has a reply. A reply would stand in the stream, so Valkey ends the
    /// connection; this is the name.
    Command(String),
}

/// How far a replica is, as a scalar of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// What it has applied.
    pub applied: Scalar,
    /// What is on its disk, if it keeps an append-only file.
    pub durable: Option<Scalar>,
}

/// Why bytes are no requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They break the protocol, and this is how.
    Protocol(String),
    /// A request does not end within the limit.
    TooLong,
}

impl Input {
    /// Reads what came in, and what was left of it before; appends to `said`.
    ///
    /// # Errors
    /// If it cannot be read. What stood in front of that is in `said`.
    pub fn take(&mut self, bytes: &[u8], said: &mut Vec<Said>) -> Result<(), Malformed> {
        const LIMITS: Limits = Limits { bulk_bytes_max: ARGUMENT_BYTES_MAX, authenticated: false };
        self.unfinished.extend_from_slice(bytes);
        let mut ranges: Vec<Range> = Vec::new();
        let mut at = 0;
        while at < self.unfinished.len() {
            let input = &self.unfinished[at..];
            ranges.clear();
            let step = self.parser.step(input, &mut ranges, &LIMITS);
            let step = step.map_err(|error| Malformed::Protocol(error.to_string()))?;
            at += match step {
                Step::Request { consumed } => {
                    let args: Vec<&[u8]> = ranges.iter().map(|range| range.of(input)).collect();
                    said.push(meaning(&args));
                    consumed
                }
                Step::Nothing { consumed } => {
                    said.push(Said::Alive);
                    consumed
                }
                Step::Inline { consumed, .. } => {
                    let line = inline::split(&input[..consumed]).unwrap_or_default();
                    let args: Vec<&[u8]> = line.iter().map(Vec::as_slice).collect();
                    said.push(meaning(&args));
                    consumed
                }
                Step::More { at_least } if UNFINISHED_BYTES_MAX < at_least => {
                    return Err(Malformed::TooLong);
                }
                Step::More { .. } => break,
            };
        }
        self.unfinished.drain(..at);
        if UNFINISHED_BYTES_MAX < self.unfinished.len() {
            return Err(Malformed::TooLong);
        }
        Ok(())
    }
}

/// What a request of a replica means.
fn meaning(args: &[&[u8]]) -> Said {
    let Some((name, rest)) = args.split_first() else { return Said::Alive };
    match name.to_ascii_lowercase().as_slice() {
        b"replconf" => replconf(rest),
        b"psync" | b"sync" => Said::Idle,
        b"quit" => Said::Quit,
        _ => command(name),
    }
}

/// Valkey reads nothing behind `ack` and `getack`, and answers neither.
fn replconf(options: &[&[u8]]) -> Said {
    let name = |at: usize| options.get(at).map(|name| name.to_ascii_lowercase());
    match (options, name(0).as_deref()) {
        ([_, applied, rest @ ..], Some(b"ack")) if rest.len() % 2 == 0 => {
            let durable = match (rest, name(2).as_deref()) {
                ([_, durable, ..], Some(b"fack")) => offset(durable),
                _ => None,
            };
            let priority = priority(rest).unwrap_or(PRIORITY_USUAL);
            let ack = |applied| Said::Ack(Ack { applied, durable }, priority);
            offset(applied).map_or(Said::Idle, ack)
        }
        ([_, _, rest @ ..], Some(b"getack")) if rest.len() % 2 == 0 => Said::Idle,
        _ => command(b"REPLCONF"),
    }
}

/// What the options behind an offset say of the priority.
fn priority(options: &[&[u8]]) -> Option<u32> {
    let mut pairs = options.chunks_exact(2);
    let told = pairs.find(|pair| pair[0].eq_ignore_ascii_case(b"keylane-priority"))?;
    u32::try_from(parse_i64(told[1])?).ok()
}

fn offset(text: &[u8]) -> Option<Scalar> {
    u64::try_from(parse_i64(text)?).ok().map(Scalar)
}

fn command(name: &[u8]) -> Said {
    let name = &name[..name.len().min(SHOWN_BYTES_MAX)];
    Said::Command(name.escape_ascii().to_string())
}

#[cfg(test)]
mod tests {
    use shards::base::random::Random;
    use shards::resp::request;

    use super::*;

    fn read(bytes: &[u8]) -> (Vec<Said>, Result<(), Malformed>) {
        let mut said = Vec::new();
        let result = Input::default().take(bytes, &mut said);
        (said, result)
    }

    fn ack(applied: u64, durable: Option<u64>) -> Said {
        told(applied, durable, PRIORITY_USUAL)
    }

    fn told(applied: u64, durable: Option<u64>, priority: u32) -> Said {
        Said::Ack(Ack { applied: Scalar(applied), durable: durable.map(Scalar) }, priority)
    }

    #[test]
    fn replicas_say_little() {
        let command = |name: &str| Said::Command(name.to_string());
        for (line, expected) in [
            ("REPLCONF ACK 15", ack(15, None)),
            ("replconf ack 15 fack 7", ack(15, Some(7))),
            ("REPLCONF ACK 15 FACK x", ack(15, None)),
            ("REPLCONF ACK 15 BOGUS 7", ack(15, None)),
            ("REPLCONF ACK 15 keylane-priority 7", told(15, None, 7)),
            ("REPLCONF ACK 15 FACK 3 keylane-priority 0", told(15, Some(3), 0)),
            ("REPLCONF ACK 15 keylane-priority -1", ack(15, None)),
            ("REPLCONF ACK x", Said::Idle),
            ("REPLCONF ACK -7", Said::Idle),
            ("REPLCONF ACK 9223372036854775807", ack(i64::MAX.cast_unsigned(), None)),
            ("REPLCONF ACK 9223372036854775808", Said::Idle),
            ("REPLCONF ACK", command("REPLCONF")),
            ("REPLCONF ACK 1 FACK", command("REPLCONF")),
            ("REPLCONF GETACK *", Said::Idle),
            ("REPLCONF capa eof", command("REPLCONF")),
            ("REPLCONF", command("REPLCONF")),
            ("PSYNC ? -1", Said::Idle),
            ("SYNC", Said::Idle),
            ("QUIT", Said::Quit),
            ("PING", command("PING")),
            ("SET a 1", command("SET")),
        ] {
            let mut bytes = Vec::new();
            let words: Vec<&str> = line.split(' ').collect();
            request::write(&mut bytes, &words);
            assert_eq!(read(&bytes), (vec![expected.clone()], Ok(())), "{line}");
            let inline = format!("{line}\r\n");
            assert_eq!(read(inline.as_bytes()), (vec![expected], Ok(())), "{line} as a line");
        }
    }

    #[test]
    fn an_empty_line_is_a_sign_of_life() {
        for bytes in [&b"\n"[..], b"\r\n", b"*0\r\n", b"*-1\r\n"] {
            assert_eq!(read(bytes), (vec![Said::Alive], Ok(())), "{}", bytes.escape_ascii());
        }
        assert_eq!(read(b"\n\n\n").0.len(), 3);
        assert_eq!(read(b""), (vec![], Ok(())));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let long = "x".repeat(5000);
        for bytes in [
            "*x\r\n".to_string(),
            "*1\r\nx\r\n".to_string(),
            "*11\r\n".to_string(),
            "*1\r\n$513\r\n".to_string(),
            "*2147483648\r\n".to_string(),
            "\"x\r\n".to_string(),
            long,
        ] {
            let (said, result) = read(bytes.as_bytes());
            assert!(said.is_empty() && result.is_err(), "{bytes}: {said:?}");
        }
        let (said, result) = read(b"\n*1\r\n$4\r\nQUIT\r\n*x\r\n\n");
        assert_eq!(said, [Said::Alive, Said::Quit]);
        assert!(matches!(result, Err(Malformed::Protocol(_))));
    }

    #[test]
    fn requests_may_come_byte_by_byte() {
        let mut bytes = b"\n".to_vec();
        request::write(&mut bytes, &["REPLCONF", "ACK", "5", "FACK", "3"]);
        bytes.extend_from_slice(b"REPLCONF ACK 6\r\n");
        let whole = read(&bytes);
        assert_eq!(whole.0, [Said::Alive, ack(5, Some(3)), ack(6, None)]);
        for cut in 0..bytes.len() {
            let (mut input, mut said) = (Input::default(), Vec::new());
            input.take(&bytes[..cut], &mut said).expect("it is well formed");
            input.take(&bytes[cut..], &mut said).expect("it is well formed");
            assert_eq!(said, whole.0, "{cut}");
        }
    }

    #[test]
    fn bytes_by_chance_never_panic_and_never_pile_up() {
        let seed = 5;
        let mut random = Random::new(seed);
        let letters = b"*$-0123459\r\nREPLCONFackgeQUIT \"\x00\xff";
        for round in 0..3000 {
            let mut input = Input::default();
            for _ in 0..20 {
                let len = random.below(40);
                let pick = |random: &mut Random| {
                    letters[usize::try_from(random.below(letters.len() as u64)).expect("small")]
                };
                let bytes: Vec<u8> = (0..len).map(|_| pick(&mut random)).collect();
                if input.take(&bytes, &mut Vec::new()).is_err() {
                    break;
                }
                let held = input.unfinished.len();
                assert!(held <= UNFINISHED_BYTES_MAX, "seed {seed} round {round}: {held}");
            }
        }
    }
}
