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
use crate::log;
use crate::mail::query::Query;
use crate::mail::replica::SessionView;
use crate::mail::to_relay::ToRelay;
use crate::mail::upstream::UpstreamWord;
use crate::replication::acks::Position as Acknowledged;
use crate::replication::address::Address;
use crate::replication::failover::request::Request;
use crate::replication::failover::{Action, Candidate, Event, Facts, Failover, News};
use crate::replication::history::Scalar;
use crate::replication::link::events::By;
use crate::replication::session::SessionId;
use crate::routing::node::Role;

/// FAILOVER.
#[derive(Debug, Default)]
pub struct HandingOver {
    /// What decides.
    pub machine: Failover,
}

impl Control {
    /// FAILOVER.
    ///
    /// # Errors
    /// Those of [`Failover::start`].
    pub fn begin_failover(&mut self, request: &Request) -> Result<(), Error> {
        self.start_failover(request)?;
        if self.end.shutdown.is_under_way() {
            self.failover_hears(Event::Ending);
        }
        Ok(())
    }

    /// The same, also while the process ends.
    pub(crate) fn start_failover(&mut self, request: &Request) -> Result<(), Error> {
        let sessions = self.replicating.view.sessions.iter();
        let replicas: Vec<Candidate> = sessions.map(candidate).collect();
        let facts = Facts { is_replica: self.is_replica(), replicas: &replicas };
        let (now, mut todo) = (self.moment(), Vec::new());
        self.handing_over.machine.start(now, request, facts, &mut todo)?;
        self.act_for_failover(todo);
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
        self.see_to_hold();
    }

    /// Milliseconds until [`Self::see_to_failover`] has something to do.
    pub(crate) fn failover_patience(&self) -> Option<u64> {
        let deadline = self.handing_over.machine.deadline()?;
        Some(self.millis_until(deadline))
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
    pub(crate) fn take_over(&mut self, from: &Address, at: Option<Scalar>) {
        if self.is_replica() {
            self.following.ends_at = at;
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
                Action::Pause => self.hold_writes(),
                Action::Unpause => self.let_writes_go(),
                Action::Demote(target) => self.demote(target),
                Action::Follow(_) => {
                    self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::AskPlainly));
                }
                // The pause ends when clients may write: `Control::lead`.
                Action::Restore => {
                    self.unfollow(By::Failover);
                    self.following.keeps_history = true;
                }
                Action::Log(level, line) => log::at(level, &line),
            }
        }
    }

    /// Becomes the replica of the target. Writes that were held back stay so: if the target does
    /// not take over, they run here.
    fn demote(&mut self, target: Address) {
        let Address { host, port } = target;
        self.follow(Primary { host, port }, By::Failover);
        self.order(&Query::Role(Role::Replica));
    }
}

/// A replica as FAILOVER sees it.
fn candidate(session: &SessionView) -> Candidate {
    let standing = &session.standing;
    Candidate { address: standing.address.clone(), is_online: standing.is_online() }
}
