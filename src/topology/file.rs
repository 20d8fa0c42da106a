//! The text of nodes.conf of a node whose topology comes from outside. Kvrocks keeps the same
//! lines, but for `hash`, which shows that no line is missing.
//!
//! ```text
//! version 7
//! id <id>               if it is known
//! hash 0123456789abcdef
//! node <a line of SETNODES>
//! ```

use crate::cluster::ids::NodeId;
use crate::topology::desired::{Desired, UNSET};
use crate::topology::text;

/// A file that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// The number of the line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// What the file is to say.
pub fn text(desired: &Desired) -> String {
    let mut lines = format!("version {}\n", desired.version());
    if let Some(id) = desired.id {
        lines += &format!("id {id}\n");
    }
    if desired.is_set() {
        lines += &format!("hash {:016x}\n", desired.hash());
    }
    let nodes = desired.members().iter().map(|member| format!("node {}\n", text::line(member)));
    lines + &nodes.collect::<String>()
}

/// What a file says. An empty one is that of a new node.
///
/// # Errors
/// If a line is none of these, or one is missing.
pub fn load(file: &str) -> Result<Desired, Corrupt> {
    let (mut version, mut id, mut hash, mut nodes) = (UNSET, None, None, String::new());
    for (number, line) in (1..).zip(file.lines()) {
        let wrong = |reason: &str| Corrupt { line: number, reason: reason.to_owned() };
        match line.split_once(' ') {
            Some(("version", word)) => {
                version = word.parse().map_err(|_| wrong("the version is no number"))?;
            }
            Some(("id", word)) => {
                let parsed = NodeId::given(word.as_bytes());
                id = Some(parsed.ok_or_else(|| wrong("the id is none"))?);
            }
            Some(("hash", word)) => {
                let parsed = u64::from_str_radix(word, 16);
                hash = Some(parsed.map_err(|_| wrong("the hash is none"))?);
            }
            Some(("node", line)) => {
                text::parse(line.as_bytes()).map_err(|_| wrong("the node is none"))?;
                nodes += line;
                nodes += "\n";
            }
            _ => return Err(wrong("it is no line of a topology from outside")),
        }
    }
    let wrong = |reason: &str| Corrupt { line: 0, reason: reason.to_owned() };
    if version < 0 {
        return match nodes.is_empty() {
            true => Ok(Desired::of(id, UNSET, Vec::new())),
            false => Err(wrong("the version is missing")),
        };
    }
    let members = text::parse(nodes.as_bytes()).map_err(|_| wrong("the nodes make no sense"))?;
    let desired = Desired::of(id, version, members);
    match hash {
        // A file of Kvrocks has none.
        None => Ok(desired),
        Some(hash) if hash == desired.hash() => Ok(desired),
        Some(_) => Err(wrong("the hash is another one: a part is missing")),
    }
}

#[cfg(test)]
mod tests;
