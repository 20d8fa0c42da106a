//! Runs every benchmark for real, or those with the given text in their names.

use bench::runner::Runner;

fn main() {
    // Cargo itself passes `--bench`.
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let mut runner = Runner::real(&filter.unwrap_or_default());
    for topic in bench::ALL {
        (topic.run)(&mut runner);
    }
}
