//! The table of what is answered to `PSYNC` and `SYNC`.

use super::{Answer, Full, Refusal, Standing};

/// A row of the table: a case meets it if each list has what the case has.
pub(super) struct Row {
    pub(super) label: &'static str,
    pub(super) standing: &'static [Standing],
    pub(super) asked: &'static [Asked],
    pub(super) name: &'static [Name],
    pub(super) place: &'static [Place],
    pub(super) answer: Answer,
    pub(super) reason: &'static str,
}

/// What counts of a request and the facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) standing: Standing,
    pub(super) asked: Asked,
    pub(super) name: Name,
    pub(super) place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Sync,
    Psync,
    Failover,
}

/// Whose stream a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    None,
    Ours,
    Former,
    Foreign,
    Unknown,
}

/// Where the replica is in the stream that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It does not say so.
    NoNumber,
    /// All behind it is there, and all before it is the same.
    Within,
    /// The stream will get there.
    Ahead,
    /// Anywhere else.
    Outside,
}

impl Row {
    pub(super) fn is_met_by(&self, case: Case) -> bool {
        let Case { standing, asked, name, place } = case;
        self.standing.contains(&standing)
            && self.asked.contains(&asked)
            && self.name.contains(&name)
            && self.place.contains(&place)
    }
}

const SERVES: &[Standing] = &[Standing::Primary, Standing::Follows];
const ASKED: &[Asked] = &[Asked::Sync, Asked::Psync, Asked::Failover];
const FOR_STREAM: &[Asked] = &[Asked::Sync, Asked::Psync];
const NAMES: &[Name] = &[Name::None, Name::Ours, Name::Former, Name::Foreign, Name::Unknown];
const NOT_OURS: &[Name] = &[Name::None, Name::Former, Name::Foreign, Name::Unknown];
const KNOWN: &[Name] = &[Name::Ours, Name::Former, Name::Foreign];
const PLACES: &[Place] = &[Place::NoNumber, Place::Within, Place::Ahead, Place::Outside];
const NUMBERS: &[Place] = &[Place::Within, Place::Ahead, Place::Outside];

pub(super) const ROWS: &[Row] = &[
    Row {
        label: "loading",
        standing: &[Standing::Loading],
        asked: ASKED,
        name: NAMES,
        place: PLACES,
        answer: Answer::Refuse(Refusal::Loading),
        reason: "the data set is being loaded",
    },
    Row {
        label: "failover: a primary",
        standing: &[Standing::FailingOver, Standing::Primary],
        asked: &[Asked::Failover],
        name: NAMES,
        place: PLACES,
        answer: Answer::Refuse(Refusal::IsPrimary),
        reason: "only a replica can become a primary",
    },
    Row {
        label: "failover: another stream",
        standing: &[Standing::Unlinked, Standing::Follows],
        asked: &[Asked::Failover],
        name: NOT_OURS,
        place: PLACES,
        answer: Answer::Refuse(Refusal::OtherReplId),
        reason: "the node that hands over has another stream",
    },
    Row {
        label: "failover: no data",
        standing: &[Standing::Unlinked],
        asked: &[Asked::Failover],
        name: &[Name::Ours],
        place: PLACES,
        answer: Answer::Refuse(Refusal::Unlinked),
        reason: "a replica without a committed sync must not become a primary",
    },
    Row {
        label: "failover",
        standing: &[Standing::Follows],
        asked: &[Asked::Failover],
        name: &[Name::Ours],
        place: PLACES,
        answer: Answer::Promote,
        reason: "the primary hands over",
    },
    Row {
        label: "failing over",
        standing: &[Standing::FailingOver],
        asked: FOR_STREAM,
        name: NAMES,
        place: PLACES,
        answer: Answer::Refuse(Refusal::FailingOver),
        reason: "this node hands over: its replicas go to the next primary",
    },
    Row {
        label: "unlinked",
        standing: &[Standing::Unlinked],
        asked: FOR_STREAM,
        name: NAMES,
        place: PLACES,
        answer: Answer::Refuse(Refusal::Unlinked),
        reason: "this node is not connected with its primary",
    },
    Row {
        label: "sync",
        standing: SERVES,
        asked: &[Asked::Sync],
        name: NAMES,
        place: PLACES,
        answer: Answer::Full(Full::Sync),
        reason: "SYNC asks for everything",
    },
    Row {
        label: "no number",
        standing: SERVES,
        asked: &[Asked::Psync],
        name: NAMES,
        place: &[Place::NoNumber],
        answer: Answer::Refuse(Refusal::NotInteger),
        reason: "the offset is no number",
    },
    Row {
        label: "new",
        standing: SERVES,
        asked: &[Asked::Psync],
        name: &[Name::None],
        place: NUMBERS,
        answer: Answer::Full(Full::New),
        reason: "the replica has no stream",
    },
    Row {
        label: "unknown",
        standing: SERVES,
        asked: &[Asked::Psync],
        name: &[Name::Unknown],
        place: NUMBERS,
        answer: Answer::Full(Full::Unknown),
        reason: "the replica has another stream",
    },
    Row {
        label: "ours",
        standing: SERVES,
        asked: &[Asked::Psync],
        name: &[Name::Ours],
        place: &[Place::Within],
        answer: Answer::Continue,
        reason: "all that the replica lacks is kept",
    },
    Row {
        label: "former",
        standing: SERVES,
        asked: &[Asked::Psync],
        name: &[Name::Former],
        place: &[Place::Within],
        answer: Answer::Continue,
        reason: "up to there the former stream and this one are the same bytes",
    },
    Row {
        label: "foreign",
        standing: SERVES,
        asked: &[Asked::Psync],
        name: &[Name::Foreign],
        place: &[Place::Within],
        answer: Answer::Continue,
        reason: "at this fence the other node's stream and this one have the same writes",
    },
    Row {
        label: "ahead",
        standing: SERVES,
        asked: &[Asked::Psync],
        name: KNOWN,
        place: &[Place::Ahead],
        answer: Answer::Wait,
        reason: "the replica has a snapshot whose fence the stream has not reached",
    },
    Row {
        label: "outside",
        standing: SERVES,
        asked: &[Asked::Psync],
        name: KNOWN,
        place: &[Place::Outside],
        answer: Answer::Full(Full::Outside),
        reason: "what the replica lacks is not kept, or it has what this node does not",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    const STANDINGS: &[Standing] = &[
        Standing::Loading,
        Standing::Unlinked,
        Standing::FailingOver,
        Standing::Primary,
        Standing::Follows,
    ];

    #[test]
    fn each_case_meets_one_row_and_each_row_a_case() {
        let mut met = vec![0; ROWS.len()];
        let mut cases = Vec::new();
        for &standing in STANDINGS {
            for &asked in ASKED {
                for &name in NAMES {
                    let all = PLACES.iter();
                    cases.extend(all.map(|&place| Case { standing, asked, name, place }));
                }
            }
        }
        for case in cases {
            let rows = (0..ROWS.len()).filter(|row| ROWS[*row].is_met_by(case));
            let rows: Vec<usize> = rows.collect();
            assert_eq!(rows.len(), 1, "{case:?}: {rows:?}");
            met[rows[0]] += 1;
        }
        for (row, met) in ROWS.iter().zip(met) {
            assert!(0 < met, "{}", row.label);
        }
    }

    #[test]
    fn labels_name_rows() {
        for (index, row) in ROWS.iter().enumerate() {
            assert!(!row.reason.is_empty());
            assert!(ROWS[..index].iter().all(|other| other.label != row.label), "{}", row.label);
        }
    }
}
