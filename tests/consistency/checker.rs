//! Whether a history can be explained by its events having taken effect one by one, each between
//! its call and its return, and those of one client in their order (strict serializability).
//!
//! The search of Wing and Gong with the memory of Lowe: it goes through calls and returns in time
//! order and keeps every *configuration* that explains what was seen so far: the model's state,
//! and which of the pending events have taken effect in it. A return leaves those configurations
//! in which the event has taken effect, after letting other pending ones take effect first where
//! that helps. If none is left, nothing explains the reply.

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::history::Event;
use crate::model::State;

/// Events that may be pending at once: bits of a word.
const PENDING_MAX: usize = 64;
/// Configurations after which a search is given up.
const CONFIGURATIONS_MAX: usize = 400_000;
/// How many events before the inexplicable one a report shows.
const SHOWN_BEFORE: usize = 25;

/// How a check ended, if not well.
#[derive(Debug)]
pub enum Failure {
    /// Nothing explains an event; the text shows it and what led to it.
    Inexplicable(String),
    /// Too much happened at once to say.
    TooWide,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Configuration {
    state: State,
    /// Which of the pending events have taken effect.
    done: u64,
}

/// Checks a history, whose events stand in the order of their calls.
pub fn check(events: &[Event]) -> Result<(), Failure> {
    let mut moments: Vec<(u64, bool, usize)> = Vec::new();
    for (at, event) in events.iter().enumerate() {
        moments.push((event.called, false, at));
        if let Some(returned) = event.returned {
            moments.push((returned, true, at));
        }
    }
    // At one moment calls come first: who meets there may have met.
    moments.sort_unstable();
    let mut pending: Vec<Option<usize>> = vec![None; PENDING_MAX];
    let mut configurations = vec![Configuration { state: State::default(), done: 0 }];
    for (_, is_return, at) in moments {
        if !is_return {
            let free = pending.iter().position(Option::is_none).ok_or(Failure::TooWide)?;
            pending[free] = Some(at);
            continue;
        }
        let bit = pending.iter().position(|p| *p == Some(at)).expect("it was called");
        let after = explained(events, &pending, &configurations, bit)?;
        if after.is_empty() {
            let text = report(events, &pending, &configurations, at);
            return Err(Failure::Inexplicable(text));
        }
        configurations = after;
        pending[bit] = None;
    }
    Ok(())
}

/// The configurations in which the pending event at `bit` has taken effect; its bit is free then.
fn explained(
    events: &[Event],
    pending: &[Option<usize>],
    configurations: &[Configuration],
    bit: usize,
) -> Result<Vec<Configuration>, Failure> {
    let candidates: Vec<(usize, u64, u64)> = candidates(events, pending);
    let mut known: HashSet<Configuration> = configurations.iter().cloned().collect();
    let mut open: Vec<Configuration> = configurations.to_vec();
    let mut after: HashSet<Configuration> = HashSet::new();
    while let Some(configuration) = open.pop() {
        let done = configuration.done;
        if done & 1 << bit != 0 {
            after.insert(Configuration { done: done & !(1 << bit), ..configuration });
            continue;
        }
        for &(at, own, earlier) in &candidates {
            if done & own != 0 || done & earlier != earlier {
                continue;
            }
            if let Some(state) = configuration.state.after(&events[at]) {
                let next = Configuration { state, done: done | own };
                if known.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        if CONFIGURATIONS_MAX < known.len() {
            return Err(Failure::TooWide);
        }
    }
    Ok(after.into_iter().collect())
}

/// The pending events: where each stands, its bit, and the bits of those that its client asked
/// for earlier.
fn candidates(events: &[Event], pending: &[Option<usize>]) -> Vec<(usize, u64, u64)> {
    let all = || pending.iter().enumerate().filter_map(|(bit, at)| at.map(|at| (bit, at)));
    let earlier = |at: usize| {
        let same = all().filter(|&(_, p)| p < at && events[p].client == events[at].client);
        same.fold(0, |bits, (bit, _)| bits | 1 << bit)
    };
    all().map(|(bit, at)| (at, 1 << bit, earlier(at))).collect()
}

/// What led to the event at `failed`, as far as it concerns its keys.
fn report(
    events: &[Event],
    pending: &[Option<usize>],
    configurations: &[Configuration],
    failed: usize,
) -> String {
    let event = &events[failed];
    let keyless = |e: &Event| e.unit.iter().any(|words| words.len() == 1 || words[0] == "SWAPDB");
    let shares = |e: &Event| event.unit.iter().flat_map(|words| &words[1..]).any(|w| e.names(w));
    let related = |other: &Event| keyless(event) || keyless(other) || shares(other);
    let returned = event.returned.unwrap_or(u64::MAX);
    let mut led: Vec<usize> = (0..events.len())
        .filter(|&at| at != failed && events[at].called <= returned && related(&events[at]))
        .collect();
    led.sort_by_key(|&at| events[at].returned.unwrap_or(events[at].called));
    let hidden = led.len().saturating_sub(SHOWN_BEFORE);
    let mut text = format!("no order explains\n    {event}\nafter ({hidden} earlier are left out)\n");
    for &at in &led[hidden..] {
        let mark = if pending.contains(&Some(at)) { "|" } else { " " };
        writeln!(text, "  {mark} {}", events[at]).expect("a string takes all");
    }
    writeln!(text, "`|`: not yet returned then. What it could have met, at best:")
        .expect("a string takes all");
    for configuration in configurations.iter().take(4) {
        writeln!(text, "    {:?}", configuration.state).expect("a string takes all");
    }
    text
}
