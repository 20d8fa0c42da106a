//! How long a command took, as a histogram with buckets that grow with the time.
//!
//! Eight buckets for each power of two of cycles: a bucket is at most an eighth of its time wide.

/// Buckets for each power of two, and the bits that number them.
const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 3;
/// Powers of two that are told apart; what took longer counts as the longest. At 4 GHz the
/// longest is more than four minutes.
const POWERS: usize = 40;
const BUCKETS: usize = (POWERS - PART_BITS as usize + 1) * PARTS;

/// Times of one command, in cycles.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: Box<[u64; BUCKETS]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: Box::new([0; BUCKETS]) }
    }
}

impl Histogram {
    /// Counts a command that took so many cycles.
    #[inline]
    pub fn record(&mut self, cycles: u64) {
        self.buckets[bucket(cycles)] += 1;
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&*other.buckets) {
            *mine += theirs;
        }
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The cycles within which this percentage of all were done; 0 if there are none.
    pub fn percentile(&self, percent: f64) -> u64 {
        let count = self.count();
        #[expect(clippy::cast_possible_truncation, reason = "it is at most `count`")]
        let rank = (percent / 100.0 * count as f64).ceil() as u64;
        let rank = rank.clamp(1, count.max(1));
        let mut seen = 0;
        for (index, &many) in self.buckets.iter().enumerate() {
            seen += many;
            if rank <= seen {
                return upper_bound(index);
            }
        }
        0
    }

    /// Pairs of cycles and how many took no longer, one for each bucket that has any.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut seen = 0;
        let used = self.buckets.iter().enumerate().filter(|(_, many)| **many != 0);
        used.map(move |(index, many)| {
            seen += many;
            (upper_bound(index), seen)
        })
    }
}

#[inline]
fn bucket(cycles: u64) -> usize {
    let cycles = cycles.min((1 << POWERS) - 1);
    let power = (cycles | PARTS as u64).ilog2() - PART_BITS;
    let part = (cycles >> power) as usize;
    power as usize * PARTS + part
}

/// The most cycles that go into a bucket.
fn upper_bound(index: usize) -> u64 {
    // The first two powers of two are one run of buckets one tick wide.
    let power = (index / PARTS).saturating_sub(1);
    let part = index - power * PARTS;
    (((part + 1) as u64) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_at_most_an_eighth_of_its_time_wide() {
        let mut before = None;
        for cycles in (0..5000).chain([1 << 20, (1 << 33) + 12345, (1 << POWERS) - 1]) {
            let index = bucket(cycles);
            let upper = upper_bound(index);
            assert!(cycles <= upper, "{cycles} {index} {upper}");
            assert!(upper - cycles <= cycles / 8, "{cycles} {index} {upper}");
            assert!(before.is_none_or(|before| before <= index));
            before = Some(index);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_upper_bounds() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50.0), 0);
        (1..=100).for_each(|cycles| histogram.record(cycles));
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.percentile(0.0), 1);
        assert_eq!(histogram.percentile(50.0), 51);
        assert_eq!(histogram.percentile(100.0), 103);
        let mut twice = histogram.clone();
        twice.add(&histogram);
        assert_eq!((twice.count(), twice.percentile(50.0)), (200, 51));
        assert_eq!(histogram.cumulative().last(), Some((103, 100)));
        assert_eq!(histogram.cumulative().next(), Some((1, 1)));
    }
}
