//! Which lines of a link go to the log: those by which an attempt differs from the one before it.
//! An attempt that fails in the same way is counted, and told once a minute.
//!
//! ```text
//! lines as before --held--> another line: all are told, and the rest as it comes
//!                   '-----> the same failure: none is told, but once a minute with a count
//! ```
//! An attempt whose stream ran, or whose snapshot came, is none that the next one is compared with.

use std::fmt::{Display, Formatter, Result};

use super::report::Line;
use crate::replication::moment::Moment;

/// Milliseconds after which a failure that goes on is told again.
const AGAIN_MS: u64 = 60_000;

/// What attempts have said so far.
#[derive(Debug, Default)]
pub struct Quiet {
    /// Lines of the attempt before: empty if there is none to compare with.
    before: Vec<String>,
    /// Lines of this attempt.
    lines: Vec<String>,
    /// Those of them that are not told, since the attempt before has said the same.
    held: Vec<Line>,
    /// It has said something else.
    differs: bool,
    /// Its stream ran, or its snapshot came.
    has_come_far: bool,
    /// Attempts that have failed and were not told of.
    untold: u64,
    /// When the failure was told last.
    told_at: Moment,
}

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The line.
    pub line: Line,
    /// How many attempts have ended with it since it was told last; 0 if this is the first.
    pub repeats: u64,
}

impl Quiet {
    /// Takes the next line of the link: what is to be told now.
    pub fn take(&mut self, now: Moment, line: Line) -> Vec<Told> {
        if let Line::Connecting(_) = line {
            // Another primary is to be followed, or this one again.
            *self = Self::default();
        }
        let said = comparable(&line);
        self.differs |= self.before.get(self.lines.len()) != Some(&said);
        self.has_come_far |= is_far(&line);
        self.lines.push(said);
        let is_failure = matches!(line, Line::Failed(_));
        if self.differs {
            let told = self.held.drain(..).chain([line]);
            let told = told.map(|line| Told { line, repeats: 0 }).collect();
            if is_failure {
                (self.untold, self.told_at) = (0, now);
                self.end_attempt();
            }
            return told;
        }
        if !is_failure {
            self.held.push(line);
            return Vec::new();
        }
        self.end_attempt();
        self.untold += 1;
        if now.since(self.told_at) < AGAIN_MS {
            return Vec::new();
        }
        self.told_at = now;
        vec![Told { line, repeats: std::mem::take(&mut self.untold) }]
    }

    fn end_attempt(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        self.before = if self.has_come_far { Vec::new() } else { lines };
        (self.differs, self.has_come_far) = (false, false);
        self.held.clear();
    }
}

/// What is compared of a line: numbers are of one attempt.
fn comparable(line: &Line) -> String {
    let text = match line {
        Line::Connecting(primary) => Line::Reconnecting(primary.clone()).to_string(),
        line => line.to_string(),
    };
    text.replace(|character: char| character.is_ascii_digit(), "")
}

/// Whether the primary has sent something of its data.
const fn is_far(line: &Line) -> bool {
    match line {
        Line::Resumed
        | Line::Renamed(_)
        | Line::FullResync(..)
        | Line::Receiving(_)
        | Line::Storing(_)
        | Line::Discarding
        | Line::Swapping
        | Line::Finished => true,
        Line::Connecting(_)
        | Line::Reconnecting(_)
        | Line::Started
        | Line::Connected
        | Line::PingReplied
        | Line::Unknown(..)
        | Line::Asking(_)
        | Line::NoPsync(_)
        | Line::Failed(_) => false,
    }
}

impl Display for Told {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.line.fmt(f)?;
        match self.repeats {
            0 => Ok(()),
            repeats => write!(f, " ({repeats} attempts since this was last said)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::address::Address;
    use crate::replication::failure::Failure;

    fn primary() -> Address {
        Address { host: "h".to_owned(), port: 1 }
    }

    fn refused() -> Line {
        Line::Failed(Failure::Connect("Connection refused".to_owned()))
    }

    /// What is told of an attempt, a word a line.
    fn attempt(quiet: &mut Quiet, now: u64, lines: &[Line]) -> Vec<String> {
        let told = lines.iter().flat_map(|line| quiet.take(Moment(now), line.clone()));
        let text = |told: Told| match (&told.line, told.repeats) {
            (Line::Connecting(_), _) => "first".to_owned(),
            (Line::Reconnecting(_), _) => "next".to_owned(),
            (Line::Connected, _) => "connected".to_owned(),
            (Line::Resumed, _) => "resumed".to_owned(),
            (Line::Failed(_), 0) => "failed".to_owned(),
            (Line::Failed(_), repeats) => format!("failed {repeats}"),
            (line, _) => line.to_string(),
        };
        told.map(text).collect()
    }

    #[test]
    fn a_failure_that_goes_on_is_told_once_and_then_each_minute() {
        let mut quiet = Quiet::default();
        let none: Vec<String> = Vec::new();
        let first = [Line::Connecting(primary()), refused()];
        let next = [Line::Reconnecting(primary()), refused()];
        assert_eq!(attempt(&mut quiet, 1_000, &first), ["first", "failed"]);
        for half_second in 1..120 {
            assert_eq!(attempt(&mut quiet, 1_000 + 500 * half_second, &next), none);
        }
        assert_eq!(attempt(&mut quiet, 61_000, &next), ["failed 120"]);
        assert_eq!(attempt(&mut quiet, 61_500, &next), none);
        assert_eq!(attempt(&mut quiet, 200_000, &next), ["failed 2"]);
        // Another primary, or the same by hand.
        assert_eq!(attempt(&mut quiet, 200_500, &first), ["first", "failed"]);
    }

    #[test]
    fn an_attempt_is_told_from_where_it_differs() {
        let mut quiet = Quiet::default();
        let next = |rest: &[Line]| [&[Line::Reconnecting(primary())], rest].concat();
        attempt(&mut quiet, 0, &[Line::Connecting(primary()), refused()]);
        let other = |number| Failure::Psync(format!("-ERR wait {number} ms"));
        let farther = |number| next(&[Line::Connected, Line::Failed(other(number))]);
        let all = ["next", "connected", "failed"];
        assert_eq!(attempt(&mut quiet, 500, &farther(7)), all, "what was held is told in front");
        assert!(attempt(&mut quiet, 1_000, &farther(6)).is_empty(), "numbers do not count");
        let worse = next(&[refused()]);
        assert_eq!(attempt(&mut quiet, 1_500, &worse), ["next", "failed"], "it differs again");
        assert!(attempt(&mut quiet, 2_000, &worse).is_empty());
    }

    #[test]
    fn a_link_whose_stream_runs_tells_all() {
        let mut quiet = Quiet::default();
        let lost = Line::Failed(Failure::Lost(String::new()));
        let runs = [Line::Reconnecting(primary()), Line::Connected, Line::Resumed, lost];
        for now in 0..5 {
            let told = attempt(&mut quiet, now, &runs);
            assert_eq!(told, ["next", "connected", "resumed", "failed"]);
        }
    }
}
