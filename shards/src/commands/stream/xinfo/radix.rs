//! What Valkey's radix tree of a stream's nodes would come to. Here they are in a map, which has
//! nothing of the kind; XINFO tells what people compare.

use alloc::vec::Vec;

use crate::types::stream::log::Log;

/// Keys that are looked at; if there are more, those stand for the others.
const KEYS_MAX: usize = 1024;

/// How many nodes the radix tree would have.
pub(super) fn nodes(log: &Log) -> usize {
    let all = log.nodes().len();
    let keys: Vec<_> = log.nodes().take(KEYS_MAX).map(|(id, _)| id.to_bytes()).collect();
    match keys.len() {
        // The root is there without keys.
        0 => 1,
        known => tree(&keys, 0) * all / known,
    }
}

/// Nodes below the first `depth` bytes, which all keys share: one for what else they share, if
/// anything; one where they part; or the end of a key.
fn tree(keys: &[[u8; 16]], depth: usize) -> usize {
    let (first, last) = (&keys[0], &keys[keys.len() - 1]);
    let shared = (depth..first.len()).take_while(|at| first[*at] == last[*at]).count();
    let parts = depth + shared;
    let below = if parts == first.len() {
        0
    } else {
        keys.chunk_by(|a, b| a[parts] == b[parts]).map(|keys| tree(keys, parts + 1)).sum()
    };
    usize::from(0 < shared) + 1 + below
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::limits::StreamLimits;
    use crate::types::stream::id::StreamId;

    /// Figures of a Valkey 9.1.2.
    #[test]
    fn nodes_are_as_many_as_in_valkey() {
        let limits = StreamLimits { node_bytes: 4096, node_entries: 1 };
        let cases: [(&[(u64, u64)], usize); 4] = [
            (&[], 1),
            (&[(1, 1)], 2),
            (&[(1, 1), (1, 2)], 4),
            (&[(1, 1), (1, 2), (256, 3), (257, 4), (1 << 40, 0)], 15),
        ];
        for (ids, expected) in cases {
            let mut log = Log::default();
            for &(ms, seq) in ids {
                log.append(StreamId { ms, seq }, &[b"a", b"b"], limits);
            }
            assert_eq!(nodes(&log), expected, "{ids:?}");
        }
    }
}
