//! The copy of the process that sends all keys to replicas.
//!
//! The copy has descriptors of their connections, and the parent keeps others: so each transfer
//! can be ended alone ([`SyncChild::cut`]), and connections on which all went well are there
//! afterwards.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use shards::rdb::kind::Kind;
use shards::shard::Shard;

use crate::log;
use crate::persistence::forked::{self, Ended, Forked, Telling};
use crate::persistence::report::Report;
use crate::persistence::sending::{Lost, Progress, Refusal, SyncPlan, Target};
use crate::persistence::snapshot::Written;
use crate::reactor::clock::Monotonic;

/// Replicas of one transfer: the copy can tell of all of them before its parent reads the pipe,
/// which holds 2730 reports.
pub const TARGETS_MAX: usize = 1024;

/// A copy tells so often in the time in which a replica must take something.
const TOLD: u64 = 10;

/// A copy at work on a transfer.
#[derive(Debug)]
pub struct SyncChild {
    /// The copy.
    pub forked: Forked,
    plan: SyncPlan,
    targets: Vec<Target>,
    lost: Vec<Option<Lost>>,
    /// Of each replica, whether its transfer was cut.
    cut: Vec<bool>,
    /// Bytes that were sent to each replica that is left, as the copy last said.
    pub bytes: u64,
    /// Bytes that were sent to all replicas together, as it last said, and those of them that were
    /// counted.
    bytes_of_all: (u64, u64),
    /// Replicas that are left, as the copy said at its end.
    left: Option<u64>,
    refused: Option<Refusal>,
}

/// What became of a transfer. A replica that did not get everything may have got a part: nothing
/// can be sent to it any more but the end of its connection, unless the transfer was refused.
#[derive(Debug)]
pub struct Outcome {
    /// Each replica, with what became of it.
    pub targets: Vec<(Target, Result<(), Lost>)>,
    /// How the copy ended.
    pub end: End,
    /// Bytes that each replica got which got everything.
    pub bytes: u64,
    /// Keys that were sent.
    pub keys: u64,
    /// Milliseconds it took.
    pub millis: u64,
}

/// How a transfer ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Some replicas have everything.
    Sent,
    /// Its end was asked for: by this command, or by hand.
    Killed(Option<&'static str>),
    /// The version has no kind for a value: nothing was sent, and connections are as they were.
    Refused(String),
    /// No replica has everything, for this reason.
    Failed(String),
}

impl SyncChild {
    /// Copies this process, and lets the copy send what these shards hold. All of their threads
    /// stand still. If there is no copy, nothing was sent.
    ///
    /// # Errors
    /// The system's, if it has no room for a copy.
    ///
    /// # Panics
    /// If there are more replicas than [`TARGETS_MAX`].
    pub fn start(
        plan: SyncPlan,
        targets: Vec<Target>,
        shards: &mut [&mut Shard],
        now: Monotonic,
    ) -> io::Result<Self> {
        assert!(targets.len() <= TARGETS_MAX, "the pipe has room for what is said of each");
        let sockets = targets.iter().flat_map(|target| &target.sockets);
        let keep: Vec<_> = sockets.map(AsRawFd::as_raw_fd).collect();
        let work = |to_parent: &File| sync(&plan, shards, &targets, to_parent);
        let forked = Forked::start("sync", &keep, now, work)?;
        let (lost, cut) = (vec![None; targets.len()], vec![false; targets.len()]);
        let (bytes, bytes_of_all, left, refused) = (0, (0, 0), None, None);
        Ok(Self { forked, plan, targets, lost, cut, bytes, bytes_of_all, left, refused })
    }

    /// Ends the transfer to the replica of this name; the others go on. The copy hears of it when
    /// it next sends, and is ended if no replica is left: others wait for that.
    pub fn cut(&mut self, id: u64, now: Monotonic) {
        let Some(place) = self.targets.iter().position(|target| target.id == id) else { return };
        self.targets[place].shut();
        self.cut[place] = true;
        if self.cut.iter().zip(&self.lost).all(|(cut, lost)| *cut || lost.is_some()) {
            self.forked.kill("its replicas are gone", now);
        }
    }

