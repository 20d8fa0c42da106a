//! Why a session ended, how that is counted, and whether it was a sync that failed.

use std::fmt::{Display, Formatter, Result};

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The replica closed the connection, or it broke.
    Closed,
    /// The replica said QUIT.
    Quit,
    /// A tool has the file that it wanted.
    FileSent,
    /// The snapshot could not be made or sent; this is why.
    SyncFailed(String),
    /// FLUSHALL ended the snapshot: the next has nothing to send.
    Flushed,
    /// The replica was silent for so many milliseconds.
    Silent(u64),
    /// The replica took too little of the snapshot: so many bytes in all.
    Stalled(u64),
    /// More than the hard limit waits for the replica: so many bytes.
    OutputHard(u64),
    /// More than the soft limit waited for too long: so many bytes.
    OutputSoft(u64),
    /// The backlog does not reach back any more to what the replica needs next.
    FellOut,
    /// What the replica sent breaks the protocol, in this way.
    Protocol(String),
    /// The replica sent a command whose reply would stand in the stream.
    Unexpected(String),
    /// The node itself ended it.
    Cut(Cut),
}

/// Why a node ends a session of its own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The node got another role or another history: its replicas are to ask anew.
    History,
    /// CLIENT KILL.
    Killed,
    /// The topology has it as no replica of this node.
    Stranger,
    /// The process ends.
    End,
}

/// In which part of its life a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before the snapshot began.
    Before,
    /// From the snapshot's beginning until the replica had it.
    During,
    /// For as long again as that took.
    Fresh,
    /// After that, or without a full sync.
    After,
}

/// What the end of a session means for the next full sync of the same replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Neutral,
    /// A sync was a success.
    Succeeded,
    /// A sync failed.
    Failed,
    /// A sync failed since the log that came meanwhile was more than a limit allows.
    ShortOfMemory,
}

impl Ended {
    /// The words by which ends are counted, in the order of [`Counts`].
    pub const NAMES: [&str; 13] = [
        "closed",
        "quit",
        "file_sent",
        "sync_failed",
        "flushed",
        "silent",
        "stalled",
        "output_hard",
        "output_soft",
        "fell_out",
        "protocol",
        "unexpected",
        "cut",
    ];

    /// Which of [`Self::NAMES`] it is.
    pub const fn index(&self) -> usize {
        match self {
            Self::Closed => 0,
            Self::Quit => 1,
            Self::FileSent => 2,
            Self::SyncFailed(_) => 3,
            Self::Flushed => 4,
            Self::Silent(_) => 5,
            Self::Stalled(_) => 6,
            Self::OutputHard(_) => 7,
            Self::OutputSoft(_) => 8,
            Self::FellOut => 9,
            Self::Protocol(_) => 10,
            Self::Unexpected(_) => 11,
            Self::Cut(_) => 12,
        }
    }

    /// Whether an operator should look at it.
    pub const fn is_warning(&self) -> bool {
        match self {
            Self::Closed | Self::Quit | Self::FileSent | Self::Flushed | Self::Cut(_) => false,
            Self::SyncFailed(_)
            | Self::Silent(_)
            | Self::Stalled(_)
            | Self::OutputHard(_)
            | Self::OutputSoft(_)
            | Self::FellOut
            | Self::Protocol(_)
            | Self::Unexpected(_) => true,
        }
    }

    /// Which case it is, if the session ended in `phase`.
    pub fn case(&self, phase: Phase) -> &'static Row {
        let row = ROWS.iter().find(|row| (row.meets)(self, phase));
        row.expect("every end in every phase has a row")
    }

    const fn is_of_primary(&self) -> bool {
        matches!(self, Self::Flushed | Self::Cut(_) | Self::FileSent)
    }

    const fn is_shortage(&self) -> bool {
        matches!(self, Self::OutputHard(_) | Self::OutputSoft(_) | Self::FellOut)
    }
}

/// A case of [`Ended::case`].
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub label: &'static str,
    meets: fn(&Ended, Phase) -> bool,
    /// What it means for the next full sync of the same replica.
    pub gives: Verdict,
}

const ROWS: &[Row] = &[
    // Nothing of a sync was under way.
    Row { label: "synced", meets: |_, phase| phase == Phase::After, gives: Verdict::Neutral },
    // The node chose to, or the connection has done what it was for.
    Row {
        label: "by the primary",
        meets: |ended, phase| {
            matches!(phase, Phase::Before | Phase::During) && ended.is_of_primary()
        },
        gives: Verdict::Neutral,
    },
    // There is no snapshot, and to try at once again would fail again: no memory for a fork.
    Row {
        label: "not begun",
        meets: |ended, phase| phase == Phase::Before && matches!(ended, Ended::SyncFailed(_)),
        gives: Verdict::Failed,
    },
    // The replica left while it waited in a queue: that cost nothing.
    Row {
        label: "left the queue",
        meets: |ended, phase| {
            let failed = matches!(ended, Ended::SyncFailed(_));
            phase == Phase::Before && !ended.is_of_primary() && !failed
        },
        gives: Verdict::Neutral,
    },
    // The same would happen again, at the same rate of writes. A replica that has its snapshot, and
    // falls behind at once, asks for the next one at once.
    Row {
        label: "overrun",
        meets: |ended, phase| matches!(phase, Phase::During | Phase::Fresh) && ended.is_shortage(),
        gives: Verdict::ShortOfMemory,
    },
    Row {
        label: "just synced",
        meets: |ended, phase| phase == Phase::Fresh && !ended.is_shortage(),
        gives: Verdict::Succeeded,
    },
    // A whole snapshot was made for nothing.
    Row {
        label: "broken off",
        meets: |ended, phase| {
            phase == Phase::During && !ended.is_of_primary() && !ended.is_shortage()
        },
        gives: Verdict::Failed,
    },
];

