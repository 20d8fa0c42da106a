//! What a copy of the process tells its parent, through a pipe.
//!
//! ```text
//! 1, keys, bytes     so many keys were written; so many bytes of memory are its own by now
//! 2, keys, bytes     likewise, and that was all
//! 3, step, errno     this step failed
//! 4, bytes, left     so many bytes were sent to each of so many replicas
//! 5, place, why      this replica was dropped: the number of the system's reason, or as below
//! 6, code, 0         there is a value of this kind, which cannot be sent; or no replica is left
//! 7, bytes, 0        so many bytes were sent to all replicas together, also to those dropped since
//! ```
//! Each is three u64.

use std::fs::File;
use std::io::{self, Read, Write};

use shards::rdb::kind::{Dialect, Kind};

use crate::persistence::sending::{Lost, Refusal};
use crate::persistence::snapshot::{Failed, Step};

/// Bytes of a record: what is shorter than a page comes whole or not at all.
const RECORD_BYTES: usize = 24;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// How far it is.
    Progress(Progress),
    /// It is done.
    Done(Progress),
    /// It could not go on.
    Failed {
        /// What it was doing.
        step: Step,
        /// The number of the system's reason.
        errno: i32,
    },
    /// How far a transfer to replicas is.
    Sent {
        /// Bytes that each got.
        bytes: u64,
        /// Replicas that are left.
        left: u64,
    },
    /// Bytes that were sent to all replicas together, those included that were dropped.
    SentToAll(u64),
    /// A replica did not get everything.
    Lost {
        /// Its place.
        place: usize,
        /// Why.
        why: Lost,
    },
    /// No replica gets everything.
    Refused(Refusal),
}

/// Why a replica was dropped, if the system has no number for it.
const STALLED: u64 = 1 << 32;
/// See `STALLED`.
const ENDED: u64 = 2 << 32;
/// No replica is left: no kind has this code.
const NONE_LEFT: u64 = 1 << 8;

/// How far a snapshot is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Keys written.
    pub keys: u64,
    /// Bytes of memory that the copy has for itself.
    pub private_bytes: u64,
}

impl Report {
    /// That this failed.
    pub fn of_failure(failed: &Failed) -> Self {
        Self::Failed { step: failed.step, errno: failed.error.raw_os_error().unwrap_or(0) }
    }

    /// Tells it, unless the pipe is full of what the parent has not read yet.
    pub fn send(self, mut to: &File) {
        let step = |step| Step::ALL.iter().position(|&listed| listed == step).unwrap_or(0) as u64;
        let words = match self {
            Self::Progress(Progress { keys, private_bytes }) => [1, keys, private_bytes],
            Self::Done(Progress { keys, private_bytes }) => [2, keys, private_bytes],
            Self::Failed { step: at, errno } => [3, step(at), errno.unsigned_abs().into()],
            Self::Sent { bytes, left } => [4, bytes, left],
            Self::SentToAll(bytes) => [7, bytes, 0],
            Self::Lost { place, why } => {
                let why = match why {
                    Lost::Failed(errno) => errno.unsigned_abs().into(),
                    Lost::Stalled => STALLED,
                    Lost::Ended => ENDED,
                };
                [5, place as u64, why]
            }
            Self::Refused(Refusal::Unknown(kind)) => [6, kind.code().into(), 0],
            Self::Refused(Refusal::NoneLeft) => [6, NONE_LEFT, 0],
        };
        let mut record = [0; RECORD_BYTES];
        for (place, word) in record.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        // Its end says enough.
        let _ = to.write_all(&record);
    }

    /// The next that was told, if there is one.
    ///
    /// # Errors
    /// The system's.
    pub fn receive(from: &mut File) -> io::Result<Option<Self>> {
        let mut record = [0; RECORD_BYTES];
        match from.read(&mut record) {
            Ok(RECORD_BYTES) => Ok(Self::of(&record)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn of(record: &[u8]) -> Option<Self> {
        let (words, _) = record.as_chunks::<8>();
        let [kind, first, second] = *words else { return None };
        let (first, second) = (u64::from_ne_bytes(first), u64::from_ne_bytes(second));
        let progress = Progress { keys: first, private_bytes: second };
        Some(match u64::from_ne_bytes(kind) {
            1 => Self::Progress(progress),
            2 => Self::Done(progress),
            3 => Self::Failed {
                step: *Step::ALL.get(usize::try_from(first).ok()?)?,
                errno: i32::try_from(second).ok()?,
            },
            4 => Self::Sent { bytes: first, left: second },
            5 => Self::Lost {
                place: usize::try_from(first).ok()?,
                why: match second {
                    STALLED => Lost::Stalled,
                    ENDED => Lost::Ended,
                    errno => Lost::Failed(i32::try_from(errno).ok()?),
                },
            },
            7 => Self::SentToAll(first),
            6 if first == NONE_LEFT => Self::Refused(Refusal::NoneLeft),
            6 => {
                let code = u8::try_from(first).ok()?;
                Self::Refused(Refusal::Unknown(Kind::of(code, Dialect::Valkey)?))
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::fork::pipe;

    #[test]
    fn what_is_told_is_heard() {
        let (mut from, to) = pipe().unwrap();
        let progress = Progress { keys: 1 << 40, private_bytes: 7 };
        let mut reports = vec![Report::Progress(progress), Report::Done(progress)];
        reports.extend(Step::ALL.map(|step| Report::Failed { step, errno: libc::ENOSPC }));
        reports.push(Report::Sent { bytes: 1 << 40, left: 3 });
        reports.push(Report::SentToAll(1 << 41));
        reports.extend(
            [Lost::Failed(libc::EPIPE), Lost::Stalled, Lost::Ended]
                .map(|why| Report::Lost { place: 7, why }),
        );
        reports.push(Report::Refused(Refusal::Unknown(Kind::Hash2)));
        reports.push(Report::Refused(Refusal::NoneLeft));
        for report in reports {
            report.send(&to);
            assert_eq!(Report::receive(&mut from).unwrap(), Some(report));
        }
        assert_eq!(Report::receive(&mut from).unwrap(), None);
        drop(to);
        assert_eq!(Report::receive(&mut from).unwrap(), None);
    }
}
