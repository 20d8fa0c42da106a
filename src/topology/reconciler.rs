//! Makes replication what it is to be, as a machine: the goal and what is observed go in, what is
//! to be done comes out. No command waits for it, and it does nothing twice that has an effect.
//!
//! ```text
//!             Goal, Kick, Observed: something differs
//!  in_sync -----------------------------------------------> pending: since when
//!     ^                                                        |      '--> failed: it has an error
//!     '---------------- Observed: nothing differs -------------'
//! ```
//! What is tried and has no effect is tried again, after 100 ms at first and a second at most. The
//! link itself connects anew by its own limits; here it is only watched.

use crate::cluster::moment::Moment;
use crate::config::primary::Primary;
use crate::topology::desired::Goal;

/// Milliseconds until what had no effect is tried again, at first and at most.
const RETRY_MS_MIN: u64 = 100;
const RETRY_MS_MAX: u64 = 1000;

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This is to be from now on.
    Goal(Goal),
    /// The same was asked for again: what waits is tried at once.
    Kick,
    /// This is, now.
    Observed(Observed),
}

/// What is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What replication of this node is.
    pub standing: Standing,
    /// Attached replicas that are not to be.
    pub strangers: Vec<u64>,
}

/// What replication of a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is a primary.
    Leads,
    /// It follows none any more, and what came of its primary is being applied.
    Ends,
    /// It follows none, and is no primary.
    Left,
    /// It follows this node.
    Follows(Primary, Link),
}

/// A link to a primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// The stream runs.
    Up,
    /// It does not; why the last attempt failed, if one did.
    Down(Option<String>),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Follow this node.
    Follow(Primary),
    /// Follow none, and take nothing more from the primary.
    Unfollow,
    /// Become a primary: nothing is followed, and all that came is applied.
    Promote,
    /// Cut the links of these replicas.
    Cut(Vec<u64>),
}

/// What INFO calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing differs.
    InSync,
    /// Something is under way.
    Pending,
    /// The last attempt has failed; more follow.
    Failed,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::InSync, Self::Pending, Self::Failed];

    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InSync => "in_sync",
            Self::Pending => "pending",
            Self::Failed => "failed",
        }
    }
}

/// The machine.
#[derive(Debug)]
pub struct Reconciler {
    goal: Goal,
    differs: Option<Differs>,
    role: Retry,
    cut: Retry,
}

/// Something differs.
#[derive(Clone, Debug)]
struct Differs {
    since: Moment,
    error: Option<String>,
}

/// When something is tried again.
#[derive(Clone, Copy, Debug, Default)]
struct Retry {
    tries: u32,
    /// Not before; `None`: at once.
    due: Option<Moment>,
}

/// What the table says of a goal and a standing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it is so.
    Done,
    /// This.
    Do(Action),
    /// Nothing: something is under way, which has met this error last.
    Wait(Option<String>),
}

/// The table: what a goal makes of a standing.
pub fn step(goal: &Goal, standing: &Standing) -> Step {
    match (goal, standing) {
        // A node that was reset is none that has left.
        (Goal::Unset, Standing::Left) => Step::Do(Action::Promote),
        (Goal::Unset, Standing::Ends) => Step::Wait(None),
        (Goal::Unset, Standing::Leads | Standing::Follows(..)) => Step::Done,
        (Goal::Lead | Goal::Leave, Standing::Leads) => Step::Done,
        (Goal::Lead | Goal::Leave, Standing::Ends) => Step::Wait(None),
        (Goal::Lead | Goal::Leave, Standing::Follows(..)) => Step::Do(Action::Unfollow),
        (Goal::Lead, Standing::Left) => Step::Do(Action::Promote),
        // A node that leaves is not promoted: its keys stay a part of the history that they are of,
        // so that it can go on with it.
        (Goal::Leave, Standing::Left) => Step::Done,
        (Goal::Follow(primary), Standing::Follows(other, link)) if primary == other => match link {
            Link::Up => Step::Done,
            Link::Down(error) => Step::Wait(error.clone()),
        },
        (
            Goal::Follow(primary),
            Standing::Leads | Standing::Ends | Standing::Left | Standing::Follows(..),
        ) => Step::Do(Action::Follow(primary.clone())),
        (Goal::Lost(id), _) => {
            Step::Wait(Some(format!("Primary {id} of this node is not in the topology")))
        }
    }
}

impl Default for Reconciler {
    fn default() -> Self {
        let (role, cut) = (Retry::default(), Retry::default());
        Self { goal: Goal::Unset, differs: None, role, cut }
    }
}

impl Reconciler {
    /// Acts on what has happened. A goal and a kick are acted on with what is observed next.
    pub fn handle(&mut self, now: Moment, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Goal(goal) if goal == self.goal => {}
            Event::Goal(goal) => {
                self.goal = goal;
                (self.role, self.cut) = (Retry::default(), Retry::default());
                // What was wrong with another goal says nothing of this one.
                self.differs.iter_mut().for_each(|differs| *differs = Differs::new(now));
            }
            Event::Kick => (self.role, self.cut) = (Retry::default(), Retry::default()),
            Event::Observed(observed) => self.observe(now, &observed, actions),
        }
    }

    /// When what is observed is to be told at the latest; `None` if nothing is to be tried again.
    pub fn deadline(&self) -> Option<Moment> {
        [self.role.due, self.cut.due].into_iter().flatten().min()
    }

    /// What INFO shows.
    pub fn state(&self) -> State {
        match &self.differs {
            None => State::InSync,
            Some(Differs { error: None, .. }) => State::Pending,
            Some(Differs { error: Some(_), .. }) => State::Failed,
        }
    }

    /// Why the last attempt failed; `None` if none has since something differs.
    pub fn last_error(&self) -> Option<&str> {
        self.differs.as_ref()?.error.as_deref()
    }

    /// Milliseconds for which something has differed; 0 if nothing does.
    pub fn pending_ms(&self, now: Moment) -> u64 {
        self.differs.as_ref().map_or(0, |differs| now.since(differs.since))
    }

    /// What is to be.
    pub const fn goal(&self) -> &Goal {
        &self.goal
    }

    fn observe(&mut self, now: Moment, observed: &Observed, actions: &mut Vec<Action>) {
        let Observed { standing, strangers } = observed;
        let step = step(&self.goal, standing);
        let error = match &step {
            Step::Do(action) => {
                if self.role.is_due(now) {
                    actions.push(action.clone());
                }
                None
            }
            Step::Wait(error) => {
                self.role = Retry::default();
                error.clone()
            }
            Step::Done => {
                self.role = Retry::default();
                None
            }
        };
        if strangers.is_empty() {
            self.cut = Retry::default();
        } else if self.cut.is_due(now) {
            actions.push(Action::Cut(strangers.clone()));
        }
        if step == Step::Done && strangers.is_empty() {
            self.differs = None;
            return;
        }
        let differs = self.differs.get_or_insert_with(|| Differs::new(now));
        // An attempt that has begun anew has not succeeded yet: its predecessor's error stays.
        differs.error = error.or(differs.error.take());
    }
}

impl Differs {
    const fn new(now: Moment) -> Self {
        Self { since: now, error: None }
    }
}

impl Retry {
    /// Whether it is to be tried now, which counts as a try.
    fn is_due(&mut self, now: Moment) -> bool {
        if self.due.is_some_and(|due| now < due) {
            return false;
        }
        let wait_ms = (RETRY_MS_MIN << self.tries.min(8)).min(RETRY_MS_MAX);
        self.tries = self.tries.saturating_add(1);
        self.due = Some(now.after(wait_ms));
        true
    }
}

#[cfg(test)]
mod tests;
