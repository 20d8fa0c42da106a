//! What took longer than `latency-monitor-threshold` allows: by kind of event, the worst of each
//! second. Control keeps it; shards tell it of each occurrence by letter, because they are rare.

use std::collections::VecDeque;

use shards::commands::spec::Flag;

use crate::config::table::Config;
use crate::routing::call::Call;

/// Seconds of a series that are kept, as in Valkey.
const SAMPLES_MAX: usize = 160;

/// What can take long. The names are Valkey's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A command.
    Command,
    /// A command that should take constant or logarithmic time.
    FastCommand,
    /// Keys evicted in one go.
    EvictionCycle,
    /// Keys expired in one go.
    ExpireCycle,
    /// A copy of the process was made.
    Fork,
    /// The file of a snapshot that was broken off was removed.
    RdbUnlinkTempFile,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Command,
        Self::FastCommand,
        Self::EvictionCycle,
        Self::ExpireCycle,
        Self::Fork,
        Self::RdbUnlinkTempFile,
    ];

    /// As LATENCY names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::FastCommand => "fast-command",
            Self::EvictionCycle => "eviction-cycle",
            Self::ExpireCycle => "expire-cycle",
            Self::Fork => "fork",
            Self::RdbUnlinkTempFile => "rdb-unlink-temp-file",
        }
    }

    /// The one of this name, which has small letters.
    pub fn of(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|event| name == event.name().as_bytes())
    }

    /// Which of them a command is.
    pub fn of_command(call: &Call) -> Self {
        if call.spec.flags.has(Flag::Fast) { Self::FastCommand } else { Self::Command }
    }
}

/// Something that took long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// What.
    pub event: Event,
    /// When it ended, in seconds since the epoch.
    pub time: u64,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

impl Occurrence {
    /// What took so many microseconds, if that is long.
    pub fn of(event: Event, time: u64, micros: u64, config: &Config) -> Option<Self> {
        let (millis, threshold) = (micros / 1000, config.latency_monitor_threshold);
        let is_long = threshold != 0 && threshold <= millis;
        is_long.then_some(Self { event, time, millis })
    }
}

/// All that took long since the start or since it was forgotten.
#[derive(Debug, Default)]
pub struct LatencyEvents {
    series: [Series; Event::ALL.len()],
}

/// The occurrences of one event.
#[derive(Debug, Default)]
pub struct Series {
    /// Second, and milliseconds of the worst occurrence in it; the newest last.
    pub samples: VecDeque<(u64, u64)>,
    /// Milliseconds of the worst.
    pub max: u64,
    /// Milliseconds of all, also of those that are no sample any more.
    pub sum: u64,
    /// How many there were.
    pub count: u64,
}

impl LatencyEvents {
    /// Notes one.
    pub fn add(&mut self, occurrence: Occurrence) {
        let Occurrence { event, time, millis } = occurrence;
        let series = &mut self.series[event as usize];
        series.max = series.max.max(millis);
        series.sum = series.sum.saturating_add(millis);
        series.count += 1;
        match series.samples.back_mut() {
            // Letters of different shards may arrive in the order of neither's clock.
            Some((last, worst)) if time <= *last => *worst = millis.max(*worst),
            _ => series.samples.push_back((time, millis)),
        }
        if SAMPLES_MAX < series.samples.len() {
            series.samples.pop_front();
        }
    }

    /// Events that occurred, and their occurrences.
    pub fn all(&self) -> impl Iterator<Item = (Event, &Series)> {
        let all = Event::ALL.into_iter().zip(&self.series);
        all.filter(|(_, series)| !series.samples.is_empty())
    }

    /// The occurrences of an event, if there were some.
    pub fn of(&self, event: Event) -> Option<&Series> {
        Some(&self.series[event as usize]).filter(|series| !series.samples.is_empty())
    }

    /// Forgets the occurrences of an event. False if there were none.
    pub fn forget(&mut self, event: Event) -> bool {
        let series = std::mem::take(&mut self.series[event as usize]);
        !series.samples.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_each_second_is_kept() {
        let mut latency_events = LatencyEvents::default();
        let mut add =
            |time, millis| latency_events.add(Occurrence { event: Event::Fork, time, millis });
        add(7, 5);
        add(7, 9);
        add(8, 3);
        add(7, 4);
        let series = latency_events.of(Event::Fork).unwrap();
        assert_eq!(series.samples, [(7, 9), (8, 4)]);
        assert_eq!((series.max, series.sum, series.count), (9, 21, 4));
        assert_eq!(
            latency_events.all().map(|(event, _)| event.name()).collect::<Vec<_>>(),
            ["fork"]
        );
        assert!(latency_events.of(Event::Command).is_none());
        assert!(latency_events.forget(Event::Fork) && !latency_events.forget(Event::Fork));
    }

    #[test]
    fn old_seconds_are_forgotten() {
        let mut latency_events = LatencyEvents::default();
        for time in 0..200 {
            latency_events.add(Occurrence { event: Event::Command, time, millis: 200 - time });
        }
        let series = latency_events.of(Event::Command).unwrap();
        assert_eq!((series.samples.len(), series.samples[0]), (160, (40, 160)));
        assert_eq!((series.max, series.count), (200, 200));
    }

    #[test]
    fn only_what_takes_long_is_an_occurrence() {
        let check = |threshold, micros, is_occurrence| {
            let config = Config { latency_monitor_threshold: threshold, ..Config::default() };
            assert_eq!(Occurrence::of(Event::Fork, 1, micros, &config).is_some(), is_occurrence);
        };
        check(0, 1_000_000, false);
        check(5, 4_999, false);
        check(5, 5_000, true);
    }

    #[test]
    fn events_are_found_by_name() {
        for event in Event::ALL {
            assert_eq!(Event::of(event.name().as_bytes()), Some(event));
        }
        assert_eq!(Event::of(b"Fork"), None);
    }
}
