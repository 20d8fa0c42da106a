//! CLUSTER RESET leaves nothing behind that could come back.
//!
//! ```text
//! RESET --> children end, and are seen gone --> writes rest, and keys are counted
//!       --> the machine forgets
//!       --> the link to a primary ends: all that came of it is applied --> all keys go
//!       --> a child that began meanwhile ends --> the file of the last snapshot goes --> +OK
//! ```
//! A child that does not end is looked at first: then nothing is reset, and the error says so. Nor
//! is anything if the node has become a primary with keys meanwhile.
//! CLUSTER REPLICATE NO ONE drops keys in the same way.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread::Builder;

use shards::resp::error::Error;

use crate::batches::batch::Batch;
use crate::clients::line;
use crate::cluster::machine::action::Answer;
use crate::cluster::machine::event::Ticket;
use crate::control::clustering::asking::Counted;
use crate::control::core::Control;
use crate::control::saving::KeptRequest;
use crate::control::standing::Wish;
use crate::log;
use crate::persistence::snapshot;
use crate::process::plain;
use crate::reactor::clock::Monotonic;
use crate::reactor::wake::Wake;
use crate::routing::node::Role;

/// Milliseconds in which a child has to end that is killed: only one that sleeps in the kernel,
/// and cannot be waked, takes so long.
const CHILD_MILLIS: u64 = 5000;
/// Why a child is ended.
const BY: &str = "CLUSTER RESET";

/// A reset that waits until there is no child.
#[derive(Debug)]
pub(super) struct Reset {
    kept: KeptRequest,
    counted: Counted,
    since: Monotonic,
}

/// What a snapshot could bring back goes; replies wait for that.
#[derive(Debug)]
pub(super) struct Clearing {
    step: Step,
    since: Monotonic,
    /// What the steps took that are over, in milliseconds, for the log.
    times: Times,
    replies: Vec<(Ticket, Result<Answer, Error>)>,
    /// The changes that were made until no key was left.
    changes: u64,
}

#[derive(Debug)]
enum Step {
    /// What has come of a primary: it would be applied when the keys are gone.
    Stream,
    /// The keys.
    Keys,
    /// A child that has seen them.
    Child(Former),
    /// The file that has them.
    File(Receiver<io::Result<()>>),
}

/// Milliseconds that steps took, one after the other.
#[derive(Debug)]
struct Times {
    since: Monotonic,
    took: Vec<(&'static str, u64)>,
}

/// What is known of children that began before the keys were gone.
#[derive(Clone, Copy, Debug)]
struct Former {
    /// Since when they are looked for.
    since: Monotonic,
    /// How many children there had been. If there is a child and there were no more since, it is
    /// one of them.
    forks: u64,
}

impl Step {
    /// What the log calls it.
    const fn name(&self) -> &'static str {
        match self {
            Self::Stream => "what the primary had sent",
            Self::Keys => "keys",
            Self::Child(_) => "children",
            Self::File(_) => "the snapshot",
        }
    }
}

impl Times {
    fn new(since: Monotonic) -> Self {
        Self { since, took: Vec::new() }
    }

