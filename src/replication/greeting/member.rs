//! Which node of a topology from outside a replica is, as it tells its primary:
//! `REPLCONF keylane-topology id:version`.

use std::borrow::Cow;
use std::fmt::{Display, Formatter, Result as Written};

use shards::base::number::parse_i64;
use shards::resp::error::Error;

/// Which node a replica is, as far as it tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its id in a cluster whose nodes talk to each other.
    pub node_id: Option<Vec<u8>>,
    /// What it is in a topology from outside.
    pub member: Option<Member>,
}

impl Identity {
    /// The id that it tells; empty if it tells none.
    pub fn id(&self) -> String {
        let of_node = || self.node_id.as_deref().map(String::from_utf8_lossy).map(Cow::into_owned);
        let of_member = self.member.as_ref().map(|member| member.id.clone());
        of_member.or_else(of_node).unwrap_or_default()
    }
}

/// Characters that an id may have.
pub(super) const ID_BYTES_MAX: usize = 64;

/// A node and the version of the topology that it knows; a negative one if it knows none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id: letters and digits.
    pub id: String,
    /// The version.
    pub version: i64,
}

impl Member {
    /// # Errors
    /// If these are not an id and a number.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Error> {
        let parsed = || {
            let colon = text.iter().position(|byte| *byte == b':')?;
            let (id, version) = (&text[..colon], parse_i64(&text[colon + 1..])?);
            let is_id = id.len() <= ID_BYTES_MAX && id.iter().all(u8::is_ascii_alphanumeric);
            let id = str::from_utf8(id).ok().filter(|_| is_id)?;
            Some(Self { id: id.to_owned(), version })
        };
        parsed().ok_or_else(|| Error::naming("ERR Unrecognized member of a topology: ", text, ""))
    }
}

/// How the error begins that a node gets which is none of its primary's replicas.
const REFUSAL: &str = "NOPERM Node ";

/// What a node with this id, or without one, is answered that is none of this node's replicas in
/// this version of the topology.
pub fn refusal(id: &str, version: i64) -> Error {
    Error::Owned(format!(
        "{REFUSAL}{id} is no replica of this node in version {version} of the topology"
    ))
}

/// Whether a reply is that error.
pub fn is_refusal(line: &[u8]) -> bool {
    line.strip_prefix(b"-").is_some_and(|text| text.starts_with(REFUSAL.as_bytes()))
}

impl Display for Member {
    fn fmt(&self, f: &mut Formatter<'_>) -> Written {
        write!(f, "{}:{}", self.id, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_an_id_and_a_version() {
        for (text, told) in [
            ("a1:7", Some(("a1", 7))),
            ("a1:-1", Some(("a1", -1))),
            ("a1", None),
            ("a1:", None),
            ("a1:x", None),
            ("a 1:7", None),
        ] {
            let parsed = Member::parse(text.as_bytes());
            let expected = told.map(|(id, version)| Member { id: id.to_owned(), version });
            assert_eq!(parsed.as_ref().ok(), expected.as_ref(), "{text}");
            if let Ok(member) = parsed {
                assert_eq!(member.to_string(), text);
            }
        }
        let mut reply = Vec::new();
        refusal("a1", 7).write(&mut reply);
        assert!(is_refusal(&reply), "{}", reply.escape_ascii());
        assert!(!is_refusal(b"-NOPERM User u has no permissions to run the 'psync' command"));
        let long = format!("{}:1", "a".repeat(65));
        assert!(Member::parse(long.as_bytes()).is_err());
    }
}
