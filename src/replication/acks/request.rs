//! The arguments of WAIT and WAITAOF.

use shards::base::number::{parse_i64, parse_u64};
use shards::base::time::UnixMs;
use shards::resp::error::Error;

use crate::replication::acks::Needs;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it waits for. If it needs nothing it is answered at once.
    pub needs: Needs,
    /// Milliseconds that it waits; `None`: for ever.
    pub timeout_ms: Option<u64>,
}

/// Facts that refuse a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// The time, for timeouts that end after all time.
    pub now: UnixMs,
    /// Whether it is a replica.
    pub is_replica: bool,
    /// Whether it keeps an append-only file.
    pub is_logging: bool,
}

impl Request {
    /// Reads `numreplicas timeout` of WAIT. Less than no replicas is none.
    ///
    /// # Errors
    /// As Valkey words them; a replica refuses whatever stands there.
    pub fn wait(args: [&[u8]; 2], node: Node) -> Result<Self, Error> {
        if node.is_replica {
            return Err(Error::Text(
                "ERR WAIT cannot be used with replica instances. Please also note that if a \
                 replica is configured to be writable (which is not the default) writes to \
                 replicas are just local and are not propagated.",
            ));
        }
        let [replicas, timeout] = args;
        let replicas = parse_i64(replicas).ok_or(Error::NotInteger)?;
        let needs = Needs::Applied(u64::try_from(replicas).unwrap_or(0));
        Ok(Self { needs, timeout_ms: timeout_ms(timeout, node.now)? })
    }

    /// Reads `numlocal numreplicas timeout` of WAITAOF.
    ///
    /// # Errors
    /// As Valkey words them; a replica refuses what makes sense elsewhere.
    pub fn waitaof(args: [&[u8]; 3], node: Node) -> Result<Self, Error> {
        let [local, replicas, timeout] = args;
        let local = match parse_i64(local) {
            Some(0) => 0,
            Some(1) => 1,
            Some(_) => {
                return Err(Error::Text("ERR value is out of range, value must between 0 and 1"));
            }
            None => return Err(Error::NotInteger),
        };
        let replicas = parse_u64(replicas).filter(|count| i64::try_from(*count).is_ok());
        let replicas = replicas.ok_or(Error::NotPositive)?;
        let timeout_ms = timeout_ms(timeout, node.now)?;
        if node.is_replica {
            return Err(Error::Text(
                "ERR WAITAOF cannot be used with replica instances. Please also note that writes \
                 to replicas are just local and are not propagated.",
            ));
        }
        if local == 1 && !node.is_logging {
            return Err(Error::Text(
                "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
            ));
        }
        Ok(Self { needs: Needs::Durable { local, replicas }, timeout_ms })
    }
}

/// Milliseconds from now on; 0 is for ever.
fn timeout_ms(text: &[u8], now: UnixMs) -> Result<Option<u64>, Error> {
    let millis = parse_i64(text).ok_or(Error::TimeoutNotInteger)?;
    let millis = u64::try_from(millis).map_err(|_| Error::TimeoutNegative)?;
    let end = now.0.saturating_add(millis);
    if i64::try_from(end).is_err() {
        return Err(Error::Text("ERR timeout is out of range"));
    }
    Ok((millis != 0).then_some(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMARY: Node =
        Node { now: UnixMs(1_764_000_000_000), is_replica: false, is_logging: false };
    const REPLICA: Node = Node { is_replica: true, ..PRIMARY };
    const LOGGING: Node = Node { is_logging: true, ..PRIMARY };

    const NUMBER: &str = "-ERR value is not an integer or out of range";
    const TIMEOUT: &str = "-ERR timeout is not an integer or out of range";
    const NEGATIVE: &str = "-ERR timeout is negative";
    const RANGE: &str = "-ERR timeout is out of range";
    const FLAG: &str = "-ERR value is out of range, value must between 0 and 1";
    const POSITIVE: &str = "-ERR value is out of range, must be positive";
    const OFF: &str =
        "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";
    const WAIT_REPLICA: &str = "-ERR WAIT cannot be used with replica instances. Please also note \
         that if a replica is configured to be writable (which is not the default) writes to \
         replicas are just local and are not propagated.";
    const WAITAOF_REPLICA: &str = "-ERR WAITAOF cannot be used with replica instances. Please \
         also note that writes to replicas are just local and are not propagated.";

    /// Nodes, arguments, and what Valkey 9.1.2 makes of them.
    const REQUESTS: &[(Node, &str, &str)] = &[
        (PRIMARY, "1 0", "1"),
        (PRIMARY, "-1 0", "0"),
        (PRIMARY, "2 50", "2 within 50 ms"),
        (PRIMARY, "x 1", NUMBER),
        (PRIMARY, "99999999999999999999 1", NUMBER),
        (PRIMARY, "1 x", TIMEOUT),
        (PRIMARY, "1 -1", NEGATIVE),
        (PRIMARY, "0 9223372036854775807", RANGE),
        (REPLICA, "1 10", WAIT_REPLICA),
        (REPLICA, "x 10", WAIT_REPLICA),
        (LOGGING, "1 0 0", "1+0"),
        (LOGGING, "0 3 7", "0+3 within 7 ms"),
        (PRIMARY, "0 0 0", "0+0"),
        (PRIMARY, "1 0 0", OFF),
        (PRIMARY, "2 0 0", FLAG),
        (PRIMARY, "-1 0 0", FLAG),
        (PRIMARY, "x 0 0", NUMBER),
        (PRIMARY, "0 x 0", POSITIVE),
        (PRIMARY, "0 -1 0", POSITIVE),
        (PRIMARY, "0 0 x", TIMEOUT),
        (PRIMARY, "0 0 -1", NEGATIVE),
        (PRIMARY, "0 0 9223372036854775807", RANGE),
        (REPLICA, "0 1 10", WAITAOF_REPLICA),
        (REPLICA, "1 0 0", WAITAOF_REPLICA),
        (REPLICA, "2 0 0", FLAG),
    ];

    #[test]
    fn arguments_mean_what_they_mean_to_valkey() {
        for (node, line, expected) in REQUESTS {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let given = match words[..] {
                [replicas, timeout] => Request::wait([replicas, timeout], *node),
                [local, replicas, timeout] => Request::waitaof([local, replicas, timeout], *node),
                _ => panic!("{line} has two or three words"),
            };
            let given = match given {
                Ok(Request { needs, timeout_ms }) => {
                    let needs = match needs {
                        Needs::Applied(replicas) => format!("{replicas}"),
                        Needs::Durable { local, replicas } => format!("{local}+{replicas}"),
                    };
                    let within = timeout_ms.map(|millis| format!(" within {millis} ms"));
                    needs + &within.unwrap_or_default()
                }
                Err(error) => {
                    let mut out = Vec::new();
                    error.write(&mut out);
                    String::from_utf8_lossy(&out).trim_end().to_string()
                }
            };
            assert_eq!(given, *expected, "{line} {node:?}");
        }
    }
}
