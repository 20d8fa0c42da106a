//! What shards report of the end, and the lines that the log gets of it.

use std::fmt::{Display, Formatter, Result};

use crate::shutdown::stage::Stage;

/// What there is to be waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections.
    pub clients: u64,
    /// Clients with requests that are under way, or came in and are not begun. Those that wait for
    /// something that may never come are not counted.
    pub in_flight: u64,
    /// Bytes of replies that were not given to the kernel, or not taken by the client's.
    pub unsent_bytes: u64,
}

impl Counts {
    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        self.clients += other.clients;
        self.in_flight += other.in_flight;
        self.unsent_bytes += other.unsent_bytes;
    }
}

/// How far a shard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Of which end: the process may have tried before, and gone on.
    pub attempt: u64,
    /// With which stage.
    pub stage: Stage,
    /// Whether it is done with it.
    pub done: bool,
    /// What it has.
    pub counts: Counts,
}

/// Who asked for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// SIGTERM
    Sigterm,
    /// SIGINT
    Sigint,
    /// SHUTDOWN
    Command,
}

impl Reason {
    /// As the log calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sigterm => "sigterm",
            Self::Sigint => "sigint",
            Self::Command => "command",
        }
    }
}

/// How a stage came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All was done.
    Done,
    /// Time was up; what was left is given up.
    Overrun,
    /// It failed.
    Failed,
    /// The end was called off.
    Aborted,
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// A stage begins.
    Enter,
    /// It ends.
    Leave(Outcome),
    /// Its time is up, and it goes on because it gets on.
    Late,
}

/// A line of the log about a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where in the stage.
    pub edge: Edge,
    /// The stage.
    pub stage: Stage,
    /// Who asked for the end.
    pub reason: Reason,
    /// Milliseconds since the stage began.
    pub took_ms: u64,
    /// Milliseconds since the end was asked for.
    pub elapsed_ms: u64,
    /// Milliseconds that are left of the time for all.
    pub remaining_ms: u64,
    /// What was there, as shards last said.
    pub counts: Counts,
}

impl Line {
    /// Whether an operator should look at it.
    pub const fn is_warning(&self) -> bool {
        match self.edge {
            Edge::Enter | Edge::Leave(Outcome::Done) => false,
            Edge::Late | Edge::Leave(Outcome::Overrun | Outcome::Failed | Outcome::Aborted) => true,
        }
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { edge, stage, reason, took_ms, elapsed_ms, remaining_ms, counts } = self;
        let (stage, reason) = (stage.name(), reason.name());
        write!(f, "Shutdown: stage={stage} ")?;
        match edge {
            Edge::Enter => write!(f, "event=enter ")?,
            Edge::Leave(outcome) => {
                let outcome = match outcome {
                    Outcome::Done => "done",
                    Outcome::Overrun => "overrun",
                    Outcome::Failed => "failed",
                    Outcome::Aborted => "aborted",
                };
                write!(f, "event=leave outcome={outcome} took_ms={took_ms} ")?;
            }
            Edge::Late => write!(f, "event=late took_ms={took_ms} ")?,
        }
        let Counts { clients, in_flight, unsent_bytes } = counts;
        write!(
            f,
            "reason={reason} elapsed_ms={elapsed_ms} remaining_ms={remaining_ms} \
             clients={clients} in_flight={in_flight} unsent_bytes={unsent_bytes}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_taken_apart() {
        let line = Line {
            edge: Edge::Leave(Outcome::Overrun),
            stage: Stage::Drain,
            reason: Reason::Sigterm,
            took_ms: 4000,
            elapsed_ms: 4003,
            remaining_ms: 15_997,
            counts: Counts { clients: 3, in_flight: 1, unsent_bytes: 5 << 20 },
        };
        assert_eq!(
            line.to_string(),
            "Shutdown: stage=drain event=leave outcome=overrun took_ms=4000 reason=sigterm \
             elapsed_ms=4003 remaining_ms=15997 clients=3 in_flight=1 unsent_bytes=5242880"
        );
        assert!(line.is_warning());
        let line = Line { edge: Edge::Enter, ..line };
        assert!(line.to_string().starts_with("Shutdown: stage=drain event=enter reason=sigterm "));
        assert!(!line.is_warning());
    }
}
