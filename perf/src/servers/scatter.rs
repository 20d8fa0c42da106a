//! Keys in no order, the same in each run.

use crate::servers::client::key;

/// Keys with numbers below `count`, in no order.
#[derive(Clone, Debug)]
pub struct Scatter {
    state: u64,
    count: u64,
}

impl Scatter {
    /// Another seed gives another order.
    pub fn new(seed: u64, count: u64) -> Self {
        Self { state: seed, count }
    }

    /// The next key.
    pub fn next_key(&mut self) -> String {
        // Knuth's MMIX generator: its high bits are good enough here.
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005);
        self.state = self.state.wrapping_add(1_442_695_040_888_963_407);
        key((self.state >> 33) % self.count)
    }
}
