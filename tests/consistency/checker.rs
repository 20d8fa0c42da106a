//! Whether a history can be explained by its events having taken effect one by one, each between
//! its call and its return, and those of one client in their order (strict serializability).
//!
//! The search of Wing and Gong with the memory of Lowe: it goes through calls and returns in time
//! order and keeps every *configuration* that explains what was seen so far: the model's state,
//! and which of the pending events have taken effect in it. A return leaves those configurations
//! in which the event has taken effect, after letting other pending ones take effect first where
//! that helps. If none is left, nothing explains the reply.

use std::fmt::Write as _;

use hashbrown::{HashMap, HashSet};

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
        let unknown = unknown(events, &pending);
        configurations = without_dominated(after, unknown, unknown & first(events, &pending));
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
    let candidates = candidates(events, pending);
    let mut known: HashSet<Configuration> = HashSet::new();
    let mut open: Vec<Configuration> = Vec::new();
    let mut after: HashSet<Configuration> = HashSet::new();
    let mut reached = configurations.to_vec();
    loop {
        for mut next in reached.drain(..) {
            look(events, &candidates, &mut next);
            if next.done & 1 << bit != 0 {
                next.done &= !(1 << bit);
                after.insert(next);
            } else if known.insert(next.clone()) {
                open.push(next);
            }
        }
        if CONFIGURATIONS_MAX < known.len() {
            return Err(Failure::TooWide);
        }
        let Some(Configuration { state, done }) = open.pop() else { break };
        for candidate in candidates.iter().filter(|c| !c.only_looks && c.may_follow(done)) {
            if let Some(state) = state.after(&events[candidate.at]) {
                reached.push(Configuration { state, done: done | candidate.own });
            }
        }
    }
    Ok(after.into_iter().collect())
}

/// The bits of pending events that never return.
fn unknown(events: &[Event], pending: &[Option<usize>]) -> u64 {
    let never = |at: &Option<usize>| at.is_some_and(|at| events[at].returned.is_none());
    let bits = pending.iter().enumerate().filter(|(_, at)| never(at));
    bits.fold(0, |bits, (bit, _)| bits | 1 << bit)
}

/// The bits of pending events behind which their clients have asked for more.
fn first(events: &[Event], pending: &[Option<usize>]) -> u64 {
    candidates(events, pending).iter().fold(0, |bits, candidate| bits | candidate.earlier)
}

/// Leaves out a configuration if another has the same state and has used up fewer of the events
/// that never return: it can do whatever this one can. But what is behind an event of the `first`
/// may take effect at once only where that has.
fn without_dominated(mut all: Vec<Configuration>, unknown: u64, first: u64) -> Vec<Configuration> {
    if unknown == 0 {
        return all;
    }
    all.sort_unstable_by_key(|configuration| (configuration.done & unknown).count_ones());
    let mut kept: HashMap<Configuration, Vec<u64>> = HashMap::new();
    all.retain(|configuration| {
        let rest = Configuration { done: configuration.done & !unknown, ..configuration.clone() };
        let used = configuration.done & unknown;
        let others = kept.entry(rest).or_default();
        let dominated = others.iter().any(|other| other & !used == 0 && used & !other & first == 0);
        if !dominated {
            others.push(used);
        }
        !dominated
    });
    all
}

/// Lets every event that only looks take effect where it sees what it saw: nothing is lost by it.
fn look(events: &[Event], candidates: &[Candidate], configuration: &mut Configuration) {
    let mut again = true;
    while again {
        again = false;
        for candidate in candidates.iter().filter(|candidate| candidate.only_looks) {
            if candidate.may_follow(configuration.done)
                && configuration.state.after(&events[candidate.at]).is_some()
            {
                configuration.done |= candidate.own;
                again = true;
            }
        }
    }
}

/// A pending event.
struct Candidate {
    at: usize,
    /// Its bit.
    own: u64,
    /// The bits of those that its client asked for earlier.
    earlier: u64,
    only_looks: bool,
}

impl Candidate {
    fn may_follow(&self, done: u64) -> bool {
        done & self.own == 0 && done & self.earlier == self.earlier
    }
}

fn candidates(events: &[Event], pending: &[Option<usize>]) -> Vec<Candidate> {
    let all = || pending.iter().enumerate().filter_map(|(bit, at)| at.map(|at| (bit, at)));
    let earlier = |at: usize| {
        let same = all().filter(|&(_, p)| p < at && events[p].client == events[at].client);
        same.fold(0, |bits, (bit, _)| bits | 1 << bit)
    };
    let candidate = |(bit, at): (usize, usize)| Candidate {
        at,
        own: 1 << bit,
        earlier: earlier(at),
        only_looks: events[at].changed_nothing(),
    };
    all().map(candidate).collect()
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
    let mut text =
        format!("no order explains\n    {event}\nafter ({hidden} earlier are left out)\n");
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
