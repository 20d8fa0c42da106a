//! MULTI and memory: what is queued counts, and is refused when it is queued.

use super::{number, start};
use crate::asking::{ok, text};

const OOM: &str = "OOM command not allowed when used memory > 'maxmemory'.";
const ABORTED: &str = "EXECABORT Transaction discarded because of previous errors.";

#[test]
fn a_write_without_memory_is_refused_when_it_is_queued() {
    for shards in [1, 3] {
        let (_running, _, mut client) = start(shards, &[]);
        ok(&mut client, &format!("SET big {}", "x".repeat(5_000_000)));
        ok(&mut client, "CONFIG SET maxmemory 3000000");
        for key in ["a", "b", "c", "d"] {
            ok(&mut client, "MULTI");
            assert_eq!(text(&mut client, &format!("SET {key} 1")), OOM);
            assert_eq!(text(&mut client, "GET none"), "QUEUED");
            assert_eq!(text(&mut client, "EXEC"), ABORTED);
        }
        // What needs no memory works.
        ok(&mut client, "MULTI");
        assert_eq!(text(&mut client, "GET none"), "QUEUED");
        assert_eq!(text(&mut client, "EXEC"), "Group('*', [NullBulk])");
        ok(&mut client, "MULTI");
        assert_eq!(text(&mut client, "DEL big"), "QUEUED");
        assert_eq!(text(&mut client, "EXEC"), "Group('*', [Integer(1)])");
    }
}

#[test]
fn what_multi_has_queued_counts_against_the_limit() {
    const LIMIT_BYTES: u64 = 40 << 20;
    const VALUE_BYTES: u64 = 8 << 20;
    for shards in [1, 3] {
        let limit = LIMIT_BYTES.to_string();
        let (_running, _, mut client) = start(shards, &["--maxmemory", &limit]);
        let value = "x".repeat(usize::try_from(VALUE_BYTES).unwrap());
        ok(&mut client, "MULTI");
        let mut queued = 0;
        let refused = loop {
            let reply = text(&mut client, &format!("SET key {value}"));
            if reply != "QUEUED" {
                break reply;
            }
            queued += 1;
            assert!(queued <= LIMIT_BYTES / VALUE_BYTES + 1, "{queued} are queued");
        };
        assert_eq!(refused, OOM);
        assert!(0 < queued, "none was queued");
        assert_eq!(text(&mut client, "EXEC"), ABORTED);
        assert_eq!(text(&mut client, "EXISTS key"), "Integer(0)");
        // The queue is gone, so there is memory again.
        ok(&mut client, "SET key v");
        assert!(number(&mut client, "used_memory") < LIMIT_BYTES);
    }
}