    /// Bytes that were sent to all replicas together since the last call, as far as the copy has
    /// said. Of a copy that is killed the last ones are not known.
    pub fn take_sent(&mut self) -> u64 {
        let (sent, counted) = self.bytes_of_all;
        self.bytes_of_all.1 = sent;
        sent - counted
    }

    /// Hears what it says, and looks whether it has ended; then it is used up, but for
    /// [`Self::take_sent`].
    pub fn poll(&mut self, now: Monotonic) -> Option<Outcome> {
        let Self { targets, lost, bytes, bytes_of_all, left, refused, .. } = self;
        let exit = self.forked.poll(now, |report| match report {
            Report::Sent { bytes: sent, left: of } => (*bytes, *left) = (sent, Some(of)),
            Report::SentToAll(sent) => bytes_of_all.0 = sent,
            Report::Lost { place, why } => {
                if let Some((place, target)) = lost.get_mut(place).zip(targets.get(place)) {
                    log::warning(&format!("Sync of replica {} ended: {why}", target.id));
                    *place = Some(why);
                }
            }
            Report::Refused(refusal) => *refused = Some(refusal),
            Report::Progress(_) | Report::Done(_) | Report::Failed { .. } => {}
        })?;
        let ended = self.forked.ended(exit, self.refused.is_some(), now);
        Some(self.outcome(ended, now))
    }

    fn outcome(&mut self, ended: Ended, now: Monotonic) -> Outcome {
        let lost = self.lost.iter().flatten().count();
        let is_counted = self.left == Some((self.targets.len() - lost) as u64);
        let end = match (ended, self.refused) {
            (Ended::Done, _) if is_counted => End::Sent,
            (Ended::Done, _) => End::Failed("reports of its process are missing".into()),
            (Ended::Told, Some(Refusal::Unknown(kind))) => {
                let (kind, version) = (words(kind), self.plan.highest_version().number());
                End::Refused(format!("there is {kind}, which RDB version {version} cannot hold"))
            }
            (Ended::Told, _) => End::Failed("no replica is left".into()),
            (Ended::Killed(by), _) => End::Killed(by.map(|(by, _)| by)),
            (Ended::Broken(how), _) => End::Failed(how),
        };
        let all = std::mem::take(&mut self.targets).into_iter().zip(&self.lost);
        let targets = all.map(|(target, lost)| {
            let result = match (lost, &end) {
                (Some(why), _) => Err(*why),
                (None, End::Sent) => Ok(()),
                (None, _) => Err(Lost::Ended),
            };
            (target, result)
        });
        Outcome {
            targets: targets.collect(),
            end,
            bytes: self.bytes,
            keys: self.forked.progress.keys,
            millis: now.millis_since(self.forked.began),
        }
    }
}

impl AsFd for SyncChild {
    /// Becomes readable when it ends.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.forked.as_fd()
    }
}

/// A kind of value, for people.
fn words(kind: Kind) -> String {
    match kind {
        Kind::Hash2 => "a hash whose fields expire".to_owned(),
        other => format!("a value of the kind {other:?}"),
    }
}

/// What the copy does. Its exit status.
fn sync(plan: &SyncPlan, shards: &mut [&mut Shard], targets: &[Target], to_parent: &File) -> i32 {
    // The parent is to see progress in whatever time is allowed for it.
    let mut telling = Telling::every(plan.patience_millis() / TOLD);
    let (mut lost, mut bytes_of_all) = (0, 0);
    let sent = plan.send(
        shards,
        targets,
        |progress| {
            let Progress { written: Written { keys, bytes }, left, .. } = progress;
            bytes_of_all = progress.bytes_of_all;
            if let Some(progress) = telling.due(keys) {
                progress.send(to_parent);
                Report::Sent { bytes, left: left as u64 }.send(to_parent);
                Report::SentToAll(bytes_of_all).send(to_parent);
            }
        },
        |place, why| {
            lost += 1;
            Report::Lost { place, why }.send(to_parent);
        },
    );
    Report::SentToAll(bytes_of_all).send(to_parent);
    match sent {
        Ok(sent) => {
            let left = (targets.len() - lost) as u64;
            Report::Sent { bytes: sent.bytes, left }.send(to_parent);
            forked::done(sent.keys).send(to_parent);
            0
        }
        Err(refusal) => {
            Report::Refused(refusal).send(to_parent);
            1
        }
    }
}
