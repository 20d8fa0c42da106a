//! Whether there is memory for a primary's keys beside this node's own, and what becomes of these
//! if there is not: one table.
//!
//! ```text
//!                                     both fit        the primary's alone do   not even those
//! no keys here                        beside          beside                   refused
//! swapdb                              beside          empty first              refused
//! disabled, on-empty-db,
//! flush-before-load                   empty first     empty first              refused
//! ```
//! While this node still frees what it has given up, that counts as used: what would be beside the
//! data if it did not, waits.
//!
//! A primary that does not say what it uses is taken for one whose keys fit.

use std::fmt::{Display, Formatter, Result};

use crate::config::choices::DisklessLoad;

/// A primary at its own `maxmemory` uses some more than that, of what does not count there. What it
/// may be over, as a part of the limit.
const OVER_SHARE: u64 = 8;

/// What is known when a snapshot is about to be taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `repl-diskless-load`
    pub setting: DisklessLoad,
    /// This node has no keys.
    pub is_empty: bool,
    /// It still frees what it had before.
    pub is_freeing: bool,
    /// Bytes that this node uses.
    pub used: u64,
    /// Bytes that the primary uses; `None` if it does not say.
    pub primary_used: Option<u64>,
    /// `maxmemory` in bytes; 0 for no limit.
    pub maxmemory: u64,
    /// Bytes that the system would still give; `None` if it does not say.
    pub available: Option<u64>,
}

/// Where a snapshot goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Beside the data, which are shown until all of it is there.
    Beside,
    /// The data go first.
    EmptyFirst,
    /// It is not known before all is freed that is to be.
    Later,
    /// Nowhere: there is too little memory.
    Refused(Lack),
}

/// The figures of too little memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    /// Bytes that the primary uses.
    pub needed: u64,
    /// Bytes that this node uses.
    pub used: u64,
    /// `maxmemory` in bytes; 0 for no limit.
    pub maxmemory: u64,
    /// Bytes that the system would still give; `None` if it does not say.
    pub available: Option<u64>,
}

/// Where a snapshot goes.
pub fn decide(facts: &Facts) -> Room {
    let Facts { setting, is_empty, is_freeing, used, primary_used, maxmemory, available } = *facts;
    let needed = primary_used.unwrap_or(0);
    let limit = if maxmemory == 0 { u64::MAX } else { maxmemory };
    let given = available.unwrap_or(u64::MAX);
    let fits_alone = needed <= limit.saturating_add(maxmemory / OVER_SHARE)
        && needed <= given.saturating_add(used);
    let fits_beside = needed.saturating_add(used) <= limit && needed <= given;
    let is_known = primary_used.is_some();
    let stays = is_empty || setting == DisklessLoad::SwapDb;
    match setting {
        _ if is_known && !fits_alone => Room::Refused(Lack { needed, used, maxmemory, available }),
        _ if is_known && is_freeing && !fits_beside && stays => Room::Later,
        _ if is_empty => Room::Beside,
        DisklessLoad::SwapDb if fits_beside || !is_known => Room::Beside,
        DisklessLoad::SwapDb
        | DisklessLoad::Disabled
        | DisklessLoad::OnEmptyDb
        | DisklessLoad::FlushBeforeLoad => Room::EmptyFirst,
    }
}

impl Display for Lack {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { needed, used, maxmemory, available } = self;
        write!(
            f,
            "the primary uses {needed} bytes, and this node {used}; maxmemory is {maxmemory}, and "
        )?;
        match available {
            Some(bytes) => write!(f, "the system has {bytes} bytes available"),
            None => f.write_str("the system does not say what is available"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DisklessLoad::{Disabled, FlushBeforeLoad, OnEmptyDb, SwapDb};

    /// Bytes in mega: used, the primary's, maxmemory, available; -1 is what is not said. Then what
    /// becomes of it with keys by `swapdb`, by the other settings, and without keys.
    const ROWS: &[([i64; 4], &str, &str, &str)] = &[
        // There is room for both, up to the last byte of each limit.
        ([100, 100, 0, 1000], "beside", "first", "beside"),
        ([100, 100, 0, 100], "beside", "first", "beside"),
        ([100, 100, 200, 1000], "beside", "first", "beside"),
        // For one at a time.
        ([100, 100, 199, 1000], "first", "first", "beside"),
        ([100, 101, 0, 100], "first", "first", "beside"),
        ([100, 200, 0, 100], "first", "first", "beside"),
        ([100, 200, 200, 1000], "first", "first", "beside"),
        // A primary at the same limit is a bit above it.
        ([100, 225, 200, 1000], "first", "first", "beside"),
        // Not even for that.
        ([100, 226, 200, 1000], "refused", "refused", "refused"),
        ([100, 201, 0, 100], "refused", "refused", "refused"),
        ([0, 1, 0, 0], "refused", "refused", "refused"),
        // What is not known does not refuse.
        ([100, -1, 1, 0], "beside", "first", "beside"),
        ([100, 5000, 0, -1], "beside", "first", "beside"),
        ([100, 5000, 4000, -1], "refused", "refused", "refused"),
    ];

    #[test]
    fn each_setting_does_what_memory_allows() {
        for (figures, swapped, others, empty) in ROWS {
            let bytes = figures.map(|mega| u64::try_from(mega).ok().map(|mega| mega << 20));
            let [used, primary_used, maxmemory, available] = bytes;
            let (used, maxmemory) = (used.unwrap_or(0), maxmemory.unwrap_or(0));
            let is_freeing = false;
            let facts = |setting, is_empty| Facts {
                setting,
                is_empty,
                is_freeing,
                used,
                primary_used,
                maxmemory,
                available,
            };
            let room = |setting, is_empty| match decide(&facts(setting, is_empty)) {
                Room::Beside => "beside",
                Room::EmptyFirst => "first",
                Room::Later => "later",
                Room::Refused(_) => "refused",
            };
            assert_eq!(room(SwapDb, false), *swapped, "{figures:?}");
            for setting in [Disabled, OnEmptyDb, FlushBeforeLoad] {
                assert_eq!(room(setting, false), *others, "{figures:?} {setting:?}");
            }
            for setting in [SwapDb, Disabled, OnEmptyDb, FlushBeforeLoad] {
                assert_eq!(room(setting, true), *empty, "{figures:?} {setting:?}");
            }
            // What frees soon may be what lacks: keys that can stay do.
            let freeing = Facts { is_freeing: true, ..facts(SwapDb, false) };
            let is_first = *swapped == "first";
            assert_eq!(decide(&freeing) == Room::Later, is_first, "{figures:?}");
        }
    }

    #[test]
    fn a_node_without_keys_waits_for_memory_that_it_still_frees() {
        let facts = |is_freeing, used| Facts {
            setting: SwapDb,
            is_empty: true,
            is_freeing,
            used,
            primary_used: Some(100),
            maxmemory: 150,
            available: None,
        };
        assert_eq!(decide(&facts(true, 60)), Room::Later);
        assert_eq!(decide(&facts(true, 50)), Room::Beside);
        assert_eq!(decide(&facts(false, 60)), Room::Beside);
    }

    #[test]
    fn a_refusal_says_its_figures() {
        let lack = Lack { needed: 9, used: 5, maxmemory: 7, available: Some(3) };
        let expected = "the primary uses 9 bytes, and this node 5; maxmemory is 7, and the system \
                        has 3 bytes available";
        assert_eq!(lack.to_string(), expected);
    }
}
