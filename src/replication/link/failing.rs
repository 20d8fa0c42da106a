//! How an attempt fails, and when the next one begins.

use super::events::Action;
use super::report::Line;
use super::{Link, State};
use crate::replication::failover;
use crate::replication::failure::Failure;
use crate::replication::moment::Moment;

impl Link {
    /// Gives up an attempt, and waits for the next one.
    pub(super) fn fail(&mut self, now: Moment, failure: Failure, actions: &mut Vec<Action<'_>>) {
        let limits = &self.limits;
        let is_sync = match &self.state {
            State::Receiving(_) | State::Staging(_) | State::Committing(_) => true,
            State::Following(following) => {
                let followed_ms = now.since(self.since);
                if limits.retry_ms.most <= followed_ms {
                    self.failures = 0;
                }
                // A sync was in vain if the stream is lost sooner than it took: the next may be,
                // too.
                let in_vain = following.sync_ms.is_some_and(|sync_ms| followed_ms < sync_ms);
                if !in_vain {
                    self.sync_failures = 0;
                }
                in_vain
            }
            State::Idle | State::Connecting | State::Greeting { .. } | State::Waiting { .. } => {
                false
            }
        };
        self.down_since.get_or_insert(now);
        self.leave(actions);
        let is_malformed = matches!(failure, Failure::Stream(_) | Failure::Unappliable(_));
        if is_malformed {
            // What comes behind that place would be malformed again.
            self.forget_place();
        }
        let is_refused = matches!(failure, Failure::Stranger(_));
        self.refusals = if is_refused { self.refusals.saturating_add(1) } else { 0 };
        let wait_ms = if is_refused {
            self.limits.refused_retry_ms.after(self.refusals)
        } else if let Failure::Younger(..) = failure {
            // It is tried again when this node has not taken over: the wait must not grow.
            self.limits.sync_retry_ms.first
        } else if is_sync || is_malformed {
            self.sync_failures = self.sync_failures.saturating_add(1);
            self.limits.sync_retry_ms.after(self.sync_failures)
        } else {
            self.failures = self.failures.saturating_add(1);
            self.limits.retry_ms.after(self.failures)
        };
        actions.push(Action::Log(Line::Failed(failure.clone())));
        self.last_failure = Some(failure.clone());
        match failure {
            Failure::FailoverRefused(_) => actions.push(Action::Handover(failover::News::Refused)),
            Failure::FailoverIsOver(_) => actions.push(Action::Handover(failover::News::IsPrimary)),
            _ => {}
        }
        self.enter(now, State::Waiting { until: now.after(wait_ms) });
    }

    /// Tries again at once if the primary has said that this node is not its replica: that may be
    /// so no more.
    pub(super) fn retry(&mut self, now: Moment, actions: &mut Vec<Action<'_>>) {
        let is_refused = matches!(self.last_failure, Some(Failure::Stranger(_)));
        if is_refused && matches!(self.state, State::Waiting { .. }) {
            self.refusals = 0;
            self.connect(now, Line::Reconnecting, actions);
        }
    }
}
