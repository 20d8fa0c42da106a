//! What the exporter cannot render: counters of seconds, since its counters are whole numbers, and
//! histograms whose buckets are counted already, since it takes single observations only (a shard
//! counts a command in the bucket where it belongs, and millions of them a second).
//!
//! ```text
//! # HELP name help
//! # TYPE name counter|histogram
//! name{label="value"} 0.25
//! ```

use std::fmt::Write as _;

use hashbrown::HashMap;

use crate::metrics::page::{Labels, Name};

/// Families of series, in the order in which they came.
#[derive(Debug, Default)]
pub struct Fractions {
    families: Vec<Family>,
    /// The families' places by their names.
    places: HashMap<&'static str, usize>,
}

#[derive(Debug)]
struct Family {
    name: Name,
    kind: &'static str,
    lines: String,
}

/// A histogram, ready to be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution<'a> {
    /// Upper bounds in seconds, and how many took no longer; all that are larger are in `count`
    /// alone.
    pub buckets: &'a [(f64, u64)],
    /// How many there are.
    pub count: u64,
    /// Seconds of all, added up.
    pub sum: f64,
}

impl Fractions {
    /// Adds a counter of seconds.
    pub fn seconds(&mut self, name: Name, labels: Labels<'_>, seconds: f64) {
        let lines = self.lines(name, "counter");
        line(lines, name.name, "", labels, None, seconds);
    }

    /// Adds a histogram.
    pub fn histogram(&mut self, name: Name, labels: Labels<'_>, it: &Distribution<'_>) {
        let lines = self.lines(name, "histogram");
        for (bound, count) in it.buckets {
            line(lines, name.name, "_bucket", labels, Some(&bound.to_string()), count);
        }
        line(lines, name.name, "_bucket", labels, Some("+Inf"), it.count);
        line(lines, name.name, "_sum", labels, None, it.sum);
        line(lines, name.name, "_count", labels, None, it.count);
    }

    /// Appends all that was added.
    pub fn render(&self, text: &mut String) {
        for Family { name: Name { name, help }, kind, lines } in &self.families {
            let head = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}\n");
            head.expect("a string takes all");
        }
    }

    fn lines(&mut self, name: Name, kind: &'static str) -> &mut String {
        let families = &mut self.families;
        let place = *self.places.entry(name.name).or_insert_with(|| {
            families.push(Family { name, kind, lines: String::new() });
            families.len() - 1
        });
        &mut families[place].lines
    }
}

fn line(
    text: &mut String,
    name: &str,
    part: &str,
    labels: Labels<'_>,
    bound: Option<&str>,
    value: impl std::fmt::Display,
) {
    text.push_str(name);
    text.push_str(part);
    let labels = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
    let mut before = '{';
    for (label, text_of_label) in labels {
        write!(text, "{before}{label}=\"").expect("a string takes all");
        text_of_label.chars().for_each(|letter| match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            letter => text.push(letter),
        });
        text.push('"');
        before = ',';
    }
    text.push_str(if before == ',' { "} " } else { " " });
    writeln!(text, "{value}").expect("a string takes all");
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Name = Name { name: "time_seconds_total", help: "Time." };
    const WAIT: Name = Name { name: "wait_seconds", help: "Waits." };

    #[test]
    fn series_of_one_family_stand_together() {
        let mut fractions = Fractions::default();
        fractions.seconds(TIME, &[], 0.25);
        let buckets = [(0.001, 1), (0.1, 3)];
        let waits = Distribution { buckets: &buckets, count: 4, sum: 1.5 };
        fractions.histogram(WAIT, &[("command", "get")], &waits);
        fractions.seconds(TIME, &[("a", "x\"\\\n"), ("b", "y")], 0.000_000_25);
        let mut text = String::new();
        fractions.render(&mut text);
        let expected = r#"# HELP time_seconds_total Time.
# TYPE time_seconds_total counter
time_seconds_total 0.25
time_seconds_total{a="x\"\\\n",b="y"} 0.00000025

# HELP wait_seconds Waits.
# TYPE wait_seconds histogram
wait_seconds_bucket{command="get",le="0.001"} 1
wait_seconds_bucket{command="get",le="0.1"} 3
wait_seconds_bucket{command="get",le="+Inf"} 4
wait_seconds_sum{command="get"} 1.5
wait_seconds_count{command="get"} 4

"#;
        assert_eq!(text, expected);
    }
}