/// As logs and errors give it.
impl Display for Ended {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Closed => write!(f, "it closed the connection"),
            Self::Quit => write!(f, "it said QUIT"),
            Self::FileSent => write!(f, "it has the file that it wanted"),
            Self::SyncFailed(why) => write!(f, "no snapshot for it: {why}"),
            Self::Flushed => write!(f, "FLUSHALL ended its snapshot"),
            Self::Silent(millis) => write!(f, "no word from it for {millis} ms"),
            Self::Stalled(bytes) => {
                write!(f, "it takes too little of its snapshot, {bytes} bytes so far")
            }
            Self::OutputHard(bytes) => {
                write!(f, "{bytes} bytes wait for it: client-output-buffer-limit, hard")
            }
            Self::OutputSoft(bytes) => {
                write!(f, "{bytes} bytes wait for it: client-output-buffer-limit, soft")
            }
            Self::FellOut => write!(f, "the backlog does not reach back to it any more"),
            Self::Protocol(how) => write!(f, "it breaks the protocol: {how}"),
            Self::Unexpected(name) => write!(f, "it sent {name}, whose reply has no place"),
            Self::Cut(Cut::History) => write!(f, "it is to ask this node anew"),
            Self::Cut(Cut::Killed) => write!(f, "CLIENT KILL"),
            Self::Cut(Cut::Stranger) => write!(f, "it is no replica of this node by the topology"),
            Self::Cut(Cut::End) => write!(f, "this process ends"),
        }
    }
}

/// How many sessions ended for which reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Ended::NAMES.len()]);

impl Counts {
    /// Counts one.
    pub fn add(&mut self, ended: &Ended) {
        let count = &mut self.0[ended.index()];
        *count = count.saturating_add(1);
    }

    /// Each reason's word, and how many there were.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Ended::NAMES.into_iter().zip(self.0)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One of each.
    pub fn all() -> Vec<Ended> {
        vec![
            Ended::Closed,
            Ended::Quit,
            Ended::FileSent,
            Ended::SyncFailed("why".to_string()),
            Ended::Flushed,
            Ended::Silent(1),
            Ended::Stalled(1),
            Ended::OutputHard(1),
            Ended::OutputSoft(1),
            Ended::FellOut,
            Ended::Protocol("how".to_string()),
            Ended::Unexpected("PING".to_string()),
            Ended::Cut(Cut::History),
            Ended::Cut(Cut::Killed),
            Ended::Cut(Cut::Stranger),
            Ended::Cut(Cut::End),
        ]
    }

    #[test]
    fn every_end_in_every_phase_has_one_row() {
        for phase in [Phase::Before, Phase::During, Phase::Fresh, Phase::After] {
            for ended in all() {
                let rows = ROWS.iter().filter(|row| (row.meets)(&ended, phase));
                let labels: Vec<&str> = rows.map(|row| row.label).collect();
                assert_eq!(labels.len(), 1, "{ended:?} {phase:?}: {labels:?}");
            }
        }
    }

    #[test]
    fn failures_are_what_costs_a_snapshot() {
        let verdicts = |phase, verdict| {
            let ends = all().into_iter().filter(|ended| ended.case(phase).gives == verdict);
            ends.map(|ended| Ended::NAMES[ended.index()]).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(verdicts(Phase::Before, Verdict::Failed), "sync_failed");
        assert_eq!(verdicts(Phase::Before, Verdict::ShortOfMemory), "");
        let failed = "closed quit sync_failed silent stalled protocol unexpected";
        assert_eq!(verdicts(Phase::During, Verdict::Failed), failed);
        let short = "output_hard output_soft fell_out";
        assert_eq!(verdicts(Phase::During, Verdict::ShortOfMemory), short);
        assert_eq!(verdicts(Phase::Fresh, Verdict::Failed), "");
        assert_eq!(verdicts(Phase::Fresh, Verdict::ShortOfMemory), short);
        assert_eq!(verdicts(Phase::After, Verdict::Failed), "");
        assert_eq!(verdicts(Phase::After, Verdict::ShortOfMemory), "");
    }

    #[test]
    fn ends_are_counted_by_their_word() {
        let mut counts = Counts::default();
        all().iter().for_each(|ended| counts.add(ended));
        for (name, count) in counts.iter() {
            assert_eq!(count, if name == "cut" { 4 } else { 1 }, "{name}");
        }
    }
}
