//! Slots of keys, and the ranges of slots that the primaries have.

use std::ops::Range;

/// Slots of a cluster.
const SLOTS: usize = 16384;

/// The slot of a key: CRC16 of the key, or of its hash tag.
pub fn slot(key: &str) -> usize {
    let tagged = key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let hashed = tagged.map(|(tag, _)| tag).filter(|tag| !tag.is_empty()).unwrap_or(key);
    usize::from(crc16(hashed.as_bytes())) % SLOTS
}

/// The variant called XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

/// The slots of the range numbered `range`, of so many of about one size.
pub fn slots(range: usize, ranges: usize) -> Range<usize> {
    SLOTS * range / ranges..SLOTS * (range + 1) / ranges
}

/// For each range `count` keys in it whose names begin with `prefix`.
pub fn keys(prefix: &str, count: usize, ranges: usize) -> Vec<Vec<String>> {
    let mut keys = vec![Vec::new(); ranges];
    let names = (0_u64..).map(|number| format!("{prefix}{number}"));
    for name in names {
        let slot = slot(&name);
        let range = (0..ranges).find(|range| slots(*range, ranges).contains(&slot));
        let found = &mut keys[range.expect("the ranges cover all slots")];
        if found.len() < count {
            found.push(name);
        }
        if keys.iter().all(|found| found.len() == count) {
            break;
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_slots_that_servers_name() {
        // CLUSTER KEYSLOT of Valkey.
        for (key, expected) in [
            ("", 0),
            ("foo", 12182),
            ("bar", 5061),
            ("123456789", 12739),
            ("{foo}bar", 12182),
            ("a{foo}{bar}", 12182),
            ("{foo}}", 12182),
            ("{}foo", 9500),
            ("foo{", 7673),
        ] {
            assert_eq!(slot(key), expected, "{key}");
        }
    }

    #[test]
    fn ranges_cover_all_slots_once() {
        for ranges in 1..=7 {
            let all: Vec<usize> = (0..ranges).flat_map(|range| slots(range, ranges)).collect();
            assert!(all.into_iter().eq(0..SLOTS));
        }
    }

    #[test]
    fn finds_keys_of_each_range() {
        for (range, keys) in keys("key:", 20, 3).iter().enumerate() {
            assert_eq!(keys.len(), 20);
            assert!(keys.iter().all(|key| slots(range, 3).contains(&slot(key))));
        }
    }
}
