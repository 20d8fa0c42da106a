//! The options of FAILOVER.

use shards::base::number::parse_i64;
use shards::resp::error::Error;

/// `FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT ms]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Begin one.
    Start(Request),
    /// End the one that is in progress.
    Abort,
}

/// What a failover is to be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The replica that takes over; any if it is none.
    pub target: Option<Target>,
    /// Whether it does so when time is up although it lacks something.
    pub forced: bool,
    /// Milliseconds to wait until a replica has all: above 0.
    pub timeout_ms: Option<u64>,
    /// Milliseconds until the target must have been asked to promote itself, from when it has all:
    /// [`HANDOVER_MS_MAX`](super::HANDOVER_MS_MAX) unless the process ends.
    pub reach_ms: Option<u64>,
}

/// A replica as a client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As INFO shows it.
    pub host: String,
    /// Any number: one that is no port is that of no replica.
    pub port: i64,
}

impl Command {
    /// Reads what stands behind `FAILOVER`. Options may come in any order, each once.
    ///
    /// # Errors
    /// As Valkey words them, for the first option that makes no sense.
    pub fn parse(options: &[&[u8]]) -> Result<Self, Error> {
        let mut request = Request::default();
        let mut rest = options;
        while let [name, behind @ ..] = rest {
            rest = match (name.to_ascii_lowercase().as_slice(), behind) {
                (b"abort", []) if options.len() == 1 => return Ok(Self::Abort),
                (b"timeout", [millis, behind @ ..]) if request.timeout_ms.is_none() => {
                    request.timeout_ms = Some(timeout_ms(millis)?);
                    behind
                }
                (b"to", [host, port, behind @ ..]) if request.target.is_none() => {
                    let host = String::from_utf8_lossy(host).into_owned();
                    let port = parse_i64(port).ok_or(Error::NotInteger)?;
                    request.target = Some(Target { host, port });
                    behind
                }
                (b"force", behind) if !request.forced => {
                    request.forced = true;
                    behind
                }
                _ => return Err(Error::Syntax),
            };
        }
        Ok(Self::Start(request))
    }
}

fn timeout_ms(text: &[u8]) -> Result<u64, Error> {
    let millis = parse_i64(text).ok_or(Error::NotInteger)?;
    match u64::try_from(millis) {
        Ok(millis @ 1..) => Ok(millis),
        Ok(0) | Err(_) => Err(Error::Text("ERR FAILOVER timeout must be greater than 0")),
    }
}

#[cfg(test)]
mod tests {
    use shards::base::random::Random;

    use super::*;

    const SYNTAX: &str = "-ERR syntax error";
    const NUMBER: &str = "-ERR value is not an integer or out of range";
    const POSITIVE: &str = "-ERR FAILOVER timeout must be greater than 0";

    /// What stands behind FAILOVER, and what Valkey 9.1.2 makes of it: an error, or that of a
    /// node that has no replicas.
    const OPTIONS: &[(&str, &str)] = &[
        ("", "any"),
        ("abort", "abort"),
        ("ABORT ABORT", SYNTAX),
        ("ABORT x", SYNTAX),
        ("ABORT TO h 1", SYNTAX),
        ("TIMEOUT 5 ABORT", SYNTAX),
        ("TO h 1 FORCE ABORT", SYNTAX),
        ("x", SYNTAX),
        ("x TIMEOUT abc", SYNTAX),
        ("TIMEOUT abc x", NUMBER),
        ("TIMEOUT", SYNTAX),
        ("TIMEOUT 0", POSITIVE),
        ("TIMEOUT -1", POSITIVE),
        ("TIMEOUT -1 TO h x", POSITIVE),
        ("TIMEOUT 99999999999999999999", NUMBER),
        ("TIMEOUT 1 TIMEOUT 2", SYNTAX),
        ("TO", SYNTAX),
        ("TO h", SYNTAX),
        ("TO h x", NUMBER),
        ("TO h x TIMEOUT -1", NUMBER),
        ("TO h 1 TO h 1", SYNTAX),
        ("FORCE FORCE", SYNTAX),
        ("TO h 1 FORCE FORCE TIMEOUT 1", SYNTAX),
        ("force", "any forced"),
        ("to h 1", "h:1"),
        ("TO h -1", "h:-1"),
        ("TO h 3000000000", "h:3000000000"),
        ("TIMEOUT 9223372036854775807", "any 9223372036854775807 ms"),
        ("FORCE TIMEOUT 5 TO h 1", "h:1 forced 5 ms"),
    ];

    #[test]
    fn options_mean_what_they_mean_to_valkey() {
        for (line, expected) in OPTIONS {
            let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
            let given = match Command::parse(&words) {
                Ok(Command::Abort) => "abort".to_string(),
                Ok(Command::Start(Request { target, forced, timeout_ms, .. })) => {
                    let target = target.map(|Target { host, port }| format!("{host}:{port}"));
                    let target = target.unwrap_or("any".to_string());
                    let forced = if forced { " forced" } else { "" };
                    let timeout = timeout_ms.map(|millis| format!(" {millis} ms"));
                    format!("{target}{forced}{}", timeout.unwrap_or_default())
                }
                Err(error) => {
                    let mut out = Vec::new();
                    error.write(&mut out);
                    String::from_utf8_lossy(&out).trim_end().to_string()
                }
            };
            assert_eq!(given, *expected, "{line}");
        }
    }

    #[test]
    fn bytes_by_chance_are_read_or_refused() {
        const WORDS: [&[u8]; 8] =
            [b"TO", b"FORCE", b"ABORT", b"TIMEOUT", b"1", b"-9", b"\xff\0", b""];
        let mut random = Random::new(4);
        for _ in 0..20_000 {
            let count = random.below(8);
            let word = |_| WORDS[usize::try_from(random.below(8)).expect("it is small")];
            let words: Vec<&[u8]> = (0..count).map(word).collect();
            if let Ok(Command::Start(request)) = Command::parse(&words) {
                assert!(request.timeout_ms != Some(0), "{words:?}");
            }
        }
    }
}
