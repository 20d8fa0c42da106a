//! FAILOVER, as the control thread drives it: what the machine asks for becomes letters, and what
//! comes of them is told to it.
//!
//! ```text
//! FAILOVER --> shards: writes wait, answered when none is under way --> barrier --> fence, GETACK
//!   --> a replica has it --> relay: follow that replica, which is asked to promote itself
//!                            shards: role
//! ```
//! The other side: a primary asks the relay of its replica by `PSYNC ... FAILOVER`, and the replica
//! promotes itself as REPLICAOF NO ONE does.

use shards::resp::error::Error;

use crate::config::primary::Primary;
use crate::control::core::Control;
use crate::control::replicating::Purpose;
use crate::control::standing::Wish;
use crate::log;
use crate::mail::query::Query;
use crate::mail::replica::{SessionId, SessionView};
use crate::mail::to_relay::ToRelay;
use crate::mail::upstream::UpstreamWord;
use crate::replication::acks::Position as Acknowledged;
use crate::replication::address::Address;
use crate::replication::failover::request::Request;
use crate::replication::failover::{Action, Candidate, Event, Facts, Failover, News};
use crate::replication::history::{Fence, Scalar};
use crate::replication::link::events::{By, Position};
use crate::routing::node::Role;

/// FAILOVER, and how far its pause is.
#[derive(Debug, Default)]
pub struct HandingOver {
    /// What decides.
    pub machine: Failover,
    /// Writes are held back for it.
    hold: Option<Hold>,
}

/// Writes are held back.
#[derive(Clone, Copy, Debug)]
struct Hold {
    /// The order to hold them back. It tells this failover's hold from that of an earlier one.
    order: u64,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Until no write is under way.
    Quieting,
    /// No write is under way. The fence is to be written as soon as there are logs.
    Quiet,
    /// The fence is asked for, or written.
    Fencing,
}

impl Control {
    /// FAILOVER.
    ///
    /// # Errors
    /// Those of [`Failover::start`].
    pub fn begin_failover(&mut self, request: &Request) -> Result<(), Error> {
        let sessions = self.replicating.view.sessions.iter();
        let replicas: Vec<Candidate> = sessions.map(candidate).collect();
        let facts = Facts { is_replica: self.is_replica(), replicas: &replicas };
        let (now, mut todo) = (self.moment(), Vec::new());
        self.handing_over.machine.start(now, request, facts, &mut todo)?;
        self.act_for_failover(todo);
        if self.end.shutdown.is_under_way() {
            self.failover_hears(Event::Ending);
        }
        Ok(())
    }

    /// FAILOVER ABORT.
    ///
    /// # Errors
    /// If there is none.
    pub fn abort_failover(&mut self) -> Result<(), Error> {
        let mut todo = Vec::new();
        self.handing_over.machine.abort(&mut todo)?;
        self.act_for_failover(todo);
        Ok(())
    }

    /// Tells the machine what has happened, and does what it asks for.
    pub(crate) fn failover_hears(&mut self, event: Event) {
        let (now, mut todo) = (self.moment(), Vec::new());
        self.handing_over.machine.handle(now, event, &mut todo);
        self.act_for_failover(todo);
    }

    /// Does what is due.
    pub(crate) fn see_to_failover(&mut self) {
        let deadline = self.handing_over.machine.deadline();
        if deadline.is_some_and(|deadline| deadline <= self.moment()) {
            self.failover_hears(Event::Tick);
        }
        if let Some(Hold { order, step: step @ Step::Quiet }) = &mut self.handing_over.hold
            && self.replicating.keeps_logs()
        {
            *step = Step::Fencing;
            let purpose = Purpose::Failover(*order);
            self.wish(Wish::Fence(purpose));
        }
    }

    /// Milliseconds until [`Self::see_to_failover`] has something to do.
    pub(crate) fn failover_patience(&self) -> Option<u64> {
        let deadline = self.handing_over.machine.deadline()?;
        Some(self.millis_until(deadline))
    }

    /// No write is under way any more that this order holds back.
    pub(crate) fn writes_rest(&mut self, order: u64) {
        if let Some(hold) = &mut self.handing_over.hold
            && hold.order == order
        {
            hold.step = Step::Quiet;
        }
    }

    /// The fence behind all writes is in all logs.
    pub(crate) fn failover_fence_written(&mut self, order: u64, fence: Fence) {
        if self.handing_over.hold.is_some_and(|hold| hold.order == order) {
            self.failover_hears(Event::Fenced(fence));
        }
    }

    /// A replica is so far.
    pub(crate) fn failover_hears_ack(&mut self, session: SessionId, applied: Scalar) {
        if let Some(address) = self.address_of(session) {
            self.failover_hears(Event::Acked(address, Acknowledged::Stock(applied)));
        }
    }

    /// The session of a replica has ended.
    pub(crate) fn failover_hears_of_end(&mut self, session: SessionId) {
        if let Some(address) = self.address_of(session) {
            self.failover_hears(Event::Gone(address));
        }
    }

    /// The link to the target has news.
    pub(crate) fn failover_hears_news(&mut self, news: News) {
        self.failover_hears(Event::Link(news));
    }

    /// The primary hands over to this node.
    pub(crate) fn take_over(&mut self, from: &Address) {
        if self.is_replica() {
            log::notice(&format!("PRIMARY MODE enabled (failover request from '{from}')"));
            self.unfollow(By::Failover);
        }
    }

    fn address_of(&self, session: SessionId) -> Option<Address> {
        let mut all = self.replicating.view.sessions.iter();
        all.find(|one| one.session == session).map(|one| one.standing.address.clone())
    }

    fn act_for_failover(&mut self, todo: Vec<Action>) {
        for action in todo {
            match action {
                Action::Pause => {
                    let order = self.hold_for_failover();
                    self.handing_over.hold = Some(Hold { order, step: Step::Quieting });
                }
                Action::Unpause => self.end_failover_hold(),
                Action::Demote(target) => self.demote(target),
                Action::Follow(_) => {
                    self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::AskPlainly));
                }
                Action::Restore => {
                    self.unfollow(By::Failover);
                    self.following.keeps_history = true;
                }
                Action::Log(level, line) => log::at(level, &line),
            }
        }
    }

    fn end_failover_hold(&mut self) {
        if self.handing_over.hold.take().is_some() {
            self.order(&Query::EndFailoverHold);
        }
    }

    /// Becomes the replica of the target. Writes that were held back are refused.
    fn demote(&mut self, target: Address) {
        let (id, offset) = (self.replicating.replid, self.replication().offset);
        let Address { host, port } = target;
        // The next primary names its database anew, as Valkey and Keylane do when promoted.
        let position = Position { id, offset, db: 0 };
        self.follow_from(Primary { host, port }, By::Failover, Some(position));
        self.order(&Query::Role(Role::Replica));
        self.end_failover_hold();
    }
}

/// A replica as FAILOVER sees it.
fn candidate(session: &SessionView) -> Candidate {
    let standing = &session.standing;
    Candidate { address: standing.address.clone(), is_online: standing.is_online() }
}
