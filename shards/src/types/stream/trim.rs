//! Removing the oldest entries of a stream: exactly, or whole nodes only.

use crate::types::stream::id::StreamId;
use crate::types::stream::log::Log;

/// What may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// What stays.
    pub keep: Keep,
    /// How exactly.
    pub precision: Precision,
}

/// What stays of a self.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The last so many entries.
    Last(u64),
    /// The entries from this ID on.
    From(StreamId),
}

/// How exactly a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// No more stays than asked for.
    Exact,
    /// Only whole nodes go, of at most so many entries in all; 0 is no limit.
    Nodes(u64),
}

impl Log {
    /// Removes the oldest entries; says how many it were.
    pub fn trim(&mut self, trim: Trim) -> u64 {
        let mut removed = 0;
        while let Some(mut first) = self.nodes.first_entry() {
            let (base, node) = (*first.key(), first.get_mut());
            let entries = node.len();
            let whole = match trim.keep {
                Keep::Last(count) if self.len <= count => break,
                Keep::Last(count) => count <= self.len - entries,
                Keep::From(id) => node.last_id(base).is_none_or(|last| last < id),
            };
            if let Precision::Nodes(limit) = trim.precision
                && (!whole || limit != 0 && limit < removed + entries)
            {
                break;
            }
            let gone = if whole {
                first.remove();
                entries
            } else {
                let len = self.len;
                node.delete_first(base, |id, deleted| match trim.keep {
                    Keep::Last(count) => len - deleted <= count,
                    Keep::From(from) => from <= id,
                })
            };
            self.len -= gone;
            removed += gone;
            if !whole {
                break;
            }
        }
        if 0 < removed {
            self.find_first();
        }
        removed
    }

    /// The trimming that has the same outcome as the one before it, whatever the nodes are like.
    pub fn settled(&self, keep: Keep) -> Keep {
        match keep {
            Keep::Last(_) => Keep::Last(self.len),
            Keep::From(_) => {
                let mut nodes = self.nodes.iter();
                let first = nodes.next().and_then(|(base, node)| node.first_id(*base));
                Keep::From(first.unwrap_or(StreamId::MAX))
            }
        }
    }
}
