//! How long writes wait while a primary is ended on purpose, whether anything is lost then, and
//! what clients see of it.
//!
//! Servers of a mix are a cluster or a pair. In each round another primary ends, having been asked
//! to hand over first; its replica goes on in its place, and it comes back as a replica.

mod book;
mod cluster;
pub mod mix;
mod node;
mod round;
mod slots;
mod waiter;
mod writer;

use std::collections::BTreeMap;

use crate::measurements::leaving::cluster::Cluster;
use crate::measurements::leaving::mix::{Conditions, Mix};
use crate::measurements::leaving::round::{Round, Seen, Way};
use crate::options::Options;
use crate::report::Report;
use crate::summary::{median, percentile};

/// Rounds of one row, by how the primary ended and its kind.
type Rows = BTreeMap<(Way, char), Vec<Seen>>;

/// Measures, and writes the table.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let mut settings = Vec::new();
    for text in &options.mixes {
        for conditions in &options.conditions {
            let mix = Mix::parse(text, options.primaries, &options.peers)?;
            settings.push((mix.for_conditions(conditions)?, conditions));
        }
    }
    let mut rows = vec![head()];
    let (mut remarks, mut failures) = (Vec::new(), Vec::new());
    for (mix, conditions) in settings {
        let mut seen = Rows::new();
        // What was seen until then counts, and so do the other mixes.
        if let Err(error) = play_all(&mix, conditions, options, &mut seen) {
            eprintln!("{}, {}: {error}", mix.name, conditions.text());
            let first = error.lines().next().unwrap_or_default();
            failures.push(format!("{}, {}: {first}", mix.name, conditions.text()));
        }
        for ((way, letter), seen) in &seen {
            let start = [mix.name.clone(), conditions.text(), way.text().into()];
            let start = [start.to_vec(), vec![letter.to_string()]].concat();
            remarks.extend(remark(&start.join(", "), seen));
            rows.push(row(start, seen));
        }
    }
    report.say(&format!(
        "A primary of each mix in turn is ended by SHUTDOWN NOSAVE FAILOVER, or by SIGTERM with \
         `shutdown-on-sigterm` set likewise, {} rounds each way. {} clients write to all slots, \
         half of them one key at a time and half 8, and go where they are sent. Longest time \
         that one of them had no write of that primary's slots acknowledged: in the half second \
         before (median) and from the end on, in milliseconds. Acknowledged writes that are not \
         there; writes that were applied twice or though they had been refused; connections of \
         writers that were closed while a reply was awaited; waiting clients that were cut \
         wrongly, and BLPOPs that were closed without a reply; exit statuses other than 0.",
        options.rounds, options.clients
    ));
    report.table(&rows);
    remarks.iter().for_each(|remark| report.say(remark));
    failures.iter().for_each(|failure| report.fail(failure));
    Ok(())
}

fn play_all(
    mix: &Mix,
    conditions: &Conditions,
    options: &Options,
    rows: &mut Rows,
) -> Result<(), String> {
    let about = format!("{}, {}", mix.name, conditions.text());
    let mut cluster = Cluster::start(mix, conditions, options)?;
    for number in 0..2 * options.rounds {
        let round = Round::new(number, cluster.ranges, options.clients);
        let played = round::play(&mut cluster, round, conditions);
        let seen = played.map_err(|error| {
            let dirs = cluster.keep_dirs();
            format!("round {} ({}): {error}\n{dirs}", number + 1, round.way.text())
        })?;
        let (count, letter, way) = (2 * options.rounds, seen.letter, round.way.text());
        let told = format!("{:.1} ms, {} resets", seen.gap_ms, seen.resets);
        eprintln!("{about}, round {} of {count}: {letter}, {way}: {told}", number + 1);
        if !seen.is_right() {
            eprintln!("{about}: {seen:?}; {}", cluster.keep_dirs());
        }
        rows.entry((round.way, letter)).or_default().push(seen);
    }
    Ok(())
}

fn head() -> Vec<String> {
    let head = [
        "mix", "with", "end", "server", "rounds", "before", "gap p50", "p95", "highest", "lost",
        "twice", "resets", "cut", "untold", "not 0", "writes",
    ];
    head.map(str::to_owned).to_vec()
}

fn row(mut row: Vec<String>, seen: &[Seen]) -> Vec<String> {
    let of = |pick: fn(&Seen) -> f64| seen.iter().map(pick).collect::<Vec<f64>>();
    let sum = |pick: fn(&Seen) -> u64| seen.iter().map(pick).sum::<u64>().to_string();
    let gaps = of(|seen| seen.gap_ms);
    let times = [median(&of(|seen| seen.calm_ms)), median(&gaps)];
    row.push(seen.len().to_string());
    row.extend(times.map(|ms| format!("{ms:.1}")));
    row.extend([950, 1000].map(|mille| format!("{:.1}", percentile(&gaps, mille))));
    row.push(sum(|seen| seen.wrong.lost));
    row.push(sum(|seen| seen.wrong.twice));
    row.push(sum(|seen| seen.resets));
    row.push(sum(|seen| seen.cut.wrongly));
    row.push(sum(|seen| seen.cut.untold));
    row.push(sum(|seen| u64::from(!seen.is_clean)));
    row.push(sum(|seen| seen.writes));
    row
}

/// A sentence on the errors that writers were answered, if there were any but redirections.
fn remark(about: &str, seen: &[Seen]) -> Option<String> {
    let mut errors: BTreeMap<&str, u64> = BTreeMap::new();
    for (word, count) in seen.iter().flat_map(|seen| &seen.errors) {
        *errors.entry(word).or_default() += count;
    }
    let errors: Vec<String> =
        errors.iter().map(|(word, count)| format!("{count} times {word}")).collect();
    let text = format!("{about}: writers were answered {}, and tried again.", errors.join(", "));
    (!errors.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(gap_ms: f64, lost: u64, errors: &[(&str, u64)]) -> Seen {
        let errors = errors.iter().map(|(word, count)| ((*word).to_owned(), *count));
        Seen {
            letter: 'k',
            is_clean: lost == 0,
            calm_ms: 1.0,
            gap_ms,
            wrong: book::Wrong { lost, twice: 0 },
            resets: 0,
            writes: 10,
            cut: waiter::Cut::default(),
            errors: errors.collect(),
        }
    }

    #[test]
    fn a_row_sums_its_rounds_up() {
        let all = [seen(5.0, 0, &[]), seen(7.0, 2, &[]), seen(30.0, 0, &[])];
        let row = row(vec!["kk".into(); 4], &all);
        assert_eq!(row.len(), head().len());
        let expected = ["3", "1.0", "7.0", "30.0", "30.0", "2", "0", "0", "0", "0", "1", "30"];
        assert_eq!(row[4..], expected);
    }

    #[test]
    fn tells_of_errors() {
        let all = [seen(1.0, 0, &[("CLUSTERDOWN", 2)]), seen(1.0, 0, &[("CLUSTERDOWN", 3)])];
        let text = remark("kk", &all).unwrap();
        assert_eq!(text, "kk: writers were answered 5 times CLUSTERDOWN, and tried again.");
        assert_eq!(remark("kk", &all[..0]), None);
    }
}
