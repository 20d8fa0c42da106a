//! LATENCY GRAPH event

use std::fmt::Write;

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};
use crate::commands::server::latency::EACH_EVENT;
use crate::control::ctx::{ControlCtx, Outcome};
use crate::reactor::clock;
use crate::stats::latency_events::{Event, Series};

pub(super) const GRAPH: Own = Own {
    spec: Spec {
        name: "latency|graph",
        summary: "Draws how long an event took in the last seconds in which it took long.",
        syntax: "event",
        arity: Arity::Exactly(3),
        ..EACH_EVENT
    },
    run: OwnRun::Control(graph),
};

/// Columns and rows of the drawing.
const COLUMNS: usize = 80;
const ROWS: usize = 4;
/// What the top of a column can look like, from low to high.
const TOPS: [char; 3] = ['_', 'o', '#'];
/// Heights that can be told apart.
const STEPS: usize = ROWS * TOPS.len();

fn graph(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let name = ctx.args[2];
    let event =
        Event::of(name).and_then(|event| Some((event, ctx.control.latency_events.of(event)?)));
    let Some((event, series)) = event else {
        return Err(Error::Owned(format!(
            "ERR No samples available for event '{}'",
            String::from_utf8_lossy(name)
        )));
    };
    let text = draw(event, series, clock::wall().seconds());
    ctx.replies.verbatim("txt", text.as_bytes());
    Ok(Outcome::Done)
}

/// The picture of a series as it is at time `now`: a column for each second, its age below it.
fn draw(event: Event, series: &Series, now: u64) -> String {
    let values = || series.samples.iter().map(|sample| sample.1);
    let (low, high) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
    let (name, max) = (event.name(), series.max);
    let mut text =
        format!("{name} - high {high} ms, low {low} ms (all time high {max} ms)\n{:-<80}\n", "");
    let range = u128::from((high - low).max(1));
    let step = |value: u64| {
        let step = u128::from(value - low) * STEPS as u128 / range;
        usize::try_from(step).unwrap_or(STEPS).min(STEPS - 1)
    };
    let samples: Vec<_> = series.samples.iter().copied().collect();
    for (part, samples) in samples.chunks(COLUMNS).enumerate() {
        if part != 0 {
            text.push('\n');
        }
        for row in (0..ROWS).rev() {
            let cell = |sample: &(u64, u64)| match step(sample.1).checked_sub(row * TOPS.len()) {
                None => ' ',
                Some(top) => TOPS.get(top).copied().unwrap_or('|'),
            };
            writeln!(text, "{}", samples.iter().map(cell).collect::<String>())
                .expect("a string takes all");
        }
        let ages: Vec<String> = samples.iter().map(|sample| age(now, sample.0)).collect();
        let deepest = ages.iter().map(String::len).max().unwrap_or(0);
        writeln!(text, "{}", " ".repeat(samples.len())).expect("a string takes all");
        for depth in 0..deepest {
            let letter = |age: &String| age.chars().nth(depth).unwrap_or(' ');
            writeln!(text, "{}", ages.iter().map(letter).collect::<String>())
                .expect("a string takes all");
        }
    }
    text
}

/// How long ago something was, in its largest unit.
fn age(now: u64, time: u64) -> String {
    let seconds = now.saturating_sub(time);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(samples: &[(u64, u64)], expected: &str) {
        let max = samples.iter().map(|sample| sample.1).max().unwrap();
        let series =
            Series { samples: samples.iter().copied().collect(), max, ..Series::default() };
        let text = draw(Event::Command, &series, 100_000);
        let (_, picture) = text.split_once(&format!("{:-<80}\n", "")).unwrap();
        assert_eq!(picture, expected);
    }

    #[test]
    fn columns_are_as_high_as_their_values() {
        check(&[(99_998, 20), (99_999, 30)], " #\n |\n |\n_|\n  \n21\nss\n");
        check(&[(0, 7)], " \n \n \n_\n \n1\nd\n");
        check(
            &[(99_000, 0), (90_000, 50), (100_000, 25)],
            " # \n |_\n ||\n_||\n   \n120\n6hs\nm  \n",
        );
    }

    #[test]
    fn long_series_take_several_lines() {
        let samples: Vec<_> = (0..160).map(|number| (99_990, number)).collect();
        let series = Series { samples: samples.into(), max: 159, ..Series::default() };
        let text = draw(Event::Fork, &series, 100_000);
        assert!(text.starts_with("fork - high 159 ms, low 0 ms (all time high 159 ms)\n"));
        assert_eq!(text.lines().count(), 2 + 2 * (4 + 1 + 3) + 1);
        assert!(text.lines().all(|line| line.len() <= COLUMNS));
    }
}
