//! The primary that a replica follows: `replicaof host port`.

use shards::base::number::parse_u64;

use super::kinds::{Examples, FileLine, Kind, Mention, Reason};
use super::line::quote;

/// Where a primary is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Primary {
    /// An IP address or a name.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// A [`Primary`]; none for a server that is one. REPLICAOF changes it, too.
#[derive(Debug)]
pub struct PrimaryOrNone;

impl Primary {
    /// By the words of a directive or of REPLICAOF. `None`: the port is none.
    pub fn read(host: &[u8], port: &[u8]) -> Option<Self> {
        let port = parse_u64(port).and_then(|port| u16::try_from(port).ok())?;
        Some(Self { host: String::from_utf8_lossy(host).into_owned(), port })
    }

    /// Whether both are the same server. Names are the same in any case.
    pub fn is_same(&self, other: &Self) -> bool {
        self.port == other.port && self.host.eq_ignore_ascii_case(&other.host)
    }
}

/// Whether these words say that there is no primary.
pub fn is_no_one(host: &[u8], port: &[u8]) -> bool {
    host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one")
}

impl Kind for PrimaryOrNone {
    type Value = Option<Primary>;
    const MANY: bool = true;

    fn read(
        &self,
        words: &[&[u8]],
        _: &Option<Primary>,
        _: Mention,
    ) -> Result<Option<Primary>, Reason> {
        match words {
            [] | [b""] => Ok(None),
            [host, port] if is_no_one(host, port) => Ok(None),
            [host, port] => {
                Primary::read(host, port).map(Some).ok_or_else(|| "Invalid master port".into())
            }
            _ => Err("wrong number of arguments".into()),
        }
    }

    fn print(&self, value: &Option<Primary>) -> Vec<u8> {
        let printed = value.as_ref().map(|Primary { host, port }| format!("{host} {port}"));
        printed.unwrap_or_default().into_bytes()
    }

    fn lines(&self, value: &Option<Primary>, default: &Option<Primary>) -> Vec<FileLine> {
        let words = match value {
            Some(Primary { host, port }) => {
                [&quote(host.as_bytes())[..], b" ", port.to_string().as_bytes()].concat()
            }
            None => b"no one".to_vec(),
        };
        vec![FileLine { words, needed: value != default }]
    }

    fn limits(&self) -> String {
        "host and port, or `no one`".into()
    }

    fn examples(&self) -> Examples {
        Examples::of(
            &["127.0.0.1 6379", "no one", "primary.example 0"],
            &["h", "h 65536", "h -1", "h 07", "h 1 2"],
        )
    }
}
