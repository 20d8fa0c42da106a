//! Runs a piece of work again and again, and says how long one operation of it takes.

use std::time::{Duration, Instant};

/// Time given to each sample of a real run.
const SAMPLE: Duration = Duration::from_millis(60);
/// Samples of a real run; the median is reported.
const SAMPLES: usize = 11;

/// What was measured of one benchmark.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its name: topic, then what is done.
    pub name: String,
    /// Nanoseconds per operation: the median of the samples.
    pub median_ns: f64,
    /// Nanoseconds per operation: the fastest sample.
    pub least_ns: f64,
}

/// Runs benchmarks and collects what they showed.
#[derive(Debug)]
pub struct Runner {
    real: bool,
    filter: String,
    results: Vec<Outcome>,
}

impl Runner {
    /// A runner that measures what has `filter` in its name.
    pub fn real(filter: &str) -> Self {
        Self { real: true, filter: filter.into(), results: Vec::new() }
    }

    /// A runner that runs everything once, on little.
    pub fn tiny() -> Self {
        Self { real: false, filter: String::new(), results: Vec::new() }
    }

    /// How many things a benchmark works on: `real`, or a few.
    pub fn size(&self, real: u64) -> u64 {
        if self.real { real } else { real.min(500) }
    }

    /// Whether a benchmark of this name is wanted: costly preparations ask first.
    pub fn wants(&self, name: &str) -> bool {
        name.contains(&self.filter)
    }

    /// What was measured so far.
    pub fn results(&self) -> &[Outcome] {
        &self.results
    }

    /// Measures `pass`, which does `operations` operations.
    pub fn measure(&mut self, name: &str, operations: u64, mut pass: impl FnMut()) {
        if !self.wants(name) {
            return;
        }
        let (mut samples, wanted) = (Vec::new(), if self.real { SAMPLES } else { 1 });
        if self.real {
            pass(); // Warms the caches up.
        }
        while samples.len() < wanted {
            let (start, mut passes) = (now(), 0_u32);
            loop {
                pass();
                passes += 1;
                if !self.real || SAMPLE <= start.elapsed() {
                    break;
                }
            }
            let ns = start.elapsed().as_secs_f64() * 1e9;
            samples.push(ns / f64::from(passes) / operations as f64);
        }
        self.add(name, samples);
    }

    /// Measures `pass` on a new subject each time; only `pass` counts.
    pub fn measure_once_each<T, R>(
        &mut self,
        name: &str,
        operations: u64,
        mut prepare: impl FnMut() -> T,
        mut pass: impl FnMut(T) -> R,
    ) {
        if !self.wants(name) {
            return;
        }
        let mut samples = Vec::new();
        for _ in 0..if self.real { SAMPLES.div_ceil(4) } else { 1 } {
            let subject = prepare();
            let start = now();
            let left = pass(subject);
            samples.push(start.elapsed().as_secs_f64() * 1e9 / operations as f64);
            drop(left);
        }
        self.add(name, samples);
    }

    fn add(&mut self, name: &str, mut samples: Vec<f64>) {
        samples.sort_by(f64::total_cmp);
        let (least_ns, median_ns) = (samples[0], samples[samples.len() / 2]);
        if self.real {
            println!("{name:<44} {median_ns:>9.1} ns   least {least_ns:>9.1} ns");
        }
        self.results.push(Outcome { name: name.into(), median_ns, least_ns });
    }
}

#[expect(clippy::disallowed_methods, reason = "measuring time is what this crate is for")]
fn now() -> Instant {
    Instant::now()
}