    /// A step is over.
    fn note(&mut self, step: &Step) {
        let now = Monotonic::now();
        self.took.push((step.name(), now.millis_since(self.since)));
        self.since = now;
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, millis)) in self.took.iter().enumerate() {
            write!(f, "{}{name} {millis}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl Clearing {
    fn enter(&mut self, next: Step) {
        self.times.note(&self.step);
        self.step = next;
    }

    /// Answers this when it is over.
    pub(super) fn keep(&mut self, ticket: Ticket, reply: Result<Answer, Error>) {
        self.replies.push((ticket, reply));
    }
}

impl Control {
    /// Has the cluster forgotten, as soon as there is no child any more.
    pub(super) fn reset_cluster(&mut self, kept: KeptRequest, counted: Counted) {
        let Some(clustering) = &mut self.clustering else { return };
        let Batch { client, peer, .. } = *kept.batch;
        let address = line::address(peer, &self.node.config);
        log::notice(&format!("{BY} is asked for by client {client} at {address}."));
        clustering.resets.push_back(Reset { kept, counted, since: Monotonic::now() });
        self.see_to_resets();
    }

    /// The machine has forgotten: all keys go, and what could bring them back.
    pub(super) fn clear_for_cluster(&mut self) {
        let Some(clustering) = &mut self.clustering else { return };
        let (step, since) = (Step::Stream, Monotonic::now());
        let replies = clustering.clearing.take().map(|before| before.replies).unwrap_or_default();
        let times = Times::new(since);
        clustering.clearing = Some(Clearing { step, since, times, replies, changes: 0 });
        self.clear_behind_stream();
    }

    /// Has all keys go if nothing of a primary is applied any more: the link has ended.
    fn clear_behind_stream(&mut self) {
        let is_between = self.node.condition.role == Role::Replica && !self.is_replica();
        let Some(clearing @ Clearing { step: Step::Stream, .. }) = self.clearing() else { return };
        if !is_between {
            clearing.enter(Step::Keys);
            self.wish(Wish::Flush);
        }
    }

    /// All keys are gone, after so many changes.
    pub(crate) fn keys_are_cleared(&mut self, made: u64) {
        let former = Former { since: Monotonic::now(), forks: self.saving.forks };
        if let Some(clearing) = self.clearing() {
            clearing.enter(Step::Child(former));
            clearing.changes = made;
        }
    }

    /// Goes on with resets.
    pub(super) fn see_to_resets(&mut self) {
        self.go_on_resetting();
        self.clear_behind_stream();
        self.go_on_clearing();
    }

    /// Whether a reset is under way.
    pub(super) fn is_resetting(&self) -> bool {
        let clustering = self.clustering.as_ref();
        clustering.is_some_and(|it| !it.resets.is_empty() || it.clearing.is_some())
    }

    fn clearing(&mut self) -> Option<&mut Clearing> {
        self.clustering.as_mut()?.clearing.as_mut()
    }

    fn go_on_resetting(&mut self) {
        let Some(clustering) = &mut self.clustering else { return };
        let Some(Reset { since, .. }) = clustering.resets.front() else { return };
        let took = Monotonic::now().millis_since(*since);
        let pid = self.saving.forked().map(|child| child.pid());
        if pid.is_some() && took < CHILD_MILLIS {
            return self.kill_child(BY);
        }
        let reset = self.clustering.as_mut().and_then(|it| it.resets.pop_front());
        let Some(Reset { kept, counted, .. }) = reset else { return };
        match pid {
            None => {
                log::notice(&format!("No child is left after {took} ms: keys are counted."));
                self.count_at_rest(kept, counted);
            }
            Some(pid) => {
                let text = format!("ERR Can't reset: child {pid} does not end");
                log::warning(&text);
                self.answer_kept(kept, Err(Error::Owned(text)));
            }
        }
    }

    fn go_on_clearing(&mut self) {
        let has_file = self.saving.child.is_some();
        let (sends, forks) = (self.saving.sync.is_some(), self.saving.forks);
        let Some(Clearing { step, .. }) = self.clearing() else { return };
        let Former { since, forks: before } = match step {
            Step::Stream | Step::Keys => return,
            Step::File(removed) => match removed.try_recv() {
                Ok(result) => return self.end_clearing(result),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    return self.end_clearing(Err(io::Error::other("it panicked")));
                }
            },
            Step::Child(former) => *former,
        };
        // A later one sends replicas that there is nothing.
        let sends_keys = sends && forks == before;
        if !has_file && !sends_keys {
            self.remove_snapshot();
        } else if Monotonic::now().millis_since(since) < CHILD_MILLIS {
            self.kill_child(BY);
        } else {
            self.end_clearing(Err(io::Error::other("a child does not end")));
        }
    }

    fn remove_snapshot(&mut self) {
        let file = snapshot::file_of(&self.node.config);
        match remove(&file, self.mailbox.bell().clone()) {
            Ok(removed) => {
                if let Some(clearing) = self.clearing() {
                    clearing.enter(Step::File(removed));
                }
            }
            Err(error) => self.end_clearing(Err(error)),
        }
    }

    fn end_clearing(&mut self, result: io::Result<()>) {
        let taken = self.clustering.as_mut().and_then(|clustering| clustering.clearing.take());
        let Some(Clearing { step, since, mut times, replies, changes }) = taken else { return };
        times.note(&step);
        let took = Monotonic::now().millis_since(since);
        let failure = result.err().map(|error| {
            let why = plain(&error);
            format!("All keys are gone, but the file of the last snapshot is not: {why}")
        });
        match &failure {
            None => {
                // A restart has what there is now: nothing.
                self.saving.changes_saved = self.saving.changes_saved.max(changes);
                log::notice(&format!(
                    "Keys and the last snapshot are gone after {took} ms (ms: {times})."
                ));
            }
            Some(text) => log::warning(text),
        }
        for (ticket, reply) in replies {
            let failed = failure.as_ref().map(|text| Error::Owned(format!("ERR {text}")));
            self.reply_for_cluster(ticket, failed.map_or(reply, Err));
        }
    }
}

/// Removes a file, for good, by a thread of its own, which says how that went and rings.
fn remove(file: &Path, rings: Wake) -> io::Result<Receiver<io::Result<()>>> {
    let (file, (says, said)) = (file.to_owned(), mpsc::channel());
    let work = move || {
        // The process may not wait for it any more.
        let _ = says.send(snapshot::remove(&file));
        rings.ring();
    };
    Builder::new().name("disk".to_owned()).spawn(work)?;
    Ok(said)
}
